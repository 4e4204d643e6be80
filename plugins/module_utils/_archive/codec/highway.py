# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checksums of the messages in a V1 archive: HighwayHash with 64 bits, as servers store it behind each record.

A server puts a record that was damaged on its disk into the archive as it is. Only this checksum tells.
"""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple

_MASK = (1 << 64) - 1
_LOW = (1 << 32) - 1
MUL0 = (0xDBE6D5D5FE4CCE2F, 0xA4093822299F31D0, 0x13198A2E03707344, 0x243F6A8885A308D3)
MUL1 = (0x3BD39E10CB0EF593, 0xC0ACF169B5F18A8C, 0xBE5466CF34E90C6C, 0x452821E638D01377)
_LANES = struct.Struct("<4Q")
_PACKET = 32
_HASH = 8
# In a record: its length, then sequence and time, which are hashed, then the size of the subject.
_HASHED_HEAD = slice(4, 20)
_HEAD = 22


class Place(NamedTuple):
    """A record in a block: where it is, and what it holds. size: of all of it; header: it has headers."""

    sequence: int
    start: int
    size: int
    subject: int
    header: bool


def key_of(stream: str, block: int) -> tuple[int, ...]:
    """The key of a block's records."""
    return _LANES.unpack(hashlib.sha256(f"{stream}-{block}".encode()).digest())


def hashed_part(data: bytes, place: Place) -> bytes:
    """The bytes of a record that its checksum covers."""
    head = data[place.start : place.start + _HEAD][_HASHED_HEAD]
    body = place.start + _HEAD
    end = place.start + place.size - _HASH
    if not place.header:
        return head + data[body:end]
    # The size of the headers, 4 bytes, is not covered.
    return head + data[body : body + place.subject] + data[body + place.subject + 4 : end]


def bad_records(data: bytes, places: list[Place], key: tuple[int, ...]) -> list[int]:
    """The sequences of the records whose checksum is wrong."""
    bad = []
    for place in places:
        end = place.start + place.size
        if highway64(hashed_part(data, place), key) != int.from_bytes(data[end - _HASH : end], "little"):
            bad.append(place.sequence)
    return bad


def highway64(data: bytes, key: tuple[int, ...]) -> int:
    """HighwayHash of 64 bits. key: four numbers of 64 bits."""
    state = [
        *(m ^ k for m, k in zip(MUL0, key)),
        *(m ^ ((k >> 32) | (k << 32) & _MASK) for m, k in zip(MUL1, key)),
        *MUL0,
        *MUL1,
    ]
    whole = len(data) - len(data) % _PACKET
    for lanes in _LANES.iter_unpack(data[:whole]):
        _update(state, *lanes)
    if whole < len(data):
        _remainder(state, data[whole:])
    for _round in range(4):
        one, two, three, four = ((v >> 32) | (v << 32) & _MASK for v in state[:4])
        _update(state, three, four, one, two)
    return (state[0] + state[4] + state[8] + state[12]) & _MASK


def _remainder(state: list[int], rest: bytes) -> None:
    size = len(rest)
    tail = size & 3
    for lane in range(4):
        state[lane] = (state[lane] + (size << 32) + size) & _MASK
        high, low = state[4 + lane] >> 32, state[4 + lane] & _LOW
        high, low = (((half << size) | (half >> (32 - size))) & _LOW for half in (high, low))
        state[4 + lane] = high << 32 | low
    packet = bytearray(_PACKET)
    even = size - tail
    packet[:even] = rest[:even]
    if size & 16:
        packet[28:32] = rest[size - 4 :]
    elif tail:
        packet[16:19] = bytes((rest[even], rest[even + (tail >> 1)], rest[even + tail - 1]))
    _update(state, *_LANES.unpack(packet))


def _update(state: list[int], *lanes: int) -> None:
    v0, v1, mul0, mul1 = state[:4], state[4:8], state[8:12], state[12:]
    for lane in range(4):
        v1[lane] = (v1[lane] + mul0[lane] + lanes[lane]) & _MASK
        mul0[lane] ^= (v1[lane] & _LOW) * (v0[lane] >> 32)
        v0[lane] = (v0[lane] + mul1[lane]) & _MASK
        mul1[lane] ^= (v0[lane] & _LOW) * (v1[lane] >> 32)
    for here, there in ((v0, v1), (v1, v0)):
        for lane in (0, 2):
            a, b = there[lane], there[lane + 1]
            here[lane] = (
                here[lane]
                + (((a & 0xFF000000) | (b & 0xFF00000000)) >> 24)
                + (((a & 0xFF0000000000) | (b & 0xFF000000000000)) >> 16)
                + (a & 0xFF0000)
                + ((a & 0xFF00) << 32)
                + ((b & 0xFF00000000000000) >> 8)
                + ((a & 0xFF) << 56)
            ) & _MASK
            here[lane + 1] = (
                here[lane + 1]
                + (((b & 0xFF000000) | (a & 0xFF00000000)) >> 24)
                + (b & 0xFF0000)
                + ((b & 0xFF0000000000) >> 16)
                + ((b & 0xFF00) << 24)
                + ((a & 0xFF000000000000) >> 8)
                + ((b & 0xFF) << 48)
                + (a & 0xFF00000000000000)
            ) & _MASK
    state[:] = (*v0, *v1, *mul0, *mul1)
