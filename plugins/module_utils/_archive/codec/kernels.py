# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inner loops that numba compiles: arrays of bytes in, numbers out, nothing else that Python knows.

Without numpy, which is None then, none of them is called.
"""

from __future__ import annotations

import importlib
from typing import Any

numpy: Any = None
try:
    numpy = importlib.import_module("numpy")
except ImportError:
    pass

MOST_CONTENT = 1 << 26
MOST_NAME = 65535
# From here on a copy of memory is faster than a loop.
LONG = 64


def decode_tags(src: Any, pos: int, out: Any) -> int:  # noqa: C901 - one loop, as compilers like it
    """0 if src from pos on decodes to exactly out, else 1."""
    end, wanted = len(src), len(out)
    done = 0
    offset = 0
    while done < wanted:
        if pos >= end:
            return 1
        tag = numpy.int64(src[pos])
        kind = tag & 3
        if kind == 0:
            length = (tag >> 2) + 1
            pos += 1
            if length > 60:
                extra = length - 60
                if pos + extra > end:
                    return 1
                length = 1
                for index in range(extra):
                    length += numpy.int64(src[pos + index]) << (8 * index)
                pos += extra
            if pos + length > end or done + length > wanted:
                return 1
            if length > LONG:
                out[done : done + length] = src[pos : pos + length]
            else:
                for index in range(length):
                    out[done + index] = src[pos + index]
            pos += length
            done += length
            continue
        if kind == 1:
            if pos + 2 > end:
                return 1
            near = (tag & 0xE0) << 3 | numpy.int64(src[pos + 1])
            length = ((tag >> 2) & 7) + 4
            pos += 2
            if near:
                offset = near
            elif length > 8:
                extra = length - 8
                if pos + extra > end:
                    return 1
                length = 8 if extra == 1 else 260 if extra == 2 else 65540
                for index in range(extra):
                    length += numpy.int64(src[pos + index]) << (8 * index)
                pos += extra
        elif kind == 2:
            if pos + 3 > end:
                return 1
            length = (tag >> 2) + 1
            offset = numpy.int64(src[pos + 1]) | numpy.int64(src[pos + 2]) << 8
            pos += 3
        else:
            if pos + 5 > end:
                return 1
            length = (tag >> 2) + 1
            offset = 0
            for index in range(4):
                offset |= numpy.int64(src[pos + 1 + index]) << (8 * index)
            pos += 5
        if offset <= 0 or offset > done or done + length > wanted:
            return 1
        start = done - offset
        if length > LONG and length <= offset:
            out[done : done + length] = out[start : start + length]
        else:
            for index in range(length):
                out[done + index] = out[start + index]
        done += length
    return 0 if pos == end else 1


def crc(data: Any, tables: Any) -> Any:
    """The CRC-32C of data, eight bytes a step."""
    crc = numpy.uint32(0xFFFFFFFF)
    size = len(data)
    whole = size - size % 8
    for pos in range(0, whole, 8):
        one = numpy.uint32(data[pos]) ^ (crc & numpy.uint32(0xFF))
        two = numpy.uint32(data[pos + 1]) ^ ((crc >> numpy.uint32(8)) & numpy.uint32(0xFF))
        three = numpy.uint32(data[pos + 2]) ^ ((crc >> numpy.uint32(16)) & numpy.uint32(0xFF))
        four = numpy.uint32(data[pos + 3]) ^ (crc >> numpy.uint32(24))
        crc = (
            tables[7, one]
            ^ tables[6, two]
            ^ tables[5, three]
            ^ tables[4, four]
            ^ tables[3, data[pos + 4]]
            ^ tables[2, data[pos + 5]]
            ^ tables[1, data[pos + 6]]
            ^ tables[0, data[pos + 7]]
        )
    for pos in range(whole, size):
        crc = (crc >> numpy.uint32(8)) ^ tables[0, (crc ^ data[pos]) & numpy.uint32(0xFF)]
    return crc ^ numpy.uint32(0xFFFFFFFF)


def entries(  # noqa: C901 - one loop, as compilers like it
    data: Any, pos: int, least: int, most: int, places: Any, totals: Any
) -> Any:
    """Count whole, good entries from pos on until one is not, or places is full; returns the position after them.

    places: rows of position, start of the name, its size, sequence, hash of the name. totals: count, bytes of headers
    and payloads, of names, entries with headers, largest content, its sequence.
    """
    end, count = len(data), 0
    numbers = numpy.zeros(5, dtype=numpy.int64)
    while pos < end and count < len(places):
        cursor = pos
        for field in range(5):
            value = shift = 0
            while True:
                # Longer numbers, but for times, are left to the plain code.
                if cursor >= end or (shift > 49 and field != 1):
                    return pos
                byte = numpy.int64(data[cursor])
                cursor += 1
                if field != 1:
                    value |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
                if shift > 63:
                    return pos
            numbers[field] = value
        name, sequence = numbers[0], numbers[2]
        content = numbers[3] + numbers[4]
        if name > MOST_NAME or content > MOST_CONTENT or cursor + name + content > end:
            return pos
        if sequence < least or sequence > most:
            return pos
        mixed = numpy.uint64(0xCBF29CE484222325)
        for index in range(cursor, cursor + name):
            mixed = (mixed ^ numpy.uint64(data[index])) * numpy.uint64(0x100000001B3)
        places[count, 0] = pos
        places[count, 1] = cursor
        places[count, 2] = name
        places[count, 3] = sequence
        places[count, 4] = numpy.int64(mixed)
        least = sequence + 1
        totals[1] += content
        totals[2] += name
        if numbers[3] > 0:
            totals[3] += 1
        if content > totals[4]:
            totals[4], totals[5] = content, sequence
        count += 1
        totals[0] = count
        pos = cursor + name + content
    return pos
