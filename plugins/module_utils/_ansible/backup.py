# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup modules: from parameters to the backup ring, and from its results to what a module returns."""

from __future__ import annotations

import math
import typing as t

from .._backup.account import AccountBackup, AccountOptions, backup_stream
from .._backup.set import SetBackup
from .._backup.snapshot import Transfer
from .._backup.stream import BackupOptions
from .._nats.errors import OptionsError
from .._nats.model import Json
from .._nats.session import Session
from .._repository.directory import normal_path
from .._repository.errors import BackupError
from .._repository.nearby import account_place, check_backup_place
from .._repository.results import StreamResult, all_warnings, result_json
from .argspec import ArgumentSpec
from .lock import LOCK, lock_streams, under_lock
from .module import Context, Outcome

_TRANSFER: dict[str, t.Any] = {
    "consumers": {"type": "bool", "default": True},
    "health_check": {"type": "bool", "default": False},
    "verify": {"type": "str", "choices": ["quick", "full", "none"], "default": "quick"},
    "force": {"type": "bool", "default": False},
    "chunk_size": {"type": "int"},
    "window_size": {"type": "int", "default": 8388608},
    "stall_timeout": {"type": "float", "default": 30.0},
    "timeout": {"type": "float", "default": 0.0},
}
STREAM_BACKUP = ArgumentSpec(
    {
        "stream": {"type": "str", "required": True, "aliases": ["name"]},
        "path": {"type": "path", "required": True},
        **_TRANSFER,
    }
)
ACCOUNT_BACKUP = ArgumentSpec(
    {
        "path": {"type": "path", "required": True},
        "streams": {"type": "list", "elements": "str", "default": ["*"]},
        "exclude": {"type": "list", "elements": "str", "default": []},
        "parallel": {"type": "int", "default": 4},
        "on_error": {"type": "str", "choices": ["continue", "stop"], "default": "continue"},
        "prune": {"type": "bool", "default": False},
        "sets": {"type": "bool", "default": False},
        "allow_empty": {"type": "bool", "default": False},
        **LOCK,
        **_TRANSFER,
    }
)


def positive(params: t.Mapping[str, t.Any], *names: str) -> None:
    """Raise OptionsError unless these parameters are more than 0, and finite."""
    for name in names:
        if not 0 < params[name] < math.inf:
            raise OptionsError(f"{name} must be more than 0 and finite, not {params[name]}.")


def named(params: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    """The globs of the option streams. Raises OptionsError where there are none: nothing would be done."""
    if not any(glob.strip() for glob in params["streams"]):
        raise OptionsError("streams is empty: name streams, or leave the option out for all.")
    return tuple(params["streams"])


def backup_options(params: t.Mapping[str, t.Any]) -> BackupOptions:
    """The options of one stream's backup. Raises OptionsError."""
    positive(params, "stall_timeout", "window_size", *(("chunk_size",) if params["chunk_size"] is not None else ()))
    if not 0 <= params["timeout"] < math.inf:
        raise OptionsError(f"timeout must be 0 (no limit) or more, not {params['timeout']}.")
    return BackupOptions(
        consumers=params["consumers"],
        health_check=params["health_check"],
        verify=params["verify"],
        force=params["force"],
        transfer=Transfer(
            chunk_size=params["chunk_size"] or 0,
            window_size=params["window_size"],
            stall_timeout=params["stall_timeout"],
            timeout=params["timeout"],
        ),
    )


async def stream_backup(context: Context) -> Outcome:
    """The work of jetstream_stream_backup."""
    params = context.params
    options = backup_options(params)
    async with Session(context.connection, leaderless=True) as session:
        path = normal_path(params["path"])
        result = await backup_stream(session, params["stream"], path, options, check=context.check_mode)
    values = result_json(result)
    values.pop("warnings", None)
    return Outcome(result.changed, values, warnings=result.warnings)


async def account_backup(context: Context) -> Outcome:
    """The work of jetstream_account_backup."""
    params = context.params
    positive(params, "parallel")
    options = AccountOptions(
        streams=named(params),
        exclude=(*params["exclude"], *lock_streams(params)),
        parallel=params["parallel"],
        on_error=params["on_error"],
        prune=params["prune"],
        stream=backup_options(params),
    )
    if params["sets"] and params["prune"]:
        raise OptionsError(
            "prune is of a plain directory; a set never holds a stream that is no more. Old sets are removed with"
            " jetstream_backup_prune."
        )
    path = normal_path(params["path"])
    path = account_place(path) if params["sets"] else path
    check_backup_place(path, sets=params["sets"])
    async with Session(context.connection) as session:
        check = context.check_mode
        run = (
            SetBackup(session, path, options, check=check, allow_empty=params["allow_empty"])
            if params["sets"]
            else AccountBackup(session, path, options, check=check)
        )
        results, notes = await under_lock(context, run.run)
        account, name = session.account, session.account_name
    values: Json = {
        "path": path,
        "account": account,
        "account_name": name or account,
        "streams": [result_json(result) for result in results],
        **counts(results),
    }
    if isinstance(run, SetBackup):
        values["set"] = run.set
    return Outcome(
        changed=run.changed or any(result.changed for result in results),
        values=values,
        warnings=(*all_warnings(results), *notes, *_skipped(results)),
        failure=_failure(results),
    )


def counts(results: t.Sequence[StreamResult]) -> Json:
    """How many streams ended how, and the bytes moved."""
    statuses = [result.status.replace("would_transfer", "transferred") for result in results]
    return {
        "summary": {status: statuses.count(status) for status in ("transferred", "unchanged", "skipped", "failed")},
        "bytes": sum(result.bytes for result in results),
    }


def _skipped(results: t.Sequence[StreamResult]) -> tuple[str, ...]:
    return tuple(f"skipped: {result.reason}" for result in results if result.status == "skipped")


def _failure(results: t.Sequence[StreamResult]) -> BackupError | None:
    bad = [result for result in results if result.status == "failed"]
    if not bad:
        return None
    words = {getattr(result.failure, "error", "unexpected") for result in bad}
    text = " ".join(result.reason for result in bad[:5])
    more = f" (and {len(bad) - 5} more, see streams)" if len(bad) > 5 else ""
    return BackupError(
        f"{len(bad)} of {len(results)} streams could not be backed up; the others are done. {text}{more}",
        error=words.pop() if len(words) == 1 else "backup_incomplete",
    )
