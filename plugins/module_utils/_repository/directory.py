# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directories that appear whole or not at all.

A backup is written to a hidden sibling of its place, synced, and exchanged with what stood there before. A killed run
leaves only hidden debris, which the next run clears under its lock.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import os
import typing as t

from .._files import trees
from .._files.errors import FileError, why
from .._files.names import wrong_in_name
from .._files.writing import is_temporary, open_directory, open_lock, write_all
from .._text.shown import shown
from .disk import make_directories
from .errors import LockedError, PathError

BACKUP_JSON = "backup.json"
MANIFEST = "manifest.json"
CHECKED = "checked.json"
DRILLED = "drill.json"
DATA_V1 = "stream.tar.s2"
DATA_V2 = "stream.arc.s2"
STREAM_FILES = frozenset((BACKUP_JSON, MANIFEST, CHECKED, DRILLED, DATA_V1, DATA_V2))

_TAG = "natsops"
# The names of the hidden siblings are longer than the directory's own, and a name has at most 255 bytes.
_LONGEST = 220


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _hidden(path: str, suffix: str) -> str:
    parent, name = os.path.split(path)
    return os.path.join(parent, f".{name}.{_TAG}-{suffix}")


def normal_path(path: str) -> str:
    """An absolute path without a trailing slash; symbolic links are left alone. Raises PathError for what is none."""
    if not path.strip() or "\0" in path:
        raise PathError(f"path {path!r} is not a path. Give the directory of the backup.")
    return os.path.abspath(path)


def check_directory_path(path: str) -> None:
    """Refuse a path that is a symbolic link, a file, or cannot be written to. Raises PathError."""
    if os.path.islink(path):
        raise PathError(
            f"path {path} is a symbolic link to {os.readlink(path)}. Give the real directory, so that nothing is"
            " written to another place than the one named.",
            error="path_symlink",
        )
    if os.path.exists(path) and not os.path.isdir(path):
        raise PathError(f"path {path} is a file. Give a directory, or remove the file.", error="path_not_directory")
    if len(os.fsencode(os.path.basename(path))) > _LONGEST:
        raise PathError(f"path {path}: its last part is longer than {_LONGEST} bytes. Give a shorter one.")
    place = path if os.path.isdir(path) else os.path.dirname(path)
    while not os.path.exists(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        raise PathError(f"path {path} cannot be made: {place} is a file.", error="path_not_directory")
    parent = os.path.dirname(path)
    for directory in [place, parent] if os.path.isdir(parent) else [place]:
        if not os.access(directory, os.W_OK | os.X_OK) or os.statvfs(directory).f_flag & os.ST_RDONLY:
            raise PathError(
                f"path {path} is not writable: user {os.geteuid()} cannot write to {directory}.",
                error="path_not_writable",
            )


@contextlib.contextmanager
def os_errors(path: str) -> t.Iterator[None]:
    """Turn what the system says about a path into a PathError that names it."""
    try:
        yield
    except OSError as exc:
        raise path_error(path, exc) from exc


def path_error(path: str, exc: OSError) -> PathError:
    """A PathError for a system error: a full disk and a read-only place have words of their own."""
    text = why(exc)
    if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return PathError(
            f"There is no room for the backup {path}: {text}. Free space or choose another path; nothing that was there"
            " before has been touched.",
            error="no_space",
        )
    refused = exc.errno in (errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOENT)
    word = "path_symlink" if exc.errno == errno.ELOOP else "path_not_writable" if refused else "path_invalid"
    remedy = exc.remedy if isinstance(exc, FileError) else "Check the directory and its permissions"
    at = f" ({shown(exc.filename)})" if exc.filename and str(exc.filename) != path else ""
    return PathError(f"path {path} cannot be written to: {text}{at}. {remedy}.", error=word)


class Workplace:
    """The lock on one backup directory and the hidden place beside it where new content is made.

    Use as a context manager. On entry it takes the lock (LockedError when another run has it) and clears what killed
    runs left; on exit it removes its own hidden place and the lock. The directory above is held open: what is made,
    published and removed is there, whatever becomes of the path.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._name = os.path.basename(path)
        self._lock_name = os.path.basename(_hidden(path, "lock"))
        self._lock: int | None = None
        self._parent = -1
        self.stage = ""

    def __enter__(self) -> Workplace:
        with os_errors(self.path):
            make_directories(os.path.dirname(self.path))
            self._parent = open_directory(os.path.dirname(self.path))
            try:
                self._take_lock()
                self._clear_debris()
                self.stage = os.path.join(os.path.dirname(self.path), trees.make_hidden(self._prefix(), self._parent))
            except BaseException:
                self._release()
                raise
        return self

    def _prefix(self) -> str:
        return os.path.basename(_hidden(self.path, "stage-"))

    def __exit__(self, *exc_info: object) -> None:
        with contextlib.suppress(OSError):
            trees.remove_tree(os.path.basename(self.stage), self._parent)
        self._release()

    def _take_lock(self) -> None:
        while True:
            lock = open_lock(self._lock_name, within=self._parent)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                owner = shown(os.read(lock, 200).decode(errors="replace").strip())
                os.close(lock)
                raise LockedError(
                    f"Another run is working on {self.path} ({owner or 'just started'}). Wait for it to end, or give"
                    " each run its own path."
                ) from None
            # The holder before may have removed the file between our open and our lock.
            with contextlib.suppress(FileNotFoundError):
                there = os.stat(self._lock_name, dir_fd=self._parent, follow_symlinks=False)
                if os.path.samestat(os.fstat(lock), there):
                    os.ftruncate(lock, 0)
                    write_all(lock, f"process {os.getpid()} on {os.uname().nodename} since {_now()}\n".encode())
                    self._lock = lock
                    return
            os.close(lock)

    def _release(self) -> None:
        if self._lock is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._lock_name, dir_fd=self._parent)
            os.close(self._lock)
            self._lock = None
        if self._parent >= 0:
            os.close(self._parent)
            self._parent = -1

    def _clear_debris(self) -> None:
        old = os.path.basename(_hidden(self.path, "old"))
        if trees.is_directory(old, self._parent) and not trees.is_there(self._name, self._parent):
            # Killed between the two renames of a system without exchange: the earlier backup goes back to its place.
            os.rename(old, self._name, src_dir_fd=self._parent, dst_dir_fd=self._parent)
        for name in os.listdir(self._parent):
            # The last: of the file beside an account's backup.
            if name == old or name.startswith(self._prefix()) or is_temporary(name, f"{self._name}.json"):
                trees.remove_tree(name, self._parent)

    def make(self, name: str) -> str:
        """A new empty directory in the hidden place, mode 0700."""
        directory = os.path.join(self.stage, name)
        with os_errors(self.path):
            os.mkdir(directory, 0o700)
        return directory

    def publish(self, made: str, final: str) -> None:
        """Put a finished, synced directory in its place; what stood there before is gone afterwards.

        C(final) is the path of this workplace, or a directory in it.
        """
        with os_errors(final), contextlib.ExitStack() as opened:
            above, name = os.path.split(final)
            place = self._parent
            if above == self.path:
                place = opened.enter_context(trees.directory(self._name, follow=False, within=self._parent))
            stage = opened.enter_context(
                trees.directory(os.path.basename(self.stage), follow=False, within=self._parent)
            )
            made = os.path.basename(made)
            if not trees.is_there(name, place):
                os.rename(made, name, src_dir_fd=stage, dst_dir_fd=place)
            elif trees.exchange(made, stage, name, place):
                trees.remove_tree(made, stage)
            else:
                self._replace(made, stage, name, place)
            trees.require_same(above, place)

    def _replace(self, made: str, stage: int, name: str, place: int) -> None:
        """Publish in two steps, where the system cannot exchange directories in one."""
        old = os.path.basename(_hidden(name, "old"))
        os.rename(name, old, src_dir_fd=place, dst_dir_fd=place)
        try:
            os.rename(made, name, src_dir_fd=stage, dst_dir_fd=place)
        except OSError:
            os.rename(old, name, src_dir_fd=place, dst_dir_fd=place)
            raise
        # Out of the way in one step: what a killed run leaves under the name must be whole, since it may be put back.
        os.rename(old, made, src_dir_fd=place, dst_dir_fd=stage)
        trees.remove_tree(made, stage)


def interrupted_below(path: str) -> dict[str, list[str]]:
    """Names whose backup right below C(path) was begun and did not end, with the hidden entries of each."""
    found: dict[str, list[str]] = {}
    for entry in sorted(os.listdir(path)):
        name, tag, _rest = entry.rpartition(f".{_TAG}-")
        if tag and name.startswith(".") and not wrong_in_name(name[1:], ours=True):
            found.setdefault(name[1:], []).append(entry)
    return found
