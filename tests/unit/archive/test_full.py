# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
import io
import random
import tarfile
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._archive import reader, times
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.check import (
    consistency,
    full,
    segment,
    tally,
    workers,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.check import (
    quick as verify,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.check.engine import PYTHON
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.codec import s2, varint
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.errors import ArchiveError
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.report import PROBLEMS
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.v2 import entries as natsarc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from . import samples, writers
from .test_reader import record

SMALL = [path for path in samples.BACKUPS if path.name in ("gaps", "compressed", "interest")]
FLIPPED = [path for path in SMALL if samples.name(path) in ("2.10.29-gaps", "2.14.9-compressed", "2.15.2-interest")]


def checked(data, tmp_path, **options):
    path = tmp_path / "archive"
    path.write_bytes(data)
    return full.full_file(path, **{"parallel": False, **options})


def errors(report):
    assert all(problem.meaning == PROBLEMS[problem.id] for problem in report.problems)
    return [problem.id for problem in report.problems if problem.severity == "error"]


@pytest.fixture
def narrow(monkeypatch):
    """Segments of a few blocks, so that small archives have many."""

    def use(size):
        monkeypatch.setattr(full, "_SEGMENT", size)
        monkeypatch.setattr(verify, "_BOUND", max(1, size // 4))

    return use


def many(count, seed=1, largest=400):
    chance = random.Random(seed)
    sequence, messages = 0, []
    for _number in range(count):
        sequence += chance.choice((1, 1, 1, 2, 900))
        size = chance.choice((0, 1, chance.randrange(largest)))
        header = chance.choice((b"", b"", b"NATS/1.0\r\nA: b\r\n\r\n"))
        messages.append((sequence, f"orders.{chance.randrange(40)}", header, chance.randbytes(size)))
    return messages


@pytest.mark.parametrize("path", samples.BACKUPS, ids=samples.name)
def test_archives_of_real_servers(path):
    report = full.full_file(samples.data_file(path))
    expected, backup = samples.load(path, "expected.json")["messages"], samples.load(path)
    assert report.problems == ()
    assert report.engine == "python"
    assert report.content is not None
    assert report.content["messages"] == len(expected) == report.messages
    assert report.complete
    assert report.content["bytes"] == backup["state"]["bytes"]
    assert report.content["subjects"] == len({message["subject"] for message in expected})
    if expected:
        for key, message in (("first", expected[0]), ("last", expected[-1])):
            assert report.content[f"{key}_seq"] == message["seq"]
            assert times.parse_ns(report.content[f"{key}_ts"]) == times.parse_ns(message["time"])
    assert consistency.check_directory_consistency(report, backup) == consistency.check_directory_consistency(
        verify.quick_file(samples.data_file(path)), backup
    )


@pytest.mark.parametrize("size", [40, 300, 5000, 1 << 22])
def test_segments_of_any_size_give_the_same_result(size, narrow, tmp_path):
    raw = writers.v2_raw(many(700), ("c1",))
    for data in (writers.compressed_stream(raw, 97), s2.encode_stored(raw, 1000)):
        whole = checked(data, tmp_path)
        narrow(size)
        assert checked(data, tmp_path) == whole
        assert errors(whole) == []
        assert whole.content["messages"] == 700


def test_messages_larger_than_segments(narrow, tmp_path):
    narrow(2000)
    messages = [(number, "o.1", b"", bytes(30_000 if number % 3 else 10)) for number in range(1, 30)]
    report = checked(s2.encode_stored(writers.v2_raw(messages), 500), tmp_path)
    assert (errors(report), report.content["messages"], report.content["largest"]) == ([], 29, 30_000)


def test_payloads_that_look_like_entries(narrow, tmp_path):
    narrow(3000)
    trap = b"".join(natsarc.write_entry(b"o.1", writers.TIME, 5 + number, b"", b"x" * 20) for number in range(200))
    messages = [(number, "o.1", b"", trap) for number in range(1, 20)]
    report = checked(s2.encode_stored(writers.v2_raw(messages), 500), tmp_path)
    assert (errors(report), report.content["messages"]) == ([], 19)


@pytest.mark.parametrize("path", FLIPPED, ids=samples.name)
def test_every_flipped_bit_that_changes_content_is_found(path, tmp_path):
    """Flips in a chunk's header or tags that decode to the same bytes change nothing that a restore would see."""
    data = samples.data_file(path).read_bytes()
    good = b"".join(map(s2.decode_frame, s2.FrameParser().feed(data)))
    chance = random.Random(str(path))
    found = 0
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << chance.randrange(8)
        if errors(checked(bytes(damaged), tmp_path)):
            found += 1
            continue
        frames = s2.FrameParser().feed(bytes(damaged))
        assert b"".join(map(s2.decode_frame, frames)) == good, position
    assert found > len(data) * 0.9


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.sampled_from(SMALL), st.booleans())
def test_mutated_archives(seed, path, inside):
    """Cuts, copies, moves and noise, in the file or in what it decodes to: judged in bounded time, never a crash."""
    chance = random.Random(seed)
    data = samples.data_file(path).read_bytes()
    if inside:
        data = b"".join(map(s2.decode_frame, s2.FrameParser().feed(data)))
    one, other = sorted(chance.randrange(len(data) + 1) for _position in range(2))
    noise = chance.choice((bytes(8), b"\xff" * 8, chance.randbytes(4), b"\x80" * 9 + b"\x01"))
    mutated = chance.choice(
        (
            data[:one] + data[other:],
            data[:other] + data[one:],
            data[:one] + noise + data[one:],
            data[:one] + noise + data[one + len(noise) :],
            data + data[one:],
        )
    )
    if inside:
        mutated = s2.encode_stored(mutated, 700) if mutated else s2.S2_IDENTIFIER
    with tempfile.TemporaryDirectory() as directory:
        report = checked(mutated, Path(directory))
        if report.valid and report.content and path in samples.V2:
            archive = reader.open_archive(Path(directory) / "archive")
            assert sum(1 for _message in archive.messages()) == report.content["messages"]


def damaged_v2():
    messages = [(number, f"o.{number}", b"", b"data") for number in range(1, 9)]
    raw = writers.v2_raw(messages, ("c1", "c2"))
    entries = [natsarc.write_entry(m[1].encode(), writers.TIME, m[0], m[2], m[3]) for m in messages]
    head = raw[: raw.index(b"\x03", len(natsarc.MAGIC) + 200)]
    end = natsarc.write_entry(b"", 0, 0, b"", b"")
    start = raw.index(b"o.1data") - len(natsarc.write_entry(b"o.1", writers.TIME + 1, 1, b"", b"data")) + 7
    head = raw[:start]
    huge = varint.write_uvarint(3) + varint.write_varint(5) + varint.write_uvarint(2) + b"\0"
    return {
        "falling": (head + entries[0] + entries[2] + entries[1] + end, "v2_sequence"),
        "twice": (head + entries[0] + entries[0] + end, "v2_sequence"),
        "outside": (head + b"".join(entries) + natsarc.write_entry(b"o", 1, 9, b"", b"") + end, "v2_sequence"),
        "no end": (head + b"".join(entries), "v2_end_missing"),
        "trailing": (raw + b"x", "trailing_data"),
        "trailing zeros": (raw + bytes(5), "trailing_data"),
        "two archives": (raw + raw, "trailing_data"),
        "a length of 2^60": (head + huge + varint.write_uvarint(1 << 60) + b"o.1", "v2_entry_invalid"),
        "a length of 2^63": (head + huge + varint.write_uvarint(1 << 63) + b"o.1" + end, "v2_entry_invalid"),
        "no state": (natsarc.MAGIC + entries[0] + end, "v2_order"),
        "a consumer less": (
            writers.v2_raw(messages, ("c1",), writers.v2_state(messages, 2)),
            "v2_order",
        ),
        "a consumer more": (
            writers.v2_raw(messages, ("c1", "c2"), writers.v2_state(messages, 1)),
            "v2_order",
        ),
    }


@pytest.mark.parametrize("size", [60, 1 << 22])
@pytest.mark.parametrize("case", damaged_v2())
def test_damaged_v2(case, size, narrow, tmp_path):
    narrow(size)
    raw, error = damaged_v2()[case]
    for data in (s2.encode_stored(raw, 50), s2.encode_stored(raw), writers.compressed_stream(raw, 64)):
        # What comes behind the end marker hides it from the quick look at the end that comes first.
        assert errors(checked(data, tmp_path))[0] in (error, "v2_end_missing" if "trailing" in case else error)


def v1_with(blocks, index=None):
    members = writers.v1_members(consumers=(), blocks=0)
    members = [member for member in members if member[0] != "msgs/index.db"]
    members += [(f"msgs/{number}.blk", content) for number, content in enumerate(blocks, 1)]
    return writers.v1_raw([*members, *([("msgs/index.db", index)] if index else [])])


V1_BLOCKS = [b"".join(record(number) for number in range(start, start + 20)) for start in (1, 21, 41)]
DAMAGED_V1 = {
    "falling": ([V1_BLOCKS[1], V1_BLOCKS[0]], "v1_sequence"),
    "falling inside": ([record(2) + record(1)], "v1_sequence"),
    "cut": ([V1_BLOCKS[0], V1_BLOCKS[1][:-1]], "v1_record_invalid"),
    "cut at a record's head": ([V1_BLOCKS[0][:-40]], "v1_record_invalid"),
    "a length of 4 GiB": ([V1_BLOCKS[0] + b"\xff" * 40], "v1_record_invalid"),
    "a compressed block that is none": ([b"cmp\x01\x10" + bytes(40)], "v1_record_invalid"),
}


@pytest.mark.parametrize("size", [600, 1 << 22])
@pytest.mark.parametrize("case", DAMAGED_V1)
def test_damaged_v1(case, size, narrow, tmp_path):
    narrow(size)
    blocks, error = DAMAGED_V1[case]
    for data in (s2.encode_stored(v1_with(blocks), 512), writers.compressed_stream(v1_with(blocks), 300)):
        assert error in errors(checked(data, tmp_path))


def test_v1_without_an_index_and_with_compressed_blocks(narrow, tmp_path):
    plain = checked(s2.encode_stored(v1_with(V1_BLOCKS)), tmp_path)
    packed = [b"cmp\x01\x80\x10" + writers.compressed_stream(block[:-8], 90) + block[-8:] for block in V1_BLOCKS]
    narrow(1000)
    report = checked(s2.encode_stored(v1_with(packed), 400), tmp_path)
    assert report.content == plain.content
    assert (errors(report), report.content["messages"]) == ([], 60)


def test_members_of_a_v1_archive_missing_or_exchanged(tmp_path):
    path = next(path for path in samples.V1 if path.name == "gaps")
    raw = b"".join(map(s2.decode_frame, s2.FrameParser().feed(samples.data_file(path).read_bytes())))
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        packed = functools.partial(writers.v1_raw, mtime=tar.getmember("meta.inf").mtime)
        members = [(info.name, (tar.extractfile(info) or io.BytesIO()).read()) for info in tar]
    assert errors(checked(s2.encode_stored(packed(members)), tmp_path)) == []
    without = [member for member in members if not member[0].endswith(".blk")]
    assert errors(checked(s2.encode_stored(packed(without)), tmp_path)) == ["v1_messages_missing"]
    shorter = [(name, data[:-200] if name.endswith(".blk") else data) for name, data in members]
    assert errors(checked(s2.encode_stored(packed(shorter)), tmp_path)) == ["v1_record_invalid"]


def test_an_empty_file_and_one_that_is_none(tmp_path):
    assert errors(checked(b"", tmp_path)) == ["archive_empty"]
    assert errors(checked(b"hello, world", tmp_path)) == ["not_an_archive"]
    assert errors(checked(b"\x00\xff\xff\xff" + bytes(100), tmp_path)) == ["not_an_archive"]


def test_a_block_that_claims_4_gib_allocates_nothing(tmp_path):
    block = b"\xff\xff\xff\xff\x0f" + bytes(100)
    frame = b"\x00" + (len(block) + 4).to_bytes(3, "little") + bytes(4) + block
    tracemalloc.start()
    report = checked(s2.S2_IDENTIFIER + frame, tmp_path)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert errors(report) == ["s2_frame_invalid"]
    assert peak < 4 << 20


def test_processes_give_the_same_result(monkeypatch, tmp_path, narrow):
    narrow(1 << 16)
    monkeypatch.setattr(full, "WORTH_A_PROCESS", 0)
    monkeypatch.setattr(full, "processors", lambda: 2)
    pool = workers.Pool(2)
    monkeypatch.setattr(full, "shared_pool", lambda: pool)
    data = writers.compressed_stream(writers.v2_raw(many(4000)), 1 << 14)
    try:
        alone, spread = checked(data, tmp_path), checked(data, tmp_path, parallel=True)
        assert spread.engine == "python, 2 processes"
        assert spread.content == alone.content
        assert spread.content["messages"] == 4000
        damaged = bytearray(data)
        damaged[len(data) // 2] ^= 4
        report = checked(bytes(damaged), tmp_path, parallel=True)
        assert errors(report)[0].startswith("s2_")
        assert report.problems == checked(bytes(damaged), tmp_path).problems
        for worker in pool._workers:
            worker._process.kill()
            worker._process.wait()
        assert checked(data, tmp_path, parallel=True).content == alone.content
    finally:
        pool.close()


def test_a_file_that_goes_away_is_an_error_of_the_system():
    task = {"path": "/nowhere/at/all", "start": 0, "end": 1, "offset": 0, "pieces": None}
    with pytest.raises(FileNotFoundError):
        segment.run_task(task, PYTHON)
    pool = workers.Pool(1)
    try:
        with pytest.raises(FileNotFoundError):
            pool.submit(task, PYTHON).result(30)
    finally:
        pool.close()


def test_a_check_can_be_stopped(tmp_path):
    with pytest.raises(ArchiveError) as caught:
        checked(s2.encode_stored(writers.v2_raw(many(50))), tmp_path, stop=lambda: True)
    assert caught.value.error == "stopped"


def test_too_many_subjects_are_not_held(monkeypatch, tmp_path):
    monkeypatch.setattr(tally, "MOST_SUBJECTS", 30)
    report = checked(s2.encode_stored(writers.v2_raw(many(300))), tmp_path)
    assert report.content["subjects"] is None
    assert report.content["messages"] == 300


def test_fewer_and_more_messages_than_noted(tmp_path):
    messages = many(10)
    fewer = writers.v2_raw(messages, (), writers.v2_state(messages, messages=12))
    assert [p.id for p in checked(s2.encode_stored(fewer), tmp_path).problems] == ["v2_count_low"]
    more = writers.v2_raw(messages, (), writers.v2_state(messages, messages=8))
    assert [p.id for p in checked(s2.encode_stored(more), tmp_path).problems] == ["v2_count_high"]
