# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Go's variable-length integers, 64 bits at most."""

from __future__ import annotations

from typing import Union

Buffer = Union[bytes, bytearray, memoryview]

_MOST_BITS = 70
_TOO_LONG = "a number of more than 64 bits"
_LIMIT = 1 << 64


def read_uvarint(data: Buffer, pos: int) -> tuple[int, int]:
    """(value, position after it). Raises IndexError where data ends within it, ValueError for more than 64 bits."""
    byte = data[pos]
    value = byte & 0x7F
    shift = 7
    while byte >= 0x80:
        if shift == _MOST_BITS:
            raise ValueError(_TOO_LONG)
        pos += 1
        byte = data[pos]
        value |= (byte & 0x7F) << shift
        shift += 7
    if value >= _LIMIT:
        raise ValueError(_TOO_LONG)
    return value, pos + 1


def read_varint(data: Buffer, pos: int) -> tuple[int, int]:
    """The same for a signed number in zigzag form."""
    value, pos = read_uvarint(data, pos)
    return (value >> 1) ^ -(value & 1), pos


def write_uvarint(value: int) -> bytes:
    """value, 0 to 2**64 - 1, as Go writes it."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def write_varint(value: int) -> bytes:
    """A signed number of 64 bits in zigzag form."""
    return write_uvarint(value << 1 if value >= 0 else (-value << 1) - 1)
