# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The drill module: from parameters to the drill, and from what it found to the evidence that it returns."""

from __future__ import annotations

import asyncio
import math
import os
import re
import time
import typing as t

from .._archive.times import parse_ns
from .._drill.drill import DrillRun
from .._drill.result import Drill, DrillOptions
from .._files.reading import holds
from .._nats.errors import OptionsError
from .._nats.model import Json
from .._repository.directory import normal_path
from .._repository.errors import PathError
from .._repository.inspect import Backup, inspect, looks_like_backup, problems_json
from .._repository.last_check import identity
from .._repository.last_drill import Drilled, last_drill, remember_drill
from .._repository.manifest import now
from .._repository.nearby import ABOVE, REPOSITORY, SETS, STREAM, STREAMS, kind, wrong_place
from .._repository.results import failure_json
from .._repository.selection import selected
from .._restore.plan import RestoreOptions
from .._restore.sender import Upload
from .argspec import ArgumentSpec
from .backup import named, positive
from .backup_info import below, places
from .backup_sets import account_directories, chosen_sets, membership
from .module import Context, Outcome

DRILL = ArgumentSpec(
    {
        "path": {"type": "path", "required": True},
        "streams": {"type": "list", "elements": "str", "default": ["*"]},
        "exclude": {"type": "list", "elements": "str", "default": []},
        "set": {"type": "str"},
        "before": {"type": "str"},
        "sample": {"type": "str"},
        "server_binary": {"type": "str", "default": "nats-server"},
        "server_limits": {"type": "dict", "default": {}},
        "temp_path": {"type": "path"},
        "verify": {"type": "str", "choices": ["quick", "full"], "default": "quick"},
        "stall_timeout": {"type": "float", "default": 30.0},
        "timeout": {"type": "float", "default": 3600.0},
    }
)
SCHEMA = "natsops.drill/1"
STATUSES = ("identical", "different", "invalid", "failed")


async def drill(context: Context) -> Outcome:
    """The work of jetstream_backup_drill."""
    params = context.params
    positive(params, "stall_timeout", "timeout")
    path, found = await asyncio.get_running_loop().run_in_executor(None, _find, params)
    chosen = sample(found, params["sample"])
    upload = Upload(stall_timeout=params["stall_timeout"], timeout=params["timeout"])
    options = DrillOptions(
        binary=params["server_binary"],
        parent=params["temp_path"] or "",
        verify=params["verify"],
        limits=params["server_limits"],
        restore=RestoreOptions(upload=upload),
    )
    run = DrillRun(options)
    started, began = now(), time.monotonic()
    results = await run.run([backup.path for backup in chosen])
    evidence: Json = {
        "schema": SCHEMA,
        "path": path,
        "started_at": started,
        "finished_at": now(),
        "server_version": run.version,
        "cleared": run.cleared,
        "streams": [describe(result, started) for result in results],
        "summary": {
            **summarize(results, started, time.monotonic() - began),
            "left_out": len(found) - len(chosen),
        },
    }
    evidence["passed"] = all(result.status == "identical" for result in results)
    warnings = [] if context.check_mode else [note(result, run.version) for result in results]
    return Outcome(False, evidence, warnings=tuple(warning for warning in warnings if warning))


def _find(params: t.Mapping[str, t.Any]) -> tuple[str, list[Backup]]:
    """The backups to choose from: of a repository, those of one set of each account."""
    path, directories = places(normal_path(params["path"]))
    accounts = [] if looks_like_backup(path) else account_directories(path)
    if not looks_like_backup(path) and (kind(path) == ABOVE or (not accounts and (params["set"] or params["before"]))):
        raise wrong_place(path, (SETS, REPOSITORY), "a repository, or the directory of an account's sets")
    if accounts or params["set"] or params["before"]:
        chosen = chosen_sets(accounts, params["set"], params["before"])
        directories = sorted(place for one in chosen for place in below(one.path))
    globs, exclude = named(params), tuple(params["exclude"])
    backups = [
        inspect(directory, "none")
        for directory in directories
        if selected(os.path.basename(directory), globs, exclude) and holds(directory) is not False
    ]
    for name in globs:
        if not any(c in name for c in "*?[") and name not in {os.path.basename(one.path) for one in backups}:
            raise OptionsError(f"There is no backup of a stream {name} in {path}.", error="stream_not_found")
    if not backups:
        if not directories:
            raise wrong_place(path, (STREAM, STREAMS, SETS, REPOSITORY), "the backup of a stream or of an account")
        raise PathError(f"There is no backup of a selected stream in {path}.", error="path_not_backup")
    return path, backups


def sample(backups: t.Sequence[Backup], wanted: str | None) -> list[Backup]:
    """The share or number of backups to drill, those first that never were, or longest ago. Raises OptionsError."""
    if wanted is None:
        return list(backups)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", wanted.strip())
    value = float(match[1]) if match else 0.0
    share = value / 100 if match and match[2] else value if match and "." in match[1] else None
    if value <= 0 or (share is not None and share > 1):
        raise OptionsError(
            f"sample must be a number of streams (as 3), or a share of them (as 25% or 0.25), not {wanted!r}."
        )
    count = int(value) if share is None else math.ceil(len(backups) * share)

    def when(backup: Backup) -> str:
        drilled = last_drill(backup)
        return drilled.time if drilled else ""

    kept = {backup.path for backup in sorted(backups, key=lambda backup: (when(backup), backup.path))[:count]}
    return [backup for backup in backups if backup.path in kept]


def describe(result: Drill, moment: str) -> Json:
    """One backup's part of the evidence. C(moment): RFC 3339, from which its age counts."""
    backup, manifest = result.backup, result.backup.manifest
    answer: Json = {
        "stream": backup.stream or os.path.basename(backup.path),
        "path": backup.path,
        "account": manifest.account if manifest else "",
        "status": result.status,
        "restored": result.status in ("identical", "different"),
        "identical": result.status == "identical",
        "format": backup.format,
        "set": membership(backup.path, {}).get("set", ""),
        "backed_up": manifest.started_at if manifest else "",
        "age": age(backup, moment),
        "archive_size": backup.size,
        "messages": result.reading.messages,
        "bytes": result.reading.size,
        "consumers": result.consumers,
        "gone": result.reading.gone,
        "differences": list(result.differences),
        "difference_count": result.count,
        "problems": problems_json(backup.problems),
        "seconds": {key: round(value, 3) for key, value in result.seconds.items()},
        "restore_seconds": round(result.restore_seconds, 3),
        "rate": _rate(result.reading.size, result.restore_seconds),
        "notes": list(result.notes),
    }
    if result.reason:
        answer["reason"] = result.reason
    answer.update(failure_json(result.failure))
    return answer


def age(backup: Backup, moment: str) -> float | None:
    """Seconds from the begin of the backup, or from when its set last found it to be what the stream is, to C(moment).

    What came later would be lost. C(None) without a manifest.
    """
    if backup.manifest is None:
        return None
    at = membership(backup.path, {}).get("current_at") or backup.manifest.started_at
    return round((parse_ns(moment) - parse_ns(at)) / 1e9, 3)


def _rate(size: int, seconds: float) -> int:
    return int(size / seconds) if seconds > 0 else 0


def summarize(results: t.Sequence[Drill], moment: str, took: float) -> Json:
    """The totals of the evidence."""
    ages = [found for found in (age(result.backup, moment) for result in results) if found is not None]
    size, seconds = sum(result.reading.size for result in results), sum(one.restore_seconds for one in results)
    return {
        **{status: sum(result.status == status for result in results) for status in STATUSES},
        "messages": sum(result.reading.messages for result in results),
        "bytes": size,
        "rto": round(seconds, 3),
        "rpo": max(ages, default=None),
        "rate": _rate(size, seconds),
        "seconds": round(took, 3),
    }


def note(result: Drill, version: str) -> str:
    """Leave a note of the drill beside the backup; returns a warning where that is not possible."""
    drilled = Drilled(
        identity(result.backup),
        now(),
        result.status,
        round(sum(result.seconds.values()), 3),
        result.reading.messages,
        version,
    )
    return remember_drill(result.backup, drilled)
