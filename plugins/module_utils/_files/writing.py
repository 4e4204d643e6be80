# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one way to write files: made exclusively, under names that cannot be guessed, and put in place in one step.

Nothing else in the collection opens a file for writing; a test holds this.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import tempfile
import time
import typing as t

from .errors import FileError, explained
from .reading import ANY, Kind, open_descriptor

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TAG = ".natsops-new"
_LONGEST = 200
# A file is written in moments. What is older was left by a run that was killed.
_STALE = 3600.0
Place = t.Union[str, "os.PathLike[str]"]


def open_directory(path: Place, *, follow: bool = True, within: int | None = None) -> int:
    """A descriptor of a directory, so that what follows happens there whatever becomes of the path.

    Earlier parts of the path may be links; the last one only with C(follow). C(within): a directory's descriptor.
    """
    try:
        return os.open(path, _DIRECTORY if follow else _DIRECTORY | os.O_NOFOLLOW, dir_fd=within)
    except OSError as exc:
        if exc.errno == errno.ENOTDIR and not follow and _is_link(path, within):
            raise FileError(errno.ELOOP, "it is a symbolic link", os.fspath(path)) from None
        raise explained(exc, path) from exc


def _is_link(path: Place, within: int | None) -> bool:
    try:
        return stat.S_ISLNK(os.stat(path, dir_fd=within, follow_symlinks=False).st_mode)
    except OSError:
        return False


def create(path: Place, *, within: int | None = None, append: bool = False) -> int:
    """A descriptor of a new file of mode 0600. Raises FileError where anything has the name, a link too."""
    try:
        return os.open(path, _NEW | os.O_APPEND if append else _NEW, 0o600, dir_fd=within)
    except OSError as exc:
        raise explained(exc, path) from exc


def write_all(descriptor: int, content: bytes) -> None:
    """Write every byte."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def write_new(path: Place, content: bytes, *, sync: bool = False, within: int | None = None) -> None:
    """Make a file with this content."""
    descriptor = create(path, within=within)
    try:
        write_all(descriptor, content)
        if sync:
            os.fsync(descriptor)
    except OSError as exc:
        raise explained(exc, path) from exc
    finally:
        os.close(descriptor)


def temporary_name(name: str) -> str:
    """A hidden name beside C(name) that nobody can guess."""
    return f"{_prefix(name)}{secrets.token_hex(8)}"


def _prefix(name: str) -> str:
    return f".{os.fsdecode(os.fsencode(name)[:_LONGEST])}{_TAG}-"


def is_temporary(name: str, of: str) -> bool:
    """Whether a name is that of a file that was to become C(of); older versions had one without a number."""
    return name.startswith(_prefix(of)) or name == f".{of}{_TAG}"


def replace_file(
    path: Place, content: bytes, *, same: tuple[int, int] | None = None, within: int | None = None
) -> None:
    """Exchange a file in one step: a reader sees the old content or the new, never a part.

    A link of that name is exchanged for the file; what it led to is left alone. C(same): device and inode of the
    directory that it has to be. C(within): that directory's descriptor; of C(path) only the last part counts then.
    """
    parent, name = os.path.split(os.path.abspath(path))
    place = os.dup(within) if within is not None else open_directory(parent)
    try:
        found = os.fstat(place)
        if same is not None and same != (found.st_dev, found.st_ino):
            text = "it was exchanged for another directory meanwhile"
            raise FileError(errno.ESTALE, text, parent, "See who else writes there, then run again")
        _clear_stale(place, name)
        temporary = temporary_name(name)
        try:
            write_new(temporary, content, sync=True, within=place)
            os.replace(temporary, name, src_dir_fd=place, dst_dir_fd=place)
            os.fsync(place)
        except OSError as exc:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=place)
            raise FileError(exc.errno or 0, explained(exc, path).strerror or str(exc), os.fspath(path)) from exc
    finally:
        os.close(place)


def _clear_stale(place: int, name: str) -> None:
    """Remove what killed runs left of this file."""
    with contextlib.suppress(OSError):
        for entry in os.listdir(place):
            if is_temporary(entry, name):
                about = os.stat(entry, dir_fd=place, follow_symlinks=False)
                if not stat.S_ISDIR(about.st_mode) and time.time() - about.st_mtime > _STALE:
                    os.unlink(entry, dir_fd=place)


def open_lock(path: Place, *, within: int | None = None, new: bool = False) -> int:
    """A descriptor of a file to lock, made where there is none. Raises FileError for a link or anything but a file."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | (os.O_EXCL if new else 0)
    try:
        descriptor = os.open(path, flags, 0o600, dir_fd=within)
    except OSError as exc:
        raise explained(exc, path) from exc
    found = os.fstat(descriptor)
    # A second name would let the lock's text be written into another file.
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(descriptor)
        raise FileError(errno.EINVAL, "it is not a file of its own", os.fspath(path), "Remove it, then run again")
    return descriptor


def open_existing_lock(path: Place) -> int:
    """A descriptor of the lock that another run made. Raises FileNotFoundError, FileError."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise explained(exc, path) from exc
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileError(errno.EINVAL, "it is not a regular file", os.fspath(path))
    return descriptor


def copy_file(source: Place, target: Place, kind: Kind) -> None:
    """Make the new file C(target) with the content of the regular file C(source)."""
    reader = open_descriptor(source, kind)
    try:
        writer = create(target)
        try:
            while block := os.read(reader, 1 << 20):
                write_all(writer, block)
        except OSError as exc:
            raise explained(exc, target) from exc
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def scratch_file(parent: Place, prefix: str) -> t.Any:
    """An open file of bytes that goes away with its last user; its C(name) is a number where it has no name."""
    # Where there are such names, what is open can be opened again without one of its own.
    maker = tempfile.TemporaryFile if os.path.isdir("/proc/self/fd") else tempfile.NamedTemporaryFile
    try:
        return maker(prefix=prefix, dir=parent)
    except OSError as exc:
        raise explained(exc, parent) from exc


def scratch_directory(parent: Place, prefix: str) -> str:
    """A new directory of mode 0700 under a name that nobody can guess."""
    try:
        return tempfile.mkdtemp(prefix=prefix, dir=parent)
    except OSError as exc:
        raise explained(exc, parent) from exc


def sync(path: Place) -> None:
    """fsync a regular file or a directory."""
    if os.path.isdir(path) and not os.path.islink(path):
        descriptor = open_directory(path, follow=False)
    else:
        descriptor = open_descriptor(path, ANY)
    try:
        os.fsync(descriptor)
    except OSError as exc:
        raise explained(exc, path) from exc
    finally:
        os.close(descriptor)
