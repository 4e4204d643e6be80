# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holding on to the data that was checked: a new backup may be put in its place at any moment."""

from __future__ import annotations

import contextlib
import os
import typing as t

from .._files.reading import DATA, open_descriptor
from .errors import InvalidBackupError
from .inspect import Backup
from .manifest import load_manifest


@contextlib.contextmanager
def open_data(backup: Backup) -> t.Iterator[int]:
    """The data file, open. Raises InvalidBackupError if it is not the one any more that was checked."""
    try:
        descriptor = open_descriptor(backup.data, DATA)
    except OSError as exc:
        raise _exchanged(backup) from exc
    try:
        manifest = load_manifest(backup.path) if backup.manifest and not backup.derived else backup.manifest
        if os.fstat(descriptor).st_size != backup.size or manifest != backup.manifest:
            raise _exchanged(backup)
        yield descriptor
    finally:
        os.close(descriptor)


def _exchanged(backup: Backup) -> InvalidBackupError:
    return InvalidBackupError(
        f"The backup {backup.path} was exchanged for another one between its check and its use. Run again, and not"
        " while a backup is made into the same place."
    )
