# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which streams a run over an account takes, and which directory may hold them."""

from __future__ import annotations

import fnmatch
import typing as t


def selected(name: str, streams: t.Sequence[str], exclude: t.Sequence[str]) -> bool:
    """Whether a name matches one of the globs C(streams) and none of C(exclude)."""
    return any(fnmatch.fnmatchcase(name, glob) for glob in streams) and not any(
        fnmatch.fnmatchcase(name, glob) for glob in exclude
    )
