# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The empty directories that the nats command line leaves for streams in memory: no backup, and no damage either."""

from __future__ import annotations

import dataclasses
import os

from .._archive.report import WARNING, Problem
from .._files.reading import holds
from .errors import InvalidBackupError
from .inspect import Backup
from .set_file import SetFile, load

REASON = "the directory is empty, as the nats command line leaves it for a stream in memory"


def left_empty(directory: str, described: SetFile | None) -> bool:
    """Whether nothing is in a directory and nothing ought to be: the set's file does not say that it has a backup."""
    member = described.streams.get(os.path.basename(directory)) if described else None
    if member is not None and member.status in ("current", "carried"):
        return False
    return holds(directory) is False


def as_left(backup: Backup) -> Backup:
    """The backup, with a warning in place of errors where its directory was left empty."""
    try:
        if not left_empty(backup.path, load(os.path.dirname(backup.path))):
            return backup
    except (InvalidBackupError, OSError):
        return backup
    return dataclasses.replace(backup, problems=(Problem("empty_directory", backup.path, REASON, WARNING),))
