# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one way to read files: only regular ones, never through a link, never waiting, never more than fits the kind.

Nothing else in the collection opens a file for reading; a test holds this.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import re
import stat
import typing as t

from .errors import FileError, explained

_KIB, _MIB = 1024, 1024 * 1024
# A block of packed data has 4 MiB at most, so that zeros of this length are none.
_LARGEST_HOLE = 16 * _MIB
_HOLES = 64
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
# What this process, or the one that started it, holds open: such a name is a link by its nature.
_HELD = re.compile(r"/proc/(?:self|\d+)/fd/\d+")
_TYPES = (
    (stat.S_ISLNK, errno.ELOOP, "it is a symbolic link"),
    (stat.S_ISDIR, errno.EISDIR, "it is a directory, not a file"),
    (stat.S_ISFIFO, errno.EINVAL, "it is a FIFO, not a file"),
    (stat.S_ISSOCK, errno.ENXIO, "it is a socket, not a file"),
    (stat.S_ISBLK, errno.ENXIO, "it is a block device, not a file"),
    (stat.S_ISCHR, errno.ENXIO, "it is a character device, not a file"),
)


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file. C(most): bytes, C(None) where any size is right. C(follow): it may be reached by a link.
    C(dense): what is packed has no large holes, so a file with one is read no further.

    Only what a user names in an option may be a link: Kubernetes, for one, mounts secrets as links. What lies in a
    backup may not.
    """

    name: str
    most: int | None
    follow: bool = False
    dense: bool = False


DATA = Kind("data of a stream", None, dense=True)
BACKUP_FILE = Kind("backup.json", 16 * _MIB)
MANIFEST_FILE = Kind("manifest", 64 * _MIB)
SET_FILE = Kind("file of a set", 64 * _MIB)
SIDE_FILE = Kind("note beside a backup", _MIB)
SMALL = Kind("small file", 64 * _KIB)
STORE_FILE = Kind("file of a server's store", 16 * _MIB)
LOG_FILE = Kind("log", None)
ANY = Kind("file", None)
REPORT = Kind("report", 64 * _MIB)
SECRET = Kind("file of a login", _MIB, follow=True)
CERTIFICATE = Kind("certificate or key", 16 * _MIB, follow=True)
CONTEXT = Kind("context", _MIB, follow=True)
PICTURE = Kind("picture of a cluster", 256 * _MIB, follow=True)


def _require_regular(found: os.stat_result, path: str) -> None:
    if stat.S_ISREG(found.st_mode):
        return
    for is_type, number, reason in _TYPES:
        if is_type(found.st_mode):
            raise FileError(number, reason, path)
    raise FileError(errno.EINVAL, "it is not a regular file", path)


def open_descriptor(path: str | os.PathLike[str], kind: Kind) -> int:
    """A descriptor of a regular file of a fitting size. Raises FileNotFoundError, else FileError."""
    name = os.fspath(path)
    follow = kind.follow or bool(_HELD.fullmatch(name))
    descriptor = -1
    try:
        # Looked at first: to open a device can do something.
        _require_regular(os.stat(name, follow_symlinks=follow), name)
        descriptor = os.open(name, _FLAGS if follow else _FLAGS | os.O_NOFOLLOW)
        found = os.fstat(descriptor)
        _require_regular(found, name)
        _require_fitting(found.st_size, name, kind)
        if kind.dense:
            _require_dense(descriptor, found.st_size, name)
    except (OSError, ValueError) as exc:
        if descriptor >= 0:
            os.close(descriptor)
        if isinstance(exc, ValueError):  # a NUL in the name
            raise FileError(errno.EINVAL, "its name is not the name of a file", name, "Correct the path") from None
        raise explained(exc, name) from exc
    return descriptor


def _require_fitting(size: int, path: str, kind: Kind) -> None:
    if kind.most is not None and size > kind.most:
        text = f"it has {size} bytes, and a {kind.name} has at most {kind.most}"
        raise FileError(errno.EFBIG, text, path, "It is not what it seems to be: remove it, or give another")


def _require_dense(descriptor: int, size: int, path: str) -> None:
    place = 0
    try:
        for _hole in range(_HOLES):
            hole = os.lseek(descriptor, place, os.SEEK_HOLE)
            if hole >= size:
                break
            try:
                place = os.lseek(descriptor, hole, os.SEEK_DATA)
            except OSError:
                place = size
            if place - hole > _LARGEST_HOLE:
                text = f"it has a hole of {place - hole} bytes at byte {hole}, so it was never written whole"
                raise FileError(errno.EINVAL, text, path, "Use another backup")
            if place >= size:
                break
    except OSError as exc:
        if isinstance(exc, FileError):
            raise
        # The file system does not tell.
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)


@contextlib.contextmanager
def open_file(path: str | os.PathLike[str], kind: Kind) -> t.Iterator[t.BinaryIO]:
    """A regular file, open for reading bytes. What the reads raise is a FileError as well."""
    descriptor = open_descriptor(path, kind)
    with os.fdopen(descriptor, "rb") as file:
        try:
            yield file
        except OSError as exc:
            if exc.filename is not None:
                raise  # of another file
            raise explained(exc, path) from exc


def read_bytes(path: str | os.PathLike[str], kind: Kind) -> bytes:
    """The whole content. A file that grows while it is read is held to the size of its kind too."""
    with open_file(path, kind) as file:
        if kind.most is None:
            return file.read()
        content = file.read(kind.most + 1)
        _require_fitting(len(content), os.fspath(path), kind)
        return content


def read_text(path: str | os.PathLike[str], kind: Kind, errors: str = "strict") -> str:
    """The whole content as UTF-8, a byte order mark left out. Raises UnicodeDecodeError (a ValueError) as well."""
    return read_bytes(path, kind).decode("utf-8-sig", errors)


def read_end(path: str | os.PathLike[str], kind: Kind, size: int) -> bytes:
    """The last bytes of a file."""
    with open_file(path, kind) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - size))
        return file.read(size)


def file_size(path: str | os.PathLike[str], kind: Kind) -> int:
    """The size of what L(open_file) would open, in bytes."""
    descriptor = open_descriptor(path, kind)
    try:
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def is_regular(path: str | os.PathLike[str], *, follow: bool = False) -> bool:
    """Whether a regular file is there; a link to one counts only with C(follow)."""
    try:
        return stat.S_ISREG(os.stat(path, follow_symlinks=follow).st_mode)
    except (OSError, ValueError):
        return False


def holds(path: str) -> bool | None:
    """Whether a directory holds anything; C(None) where it cannot be read."""
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is not None
    except OSError:
        return None
