# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making a set: what did not change is linked, the set's file comes last, and C(latest) is exchanged in one step."""

from __future__ import annotations

import contextlib
import os
import shutil

from .directory import os_errors
from .disk import sync_directories, sync_path, write_file
from .inspect import inspect
from .repository import LATEST, is_set_name
from .setfile import SetFile, set_path, store

_MARK = "natsops-unfinished"


def _mark(path: str, name: str) -> str:
    return os.path.join(path, f".{name}.{_MARK}")


def clear_unfinished(path: str) -> list[str]:
    """Remove sets that a killed run was making or removing; returns their names. Needs the account's lock.

    Only those that bear the mark of such a run: a set that lost its file in another way is left alone.
    """
    cleared = []
    for entry in sorted(os.listdir(path)):
        name, tag, rest = entry[1:].partition(f".{_MARK}")
        if not entry.startswith(".") or not tag or rest or not is_set_name(name):
            continue
        place = os.path.join(path, name)
        # Killed after its file was written: the set is whole, and only the mark and perhaps the link were left.
        if not os.path.isfile(set_path(place)):
            with os_errors(place), contextlib.suppress(FileNotFoundError):
                shutil.rmtree(place)
            cleared.append(name)
        os.unlink(os.path.join(path, entry))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(path, f".{LATEST}.natsops-new"))
    return cleared


def link_stream(source: str, target: str) -> int:
    """Make the new directory C(target) with the files of C(source), which share their content; returns its bytes.

    Copied where the file system cannot link.
    """
    with os_errors(target):
        os.mkdir(target, 0o700)
        size = 0
        for name in sorted(os.listdir(source)):
            one, other = os.path.join(source, name), os.path.join(target, name)
            try:
                os.link(one, other, follow_symlinks=False)
            except OSError:
                shutil.copyfile(one, other)
                os.chmod(other, 0o600)
            size += os.path.getsize(other)
        return size


def link_verified(source: str, target: str, stream: str) -> str:
    """As L(link_stream), for a backup that nobody looked at in this run; returns what is wrong with it, or nothing."""
    backup = inspect(source, "digest")
    if not backup.valid or backup.stream != stream:
        return backup.problems[0].message if backup.problems else f"it is of the stream {backup.stream}"
    link_stream(source, target)
    return ""


def publish_set(path: str, stage: str, name: str, about: SetFile) -> str:
    """Put a staged set in its place, its file beside it and C(latest) onto it; returns its path."""
    final = os.path.join(path, name)
    with os_errors(final):
        sync_directories([entry.path for entry in os.scandir(stage)])
        sync_path(stage)
        write_file(_mark(path, name), b"")
        sync_path(path)
        os.rename(stage, final)
        store(final, about)
        point_latest(path, name)
        os.unlink(_mark(path, name))
        sync_path(path)
    return final


def point_latest(path: str, name: str) -> None:
    """Exchange the link C(latest) in one step."""
    temporary = os.path.join(path, f".{LATEST}.natsops-new")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    os.symlink(name, temporary)
    os.replace(temporary, os.path.join(path, LATEST))
    sync_path(path)


def remove_set(path: str, name: str) -> None:
    """Remove a set: first its file, so that half of one is never taken for whole."""
    final = os.path.join(path, name)
    with os_errors(final):
        write_file(_mark(path, name), b"")
        sync_path(path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(set_path(final))
        shutil.rmtree(final)
        os.unlink(_mark(path, name))
        sync_path(path)
