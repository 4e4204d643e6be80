# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What decodes and counts: plain Python, or the same compiled where numba is installed and the work is worth it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Callable

from ..codec.highway import Place, bad_records
from ..codec.s2 import Frame, decode_frame
from ..v1.index import BlockIndex
from . import compiled
from .tally import Tally, scan_entries, scan_records

#: Compiling takes a few seconds; for files with fewer bytes, plain Python is done sooner.
WORTH_COMPILING = 64 * 1024 * 1024
#: As many bytes of messages are hashed by plain Python, which needs a second for each MiB.
MOST_HASHED = 4 * 1024 * 1024


@dataclass(frozen=True)
class Engine:
    """The four inner loops. name: as results say it. threads: they run without the interpreter's lock."""

    name: str
    threads: bool
    decode: Callable[[Frame], bytes]
    scan_entries: Callable[[bytes, int, int, int, Tally], tuple[int, bool]]
    scan_records: Callable[[bytes, int, BlockIndex | None, Tally, int, list[Place] | None], tuple[int, int]]
    bad_records: Callable[[bytes, list[Place], tuple[int, ...]], list[int]] = bad_records


def accelerated() -> Engine | None:
    """The compiled engine, compiled at the first call; None where numba is not installed or cannot compile."""
    with _lock:
        if not _compiled:
            loops = compiled.load()
            fast: Engine | None = None
            if loops:
                fast = Engine("numba", True, loops.decode, loops.scan_entries, scan_records, loops.bad_records)
            _compiled.append(fast)
        return _compiled[0]


_lock = threading.Lock()
_compiled: list[Engine | None] = []
PYTHON = Engine("python", False, decode_frame, scan_entries, scan_records)


def choose(size: int) -> Engine:
    """The engine for a file of size bytes."""
    compiled = accelerated() if size >= WORTH_COMPILING else None
    return compiled or PYTHON
