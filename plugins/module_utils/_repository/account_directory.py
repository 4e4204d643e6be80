# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directory of an account's backup: nothing may be in it but directories of streams."""

from __future__ import annotations

import os
import typing as t

from .._files.trees import directory as opened
from .._files.trees import remove_tree
from .directory import Workplace, check_directory_path, interrupted_below, os_errors
from .disk import make_directories
from .entries import foreign_entries
from .errors import PathError


def check_account_target(path: str) -> None:
    """Refuse a directory that holds anything but the backups of streams. Raises PathError."""
    check_directory_path(path)
    if not os.path.isdir(path):
        return
    debris = interrupted_below(path)
    for name in sorted(set(os.listdir(path)).difference(*debris.values())):
        if not os.path.isdir(os.path.join(path, name)) or os.path.islink(os.path.join(path, name)):
            raise PathError(
                f"path {path} is not the backup of an account: it holds the file {name}. Give an empty directory or one"
                " that holds only backups of streams, each in a directory of the stream's name.",
                error="path_not_backup",
            )


def open_account_target(path: str) -> None:
    """Make the directory, and clear what killed runs left in it. Raises PathError, LockedError."""
    with os_errors(path):
        make_directories(path)
        for name in interrupted_below(path):
            with Workplace(os.path.join(path, name)):
                pass  # entering clears


def close_account_target(path: str, existing: t.Collection[str], *, prune: bool, check: bool) -> tuple[bool, list[str]]:
    """Deal with directories of streams that are no more: remove them, or name them in the returned warnings.

    Returns whether any was removed, or with C(check) would be.
    """
    warnings, pruned = [], False
    for name in sorted(os.listdir(path)) if os.path.isdir(path) else ():
        directory = os.path.join(path, name)
        if name in existing or name.startswith("."):
            continue
        if not os.path.isdir(directory) or foreign_entries(directory):
            warnings.append(f"{directory} is not the backup of a stream. It is left alone.")
        elif not prune:
            warnings.append(
                f"stream {name}: the stream is no more, and {directory} still holds its backup. An account restore"
                " leaves it out. Set prune to remove it."
            )
        else:
            pruned = True
            if not check:
                with os_errors(directory), opened(path, follow=False) as place:
                    remove_tree(name, place)
    return pruned, warnings
