# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import tarfile
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.codec import varint
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.errors import ArchiveError
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.v1 import (
    state as v1state,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.v1 import (
    tarball,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.v1 import (
    walk as v1walk,
)
from hypothesis import given
from hypothesis import strategies as st

from . import writers


def walk(raw, block=1 << 16, wants=None):
    """(order, blocks that were decoded)"""
    order = v1walk.MemberOrder()
    walker = tarball.TarWalker(wants or order.wants)
    decoded = []
    for start in range(0, len(raw), block):
        data = raw[start : start + block]

        def decode(data=data, start=start):
            decoded.append(start)
            return data

        for member in walker.feed(len(data), decode):
            order.accept(member)
    walker.finish()
    order.finish()
    return order, decoded


def problems(members, **options):
    return [problem.id for problem in walk(writers.v1_raw(members, **options))[0].problems]


@pytest.mark.parametrize("block", [1, 100, 512, 1000, 1 << 16])
def test_a_good_archive(block):
    order, _decoded = walk(writers.v1_raw(writers.v1_members(consumers=("c1", "ü" * 120))), block)
    assert order.problems == []
    assert order.config == {"name": "ORDERS", "subjects": ["o.>"]}
    assert order.created == "2026-01-01T00:00:00Z"
    assert order.state["messages"] == 2
    assert [consumer.name for consumer in order.consumers] == ["c1", "ü" * 120]
    assert order.consumers[0].config == {"name": "c1"}
    assert order.consumers[0].state["delivered"] == {"consumer_seq": 2, "stream_seq": 2}
    assert order.first_message == {"sequence": 1, "subject": "o.1", "time_ns": writers.TIME}
    assert abs(order.mtime_ns - writers.TIME) < 10_000  # tarfile keeps it as a float


def test_content_is_not_decoded():
    members = writers.v1_members()
    members[2] = ("msgs/1.blk", members[2][1] * 100)
    raw = writers.v1_raw(members)
    _order, decoded = walk(raw, 4096)
    assert len(decoded) < len(raw) / 4096 / 4


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda m: m[1:], "tar_member_missing"),
        (lambda m: m[:1] + m[2:], "tar_member_order"),
        (lambda m: m[:-1], "tar_member_missing"),
        (lambda m: m[:-3] + m[-2:], "tar_member_missing"),
        (lambda m: [m[1], m[0], *m[2:]], "tar_member_order"),
        (lambda m: [*m[:2], m[3], m[2], *m[4:]], "tar_member_order"),
        (lambda m: [*m[:2], m[3], *m[2:]], "tar_member_duplicate"),
        (lambda m: [m[0], *m], "tar_member_duplicate"),
        (lambda m: [*m[:3], *m[2:]], "tar_member_duplicate"),
        (lambda m: [*m, m[-1]], "tar_member_duplicate"),
        (lambda m: [*m[:-3], m[-2], m[-3], m[-1]], "tar_member_order"),
        (lambda m: [*m[:-3], m[-1], m[-2], m[-3]], "tar_member_order"),
        (lambda m: [*m, ("../../etc/passwd", b"x")], "tar_member_unsafe"),
        (lambda m: [*m, ("/etc/passwd", b"x")], "tar_member_unsafe"),
        (lambda m: [*m, ("obs/../meta.inf", b"x")], "tar_member_unsafe"),
        (lambda m: [*m, ("obs\\c\\o.dat", b"x")], "tar_member_unsafe"),
        (lambda m: [*m, ("obs/a/b/meta.inf", b"{}")], "consumer_name_unsafe"),
        (lambda m: [*m, ("errors.txt", b"Could not read message block [3]")], "errors_txt"),
        (lambda m: [("meta.inf", b"not json"), *m[1:]], "meta_invalid"),
        (lambda m: [("meta.inf", b"[1]"), *m[1:]], "meta_invalid"),
        (lambda m: [("meta.inf", b"{}"), *m[1:]], "meta_invalid"),
        (lambda m: [("meta.inf", b"[" * 100_000), *m[1:]], "meta_invalid"),
        (lambda m: [*m[:2], ("msgs/1.blk", b"no record at all, just text" * 3), *m[3:]], "tar_member_order"),
        (lambda m: [*m[:-1], ("obs/c1/o.dat", b"nonsense")], "consumer_invalid"),
        (lambda m: [*m[:-3], ("obs/c1/meta.inf", b"nonsense"), *m[-2:]], "consumer_invalid"),
    ],
)
def test_wrong_members(change, wanted):
    found = problems(change(writers.v1_members()))
    assert wanted in found


def test_the_error_of_a_server_is_told():
    order, _decoded = walk(writers.v1_raw([*writers.v1_members(), ("errors.txt", b"Could not read block 3")]))
    assert "Could not read block 3" in order.problems[0].message


@pytest.mark.parametrize(
    "change",
    [
        lambda m: [*m, ("extra.txt", b"x")],
        lambda m: [*m[:3], ("msgs/index.db", b"\x01\x02"), *m[4:]],
    ],
)
def test_oddities_are_warnings(change):
    order, _decoded = walk(writers.v1_raw(change(writers.v1_members())))
    assert [problem.severity for problem in order.problems] == ["warning"]


def test_blocks_out_of_order():
    members = writers.v1_members(blocks=3)
    assert problems([*members[:2], members[3], members[2], *members[4:]]) == ["tar_member_order"]


def test_only_plain_files():
    with pytest.raises(ArchiveError) as caught:
        walk(writers.v1_raw([("meta.inf", b"")], kind=tarfile.SYMTYPE))
    assert caught.value.error == "tar_member_unsafe"


def test_problems_are_limited():
    members = writers.v1_members() + [(f"odd/{number}", b"") for number in range(100)]
    assert len(problems(members)) == 20


@pytest.mark.parametrize("block", [512, 1 << 16])
def test_ends(block):
    raw = writers.v1_raw(writers.v1_members())
    assert walk(raw + bytes(5000), block)[0].problems == []
    for cut in (*range(512, len(raw), 512), len(raw) - 1):
        with pytest.raises(ArchiveError) as caught:
            walk(raw[:cut], block)
        assert caught.value.error == "tar_end_missing", cut
    for tail in (b"x", bytes(700) + b"x", raw):
        with pytest.raises(ArchiveError) as caught:
            walk(raw + tail, block)
        assert caught.value.error == "trailing_data"
    with pytest.raises(ArchiveError) as caught:
        walk(raw[:-512] + b"x" * 512, block)
    assert caught.value.error == "tar_header_invalid"


def test_headers_are_checked():
    raw = writers.v1_raw(writers.v1_members())
    found = set()
    for position in range(3 * 512):
        damaged = bytearray(raw)
        damaged[position] ^= 0x10
        try:
            walk(bytes(damaged))
        except ArchiveError as error:
            found.add((error.error, position < 512))
        else:
            # a time in the extended header, or a digit of a checksum that a blank stands for as well
            assert 512 <= position < 1024 or position % 512 in range(148, 156)
    assert found == {("not_an_archive", True), ("tar_header_invalid", False)}


@pytest.mark.parametrize(
    "record", [b"9 size=\n", b"30 size=999999999999999999999\n", b"9 mtime=x\n", b"99 a=b\n", b"x a=b\n", b"5 ab\n"]
)
def test_extended_headers_are_checked(record):
    header = bytearray(512)
    header[0:1], header[124:136], header[156:157], header[257:263] = b"x", b"%011o\0" % len(record), b"x", b"ustar\0"
    header[148:156] = b"%06o\0 " % (sum(header) + 8 * 32)
    with pytest.raises(ArchiveError) as caught:
        walk(bytes(header) + record.ljust(512, b"\0") + writers.v1_raw(writers.v1_members())[1024:])
    assert caught.value.error == "tar_header_invalid"


@given(data=st.binary(max_size=2000), position=st.integers(0, 20_000))
def test_damage_never_crashes(data, position):
    raw = writers.v1_raw(writers.v1_members())
    position %= len(raw)
    damaged = raw[:position] + data + raw[position + len(data) :]
    try:
        order, _decoded = walk(damaged, 512)
    except ArchiveError:
        return
    assert order.config is None or order.config["name"]


def test_index_versions():
    for version in (1, 2, 3, 4):
        state = v1state.decode_index(writers.v1_index(7, 900, 3, 12, version)[: v1state.INDEX_HEAD])
        assert state == {
            "messages": 7,
            "bytes": 900,
            "first_seq": 3,
            "last_seq": 12,
            "first_ts": "2026-11-18T11:06:40.123456789Z",
            "last_ts": "2026-11-18T11:06:40.12345679Z",
        }
    for wrong in (b"", b"\x0b", b"\x0b\x05" + bytes(60), b"\x0c\x01" + bytes(60), b"\x0b\x01\x01"):
        with pytest.raises(ValueError, match=r"index|cut off"):
            v1state.decode_index(wrong)


def consumer_state(version, numbers):
    return bytes((22, version)) + b"".join(map(varint.write_uvarint, numbers))


def test_consumer_states():
    # ack floor 3/5, delivered 9/12, two pending (base time, then sequence, consumer sequence, time), one redelivered
    decode: Any = v1state.decode_consumer_state
    data = consumer_state(2, [3, 5, 9, 12, 2, 3_600_000_000, 1, 1, 4, 2, 2, 4, 1, 1, 2])
    assert decode(data) == {
        "delivered": {"consumer_seq": 9, "stream_seq": 12},
        "ack_floor": {"consumer_seq": 3, "stream_seq": 5},
        "num_ack_pending": 2,
        "num_redelivered": 1,
    }
    head = decode(data[:9], whole=False)
    assert (head["num_ack_pending"], head["num_redelivered"]) == (2, None)
    # version 1 counts from the floor and has no consumer sequences in its list
    old = decode(consumer_state(1, [3, 5, 7, 8, 1, 3_600_000_000, 1, 4, 0]))
    assert old["delivered"] == {"consumer_seq": 9, "stream_seq": 12}
    assert old["num_ack_pending"] == 1
    assert decode(consumer_state(1, [0, 0, 1, 1, 0, 0]))["delivered"]["stream_seq"] == 1
    assert decode(b"") is None


@pytest.mark.parametrize(
    "data",
    [
        b"\x16",
        b"\x16\x03\0\0\0\0\0\0",
        b"\x15\x02\0\0\0\0\0\0",
        b"\x16\x02\x01",
        consumer_state(2, [1, 2**63, 1, 1, 0, 0]),
        consumer_state(2, [1, 1, 1, 1, 2**40, 0]),
        consumer_state(2, [1, 1, 1, 1, 1, 1]),
        consumer_state(2, [1, 1, 1, 1, 0, 9]),
    ],
)
def test_invalid_consumer_states(data):
    with pytest.raises(ValueError, match=r"state|cut|range|lists"):
        v1state.decode_consumer_state(data)


def test_first_records():
    record = writers.v1_members()[2][1]
    first: Any = v1state.decode_first_record(record)
    assert first["subject"] == "o.1"
    assert v1state.decode_first_record(record[:10]) is None
    assert v1state.decode_first_record(record[:23]) is None
    erased = record[:4] + (1 | 1 << 63).to_bytes(8, "little") + record[12:]
    assert v1state.decode_first_record(erased) is None
    with pytest.raises(ValueError, match="begin with a message"):
        v1state.decode_first_record(b"\x01\0\0\0" + record[4:])
