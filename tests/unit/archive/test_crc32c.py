# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.codec import crc32c
from hypothesis import given
from hypothesis import strategies as st

VECTORS = {
    b"": 0x00000000,
    b"a": 0xC1D04330,
    b"123456789": 0xE3069283,
    bytes(32): 0x8A9136AA,
    b"\xff" * 32: 0x62A8AB43,
    bytes(range(32)): 0x46DD794E,
    bytes(range(31, -1, -1)): 0x113FDB5C,
}
ENGINES = {"python": crc32c.python_extend, crc32c.ENGINE: crc32c.extend}


def bytewise(crc, data):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _bit in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@pytest.mark.parametrize("extend", ENGINES.values(), ids=ENGINES)
@pytest.mark.parametrize(("data", "wanted"), VECTORS.items())
def test_known_checksums(extend, data, wanted):
    assert extend(0, data) == wanted


def test_the_sparse_polynomial_is_a_multiple():
    remainder = 0
    for exponent in (crc32c._DEGREE, crc32c._HIGH, crc32c._LOW, 0):
        power = 1
        for _step in range(exponent):
            power <<= 1
            power ^= 0x11EDC6F41 if power >> 32 else 0
        remainder ^= power
    assert remainder == 0


@pytest.mark.parametrize("extend", ENGINES.values(), ids=ENGINES)
@given(seed=st.binary(min_size=1, max_size=200), times=st.integers(1, 200), crc=st.integers(0, 0xFFFFFFFF))
def test_same_as_bit_by_bit(extend, seed, times, crc):
    data = (seed * times)[:6000]
    assert extend(crc, data) == bytewise(crc, data)


@pytest.mark.parametrize("size", [2047, 2048, 2049, 65536, 131072, 131073, 300_001])
def test_large_data_equals_its_parts(size):
    data = os.urandom(size)
    parts = 0
    for start in range(0, size, 1500):  # short enough for the table
        parts = crc32c.python_extend(parts, data[start : start + 1500])
    assert crc32c.python_extend(0, data) == parts == crc32c.python_extend(0, memoryview(data))


def test_masked():
    assert crc32c.masked(0) == 0xA282EAD8
    assert crc32c.masked(0xE3069283) == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) % 2**32
