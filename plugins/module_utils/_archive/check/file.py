# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One way in to the two checks of a file: "quick" and "full"."""

from __future__ import annotations

from typing import Callable

from ..report import ArchiveReport
from .quick import quick_file


def check_file(path: str, level: str, stop: Callable[[], bool] | None = None, known: int = 0) -> ArchiveReport:
    """Check a file at a level, "quick" or "full"; the rest is as for quick_file."""
    if level != "full":
        return quick_file(path, stop, known)
    from .full import full_file  # noqa: PLC0415  seldom asked for, and a tenth of a second to load

    return full_file(path, stop, known=known)
