# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What decodes and counts: plain Python, or the same compiled where numba is installed and the work is worth it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Callable

from .s2 import Frame, decode_frame
from .tally import Tally, scan_entries, scan_records
from .v1index import BlockIndex

#: Compiling takes a few seconds; below this many decoded bytes plain Python is done sooner.
WORTH_COMPILING = 192 * 1024 * 1024


@dataclass(frozen=True)
class Engine:
    """The three inner loops. name: as results say it. threads: they run without the interpreter's lock."""

    name: str
    threads: bool
    decode: Callable[[Frame], bytes]
    scan_entries: Callable[[bytes, int, int, int, Tally], tuple[int, bool]]
    scan_records: Callable[[bytes, int, BlockIndex | None, Tally, int], tuple[int, int]]


def accelerated() -> Engine | None:
    """The compiled engine, compiled at the first call; None where numba is not installed or cannot compile."""
    if not _compiled:
        try:
            module: Any = importlib.import_module(f"{__package__}.compiled")
            _compiled.append(Engine("numba", True, module.decode, module.scan_entries, scan_records))
        except ImportError:
            _compiled.append(None)
    return _compiled[0]


_compiled: list[Engine | None] = []
PYTHON = Engine("python", False, decode_frame, scan_entries, scan_records)


def choose(size: int) -> Engine:
    """The engine for size decoded bytes."""
    compiled = accelerated() if size >= WORTH_COMPILING else None
    return compiled or PYTHON
