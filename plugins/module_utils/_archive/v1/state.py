# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The binary and JSON members of a V1 archive: what a server's file store writes, servers 2.9 to 2.14."""

from __future__ import annotations

import struct
from typing import Any

from ..._shape.document import parse_json
from ..bounds import MOST_CONFIG
from ..codec.varint import read_uvarint, read_varint
from ..times import format_ns

_INDEX_MAGIC = 11
_INDEX_VERSIONS = range(1, 5)
_CONSUMER_MAGIC = 22
#: Enough of msgs/index.db for the six numbers that decode_index reads.
INDEX_HEAD = 2 + 6 * 10
_RECORD_HEAD = struct.Struct("<IQqH")
RECORD_HEAD = _RECORD_HEAD.size
_HAS_HEADER = 1 << 31
_ERASED = 1 << 63
_TOMBSTONE = 1 << 62
_MOST_RECORD = 32 * 1024 * 1024


def decode_json(data: bytes, most: int = MOST_CONFIG) -> dict[str, Any]:
    """A meta.inf: an object in JSON. Raises ValueError for anything else, and for one that takes most bytes or more."""
    value = parse_json(data, most)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def decode_index(data: bytes) -> dict[str, Any]:
    """The stream's state from the head of msgs/index.db: messages, bytes, first_seq, first_ts, last_seq, last_ts.

    Raises ValueError for anything that is no index of versions 1 to 4 (servers 2.10 to 2.15).
    """
    if len(data) < 2 or data[0] != _INDEX_MAGIC or data[1] not in _INDEX_VERSIONS:
        raise ValueError("not an index of a known version")
    try:
        messages, pos = read_uvarint(data, 2)
        size, pos = read_uvarint(data, pos)
        first, pos = read_uvarint(data, pos)
        first_ts, pos = read_varint(data, pos)
        last, pos = read_uvarint(data, pos)
        last_ts, pos = read_varint(data, pos)
    except IndexError:
        raise ValueError("cut off") from None
    return {
        "messages": messages,
        "bytes": size,
        "first_seq": first,
        "first_ts": format_ns(first_ts),
        "last_seq": last,
        "last_ts": format_ns(last_ts),
    }


def decode_consumer_state(data: bytes, whole: bool = True) -> dict[str, Any] | None:
    """A consumer's state from o.dat, as report.ArchivedConsumer holds it; None for an empty one.

    whole=False: data is only the head of the file, the lists are not counted. Raises ValueError for anything else.
    """
    if not data:
        return None
    if len(data) < 2 or data[0] != _CONSUMER_MAGIC or data[1] not in (1, 2):
        raise ValueError("not a consumer state of a known version")
    version = data[1]
    try:
        ack_consumer, pos = read_uvarint(data, 2)
        ack_stream, pos = read_uvarint(data, pos)
        consumer, pos = read_uvarint(data, pos)
        stream, pos = read_uvarint(data, pos)
        if version == 1:
            # The first version counted from the floor and stored the next to deliver.
            consumer += max(ack_consumer, 1) - 1
            stream += max(ack_stream, 1) - 1
        if ack_stream >= _ERASED or stream >= _ERASED:
            raise ValueError("sequences out of range")
        pending, pos = read_uvarint(data, pos)
        redelivered = None
        if whole:
            if pending:
                pos = read_varint(data, pos)[1]
                pos = _skip_numbers(data, pos, pending * (3 if version == 2 else 2))
            redelivered, pos = read_uvarint(data, pos)
            _skip_numbers(data, pos, redelivered * 2)
    except IndexError:
        raise ValueError("cut off") from None
    return {
        "delivered": {"consumer_seq": consumer, "stream_seq": stream},
        "ack_floor": {"consumer_seq": ack_consumer, "stream_seq": ack_stream},
        "num_ack_pending": pending,
        "num_redelivered": redelivered,
    }


def _skip_numbers(data: bytes, pos: int, count: int) -> int:
    if count > len(data) - pos:
        raise ValueError("lists longer than the file")
    for _number in range(count):
        while data[pos] >= 0x80:
            pos += 1
        pos += 1
    return pos


def decode_first_record(data: bytes) -> dict[str, Any] | None:
    """The message at the head of a message block: {"sequence", "subject", "time_ns"}.

    None where data is too short for it or the record is a deleted message's, which says nothing about the first one.
    Raises ValueError for what cannot be a record.
    """
    if len(data) < RECORD_HEAD:
        return None
    length, sequence, time_ns, subject_size = _RECORD_HEAD.unpack_from(data)
    length &= ~_HAS_HEADER
    if not RECORD_HEAD + subject_size <= length <= _MOST_RECORD:
        raise ValueError("a message block that does not begin with a message")
    if sequence & (_ERASED | _TOMBSTONE):
        return None
    if len(data) < RECORD_HEAD + subject_size or not sequence or not subject_size:
        return None
    subject = data[RECORD_HEAD : RECORD_HEAD + subject_size].decode("utf-8", "surrogateescape")
    return {"sequence": sequence, "subject": subject, "time_ns": time_ns}


def decode_consumer_positions(data: bytes) -> dict[str, Any]:
    """A consumer's whole state from o.dat, as V2 archives have it: delivered, ack_floor, pending, redelivered.

    Raises ValueError as decode_consumer_state does.
    """
    summary = decode_consumer_state(data)
    nothing = {"consumer_seq": 0, "stream_seq": 0}
    if summary is None:
        return {"delivered": nothing, "ack_floor": dict(nothing)}
    state: dict[str, Any] = {key: summary[key] for key in ("delivered", "ack_floor")}
    version, pos = data[1], 2
    for _number in range(4):
        pos = read_uvarint(data, pos)[1]
    floor = summary["ack_floor"]
    count, pos = read_uvarint(data, pos)
    pending = {}
    if count:
        base, pos = read_varint(data, pos)
    for _message in range(count):
        stream, pos = read_uvarint(data, pos)
        consumer = 0
        if version == 2:
            consumer, pos = read_uvarint(data, pos)
        ago, pos = read_varint(data, pos)
        seconds = base - ago if version == 2 else base + ago
        number = consumer + floor["consumer_seq"] if version == 2 else 0
        pending[str(stream + floor["stream_seq"])] = {"Sequence": number, "Timestamp": seconds * 1_000_000_000}
    count, pos = read_uvarint(data, pos)
    redelivered = {}
    for _message in range(count):
        stream, pos = read_uvarint(data, pos)
        times, pos = read_uvarint(data, pos)
        redelivered[str(stream + floor["stream_seq"])] = times
    if pending:
        state["pending"] = pending
    if redelivered:
        state["redelivered"] = redelivered
    return state
