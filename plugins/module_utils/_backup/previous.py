# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backup that a stream has already: whether it may be replaced, and whether it has to be."""

from __future__ import annotations

import os
import typing as t

from .._repository import compare
from .._repository.entries import foreign_entries
from .._repository.errors import PathError
from .._repository.inspect import Backup, inspect
from .._repository.last_check import last_check, remember, suspicion

if t.TYPE_CHECKING:
    from .stream import Source

#: How a reason begins that asks for another try.
SUSPECT_BACKUP = "the backup there is suspect"


def examine(
    path: str, stream: str, level: str, *, force: bool, stop: t.Callable[[], bool] | None = None
) -> Backup | None:
    """The backup that is in C(path) now, checked; C(None) where there is nothing.

    Refuses to write over anything but an earlier backup of this stream: raises PathError.
    """
    try:
        entries = os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not entries:
        return None
    foreign = foreign_entries(path)
    if foreign:
        raise PathError(
            f"path {path} is not empty and is not just the backup of a stream: it holds {', '.join(foreign[:3])}."
            " Give an empty directory or one that holds a backup of this stream.",
            error="path_not_backup",
        )
    backup = inspect(path, "none" if level == "none" else "digest", stop)
    if level != "none" and backup.manifest is not None and backup.manifest.verified == "none":
        backup = inspect(path, "quick", stop)  # nobody has looked into it yet
    if level == "full" and backup.valid and last_check(backup) is None:
        # Where a full check was done, the digest that was just compared proves that it is of these bytes.
        backup = inspect(path, level, stop)
        remember(backup)
    if backup.stream != stream and not (force and not backup.stream):
        held = f"a backup of the stream {backup.stream}" if backup.stream else "a damaged backup of an unknown stream"
        raise PathError(
            f"path {path} holds {held}, not of {stream}. Give each stream its own directory"
            + ("." if backup.stream else ", remove that one, or set force."),
            error="path_other_stream",
        )
    return backup


def why_transfer(backup: Backup | None, source: Source, *, force: bool) -> str:
    """Why the stream has to be transferred; empty if the backup is whole and the stream has not changed since."""
    if force:
        return "force is set"
    if backup is None:
        return "there is no backup yet"
    if backup.manifest is None:
        return "the backup there has no manifest to compare with"
    if not backup.valid:
        return f"the backup there is damaged ({backup.problems[0].message})"
    if not compare.unchanged_since(backup.manifest, source.info, source.consumers):
        return "the stream has changed"
    suspect = backup.manifest.suspect
    doubt = suspicion(backup, last_check(backup))
    if doubt and (suspect is None or suspect.retry):
        return f"{SUSPECT_BACKUP}: {doubt}"
    return ""


def notes_of(source: Source, backup: Backup) -> tuple[str, ...]:
    """What a run says of a stream that it does not transfer again."""
    suspect = backup.manifest.suspect if backup.manifest else None
    return (*source.notes, suspect.sentence(source.info.name)) if suspect else source.notes
