# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._archive import times
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.codec import s2, varint
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.errors import ArchiveError
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.subjects import overlaps
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.v2 import entries as natsarc
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.v2 import walk as natswalk
from hypothesis import given
from hypothesis import strategies as st

from . import samples, writers

MESSAGES = [(3, "a.b", b"NATS/1.0\r\nA: b\r\n\r\n", b"one"), (4, "a.c", b"", b""), (9, "d", b"", b"x" * 300)]
entries = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=20),
        st.integers(-(2**63), 2**63 - 1),
        st.integers(0, 2**64 - 1),
        st.binary(max_size=30),
        st.binary(max_size=400),
    ),
    max_size=8,
)


def parse(raw, piece=1 << 20, **options):
    parser = natsarc.EntryParser(**options)
    found = []
    for start in range(0, len(raw), piece):
        found += parser.feed(raw[start : start + piece])
    parser.finish()
    return found


def accept(raw):
    order = natswalk.EntryOrder()
    for entry in parse(raw):
        order.accept(entry)
    return order


@given(value=st.integers(0, 2**64 - 1))
def test_numbers_round_trip(value):
    assert varint.read_uvarint(b"x" + varint.write_uvarint(value), 1) == (value, 1 + len(varint.write_uvarint(value)))
    signed = value - 2**63
    assert varint.read_varint(varint.write_varint(signed), 0)[0] == signed


@pytest.mark.parametrize("data", [b"\xff" * 9 + b"\x02", b"\xff" * 10 + b"\x01", b"\x80" * 11])
def test_numbers_have_64_bits(data):
    with pytest.raises(ValueError, match="64 bits"):
        varint.read_uvarint(data, 0)


@given(parts=entries, piece=st.integers(1, 500))
def test_entries_round_trip(parts, piece):
    raw = natsarc.MAGIC + b"".join(natsarc.write_entry(*part) for part in parts) + bytes(5)
    found = parse(raw, piece)
    assert [(e.name, e.time_ns, e.sequence, e.header, e.payload) for e in found[:-1]] == parts
    assert found[-1].is_end
    lean = parse(raw, piece, headers=False, payloads=False, keep=7)
    assert [e[:5] for e in lean] == [e[:5] for e in found]
    assert [e.offset for e in lean] == [e.offset for e in found]
    for entry, whole in zip(lean, found, strict=True):
        if entry.sequence:
            assert entry.header is None
            assert not entry.payload
        else:
            assert entry.header == whole.header
            assert (entry.payload or b"") == whole.payload[:7]


@pytest.mark.parametrize(
    "numbers",
    [
        (2**60, 0, 1, 0, 0),
        ((1 << 20) + 1, 0, 1, 0, 0),
        (1, 0, 1, 2**60, 0),
        (1, 0, 1, 0, 2**60),
        (1, 0, 1, 2**63, 2**63),
    ],
)
def test_claimed_lengths_are_checked_first(numbers):
    name, time_ns, sequence, header, payload = numbers
    raw = natsarc.MAGIC + b"".join(
        (
            varint.write_uvarint(name),
            varint.write_varint(time_ns),
            varint.write_uvarint(sequence),
            varint.write_uvarint(header),
            varint.write_uvarint(payload),
        )
    )
    with pytest.raises(ArchiveError) as caught:
        parse(raw)
    assert caught.value.error == "v2_entry_invalid"


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"NATSARC2" + bytes(5), "not_an_archive"),
        (b"NATS", "v2_end_missing"),
        (natsarc.MAGIC, "v2_end_missing"),
        (natsarc.MAGIC + bytes(4), "v2_end_missing"),
        (natsarc.MAGIC + bytes(6), "trailing_data"),
        (natsarc.MAGIC + b"\xff" * 11, "v2_entry_invalid"),
        (writers.v2_raw(MESSAGES, end=False), "v2_end_missing"),
        (writers.v2_raw(MESSAGES) * 2, "trailing_data"),
    ],
)
@pytest.mark.parametrize("piece", [1, 1000])
def test_invalid_archives(raw, error, piece):
    with pytest.raises(ArchiveError) as caught:
        parse(raw, piece)
    assert caught.value.error == error


def test_order():
    order = accept(writers.v2_raw(MESSAGES, ("c1", "c2")))
    assert [consumer.name for consumer in order.consumers] == ["c1", "c2"]
    assert order.messages == 3
    assert (order.first.sequence, order.last.sequence) == (3, 9)
    assert accept(writers.v2_raw(state=writers.v2_state((), first_seq=8, last_seq=7))).messages == 0


def state(**changes):
    return writers.v2_state(MESSAGES, **changes)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (natsarc.MAGIC + bytes(5), "v2_order"),
        (natsarc.MAGIC + writers.consumer_entry("c") + bytes(5), "v2_order"),
        (writers.v2_raw(MESSAGES, ("c1",), state(consumers=2)), "v2_order"),
        (writers.v2_raw(MESSAGES, ("c1", "c2"), state(consumers=1)), "v2_order"),
        (writers.v2_raw((), ("c1",), writers.v2_state((), consumers=2)), "v2_order"),
        (writers.v2_raw(MESSAGES, ("c1", "c1")), "v2_consumer_invalid"),
        (writers.v2_raw(MESSAGES[::-1], state=state()), "v2_sequence"),
        (writers.v2_raw(MESSAGES[:1] * 2, state=state()), "v2_sequence"),
        (writers.v2_raw(MESSAGES, state=state(first_seq=4)), "v2_sequence"),
        (writers.v2_raw(MESSAGES, state=state(last_seq=8)), "v2_sequence"),
        (writers.v2_raw(MESSAGES, state=state(messages=8)), "v2_state_invalid"),
        (writers.v2_raw(MESSAGES, state=state(first_seq=0)), "v2_state_invalid"),
        (writers.v2_raw(MESSAGES, state=state(first_seq=11)), "v2_state_invalid"),
        (writers.v2_raw(MESSAGES, state=state(consumer_count=-1)), "v2_state_invalid"),
        (writers.v2_raw(MESSAGES, state=state(bytes="many")), "v2_state_invalid"),
        (writers.v2_raw(MESSAGES, state=[1]), "v2_state_invalid"),
    ],
)
def test_what_a_server_refuses(raw, error):
    with pytest.raises(ArchiveError) as caught:
        accept(raw)
    assert caught.value.error == error


@pytest.mark.parametrize(
    "changes",
    [
        {"config": None},
        {"state": None},
        {"state": {}},
        {"config": [1]},
        {"state": {"delivered": 1, "ack_floor": 1}},
        {
            "state": {
                "delivered": {"consumer_seq": -1, "stream_seq": 0},
                "ack_floor": {"consumer_seq": 0, "stream_seq": 0},
            }
        },
        {"state": {"delivered": {"consumer_seq": 1}, "ack_floor": {"consumer_seq": 0, "stream_seq": 0}}},
    ],
)
def test_invalid_consumers(changes):
    raw = writers.v2_raw(MESSAGES, (), state(consumers=1), end=False)
    head = writers.v2_raw((), (), state(consumers=1), end=False)
    raw = head + writers.consumer_entry("c", **changes) + raw[len(head) :] + bytes(5)
    with pytest.raises(ArchiveError) as caught:
        accept(raw)
    assert caught.value.error == "v2_consumer_invalid"


def test_deeply_nested_json_is_refused():
    deep = b"[" * 200_000
    with pytest.raises(ArchiveError) as caught:
        accept(natsarc.MAGIC + natsarc.write_entry(b"state.json", 1, 0, b"", deep) + bytes(5))
    assert caught.value.error == "v2_state_invalid"


def test_the_long_lists_of_a_large_consumer_are_not_kept():
    pair = {"consumer_seq": 5, "stream_seq": 6}
    pending = {str(number): {"Sequence": number, "Timestamp": 1} for number in range(1, 500)}
    entry = writers.consumer_entry("big", state={"delivered": pair, "ack_floor": pair, "pending": pending})
    raw = writers.v2_raw((), (), writers.v2_state((), consumers=1), end=False) + entry + bytes(5)
    order = natswalk.EntryOrder()
    # state.json and the rest of the consumer fit, the list does not.
    for found in parse(_dense(raw), keep=400):
        order.accept(found)
    (consumer,) = order.consumers
    assert consumer.state == {"delivered": pair, "ack_floor": pair, "num_ack_pending": None, "num_redelivered": None}
    assert accept(_dense(raw)).consumers[0].state["num_ack_pending"] == 499


def _dense(raw):
    """The same archive with JSON as servers write it, without spaces."""
    entries_found = parse(raw)
    return natsarc.MAGIC + b"".join(
        natsarc.write_entry(
            e.name, e.time_ns, e.sequence, e.header, e.payload.replace(b", ", b",").replace(b": ", b":")
        )
        for e in entries_found
    )


@pytest.mark.parametrize("path", samples.V2, ids=samples.name)
def test_walk_gives_what_a_client_saw(path):
    expected = samples.load(path, "expected.json")
    messages = list(natswalk.walk(samples.data_file(path), payloads=True))
    assert [(m.sequence, m.subject, m.time_ns, m.header, m.payload) for m in messages] == [
        (m["seq"], m["subject"], times.parse_ns(m["time"]), base64.b64decode(m["hdrs"]), base64.b64decode(m["data"]))
        for m in expected["messages"]
    ]
    lean: Any = list(natswalk.walk(samples.data_file(path), headers=False))
    assert [m.payload_size for m in lean] == [len(base64.b64decode(m["data"])) for m in expected["messages"]]
    assert not any(m.header or m.payload for m in lean)


def test_walk_over_many_blocks(tmp_path):
    messages = [(number, f"s.{number % 7}", b"", b"%d" % number * 40) for number in range(1, 2000)]
    file = tmp_path / "archive"
    for stream in (
        writers.compressed_stream(writers.v2_raw(messages), 5000),
        s2.encode_stored(writers.v2_raw(messages), 777),
    ):
        file.write_bytes(stream)
        found = list(natswalk.walk(file, payloads=True))
        assert [(m.sequence, m.subject, m.header, m.payload) for m in found] == messages
    file.write_bytes(stream[:-1])
    with pytest.raises(ArchiveError) as caught:
        list(natswalk.walk(file))
    assert caught.value.error == "s2_truncated"


def test_walk_stops(tmp_path):
    file = tmp_path / "archive"
    file.write_bytes(s2.encode_stored(writers.v2_raw(MESSAGES)))
    assert list(natswalk.walk(file, stop=lambda: True)) == []


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T16:51:48.444837621Z",
        "2026-11-22T16:51:48Z",
        "1969-12-31T23:59:59.5Z",
        "0999-01-01T00:00:00.000000001Z",
        times.ZERO,
    ],
)
def test_times_round_trip(text):
    assert times.format_ns(times.parse_ns(text)) == text


def test_times():
    assert times.parse_ns("1970-01-01T00:00:01.5+00:00") == 1_500_000_000
    assert times.parse_ns("1970-01-01T02:00:00+02:00") == 0
    assert times.format_ns(2**63 * 1000) == times.ZERO
    for wrong in ("", "2026-11-22", "2026-13-22T00:00:00Z", "2026-11-22T16:51:48.1234567890Z"):
        with pytest.raises(ValueError, match=r"time|month"):
            times.parse_ns(wrong)


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.b", "a", False),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        (">", "x.y", True),
        ("*.b", "a.*", True),
        ("a.*.c", "*.b.d", False),
    ],
)
def test_overlapping_subjects(one, other, wanted):
    for left, right in ((one, other), (other, one)):
        assert overlaps(left, right) is wanted
