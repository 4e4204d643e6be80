# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CRC-32C (Castagnoli), by google-crc32c where it is installed and in pure Python else.

The pure version treats a piece of data as one polynomial over GF(2), held in a Python integer, and shortens it
with a multiple of the CRC polynomial P that has four terms only:

    x^6777 + x^484 + x^100 + 1  is divisible by P

Every term x^(t+6777) may thus be replaced by x^(t+484) + x^(t+100) + x^t, which is three shifts and XORs of long
integers for thousands of bits at once. Squaring doubles the exponents, so there is such a multiple for every size.
What remains, less than 2 KiB, goes through the usual table.
"""

from __future__ import annotations

import importlib
from typing import Any, Callable, Union

Buffer = Union[bytes, bytearray, memoryview]

_REVERSED_POLYNOMIAL = 0x82F63B78
_DEGREE, _HIGH, _LOW = 6777, 484, 100
_STEP = _DEGREE - _HIGH
# Pieces of this size keep all integers in the processor's second-level cache.
_PIECE = 128 * 1024


def _byte_table() -> list[int]:
    table = []
    for value in range(256):
        for _bit in range(8):
            value = (value >> 1) ^ (_REVERSED_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


def _fold_levels() -> list[tuple[int, int, int, int, int]]:
    """(smallest length, bits removed, mask of these, two shifts), all in bits, the largest first."""
    levels = []
    for power in range(8, -1, -1):
        step = _STEP << power
        levels.append(((_DEGREE << power) + step, step, (1 << step) - 1, (_HIGH - _LOW) << power, _HIGH << power))
    return levels


_TABLE = _byte_table()
_LEVELS = _fold_levels()


def _table_update(crc: int, data: Buffer) -> int:
    table = _TABLE
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc


def _piece_update(crc: int, data: Buffer) -> int:
    bits = len(data) * 8
    # Little-endian: the lowest bit is the first one sent, the highest power of x. A fold removes bits there.
    value = int.from_bytes(data, "little") ^ crc
    for least, step, mask, near, far in _LEVELS:
        while bits >= least:
            low = value & mask
            value = (value >> step) ^ low ^ (low << near) ^ (low << far)
            bits -= step
    padding = -bits % 8
    rest = (value << padding).to_bytes((bits + padding) // 8, "little")
    return _table_update(0, rest)


def python_extend(crc: int, data: Buffer) -> int:
    """The CRC-32C of earlier data with the checksum crc, followed by data."""
    crc ^= 0xFFFFFFFF
    if len(data) <= _PIECE:
        crc = _piece_update(crc, data) if len(data) >= 2048 else _table_update(crc, data)
    else:
        view = memoryview(data)
        for start in range(0, len(view), _PIECE):
            piece = view[start : start + _PIECE]
            crc = _piece_update(crc, piece) if len(piece) >= 2048 else _table_update(crc, piece)
    return crc ^ 0xFFFFFFFF


def _library_extend() -> Callable[[int, Buffer], int] | None:
    try:
        library: Any = importlib.import_module("google_crc32c")
    except ImportError:
        return None
    # Its own fall-back is a table in Python, slower than ours.
    if getattr(library, "implementation", "c") != "c":
        return None
    native: Callable[[int, bytes], int] = library.extend

    def extend(crc: int, data: Buffer) -> int:
        return native(crc, data if isinstance(data, bytes) else bytes(data))

    return extend


_native = _library_extend()
ENGINE = "google-crc32c" if _native is not None else "python"
extend: Callable[[int, Buffer], int] = _native if _native is not None else python_extend


def crc32c(data: Buffer) -> int:
    """The CRC-32C of data."""
    return extend(0, data)


def masked(crc: int) -> int:
    """The form in which Snappy's and S2's framing store a CRC-32C."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
