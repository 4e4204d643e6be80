# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module that looks into backups: from parameters to the checks, and from what they found to what it returns."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import os
import threading
import typing as t

from .._files.reading import holds
from .._nats.errors import OptionsError
from .._nats.model import Json
from .._repository.check_many import Share, look
from .._repository.directory import normal_path
from .._repository.inspect import Backup, looks_like_backup, problems_json
from .._repository.last_check import checked_json
from .._repository.left_empty import as_left
from .._repository.nearby import REPOSITORY, SETS, STREAM, STREAMS, account_place, has_sets, wrong_place
from .._repository.remnants import losses
from .._repository.results import manifest_json
from .._repository.sets import LATEST, BackupSet, sets_of
from .argspec import ArgumentSpec
from .backup_sets import account_directories, chosen_sets, membership, sets_json
from .module import Context, Outcome

BACKUP_INFO = ArgumentSpec(
    {
        "path": {"type": "path", "required": True},
        "verify": {"type": "str", "choices": ["none", "quick", "full"], "default": "none"},
        "max_duration": {"type": "float"},
        "fraction": {"type": "float"},
        "set": {"type": "str"},
        "before": {"type": "str"},
    }
)


async def backup_info(context: Context) -> Outcome:
    """The work of jetstream_backup_info."""
    level, share = context.params["verify"], check_share(context.params)
    path, found = places(context.params["path"])
    accounts = [] if looks_like_backup(path) else account_directories(path)
    if context.params["set"] or context.params["before"]:
        if not accounts:
            raise wrong_place(path, (SETS, REPOSITORY), "a repository, or the directory of an account's sets")
        chosen = chosen_sets(accounts, context.params["set"], context.params["before"])
        found = sorted(place for one in chosen for place in below(one.path))
    stop = threading.Event()
    loop = asyncio.get_running_loop()
    try:
        looked = await loop.run_in_executor(
            None, lambda: look(found, level, share, write=not context.check_mode, stop=stop.is_set)
        )
    finally:
        stop.set()
    # What the command line leaves for a stream in memory is passed over, unless it is all there is.
    left = [dataclasses.replace(one, backup=as_left(one.backup)) for one in looked]
    looked = left if any(one.backup.stream for one in left) else looked
    known: dict[str, BackupSet | None] = {}
    listed = [
        {**describe(one.backup), "last_full_check": checked_json(one.checked), **membership(one.backup.path, known)}
        for one in looked
    ]
    lost = [text for account in accounts for text in losses(sets_of(account))]
    values: Json = {
        "path": path,
        # Of nothing, nothing is valid.
        "valid": bool(looked) and not lost and all(one.backup.valid for one in looked),
        "sets": sets_json(accounts),
        "backups": listed,
    }
    if level == "full":
        values["checked"] = sum(one.backup.level == level for one in looked)
    empty = () if looked else (f"There is no backup in {path}.",)
    return Outcome(False, values, warnings=(*(one.warning for one in looked if one.warning), *lost, *empty))


def check_share(params: t.Mapping[str, t.Any]) -> Share:
    """How much to check. Raises OptionsError for a share of a check that is none, or of more than all."""
    share = Share(params["max_duration"], params["fraction"])
    if not share.everything and params["verify"] != "full":
        raise OptionsError("max_duration and fraction need verify set to full: only full checks are spread over runs.")
    if share.max_duration is not None and not 0 < share.max_duration < math.inf:
        raise OptionsError(f"max_duration must be more than 0, not {share.max_duration}.")
    if share.fraction is not None and not 0 < share.fraction <= 1:
        raise OptionsError(f"fraction must be more than 0 and at most 1, not {share.fraction}.")
    return share


def places(given: str) -> tuple[str, list[str]]:
    """The directory without symbolic links, and those of the streams in it."""
    path = os.path.realpath(account_place(normal_path(given)))
    if not os.path.isdir(path):
        raise wrong_place(path, (STREAM, STREAMS, SETS, REPOSITORY), "the backup of a stream or of an account")
    return path, [path] if looks_like_backup(path) else sorted(below(path))


def below(path: str) -> t.Iterator[str]:
    """Directories of streams in the backup of an account, or in a repository of such sets."""
    for entry in os.scandir(path):
        if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
            continue
        if entry.name == LATEST and has_sets(path):
            continue  # the copy of a link
        if looks_like_backup(entry.path):
            yield entry.path
        elif holds(entry.path):
            yield from below(entry.path)
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
        answer.update({key: manifest_json(manifest)[key] for key in ("started_at", "finished_at", "verified")})
        answer.update(account=manifest.account, server=manifest.server, stream_created=manifest.created)
    elif backup.report is not None:
        answer["consumers"] = [consumer.name for consumer in backup.report.consumers]
    if backup.report is not None and backup.level == "full":
        answer["engine"] = backup.report.engine
        answer["content"] = backup.report.content
    return answer
