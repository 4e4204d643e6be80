# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which streams a run over an account takes, and which directory may hold them."""

from __future__ import annotations

import fnmatch
import os
import typing as t

from .directory import check_directory_path
from .errors import PathError


def selected(name: str, streams: t.Sequence[str], exclude: t.Sequence[str]) -> bool:
    """Whether a name matches one of the globs C(streams) and none of C(exclude)."""
    return any(fnmatch.fnmatchcase(name, glob) for glob in streams) and not any(
        fnmatch.fnmatchcase(name, glob) for glob in exclude
    )


def check_account_target(path: str) -> None:
    """Refuse a directory that holds anything but the backups of streams. Raises PathError."""
    check_directory_path(path)
    if not os.path.isdir(path):
        return
    for name in sorted(os.listdir(path)):
        if not os.path.isdir(os.path.join(path, name)) or os.path.islink(os.path.join(path, name)):
            raise PathError(
                f"path {path} is not the backup of an account: it holds the file {name}. Give an empty directory or one"
                " that holds only backups of streams, each in a directory of the stream's name.",
                error="path_not_backup",
            )
