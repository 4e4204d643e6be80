# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Temporary directories that a later run clears when the one that made them was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import tempfile

PREFIX = "natsops-private-"
# A directory without a lock of this name is not ours, whatever it is called.
_LOCK = "natsops.lock"
_PID = "pid"


class Scratch:
    """A directory of mode 0700 below C(parent); its lock is held, by this process alone, until L(remove)."""

    def __init__(self, parent: str) -> None:
        self.path = ""
        self._lock: int | None = None
        path = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
        try:
            lock = os.open(os.path.join(path, _LOCK), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        self.path, self._lock = path, lock
        self.note_child(0)

    def note_child(self, pid: int) -> None:
        """Remember a child, so that the next run ends it should it survive this process."""
        with open(os.path.join(self.path, _PID), "w", encoding="ascii") as file:
            file.write(str(pid))

    def remove(self) -> None:
        """Remove the directory with all that is in it; fine if it is gone."""
        if self._lock is None:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)
        self._lock = None


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
        lock = os.open(os.path.join(path, _LOCK), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.exists(os.path.join(path, _PID)):
                return False  # its owner is about to take the lock
            _end_child(path)
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)
    except OSError:
        return False  # held by its living owner, not ours, or gone by now
    return True


def _end_child(path: str) -> None:
    """Kill the child that a directory notes, if the process of that number is still it: it names the directory."""
    with contextlib.suppress(OSError, ValueError):
        with open(os.path.join(path, _PID), encoding="ascii") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
        if pid > 1 and any(word.startswith(os.fsencode(path) + b"/") for word in words):
            os.kill(pid, signal.SIGKILL)
