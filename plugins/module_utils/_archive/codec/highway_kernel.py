# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The loop over the checksums of a block's messages that numba compiles; see highway.py, which says what it does."""

from __future__ import annotations

from typing import Any, Callable

from .highway import MUL0, MUL1
from .kernels import numpy


def make(numba: Any) -> Callable[[Any, Any, Any, Any], None]:  # noqa: C901 - one loop, as compilers like it
    """The loop, to be compiled; its parts are compiled into it."""
    u64 = numpy.uint64
    init0, init1 = numpy.array(MUL0, dtype=u64), numpy.array(MUL1, dtype=u64)
    low, half = u64(0xFFFFFFFF), u64(32)

    def update(s: Any, lanes: Any) -> None:
        for i in range(4):
            s[4 + i] += s[8 + i] + lanes[i]
            s[8 + i] ^= (s[4 + i] & low) * (s[i] >> half)
            s[i] += s[12 + i]
            s[12 + i] ^= (s[i] & low) * (s[4 + i] >> half)
        for step in range(2):
            here, there = (0, 4) if step == 0 else (4, 0)
            for i in range(0, 4, 2):
                a, b = s[there + i], s[there + i + 1]
                s[here + i] += (
                    (((a & u64(0xFF000000)) | (b & u64(0xFF00000000))) >> u64(24))
                    + (((a & u64(0xFF0000000000)) | (b & u64(0xFF000000000000))) >> u64(16))
                    + (a & u64(0xFF0000))
                    + ((a & u64(0xFF00)) << half)
                    + ((b & u64(0xFF00000000000000)) >> u64(8))
                    + ((a & u64(0xFF)) << u64(56))
                )
                s[here + i + 1] += (
                    (((b & u64(0xFF000000)) | (a & u64(0xFF00000000))) >> u64(24))
                    + (b & u64(0xFF0000))
                    + ((b & u64(0xFF0000000000)) >> u64(16))
                    + ((b & u64(0xFF00)) << u64(24))
                    + ((a & u64(0xFF000000000000)) >> u64(8))
                    + ((b & u64(0xFF)) << u64(48))
                    + (a & u64(0xFF00000000000000))
                )

    inner = numba.njit(nogil=True)(update)

    def hashes(data: Any, rows: Any, key: Any, bad: Any) -> None:  # noqa: C901
        s = numpy.zeros(16, dtype=numpy.uint64)
        lanes = numpy.zeros(4, dtype=numpy.uint64)
        packet = numpy.zeros(32, dtype=numpy.uint8)
        for row in range(len(rows)):
            start, size, subject = rows[row, 0], rows[row, 1], rows[row, 2]
            gap = 4 if rows[row, 3] else 0
            for i in range(4):
                s[i] = init0[i] ^ key[i]
                s[4 + i] = init1[i] ^ ((key[i] >> half) | (key[i] << half))
                s[8 + i], s[12 + i] = init0[i], init1[i]
            total = 16 + (size - 22 - 8 - gap)
            # What is hashed: 16 bytes of the head, then the rest, without the size of the headers.
            before = 16 + subject
            done = 0
            while done < total:
                length = min(32, total - done)
                for i in range(32):
                    packet[i] = 0
                for i in range(length):
                    at = done + i
                    if at < 16:
                        packet[i] = data[start + 4 + at]
                    elif at < before:
                        packet[i] = data[start + 6 + at]
                    else:
                        packet[i] = data[start + 6 + gap + at]
                if length < 32:
                    for i in range(4):
                        s[i] += (u64(length) << half) + u64(length)
                        high, lower = s[4 + i] >> half, s[4 + i] & low
                        n, m = u64(length), u64(32 - length)
                        high = ((high << n) | (high >> m)) & low
                        lower = ((lower << n) | (lower >> m)) & low
                        s[4 + i] = (high << half) | lower
                    tail = length & 3
                    even = length - tail
                    if length & 16:
                        # The last four bytes move to the end.
                        a, b, c, d = packet[length - 4], packet[length - 3], packet[length - 2], packet[length - 1]
                        for i in range(even, 32):
                            packet[i] = 0
                        packet[28], packet[29], packet[30], packet[31] = a, b, c, d
                    elif tail:
                        a, b, c = packet[even], packet[even + (tail >> 1)], packet[even + tail - 1]
                        for i in range(even, 32):
                            packet[i] = 0
                        packet[16], packet[17], packet[18] = a, b, c
                for i in range(4):
                    lane = u64(0)
                    for k in range(8):
                        lane |= u64(packet[8 * i + k]) << u64(8 * k)
                    lanes[i] = lane
                inner(s, lanes)
                done += length
            for _turn in range(4):
                for i in range(4):
                    lane = s[(i + 2) % 4]
                    lanes[i] = (lane >> half) | (lane << half)
                inner(s, lanes)
            found = s[0] + s[4] + s[8] + s[12]
            stored = u64(0)
            end = start + size - 8
            for k in range(8):
                stored |= u64(data[end + k]) << u64(8 * k)
            bad[row] = found != stored

    return hashes
