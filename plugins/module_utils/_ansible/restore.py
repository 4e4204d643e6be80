# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore modules: from parameters to the backup ring, and from its results to what a module returns."""

from __future__ import annotations

import asyncio
import math
import os
import typing as t

from ansible.module_utils.basic import env_fallback

from .._nats.api import check_stream_name
from .._nats.errors import OptionsError
from .._nats.model import Json
from .._nats.session import Session
from .._repository.directory import normal_path
from .._repository.errors import PathError, RestoreError
from .._repository.inspect import Backup, inspect, looks_like_backup
from .._repository.nearby import STREAM, account_place, check_account, wrong_place
from .._repository.results import RestoreResult, restore_json
from .._repository.sets import LATEST, BackupSet, choose, holds_sets, sets_of
from .._restore.account import AccountRestore, AccountRestoreOptions
from .._restore.nothing import nothing_done
from .._restore.plan import RestoreOptions
from .._restore.replace import restore_safely
from .._restore.sender import Upload
from .argspec import ArgumentSpec
from .backup import named, positive
from .module import Context, Outcome
from .selection import selection

_RESTORE: dict[str, t.Any] = {
    "path": {"type": "path", "required": True},
    "on_conflict": {"type": "str", "choices": ["fail", "skip", "replace", "replace_empty"], "default": "fail"},
    "safety_backup": {"type": "bool", "default": True},
    "safety_path": {"type": "path", "fallback": (env_fallback, ["NATSOPS_SAFETY_PATH"])},
    "config": {"type": "dict", "default": {}},
    "replicas": {"type": "int"},
    "placement": {
        "type": "dict",
        "options": {"cluster": {"type": "str"}, "tags": {"type": "list", "elements": "str"}},
    },
    "storage": {"type": "str", "choices": ["file", "memory"]},
    "drop_unsupported": {"type": "bool", "default": False},
    "verify": {"type": "str", "choices": ["quick", "full"], "default": "quick"},
    "until": {"type": "str"},
    "since": {"type": "str"},
    "subjects": {"type": "list", "elements": "str", "default": []},
    "exclude_subjects": {"type": "list", "elements": "str", "default": []},
    "consumers_ahead": {"type": "str", "choices": ["move", "leave_out"], "default": "move"},
    "temp_path": {"type": "path"},
    "in_flight": {"type": "int"},
    "chunk_size": {"type": "int"},
    "stall_timeout": {"type": "float", "default": 30.0},
    "timeout": {"type": "float", "default": 3600.0},
    "settle_timeout": {"type": "float", "default": 60.0},
}
STREAM_RESTORE = ArgumentSpec({"stream": {"type": "str", "aliases": ["name"]}, **_RESTORE})
ACCOUNT_RESTORE = ArgumentSpec(
    {
        "streams": {"type": "list", "elements": "str", "default": ["*"]},
        "exclude": {"type": "list", "elements": "str", "default": []},
        "parallel": {"type": "str", "default": "auto"},
        "on_error": {"type": "str", "choices": ["continue", "stop"], "default": "continue"},
        "stale": {"type": "bool", "default": False},
        "set": {"type": "str"},
        "before": {"type": "str"},
        **_RESTORE,
    }
)
_FIXED = ("name", "num_replicas", "placement", "storage")


def restore_options(params: t.Mapping[str, t.Any]) -> RestoreOptions:
    """The options of one stream's restore. Raises OptionsError."""
    positive(params, "stall_timeout", "timeout")
    chunk_size, in_flight = params["chunk_size"], params["in_flight"]
    if not 0 <= params["settle_timeout"] < math.inf:
        raise OptionsError(f"settle_timeout must be 0 or more and finite, not {params['settle_timeout']}.")
    if chunk_size is not None and not 1024 <= chunk_size <= 1 << 20:
        raise OptionsError(f"chunk_size {chunk_size} is not between 1024 and 1048576 bytes.")
    if in_flight is not None and not 1 <= in_flight <= 1024:
        raise OptionsError(f"in_flight {in_flight} is not between 1 and 1024.")
    if params["replicas"] is not None and not 1 <= params["replicas"] <= 5:
        raise OptionsError(
            f"replicas: {params['replicas']} replicas are not possible; there can be 1 to 5.",
            error="replicas_unsupported",
        )
    for name in _FIXED:
        if name in params["config"]:
            option = {"num_replicas": "replicas", "name": "stream"}.get(name, name)
            raise OptionsError(f"config must not set {name}: use the option {option}.")
    placement = params["placement"]
    if placement is not None:
        placement = {key: value for key, value in placement.items() if value}
    return RestoreOptions(
        stream=params.get("stream") or "",
        on_conflict=params["on_conflict"],
        config=params["config"],
        replicas=params["replicas"],
        placement=placement,
        storage=params["storage"],
        verify=params["verify"],
        selection=selection(params),
        consumers_ahead=params["consumers_ahead"],
        temp_path=params["temp_path"] or "",
        drop_unsupported=params["drop_unsupported"],
        safety_backup=params["safety_backup"],
        safety_path=normal_path(params["safety_path"]) if params["safety_path"] else "",
        settle_timeout=params["settle_timeout"],
        upload=Upload(
            chunk_size=chunk_size or 0,
            in_flight=in_flight or 0,
            stall_timeout=params["stall_timeout"],
            timeout=params["timeout"],
        ),
    )


def _check_chunk(session: Session, params: t.Mapping[str, t.Any]) -> None:
    most = session.js.connection.max_payload
    if (params["chunk_size"] or 0) > most:
        raise OptionsError(
            f"chunk_size {params['chunk_size']} is larger than the server's max_payload of {most} bytes. Choose a"
            " smaller one.",
            error="chunk_too_large",
        )


def _diff(results: t.Sequence[RestoreResult]) -> list[dict[str, t.Any]]:
    return [
        {"before_header": r.stream, "after_header": r.stream, "before": _shown(r.before), "after": _shown(r.after)}
        for r in results
        if r.changed
    ]


def _shown(config: Json) -> Json:
    """A configuration without what servers note in it: that is no difference, and not known before they do."""
    metadata = {key: value for key, value in (config.get("metadata") or {}).items() if not key.startswith("_nats.")}
    rest = {key: value for key, value in config.items() if key != "metadata"}
    return {**rest, "metadata": metadata} if metadata else rest


async def stream_restore(context: Context) -> Outcome:
    """The work of jetstream_stream_restore."""
    params = context.params
    options = restore_options(params)
    if options.stream:
        check_stream_name(options.stream)
    path = normal_path(params["path"])
    backup = await asyncio.get_running_loop().run_in_executor(None, _open, path, options)
    async with Session(context.connection) as session:
        _check_chunk(session, params)
        result = await restore_safely(session, backup, options, asyncio.Lock(), check=context.check_mode)
    values = restore_json(result)
    values.pop("warnings", None)
    return Outcome(result.changed, values, diff=_diff([result]), warnings=result.warnings)


def _open(path: str, options: RestoreOptions) -> Backup:
    if not looks_like_backup(path):
        if os.path.isdir(path) and any(looks_like_backup(entry.path) for entry in os.scandir(path)):
            raise PathError(
                f"path {path} is the backup of an account, not of one stream. Use jetstream_account_restore, or give"
                " the directory of a stream in it.",
                error="path_not_backup",
            )
        raise wrong_place(path, (STREAM,), "the backup of a stream")
    backup = inspect(path, options.verify)
    backup.require_valid()
    return backup


async def account_restore(context: Context) -> Outcome:
    """The work of jetstream_account_restore."""
    params = context.params
    parallel = params["parallel"]
    if parallel != "auto" and not (parallel.isdecimal() and int(parallel) > 0):
        raise OptionsError(f"parallel must be auto or a number more than 0, not {parallel!r}.")
    for name in ("until", "since"):
        if (params[name] or "").isdigit():
            raise OptionsError(f"{name}: a sequence is of one stream; give a time to restore an account.")
    options = AccountRestoreOptions(
        streams=named(params),
        exclude=tuple(params["exclude"]),
        parallel=0 if parallel == "auto" else int(parallel),
        on_error=params["on_error"],
        stale=params["stale"],
        stream=restore_options(params),
    )
    path, chosen = _chosen(account_place(normal_path(params["path"])), params)
    async with Session(context.connection) as session:
        _check_chunk(session, params)
        results = await AccountRestore(session, path, options, check=context.check_mode).run()
        account = session.account
    statuses = [
        result.status.replace("would_create", "created").replace("would_replace", "replaced") for result in results
    ]
    statuses = [status.replace("would_finish", "finished") for status in statuses]
    names = ("created", "replaced", "finished", "unchanged", "skipped", "failed")
    return Outcome(
        changed=any(result.changed for result in results),
        values={
            "path": path,
            "account": account,
            "streams": [restore_json(result) for result in results],
            "summary": {name: statuses.count(name) for name in names},
            **({"set": chosen.name, "set_finished_at": chosen.finished_at} if chosen else {}),
        },
        diff=_diff(results),
        warnings=tuple(warning for result in results for warning in result.warnings),
        failure=_failure(results) or nothing_done(results, options.stream.selection),
    )


def _chosen(path: str, params: t.Mapping[str, t.Any]) -> tuple[str, BackupSet | None]:
    """The directory to restore, and the set that it is, where the options name one of a repository's."""
    wanted, before = params["set"], params["before"]
    if wanted and before:
        raise OptionsError("set and before exclude each other: name a set, or a moment.")
    check_account(path, sets=bool(wanted or before))
    if wanted or before:
        chosen = choose(sets_of(path), path, wanted or LATEST, before or "")
        return chosen.path, chosen
    if holds_sets(path):
        raise PathError(
            f"path {path} holds sets of backups. Say which one by set (latest, or a name) or by before (a moment).",
            error="path_not_backup",
        )
    # A link to a set, such as latest, may be exchanged while its streams are restored.
    return (os.path.realpath(path) if os.path.islink(path) else path), None


def _failure(results: t.Sequence[RestoreResult]) -> RestoreError | None:
    bad = [result for result in results if result.status == "failed"]
    if not bad:
        return None
    words = {getattr(result.failure, "error", "unexpected") for result in bad}
    text = " ".join(result.reason for result in bad[:5])
    more = f" (and {len(bad) - 5} more, see streams)" if len(bad) > 5 else ""
    return RestoreError(
        f"{len(bad)} of {len(results)} streams could not be restored; the others are done. {text}{more}",
        error=words.pop() if len(words) == 1 else "restore_incomplete",
    )
