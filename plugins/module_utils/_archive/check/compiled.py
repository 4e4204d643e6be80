# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The block decoder, the checksum and the count of V2 messages, compiled by numba without the interpreter's lock.

What the plain code would refuse is given to the plain code, so that results and messages are the same.
"""

from __future__ import annotations

import importlib
from typing import Any

from ..codec import highway_kernel, kernels, s2
from ..codec.crc32c import ENGINE, crc32c, masked
from ..codec.highway import Place
from ..codec.highway import bad_records as plain_bad_records
from ..codec.kernels import numpy
from ..codec.s2 import COMPRESSED, Frame
from ..codec.s2_block import raw_length
from ..v2.entries import read_numbers
from .tally import Tally
from .tally import scan_entries as plain_scan_entries

_POLYNOMIAL = 0x82F63B78
# Entries counted at a time; their places are handed back so that subjects can be looked at.
_BATCH = 1 << 16
_SLICES = 8
_COLUMNS = 5
_TOTALS = 6
_MOST_SEQUENCE = (1 << 56) - 1


def _tables() -> Any:
    table = numpy.zeros((_SLICES, 256), dtype=numpy.uint32)
    for value in range(256):
        crc = value
        for _bit in range(8):
            crc = (crc >> 1) ^ (_POLYNOMIAL if crc & 1 else 0)
        table[0, value] = crc
    for row in range(1, _SLICES):
        for value in range(256):
            before = int(table[row - 1, value])
            table[row, value] = (before >> 8) ^ int(table[0, before & 0xFF])
    return table


class Loops:
    """The compiled loops. Making one compiles them, which takes a few seconds. Raises what numba raises."""

    def __init__(self, numba: Any) -> None:
        functions = (kernels.decode_tags, kernels.crc, kernels.entries)
        self._decode, self._crc, self._entries = (numba.njit(nogil=True)(function) for function in functions)
        # Compiled at its first use: only V1 archives need it.
        self._hashes = numba.njit(nogil=True)(highway_kernel.make(numba))
        self._table = _tables()
        # The first call compiles.
        data = numpy.frombuffer(bytes((0, 65)), dtype=numpy.uint8)
        self._decode(data, 0, numpy.zeros(1, dtype=numpy.uint8))
        self._crc(data, self._table)
        self._entries(data, 0, 1, 1, numpy.zeros((1, _COLUMNS), numpy.int64), numpy.zeros(_TOTALS, numpy.int64))

    def decode(self, frame: Frame) -> bytes:
        """s2.decode_frame."""
        if frame.kind != COMPRESSED:
            return s2.decode_frame(frame)
        payload = bytes(frame.payload)
        size, pos = raw_length(payload)
        out = numpy.empty(size, dtype=numpy.uint8)
        if self._decode(numpy.frombuffer(payload, dtype=numpy.uint8), pos, out):
            return s2.decode_frame(frame)
        data: bytes = out.tobytes()
        crc = crc32c(data) if ENGINE != "python" else int(self._crc(out, self._table))
        return data if masked(crc) == frame.crc else s2.decode_frame(frame)

    def bad_records(self, data: bytes, places: list[Place], key: tuple[int, ...]) -> list[int]:
        """highway.bad_records."""
        if not places:
            return []
        rows = numpy.array([(one.start, one.size, one.subject, one.header) for one in places], dtype=numpy.int64)
        bad = numpy.zeros(len(places), dtype=numpy.bool_)
        self._hashes(numpy.frombuffer(data, dtype=numpy.uint8), rows, numpy.array(key, dtype=numpy.uint64), bad)
        # Few, and the plain code has the last word.
        return plain_bad_records(data, [places[row] for row in numpy.flatnonzero(bad).tolist()], key)

    def scan_entries(self, data: bytes, pos: int, least: int, most: int, tally: Tally) -> tuple[int, bool]:
        """tally.scan_entries."""
        view = numpy.frombuffer(data, dtype=numpy.uint8)
        places = numpy.empty((_BATCH, _COLUMNS), dtype=numpy.int64)
        most_here = min(most, _MOST_SEQUENCE)
        while least <= most_here:
            totals = numpy.zeros(_TOTALS, dtype=numpy.int64)
            stop = int(self._entries(view, pos, least, most_here, places, totals))
            count, content, names, with_header, largest, largest_at = (int(number) for number in totals)
            if not count:
                break
            rows = places[:count]
            first, last = (_at(data, int(rows[row, 0])) for row in (0, count - 1))
            plain = content + names
            subjects = _subjects(data, rows) if tally.subjects is not None else None
            size = plain + 30 * count + 4 * with_header
            tally.add(Tally(count, size, plain, first, last, (largest, largest_at), subjects))
            least, pos = last[0] + 1, stop
            if count < _BATCH:
                break
        # The end, what goes on in the next segment, and what is wrong.
        return plain_scan_entries(data, pos, least, most, tally)


def _subjects(data: bytes, rows: Any) -> set[bytes]:
    _hashes, where = numpy.unique(rows[:, 4], return_index=True)
    return {data[start : start + size] for start, size in rows[where][:, 1:3].tolist()}


def _at(data: bytes, pos: int) -> tuple[int, int]:
    _name, time_ns, sequence, _header, _payload, _pos = read_numbers(data, pos)
    return sequence, time_ns


def load() -> Loops | None:
    """The loops, or None where numba or numpy is not installed or does not work with this Python."""
    try:
        numba: Any = importlib.import_module("numba")
    except (ImportError, SystemError):
        return None
    if numpy is None:
        return None
    try:
        return Loops(numba)
    except numba.core.errors.NumbaError:
        return None
