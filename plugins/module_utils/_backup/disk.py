# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Getting written files onto the disk, one by one or all at once."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import typing as t

_libc = ctypes.CDLL(None, use_errno=True)
# From about this many directories on, one sync of the file system is cheaper than three a directory.
_MANY = 4


def read_file(path: str) -> bytes:
    """The content of a regular file; anything else there is an OSError, and never waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a file", path)
        return file.read()


def make_directories(path: str) -> None:
    """Make a directory and what is missing above it, all for this user alone."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for directory in reversed(missing):
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            if not os.path.isdir(directory):
                raise


def write_file(path: str, content: bytes) -> None:
    """Write a new file of mode 0600."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def write_file_atomically(path: str, content: bytes) -> None:
    """Replace a file in one step: a reader sees the old content or the new, never a part."""
    temporary = f"{os.path.dirname(path)}/.{os.path.basename(path)}.natsops-new"
    write_file(temporary, content)
    sync_path(temporary)
    os.replace(temporary, path)
    sync_path(os.path.dirname(path))


def sync_path(path: str) -> None:
    """fsync a file or a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directories(directories: t.Sequence[str]) -> None:
    """Bring the files of these directories, and the directories themselves, onto the disk."""
    syncfs = getattr(_libc, "syncfs", None)
    if len(directories) >= _MANY and syncfs is not None:
        descriptor = os.open(directories[0], os.O_RDONLY)
        try:
            if syncfs(descriptor) == 0:
                return
        finally:
            os.close(descriptor)
    for directory in directories:
        for name in os.listdir(directory):
            sync_path(os.path.join(directory, name))
        sync_path(directory)
