# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import random
import tracemalloc
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.check import quick as verify
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.codec import s2
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.errors import ArchiveError
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.report import PROBLEMS
from hypothesis import given
from hypothesis import strategies as st

from . import samples, writers

MIB = 1 << 20
MESSAGES = [(number, f"o.{number % 5}", b"", b"payload %d" % number * 9) for number in range(1, 400)]
SMALL_V2 = writers.v2_raw(MESSAGES, ("c1",))
SMALL_V1 = writers.v1_raw(writers.v1_members())


def check(data, piece=1 << 16):
    quick = verify.QuickCheck()
    for start in range(0, len(data), piece):
        quick.feed(data[start : start + piece])
    report = quick.finish()
    assert report == quick.finish()
    assert report.size == len(data)
    assert report.sha256 == hashlib.sha256(data).hexdigest()
    assert all(problem.meaning == PROBLEMS[problem.id] for problem in report.problems)
    return report


def decoded(data):
    return b"".join(map(s2.decode_frame, s2.FrameParser().feed(data)))


def errors(report):
    return [problem.id for problem in report.problems if problem.severity == "error"]


@pytest.mark.parametrize("path", samples.BACKUPS, ids=samples.name)
def test_archives_of_real_servers(path):
    expected, backup = samples.load(path, "expected.json"), samples.load(path)
    report: Any = verify.quick_file(samples.data_file(path))
    assert report == check(samples.data_file(path).read_bytes(), 100)
    assert report.problems == ()
    assert report.valid
    assert report.format == ("V2" if path in samples.V2 else "V1")
    for key in ("messages", "bytes", "first_seq", "last_seq", "first_ts", "last_ts"):
        assert report.state[key] == backup["state"][key]
    lost = {"inmemory"} if report.format == "V1" else set()
    assert {c.name: c.state for c in report.consumers} == {
        name: state for name, state in expected["consumers"].items() if name not in lost
    }
    assert all(consumer.config["ack_policy"] == "explicit" for consumer in report.consumers)
    if report.format == "V1":
        assert report.stream == backup["config"]["name"] == report.config["name"]
    else:
        assert report.complete
        assert report.messages == len(expected["messages"])
        last = expected["messages"][-1]["seq"] if expected["messages"] else None
        assert (report.last_message or {"sequence": None})["sequence"] == last
    if report.first_message is not None:
        assert report.first_message["sequence"] == expected["messages"][0]["seq"]
        assert report.first_message["subject"] == expected["messages"][0]["subject"]
    else:
        assert not expected["messages"] or report.format == "V1"


@pytest.mark.parametrize("path", [p for p in samples.BACKUPS if p.name in ("gaps", "advanced")], ids=samples.name)
def test_every_cut_is_found(path):
    data = samples.data_file(path).read_bytes()
    for cut in range(len(data)):
        report = check(data[:cut], MIB)
        assert not report.valid, cut
        assert errors(report) == ["archive_empty" if not cut else "not_an_archive" if cut == 10 else "s2_truncated"], (
            cut
        )


@pytest.mark.parametrize("path", [p for p in samples.BACKUPS if p.name in ("gaps", "interest")], ids=samples.name)
def test_flipped_bits_are_found(path):
    data = samples.data_file(path).read_bytes()
    rng = random.Random(path.name)
    found = 0
    for position in range(0, len(data), 3):
        damaged = bytearray(data)
        damaged[position] ^= 1 << rng.randrange(8)
        report = check(bytes(damaged), MIB)
        if report.valid:
            # A copy of zeros from another place, for example, is the same content.
            assert decoded(bytes(damaged)) == decoded(data), position
        else:
            assert report.problems[0].place, position
            found += 1
    assert found > len(data) / 3 * 0.9


@pytest.mark.parametrize("raw", [SMALL_V1, SMALL_V2], ids=["V1", "V2"])
@pytest.mark.parametrize("writer", [s2.encode_stored, writers.compressed_stream], ids=["stored", "compressed"])
@pytest.mark.parametrize("block", [200, 4096, MIB])
def test_cut_between_chunks(raw, writer, block):
    data = writer(raw, block)
    assert check(data).problems == ()
    cuts = [frame.offset for frame in s2.FrameParser().feed(data)]
    for cut in cuts[1:]:
        found = errors(check(data[:cut]))
        assert found in (["v2_end_missing"], ["tar_end_missing"]), cut
        if cut > cuts[4 % len(cuts)]:
            break


@pytest.mark.parametrize("raw", [SMALL_V1, SMALL_V2], ids=["V1", "V2"])
@pytest.mark.parametrize("block", [300, MIB])
def test_two_archives_and_trailing_data(raw, block):
    data = s2.encode_stored(raw, block)
    for tail in (data, s2.stored_frame(raw[:600]), s2.stored_frame(b"x")):
        report = check(data + tail)
        assert set(errors(report)) <= {"trailing_data", "v2_end_missing"}
        assert errors(report)
    assert errors(check(data + b"junk"))[0] == "s2_frame_invalid"
    assert errors(check(data + bytes(100)))[0] == "s2_frame_invalid"


def test_concatenated_streams_are_one_archive():
    head, tail = SMALL_V2[:100], SMALL_V2[100:]
    assert check(s2.encode_stored(head) + s2.encode_stored(tail, 999)).problems == ()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "archive_empty"),
        (b"{}", "s2_truncated"),
        (b"PK\x03\x04 a zip file" * 9, "not_an_archive"),
        (s2.S2_IDENTIFIER, "not_an_archive"),
        (s2.encode_stored(b"NATS"), "not_an_archive"),
        (s2.encode_stored(b"NATSARC2" + bytes(900)), "not_an_archive"),
        (s2.encode_stored(bytes(2048)), "not_an_archive"),
        (s2.encode_stored(b"text " * 500), "not_an_archive"),
        (s2.encode_stored(b"NATSARC1"), "v2_end_missing"),
        (s2.encode_stored(b"NATSARC1", 3), "v2_end_missing"),
        (s2.encode_stored(b"NATSARC1" + bytes(5)), "v2_order"),
        (s2.encode_stored(writers.v2_raw(MESSAGES[:2], state=writers.v2_state(MESSAGES, consumers=1))), "v2_order"),
    ],
)
def test_what_is_no_archive(data, error):
    report = check(data)
    assert errors(report) == [error]
    assert report.format in (None, "V2")


def large_v2(payload, count=6):
    return writers.v2_raw([(number, "big", b"", payload) for number in range(1, count + 1)])


@pytest.mark.parametrize("payload", [os.urandom(300_000), bytes(300_000), b"\xff" * 300_000, SMALL_V2[:200_000]])
def test_the_end_of_a_large_archive(payload):
    raw = large_v2(payload)
    report = check(s2.encode_stored(raw, 1 << 18))
    assert report.problems == ()
    assert not report.complete
    assert report.last_message == {"sequence": 6, "subject": "big", "time_ns": writers.TIME + 6}
    for wrong in (raw[:-1], raw[:-5], raw + b"\0"):
        report = check(s2.encode_stored(wrong, 1 << 18))
        assert report.problems
        assert {problem.id for problem in report.problems} <= {"v2_end_missing", "v2_end_unproven"}
        assert report.last_message is None


@pytest.mark.parametrize("wrong", [False, True])
def test_an_end_that_quick_cannot_prove_is_settled(tmp_path, wrong):
    raw = large_v2(bytes(5 * MIB), 2)
    data = s2.encode_stored(raw[: -5 * MIB] if wrong else raw)
    report = check(data)
    assert [problem.id for problem in report.problems] == ["v2_end_unproven"]
    assert report.valid
    file = tmp_path / "archive"
    file.write_bytes(data)
    settled: Any = verify.quick_file(file)
    assert errors(settled) == (["v2_end_missing"] if wrong else [])
    assert len(settled.problems) == wrong
    if not wrong:
        assert settled.last_message["sequence"] == 2


def test_a_damaged_stored_block_in_the_middle():
    data = bytearray(s2.encode_stored(large_v2(os.urandom(300_000))))
    data[len(data) // 2] ^= 1
    report = check(bytes(data))
    assert errors(report) == ["s2_checksum"]
    assert report.problems[0].place.startswith("byte ")


def test_fewer_messages_than_announced():
    report = check(s2.encode_stored(writers.v2_raw(MESSAGES, state=writers.v2_state(MESSAGES, messages=399))))
    assert report.problems == ()
    kept = MESSAGES[:100] + MESSAGES[200:]
    report = check(s2.encode_stored(writers.v2_raw(kept, state=writers.v2_state(MESSAGES))))
    assert [(problem.id, problem.severity) for problem in report.problems] == [("v2_count_low", "warning")]


def test_v1_problems_reach_the_report():
    members = [*writers.v1_members(), ("errors.txt", b"Could not read message block [7]"), ("../x", b"")]
    report = check(s2.encode_stored(writers.v1_raw(members)))
    assert errors(report) == ["errors_txt", "tar_member_unsafe"]
    assert report.stream == "ORDERS"


def test_memory_is_bounded():
    quick = verify.QuickCheck()
    header = bytes((1,)) + (MIB + 4).to_bytes(3, "little")
    raw = bytearray(large_v2(bytes(MIB), 24))
    stream = s2.encode_stored(raw)
    assert stream[10:14] == header
    del raw
    tracemalloc.start()
    try:
        for start in range(0, len(stream), 1 << 17):
            quick.feed(bytes(stream[start : start + (1 << 17)]))
        report = quick.finish()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report.problems == ()
    assert peak < 12 * MIB


def test_compression_bombs_stay_bounded():
    bomb = writers.compressed_frame(bytes(4 * MIB))
    head = s2.stored_frame(writers.v2_raw(MESSAGES, end=False))
    tracemalloc.start()
    try:
        for first in (head, b""):
            report = check(s2.S2_IDENTIFIER + first + bomb * 300)
            assert not report.valid or report.problems
        assert tracemalloc.get_traced_memory()[1] < 40 * MIB
    finally:
        tracemalloc.stop()


def test_stop(tmp_path):
    file = tmp_path / "archive"
    file.write_bytes(s2.encode_stored(SMALL_V2))
    with pytest.raises(ArchiveError) as caught:
        verify.quick_file(file, stop=lambda: True)
    assert caught.value.error == "stopped"
    with pytest.raises(FileNotFoundError):
        verify.quick_file(tmp_path / "missing")


GOOD = [samples.data_file(path).read_bytes() for path in samples.BACKUPS if path.name in ("gaps", "kv_settings")]
GOOD += [s2.encode_stored(SMALL_V1, 700), s2.encode_stored(SMALL_V2, 700), writers.compressed_stream(SMALL_V2, 5000)]


@given(
    data=st.sampled_from(GOOD),
    piece=st.integers(50, 5000),
    start=st.integers(0, 1 << 16),
    dropped=st.integers(0, 300),
    added=st.binary(max_size=40),
)
def test_any_damage_is_reported_and_never_raises(data, piece, start, dropped, added):
    start %= len(data)
    damaged = data[:start] + added + data[start + dropped :]
    report = check(damaged, piece)
    assert report.valid == (damaged == data) or not report.valid or dropped or added


@given(data=st.binary(max_size=600), kind=st.sampled_from([b"", s2.S2_IDENTIFIER]))
def test_random_bytes_never_raise(data, kind):
    assert not check(kind + data).valid


@given(raw=st.binary(max_size=600), head=st.sampled_from([b"", b"NATSARC1", SMALL_V2[:170], SMALL_V1[:1600]]))
def test_random_content_never_raises(raw, head):
    report = check(s2.encode_stored(head + raw, 100))
    assert not report.valid or report.problems or raw
