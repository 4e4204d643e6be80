# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories: made, moved and removed by descriptor, so that a link put on their path meanwhile changes nothing."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import stat
import typing as t

from .errors import FileError, explained
from .reading import ANY
from .writing import Place, copy_file, open_directory

_RENAME_EXCHANGE = 2
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def directory(path: Place, *, follow: bool = True, within: int | None = None) -> t.Iterator[int]:
    """As L(writing.open_directory), closed at the end."""
    descriptor = open_directory(path, follow=follow, within=within)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def make_hidden(prefix: str, within: int) -> str:
    """Make a directory of mode 0700 under a name that nobody can guess; returns the name."""
    name = f"{prefix}{secrets.token_hex(8)}"
    try:
        os.mkdir(name, 0o700, dir_fd=within)
    except OSError as exc:
        raise explained(exc, name) from exc
    return name


def is_directory(name: str, within: int) -> bool:
    """Whether an entry is a directory itself, not a link to one."""
    with contextlib.suppress(OSError):
        return stat.S_ISDIR(os.stat(name, dir_fd=within, follow_symlinks=False).st_mode)
    return False


def is_there(name: str, within: int) -> bool:
    """Whether there is an entry of this name, whatever it is."""
    with contextlib.suppress(OSError):
        os.stat(name, dir_fd=within, follow_symlinks=False)
        return True
    return False


def remove_tree(name: str, within: int) -> None:
    """Remove an entry of a directory with all below it; a link goes itself. Raises FileNotFoundError, FileError."""
    if name in ("", ".", "..") or "/" in name:
        raise FileError(errno.EINVAL, "it is not the name of an entry", name, "Nothing was removed")
    try:
        if not stat.S_ISDIR(os.stat(name, dir_fd=within, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=within)
            return
        with directory(name, follow=False, within=within) as inner:
            for entry in os.listdir(inner):
                remove_tree(entry, inner)
        os.rmdir(name, dir_fd=within)
    except OSError as exc:
        raise explained(exc, name) from exc


def remove_path(path: str) -> None:
    """As L(remove_tree) for an absolute path; fine if it is gone."""
    if not os.path.isabs(path):
        raise FileError(errno.EINVAL, "it is not an absolute path", path, "Nothing was removed")
    parent, name = os.path.split(os.path.abspath(path))
    with contextlib.suppress(FileNotFoundError), directory(parent) as within:
        remove_tree(name, within)


def copy_tree(source: str, target: str) -> None:
    """Copy a directory that holds nothing but directories and files. Raises FileError for a link or anything else."""
    os.makedirs(target, mode=0o700)
    for entry in os.scandir(source):
        other = os.path.join(target, entry.name)
        if entry.is_dir(follow_symlinks=False):
            copy_tree(entry.path, other)
        else:
            copy_file(entry.path, other, ANY)


def exchange(one: str, within_one: int, other: str, within_other: int) -> bool:
    """Swap two entries in one step; false where the system cannot."""
    renameat2 = getattr(_libc, "renameat2", None)
    if renameat2 is None:
        return False
    done: int = renameat2(within_one, os.fsencode(one), within_other, os.fsencode(other), _RENAME_EXCHANGE)
    return done == 0


def require_same(path: str, descriptor: int) -> None:
    """Raise FileError where a path leads to another directory than the one that is open."""
    with directory(path) as now:
        if os.path.samestat(os.fstat(now), os.fstat(descriptor)):
            return
    text = "it was exchanged for another directory while this run was at work"
    raise FileError(errno.ESTALE, text, path, "See who else writes there, then run again")
