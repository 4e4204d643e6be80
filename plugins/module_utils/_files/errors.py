# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a file cannot be opened, as a sentence with its remedy."""

from __future__ import annotations

import errno
import os

from .._text.shown import shown

# What the system says is short; this is what it means, and what to do.
_REASONS = {
    errno.EACCES: ("this user may not read or write it", "Correct its owner or mode, or run as another user"),
    errno.EPERM: ("this user may not do that with it", "Correct its owner, mode or attributes, or run as another user"),
    errno.EROFS: ("its file system is read-only", "Mount it for writing, or choose another place"),
    errno.ELOOP: ("it is a symbolic link", "Give the file itself, or remove the link"),
    errno.ENXIO: ("it is a socket or a device, not a file", "Give a regular file"),
    errno.EISDIR: ("it is a directory, not a file", "Give a regular file"),
    errno.ENOTDIR: ("a part of its path is not a directory", "Correct the path"),
    errno.ENOENT: ("it does not exist", "Correct the path"),
    errno.EEXIST: ("something of this name is there already", "Remove it, or choose another name"),
    errno.ENAMETOOLONG: ("its name or its path is too long for the file system", "Choose a shorter one"),
    errno.EIO: ("the disk reports an error", "See the log of the system and check the disk"),
    errno.ENOSPC: ("the disk is full", "Free space, or choose another place"),
    errno.EDQUOT: ("the quota of this user is used up", "Free space, or raise the quota"),
    errno.ESTALE: ("the network file system has lost it", "Mount the file system anew, then run again"),
    errno.EMFILE: ("this process has too many open files", "Raise the limit of open files"),
    errno.ENFILE: ("the system has too many open files", "Raise the limit of open files"),
    errno.EFBIG: ("it is too large", "Check what wrote it"),
    errno.EINVAL: ("it is not a regular file", "Give a regular file"),
    errno.ETIMEDOUT: ("the file system does not answer", "Check the mount"),
}
_UNKNOWN = "Check the file and the file system"


class FileError(OSError):
    """A file that is not what it has to be, or that the system does not give. C(remedy): what to do.

    It is an OSError, whose C(errno), C(strerror) (the reason) and C(filename) are set.
    """

    error = "file_refused"

    def __init__(self, number: int, reason: str, path: str, remedy: str = "") -> None:
        super().__init__(number, reason, path)
        self.remedy = remedy or _REASONS.get(number, ("", _UNKNOWN))[1]

    def __str__(self) -> str:
        return f"{shown(self.filename)}: {self.strerror}. {self.remedy}."


def explained(exc: OSError, path: str | os.PathLike[str]) -> OSError:
    """The error with its reason and remedy. A file that is not there stays a FileNotFoundError."""
    if isinstance(exc, (FileError, FileNotFoundError)):
        return exc
    number = exc.errno or 0
    reason = _REASONS.get(number, (exc.strerror or str(exc) or type(exc).__name__, ""))[0]
    return FileError(number, reason, os.fsdecode(path))


def why(exc: BaseException) -> str:
    """The reason of an error, without the path, for the middle of a sentence."""
    if isinstance(exc, OSError):
        known = _REASONS.get(exc.errno or 0) if not isinstance(exc, FileError) else None
        return known[0] if known else shown(exc.strerror or str(exc) or type(exc).__name__)
    return shown(str(exc)) or type(exc).__name__
