# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making a set: what did not change is linked, the set's file comes last, and C(latest) is exchanged in one step.

All of it happens in the account's directory itself, held open: a link put in its place meanwhile is not followed.
"""

from __future__ import annotations

import contextlib
import os

from .._files.reading import DATA, is_regular
from .._files.trees import directory, remove_tree, require_same
from .._files.writing import copy_file, is_temporary, temporary_name, write_new
from .directory import STREAM_FILES, os_errors
from .disk import sync_directories
from .inspect import inspect
from .set_file import SetFile, set_path, store
from .sets import LATEST, is_set_name

_MARK = "natsops-unfinished"


def _mark(name: str) -> str:
    return f".{name}.{_MARK}"


def clear_unfinished(path: str) -> list[str]:
    """Remove sets that a killed run was making or removing; returns their names. Needs the account's lock.

    Only those that bear the mark of such a run: a set that lost its file in another way is left alone.
    """
    cleared = []
    with os_errors(path), directory(path, follow=False) as account:
        for entry in sorted(os.listdir(account)):
            name, tag, rest = entry[1:].partition(f".{_MARK}")
            if entry.startswith(".") and tag and not rest and is_set_name(name):
                # Killed after its file was written: the set is whole, and only the mark and perhaps the link were left.
                if not is_regular(set_path(os.path.join(path, name))):
                    with contextlib.suppress(FileNotFoundError):
                        remove_tree(name, account)
                    cleared.append(name)
                os.unlink(entry, dir_fd=account)
            elif _left(entry):
                remove_tree(entry, account)
    return cleared


def _left(entry: str) -> bool:
    """Whether an entry was to become a set's file or C(latest)."""
    name = entry[1:].partition(".")[0]
    return is_temporary(entry, LATEST) or (is_set_name(name) and is_temporary(entry, set_path(name)))


def link_stream(source: str, target: str) -> int:
    """Make the new directory C(target) with the files of C(source), which share their content; returns its bytes.

    Copied where the file system cannot link. Only what belongs to a backup comes along.
    """
    with os_errors(target):
        os.mkdir(target, 0o700)
        size = 0
        for name in sorted(STREAM_FILES.intersection(os.listdir(source))):
            one, other = os.path.join(source, name), os.path.join(target, name)
            if not is_regular(one):
                continue
            try:
                os.link(one, other, follow_symlinks=False)
            except OSError:
                copy_file(one, other, DATA)
            size += os.lstat(other).st_size
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
    with os_errors(final), directory(path, follow=False) as account:
        with directory(stage, follow=False) as staged:
            sync_directories([entry.path for entry in os.scandir(stage)])
            os.fsync(staged)
        write_new(_mark(name), b"", within=account)
        os.fsync(account)
        os.rename(stage, name, dst_dir_fd=account)
        store(final, about, within=account)
        _point(account, name)
        os.unlink(_mark(name), dir_fd=account)
        os.fsync(account)
        require_same(path, account)
    return final


def point_latest(path: str, name: str) -> None:
    """Exchange the link C(latest) in one step."""
    with os_errors(path), directory(path, follow=False) as account:
        _point(account, name)


def _point(account: int, name: str) -> None:
    temporary = temporary_name(LATEST)
    os.symlink(name, temporary, dir_fd=account)
    try:
        os.replace(temporary, LATEST, src_dir_fd=account, dst_dir_fd=account)
    except OSError:
        os.unlink(temporary, dir_fd=account)
        raise
    os.fsync(account)


def remove_set(path: str, name: str) -> None:
    """Remove a set: first its file, so that half of one is never taken for whole."""
    with os_errors(os.path.join(path, name)), directory(path, follow=False) as account:
        write_new(_mark(name), b"", within=account)
        os.fsync(account)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(set_path(name), dir_fd=account)
        remove_tree(name, account)
        os.unlink(_mark(name), dir_fd=account)
        os.fsync(account)
