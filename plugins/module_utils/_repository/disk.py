# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Getting written files onto the disk, one by one or all at once."""

from __future__ import annotations

import ctypes
import os
import typing as t

from .._files.trees import directory
from .._files.writing import sync

_libc = ctypes.CDLL(None, use_errno=True)
# From about this many directories on, one sync of the file system is cheaper than three a directory.
_MANY = 4


def make_directories(path: str) -> None:
    """Make a directory and what is missing above it, all for this user alone."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for one in reversed(missing):
        try:
            os.mkdir(one, 0o700)
        except FileExistsError:
            if not os.path.isdir(one):
                raise


def sync_directories(directories: t.Sequence[str]) -> None:
    """Bring the files of these directories, and the directories themselves, onto the disk."""
    syncfs = getattr(_libc, "syncfs", None)
    if len(directories) >= _MANY and syncfs is not None:
        with directory(directories[0], follow=False) as descriptor:
            if syncfs(descriptor) == 0:
                return
    for one in directories:
        for name in os.listdir(one):
            sync(os.path.join(one, name))
        sync(one)
