# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compiled loops against the plain ones: the same bytes, counts and errors."""

from __future__ import annotations

import random

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.check import compiled, engine, full, tally
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.codec import s2
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.errors import ArchiveError
from hypothesis import given, settings
from hypothesis import strategies as st

from . import samples, writers
from .test_full import many


@pytest.fixture(scope="module")
def fast():
    found = engine.accelerated()
    assert found is not None, "numba, which tests/requirements.txt asks for, is not installed"
    return found


def outcome(function, *arguments):
    try:
        return function(*arguments)
    except ArchiveError as error:
        return error.error, error.message, error.place


@pytest.mark.parametrize("path", samples.BACKUPS, ids=samples.name)
def test_archives_of_real_servers(path, fast):
    found = full.full_file(samples.data_file(path), engine=fast)
    assert found.engine == "numba"
    plain = full.full_file(samples.data_file(path), engine=engine.PYTHON)
    assert found.content == plain.content
    assert found.problems == plain.problems


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 2**32), flips=st.integers(0, 3))
def test_blocks(fast, seed, flips):
    chance = random.Random(seed)
    words = [chance.randbytes(chance.randrange(1, 30)) for _word in range(5)]
    data = b"".join(chance.choice(words) * chance.choice((1, 1, 9, 3000)) for _part in range(chance.randrange(1, 40)))
    block = bytearray(writers.compressed_frame(data[: 1 << 20], seed))
    for _flip in range(flips):
        block[chance.randrange(8, len(block))] ^= 1 << chance.randrange(8)
    frames = outcome(s2.FrameParser().feed, s2.S2_IDENTIFIER + bytes(block))
    for frame in frames if isinstance(frames, list) else ():
        assert outcome(fast.decode, frame) == outcome(s2.decode_frame, frame)


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32), flips=st.integers(0, 3))
def test_entries(fast, seed, flips):
    chance = random.Random(seed)
    raw = bytearray(writers.v2_raw(many(chance.randrange(1, 60), seed), end=chance.random() < 0.7))
    start = raw.index(b"}") + 1
    for _flip in range(flips):
        raw[chance.randrange(start, len(raw))] ^= 1 << chance.randrange(8)
    data = bytes(raw[: chance.randrange(start, len(raw) + 1)])
    results = []
    for scan in (fast.scan_entries, tally.scan_entries):
        count = tally.Tally()
        result = outcome(scan, data, start, 1, (1 << 64) - 1, count)
        results.append((result, count))
    assert results[0] == results[1]


def test_more_entries_than_a_batch(fast, monkeypatch):
    monkeypatch.setattr(compiled, "_BATCH", 10)
    raw = writers.v2_raw(many(95))
    start = raw.index(b"}") + 1
    counts = tally.Tally(), tally.Tally()
    for scan, count in zip((fast.scan_entries, tally.scan_entries), counts, strict=True):
        assert scan(raw, start, 1, 1 << 40, count) == (len(raw), True)
    assert counts[0] == counts[1]
    assert counts[0].messages == 95


def test_the_checksum_without_the_library(fast, monkeypatch):
    monkeypatch.setattr(compiled, "ENGINE", "python")
    for size in (1, 7, 8, 9, 1000):
        (frame,) = s2.FrameParser().feed(writers.compressed_stream(random.Random(size).randbytes(size)))
        assert fast.decode(frame) == s2.decode_frame(frame)


def test_without_numba(monkeypatch):
    monkeypatch.setattr(engine, "_compiled", [])
    monkeypatch.setattr(compiled, "load", lambda: None)
    assert engine.accelerated() is None
    assert engine.choose(1 << 40) is engine.PYTHON


def test_small_files_are_not_worth_it(monkeypatch):
    monkeypatch.setattr(engine, "_compiled", [])
    monkeypatch.setattr(compiled, "load", lambda: pytest.fail("nothing is compiled for a small file"))
    assert engine.choose(1 << 20) is engine.PYTHON
