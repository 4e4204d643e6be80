# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import contextlib
import struct

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._archive import reader, times
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.codec import s2, varint
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.errors import ArchiveError
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.v1 import block as v1block
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.v1 import index as v1index
from hypothesis import given
from hypothesis import strategies as st

from . import samples, writers

ERASED, TOMBSTONE = 1 << 63, 1 << 62


def record(sequence, subject=b"o.1", payload=b"data", header=b""):
    body = (len(header).to_bytes(4, "little") + header if header else b"") + payload
    length = 30 + len(subject) + len(body)
    head = struct.pack("<IQqH", length | (1 << 31 if header else 0), sequence, writers.TIME, len(subject))
    return head + subject + body + bytes(8)


def parse(data, piece=7):
    parser = v1block.BlockParser("msgs/1.blk")
    found = [r for pos in range(0, len(data), piece) for r in parser.feed(data[pos : pos + piece])]
    return [*found, *parser.finish()], parser


@pytest.mark.parametrize("path", samples.BACKUPS, ids=samples.name)
def test_reads_what_a_client_saw(path):
    archive = reader.open_archive(samples.data_file(path))
    expected = samples.load(path, "expected.json")
    assert archive.format == ("V2" if path in samples.V2 else "V1")
    wanted = [
        (
            message["seq"],
            times.parse_ns(message["time"]),
            message["subject"],
            base64.b64decode(message.get("hdrs") or ""),
            base64.b64decode(message.get("data") or ""),
        )
        for message in expected["messages"]
    ]
    for _twice in range(2):
        found = list(archive.messages())
        assert [(m.sequence, m.time_ns, m.subject, m.header, m.payload) for m in found] == wanted
    assert archive.state["messages"] == len(wanted)
    lost = {"inmemory"} if archive.format == "V1" else set()
    assert {consumer.name for consumer in archive.consumers} == expected["consumers"].keys() - lost
    for consumer in archive.consumers:
        seen = expected["consumers"][consumer.name]
        assert consumer.state["delivered"] == seen["delivered"]
        assert consumer.state["ack_floor"] == seen["ack_floor"]
        assert len(consumer.state.get("pending", {})) == seen["num_ack_pending"]
        assert len(consumer.state.get("redelivered", {})) == seen["num_redelivered"]
        assert all(int(number) <= archive.state["last_seq"] for number in consumer.state.get("pending", {}))


def test_a_walk_can_be_stopped():
    for path in (samples.V1[0], samples.V2[0]):
        archive = reader.open_archive(samples.data_file(path))
        assert list(archive.messages(stop=lambda: True)) == []


@given(st.integers(1, 200), st.booleans())
def test_records(piece, compressed):
    data = b"".join(
        (
            record(1, header=b"NATS/1.0\r\n\r\n"),
            record(2 | ERASED, b"", bytes(11)),
            record(1 | TOMBSTONE, b"", b""),
            record(3, b"o.2", b""),
            record(3, b"again", b""),
            record(9),
        )
    )
    if compressed:
        data = b"cmp\x01" + varint.write_uvarint(len(data)) + writers.compressed_stream(data[:-8], 64) + data[-8:]
    found, parser = parse(data, piece)
    assert [(r.sequence, r.subject, r.header, r.payload) for r in found] == [
        (1, b"o.1", b"NATS/1.0\r\n\r\n", b"data"),
        (3, b"o.2", b"", b""),
        (9, b"o.1", b"", b"data"),
    ]
    assert parser.tombstones == [1]
    assert found[0].size == 30 + 3 + 4 + 12 + 4


@pytest.mark.parametrize("length", [0, 29, 32, 33 * 1024 * 1024, (1 << 31) - 1])
def test_a_record_of_an_impossible_length(length):
    damaged = length.to_bytes(4, "little") + record(1)[4:]
    with pytest.raises(ArchiveError) as caught:
        parse(record(1) + damaged + record(2), 4096)
    assert caught.value.error == "v1_record_invalid"
    assert caught.value.place == f"member msgs/1.blk, byte {len(record(1))}"


def test_every_cut_of_a_block_is_found():
    data = record(1) + record(2, header=b"NATS/1.0\r\n\r\n")
    for cut in range(1, len(data)):
        if cut == len(record(1)):
            continue
        with pytest.raises(ArchiveError):
            parse(data[:cut])


def test_headers_longer_than_the_record():
    data = bytearray(record(1, header=b"NATS/1.0\r\n\r\n"))
    data[25:29] = (1 << 30).to_bytes(4, "little")
    with pytest.raises(ArchiveError):
        parse(bytes(data))


def sequence_set(version, base, deleted, words):
    bits = sum(1 << (number - base) for number in deleted)
    node = base.to_bytes(8, "little") + bits.to_bytes(words * 8, "little") + b"\1\0"
    return struct.pack("<BBII", 22, version, 1, len(deleted)) + node


@pytest.mark.parametrize(("version", "words"), [(1, 64), (2, 32)])
@pytest.mark.parametrize("index_version", [1, 2, 3, 4])
def test_the_whole_index(version, words, index_version):
    deleted = [3, 64, 2000]
    u, z = varint.write_uvarint, varint.write_varint
    data = writers.v1_index(5, 80, 2, 2005, index_version)[:-24]
    data += u(2) + u(1) + b"a" + u(1) + u(1) + (u(1) if index_version >= 4 else b"")
    data += u(1) + b"b" + u(2) + u(1) + u(1)
    extra = b"".join(u(0) for _number in range(min(index_version, 3) - 1))
    data += u(1) + u(7) + u(80) + u(1) + z(0) + u(2005) + z(5) + u(3) + extra
    data += sequence_set(version, 0, deleted, words)
    data += u(7) + bytes(8) + bytes(8)
    index = v1index.decode_blocks(data)
    assert index.subjects == 2
    assert [number for number in (1, 2, 3, 4, 63, 64, 2000, 2001, 2005, 2006) if index.holds(7, number)] == [
        2,
        4,
        63,
        2001,
        2005,
    ]
    assert not index.holds(8, 4)
    for cut in range(len(data) - 8):
        with pytest.raises(ValueError, match=r"."):
            v1index.decode_blocks(data[:cut])


@given(st.binary(max_size=300))
def test_any_bytes_are_an_index_or_refused(data):
    for content in (data, b"\x0b\x03" + data):
        with contextlib.suppress(ValueError):
            assert v1index.decode_blocks(content).subjects >= 0


@given(st.binary(max_size=300))
def test_any_bytes_are_a_block_or_refused(data):
    with contextlib.suppress(ArchiveError):
        assert len(parse(data, 50)[0]) <= len(data) // 30


def test_sequences_that_fall_between_blocks(tmp_path):
    members = [(name, content) for name, content in writers.v1_members(blocks=0) if name != "msgs/index.db"]
    members[2:2] = [("msgs/1.blk", record(5)), ("msgs/2.blk", record(4))]
    path = tmp_path / "stream.tar.s2"
    path.write_bytes(s2.encode_stored(writers.v1_raw(members)))
    archive = reader.open_archive(path)
    assert archive.index is None
    with pytest.raises(ArchiveError) as caught:
        list(archive.messages())
    assert caught.value.error == "v1_sequence"


def test_ten_thousand_consumers(tmp_path):
    names = [f"c{number}" for number in range(10_000)]
    path = tmp_path / "stream.tar.s2"
    path.write_bytes(s2.encode_stored(writers.v1_raw(writers.v1_members(consumers=names))))
    found = reader.open_archive(path).consumers
    assert [consumer.name for consumer in found] == names
    assert all(consumer.state["delivered"] == {"consumer_seq": 2, "stream_seq": 2} for consumer in found)
