# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup modules: from parameters to the backup ring, and from its results to what a module returns."""

from __future__ import annotations

import asyncio
import os
import threading
import typing as t

from .._backup.account import AccountBackup, AccountOptions, backup_stream
from .._backup.checked import checked_json
from .._backup.checking import Share, look
from .._backup.directory import normal_path
from .._backup.errors import BackupError, PathError
from .._backup.inspect import MEANINGS, Backup, looks_like_backup, problems_json
from .._backup.results import StreamResult, all_warnings, manifest_json, result_json
from .._backup.session import Session
from .._backup.snapshot import Transfer
from .._backup.stream import BackupOptions
from .._nats.errors import OptionsError
from .._nats.model import Json
from .argspec import ArgumentSpec
from .module import Context, Outcome

_TRANSFER: dict[str, t.Any] = {
    "consumers": {"type": "bool", "default": True},
    "health_check": {"type": "bool", "default": False},
    "verify": {"type": "str", "choices": ["quick", "full", "none"], "default": "quick"},
    "force": {"type": "bool", "default": False},
    "chunk_size": {"type": "int", "default": 262144},
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
        **_TRANSFER,
    }
)
BACKUP_INFO = ArgumentSpec(
    {
        "path": {"type": "path", "required": True},
        "verify": {"type": "str", "choices": ["none", "quick", "full"], "default": "none"},
        "max_duration": {"type": "float"},
        "fraction": {"type": "float"},
    }
)


def positive(params: t.Mapping[str, t.Any], *names: str) -> None:
    """Raise OptionsError unless these parameters are more than 0."""
    for name in names:
        if params[name] <= 0:
            raise OptionsError(f"{name} must be more than 0, not {params[name]}.")


def backup_options(params: t.Mapping[str, t.Any]) -> BackupOptions:
    """The options of one stream's backup. Raises OptionsError."""
    positive(params, "stall_timeout", "chunk_size", "window_size")
    if params["timeout"] < 0:
        raise OptionsError(f"timeout must be 0 (no limit) or more, not {params['timeout']}.")
    return BackupOptions(
        consumers=params["consumers"],
        health_check=params["health_check"],
        verify=params["verify"],
        force=params["force"],
        transfer=Transfer(
            chunk_size=params["chunk_size"],
            window_size=params["window_size"],
            stall_timeout=params["stall_timeout"],
            timeout=params["timeout"],
        ),
    )


async def stream_backup(context: Context) -> Outcome:
    """The work of jetstream_stream_backup."""
    params = context.params
    options = backup_options(params)
    async with Session(context.connection) as session:
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
        streams=tuple(params["streams"]),
        exclude=tuple(params["exclude"]),
        parallel=params["parallel"],
        on_error=params["on_error"],
        prune=params["prune"],
        stream=backup_options(params),
    )
    path = normal_path(params["path"])
    async with Session(context.connection) as session:
        run = AccountBackup(session, path, options, check=context.check_mode)
        results, notes = await run.run()
        account = session.account
    values: Json = {
        "path": path,
        "account": account,
        "streams": [result_json(result) for result in results],
        **counts(results),
    }
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


async def backup_info(context: Context) -> Outcome:
    """The work of jetstream_backup_info."""
    level, share = context.params["verify"], check_share(context.params)
    path, places = _places(context.params["path"])
    stop = threading.Event()
    loop = asyncio.get_running_loop()
    try:
        looked = await loop.run_in_executor(
            None, lambda: look(places, level, share, write=not context.check_mode, stop=stop.is_set)
        )
    finally:
        stop.set()
    listed = [{**describe(one.backup), "last_full_check": checked_json(one.checked)} for one in looked]
    values: Json = {"path": path, "valid": all(one.backup.valid for one in looked), "backups": listed}
    if level == "full":
        values["checked"] = sum(one.backup.level == level for one in looked)
    return Outcome(False, values, warnings=tuple(one.warning for one in looked if one.warning))


def check_share(params: t.Mapping[str, t.Any]) -> Share:
    """How much to check. Raises OptionsError for a share of a check that is none, or of more than all."""
    share = Share(params["max_duration"], params["fraction"])
    if not share.everything and params["verify"] != "full":
        raise OptionsError("max_duration and fraction need verify set to full: only full checks are spread over runs.")
    if share.max_duration is not None and share.max_duration <= 0:
        raise OptionsError(f"max_duration must be more than 0, not {share.max_duration}.")
    if share.fraction is not None and not 0 < share.fraction <= 1:
        raise OptionsError(f"fraction must be more than 0 and at most 1, not {share.fraction}.")
    return share


def _places(given: str) -> tuple[str, list[str]]:
    """The directory without symbolic links, and those of the streams in it."""
    path = os.path.realpath(given)
    if not os.path.isdir(path):
        raise PathError(
            f"path {path} is not a directory. Give the backup of a stream or of an account.", error="path_not_found"
        )
    return path, [path] if looks_like_backup(path) else sorted(_below(path))


def _below(path: str) -> t.Iterator[str]:
    """Directories of streams in the backup of an account, or in a repository of such sets."""
    for entry in os.scandir(path):
        if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
            continue
        if looks_like_backup(entry.path):
            yield entry.path
        elif any(os.scandir(entry.path)):
            yield from _below(entry.path)
        else:
            yield entry.path


def describe(backup: Backup) -> Json:
    """A backup as jetstream_backup_info returns it."""
    state, manifest = backup.state, backup.manifest
    answer: Json = {
        "path": backup.path,
        "stream": backup.stream,
        "format": backup.format,
        "valid": backup.valid,
        "level": backup.level,
        "problems": problems_json(backup.problems),
        "messages": int(state.get("messages") or 0),
        "bytes": int(state.get("bytes") or 0),
        "first_seq": int(state.get("first_seq") or 0),
        "last_seq": int(state.get("last_seq") or 0),
        "first_ts": state.get("first_ts", ""),
        "last_ts": state.get("last_ts", ""),
        "consumers": [consumer.name for consumer in backup.consumers],
        "archive_size": backup.size,
        "config": backup.config,
        "manifest": manifest is not None,
    }
    if manifest is not None:
        answer.update({key: manifest_json(manifest)[key] for key in ("started", "finished", "verified")})
        answer.update(account=manifest.account, server=manifest.server, stream_created=manifest.created)
    elif backup.report is not None:
        answer["consumers"] = [consumer.name for consumer in backup.report.consumers]
    if backup.report is not None and backup.level == "full":
        answer["engine"] = backup.report.engine
        answer["content"] = backup.report.content
    return answer


__all__ = ["MEANINGS", "account_backup", "backup_info", "stream_backup"]
