# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Temporary directories that a later run clears when the one that made them was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import stat

from .._files.reading import SMALL, read_bytes
from .._files.trees import remove_path
from .._files.writing import open_existing_lock, open_lock, replace_file, scratch_directory

PREFIX = "natsops-private-"
# A directory without a lock of this name is not ours, whatever it is called.
_LOCK = "natsops.lock"
_PID = "pid"


class Scratch:
    """A directory of mode 0700 below C(parent); its lock is held, by this process alone, until L(remove)."""

    def __init__(self, parent: str) -> None:
        self.path = ""
        self._lock: int | None = None
        path = scratch_directory(parent, PREFIX)
        try:
            lock = open_lock(os.path.join(path, _LOCK), new=True)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            _remove(path)
            raise
        self.path, self._lock = path, lock
        self.note_child(0)

    def note_child(self, pid: int) -> None:
        """Remember a child, so that the next run ends it should it survive this process."""
        replace_file(os.path.join(self.path, _PID), str(pid).encode())

    def remove(self) -> None:
        """Remove the directory with all that is in it; fine if it is gone."""
        if self._lock is None:
            return
        _remove(self.path)
        os.close(self._lock)
        self._lock = None


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        remove_path(path)


def clear(parent: str) -> list[str]:
    """Remove what killed runs of this user left below C(parent), and end what they started; returns the directories.

    What belongs to a living run, to another user, or is a link is left alone.
    """
    cleared = []
    with contextlib.suppress(OSError):
        for name in os.listdir(parent):
            path = os.path.join(parent, name)
            if name.startswith(PREFIX) and _was_debris(path):
                cleared.append(path)
    return cleared


def _was_debris(path: str) -> bool:
    """Whether C(path) was left by a dead run; if so, it is removed."""
    try:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            return False
        lock = open_existing_lock(os.path.join(path, _LOCK))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.exists(os.path.join(path, _PID)):
                return False  # its owner is about to take the lock
            _end_child(path)
            _remove(path)
        finally:
            os.close(lock)
    except OSError:
        return False  # held by its living owner, not ours, or gone by now
    return True


def _end_child(path: str) -> None:
    """Kill the child that a directory notes, if the process of that number is still it: it names the directory."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(read_bytes(os.path.join(path, _PID), SMALL))
        words = read_bytes(f"/proc/{pid}/cmdline", SMALL).split(b"\0")
        if pid > 1 and any(word.startswith(os.fsencode(path) + b"/") for word in words):
            os.kill(pid, signal.SIGKILL)
