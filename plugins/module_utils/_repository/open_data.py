# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holding on to the data that was checked: a new backup may be put in its place at any moment."""

from __future__ import annotations

import contextlib
import os
import typing as t

from .._archive.rewrite.consumer_replicas import Edit, with_replicas
from .._files.reading import DATA, open_descriptor
from .._nats.account_limits import replicas_of
from .._nats.model import Json
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


class Data:
    """What is sent of an open data file: its bytes, and those of C(edits) where there are such."""

    def __init__(self, descriptor: int, edits: t.Sequence[Edit] = ()) -> None:
        self._descriptor = descriptor
        self._edits = list(edits)
        self._at = 0
        self._waiting = b""

    def read(self, size: int) -> bytes:
        """The next C(size) bytes or fewer; empty at the end."""
        if not self._waiting and self._edits and self._edits[0].offset == self._at:
            edit = self._edits.pop(0)
            self._waiting = edit.data
            self._at += edit.length
            os.lseek(self._descriptor, self._at, os.SEEK_SET)
        if self._waiting:
            part, self._waiting = self._waiting[:size], self._waiting[size:]
            return part
        if self._edits:
            size = min(size, self._edits[0].offset - self._at)
        part = os.read(self._descriptor, size)
        self._at += len(part)
        return part


def data_of(backup: Backup, descriptor: int, config: Json) -> Data:
    """The data to send for a stream with C(config): consumers in it have no more replicas than the stream.

    Raises ArchiveError, OSError.
    """
    most = replicas_of(config)
    wanted = {record.name: int(record.config.get("num_replicas") or 0) for record in backup.consumers}
    if backup.fitted is None and all(number <= most for number in wanted.values()):
        return Data(descriptor)
    held = f"/proc/self/fd/{descriptor}"
    path = held if os.path.exists(held) else backup.data
    return Data(descriptor, with_replicas(path, backup.format, wanted, most))


def _exchanged(backup: Backup) -> InvalidBackupError:
    return InvalidBackupError(
        f"The backup {backup.path} was exchanged for another one between its check and its use. Run again, and not"
        " while a backup is made into the same place."
    )
