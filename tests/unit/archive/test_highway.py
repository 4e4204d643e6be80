# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checksums of V1 messages: the published test vectors, and the compiled loop against the plain one."""

from __future__ import annotations

import random
import struct

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.check.engine import accelerated
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.codec import highway

# Of HighwayHash's own tests: the key is 0 to 31, the data 0 to n - 1.
KEY = struct.unpack("<4Q", bytes(range(32)))
VECTORS = [
    0x907A56DE22C26E53,
    0x7EAB43AAC7CDDD78,
    0xB8D0569AB0B53D62,
    0x5C6BEFAB8A463D80,
    0xF205A46893007EDA,
    0x2B8A1668E4A94541,
    0xBD4CCC325BEFCA6F,
    0x4D02AE1738F59482,
]


@pytest.mark.parametrize(("size", "expected"), list(enumerate(VECTORS)))
def test_vectors(size: int, expected: int) -> None:
    assert highway.highway64(bytes(range(size)), KEY) == expected


def block(stream: str, number: int, count: int, wrong: set[int]) -> tuple[bytes, list[highway.Place]]:
    """Records of random sizes, of which some have a wrong checksum."""
    chance = random.Random(number)
    key = highway.key_of(stream, number)
    data, places = bytearray(), []
    for sequence in range(1, count + 1):
        subject, body = chance.randbytes(chance.randint(1, 60)), chance.randbytes(chance.randint(0, 200))
        header = chance.randbytes(chance.randint(1, 50)) if chance.random() < 0.5 else b""
        size = 22 + len(subject) + (4 + len(header) if header else 0) + len(body) + 8
        head = struct.pack("<IQqH", size | (1 << 31 if header else 0), sequence, chance.getrandbits(60), len(subject))
        hashed = highway.highway64(head[4:20] + subject + header + body, key) ^ (sequence in wrong)
        places.append(highway.Place(sequence, len(data), size, len(subject), bool(header)))
        framed = struct.pack("<I", len(header)) + header if header else b""
        data += head + subject + framed + body + hashed.to_bytes(8, "little")
    return bytes(data), places


def test_wrong_ones_are_found_by_both() -> None:
    wrong = {1, 17, 160}
    data, places = block("ORDERS", 3, 160, wrong)
    assert highway.bad_records(data, places, highway.key_of("ORDERS", 3)) == sorted(wrong)
    engine = accelerated()
    assert engine is not None
    assert engine.bad_records(data, places, highway.key_of("ORDERS", 3)) == sorted(wrong)
    # With another key every one is wrong, which is no damage.
    assert len(highway.bad_records(data, places, highway.key_of("OTHER", 3))) == 160
