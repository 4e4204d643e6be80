# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a file cannot be opened, as a sentence with its remedy."""

from __future__ import annotations

import errno
import os

from .._text.shown import shown

# What to do when the system says so.
_REMEDIES = {
    errno.EACCES: "Correct its owner or mode, or run as another user",
    errno.EPERM: "Correct its owner, mode or attributes, or run as another user",
    errno.EROFS: "Mount the file system for writing, or choose another place",
    errno.ELOOP: "Give the file itself, or remove the link",
    errno.ENXIO: "Give a regular file",
    errno.EISDIR: "Give a regular file",
    errno.EINVAL: "Give a regular file",
    errno.ENOTDIR: "Correct the path",
    errno.ENOENT: "Correct the path",
    errno.EEXIST: "Remove it, or choose another name",
    errno.ENAMETOOLONG: "Choose a shorter one",
    errno.EIO: "See the log of the system, and check the disk",
    errno.ENOSPC: "Free space, or choose another place",
    errno.EDQUOT: "Free space, or raise the quota",
    errno.ESTALE: "Mount the network file system anew, then run again",
    errno.EMFILE: "Raise the limit of open files",
    errno.ENFILE: "Raise the limit of open files",
    errno.EFBIG: "Check what wrote it",
    errno.ETIMEDOUT: "Check the mount",
}
# What is plainer in other words than the system's.
_WORDS = {
    errno.ELOOP: "it is a symbolic link",
    errno.ENXIO: "it is a socket or a device, not a file",
    errno.EISDIR: "it is a directory, not a file",
}
_UNKNOWN = "Check the file and the file system"


class FileError(OSError):
    """A file that is not what it has to be, or that the system does not give. C(remedy): what to do.

    It is an OSError, whose C(errno), C(strerror) (the reason) and C(filename) are set.
    """

    error = "file_refused"

    def __init__(self, number: int, reason: str, path: str, remedy: str = "") -> None:
        super().__init__(number, reason, path)
        self.remedy = remedy or _REMEDIES.get(number, _UNKNOWN)

    def __str__(self) -> str:
        return f"{shown(self.filename)}: {self.strerror}. {self.remedy}."


def explained(exc: OSError, path: str | os.PathLike[str]) -> OSError:
    """The error with its reason and remedy. A file that is not there stays a FileNotFoundError."""
    if isinstance(exc, (FileError, FileNotFoundError)):
        return exc
    return FileError(exc.errno or 0, why(exc), os.fsdecode(path))


def why(exc: BaseException) -> str:
    """The reason of an error, without the path, for the middle of a sentence."""
    if isinstance(exc, OSError):
        known = _WORDS.get(exc.errno or 0) if not isinstance(exc, FileError) else None
        return known or shown(exc.strerror or str(exc) or type(exc).__name__)
    return shown(str(exc)) or type(exc).__name__
