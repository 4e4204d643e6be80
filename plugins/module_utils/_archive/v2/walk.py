# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A V2 archive as a whole: state.json, then consumers, then messages by rising sequence, then the end marker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Callable, NamedTuple

from ..._files.reading import DATA, open_file
from ..._shape.document import parse_json
from ..bounds import MOST_CONSUMER, MOST_STATE, Allowance, Metadata
from ..codec.s2 import FrameParser, decode_frame
from ..errors import ArchiveError
from ..report import ArchivedConsumer
from .entries import Entry, EntryParser

STATE_NAME = b"state.json"
CONSUMER_PREFIX = b"consumers/"
_READ = 256 * 1024
# A consumer costs this beside its entry.
_CONSUMER_COST = 1024
_COUNTS = ("messages", "bytes", "first_seq", "last_seq", "consumer_count")


class Message(NamedTuple):
    """A stored message. header: the raw NATS header block, empty if none. payload: None where not asked for."""

    sequence: int
    time_ns: int
    subject: str
    header: bytes
    payload_size: int
    payload: bytes | None


def subject_text(name: bytes) -> str:
    """A subject as text; bytes that are not UTF-8 survive a way back by the same rule."""
    return name.decode("utf-8", "surrogateescape")


class EntryOrder:
    """Checks each entry against those before it, as a 2.15 server does on restore.

    state: content of state.json once seen. consumers: those seen. messages: how many were seen. last: the last message.
    end: where the end marker is, once seen. whole: contents holds each consumer's entry as well.
    """

    def __init__(self, whole: bool = False) -> None:
        self.contents: list[dict[str, Any]] = []
        self.state: dict[str, Any] | None = None
        self.state_time = 0
        self.consumers: list[ArchivedConsumer] = []
        self.messages = 0
        self.first: Entry | None = None
        self.last: Entry | None = None
        self.end: int | None = None
        self._names: set[str] = set()
        self._whole = whole
        self._metadata = Metadata()

    @property
    def consumers_left(self) -> int:
        return 0 if self.state is None else self.state["consumer_count"] - len(self.consumers)

    @property
    def most(self) -> int:
        """The highest sequence that a message may have.

        Tools that capture or renumber write the archive's head before they know the last sequence; servers accept it.
        """
        state = self.state or {"first_seq": 1, "last_seq": 0}
        return int(state["last_seq"]) if state["last_seq"] >= state["first_seq"] else (1 << 64) - 1

    def accept(self, entry: Entry) -> None:
        """Raise ArchiveError v2_order, v2_sequence, v2_state_invalid, v2_consumer_invalid for what a server refuses."""
        if self.state is None:
            if entry.name != STATE_NAME:
                raise ArchiveError("v2_order", "the archive does not begin with state.json", entry.place)
            self.state = _state(entry)
            self.state_time = entry.time_ns
        elif self.consumers_left:
            self._accept_consumer(entry)
        elif entry.is_end:
            self.end = entry.offset
        elif not entry.sequence:
            raise ArchiveError("v2_order", f"{_named(entry)} is where a message should be", entry.place)
        else:
            least = self.last.sequence + 1 if self.last else self.state["first_seq"]
            if not least <= entry.sequence <= self.most:
                message = f"message {entry.sequence} is where one from {least} to {self.most} should be"
                raise ArchiveError("v2_sequence", message, entry.place)
            self.first = self.first or entry
            self.last = entry
            self.messages += 1

    def _accept_consumer(self, entry: Entry) -> None:
        if not entry.name.startswith(CONSUMER_PREFIX):
            message = f"{_named(entry)} is where a consumer should be: {self.consumers_left} are missing"
            raise ArchiveError("v2_order", message, entry.place)
        consumer, content = _consumer(entry, self._metadata)
        if consumer.name in self._names:
            raise ArchiveError("v2_consumer_invalid", f"the consumer {consumer.name!r} is there twice", entry.place)
        self._names.add(consumer.name)
        self.consumers.append(consumer)
        if self._whole:
            self.contents.append(content)


def _named(entry: Entry) -> str:
    return "the end marker" if entry.is_end else f"the entry {subject_text(entry.name)[:200]!r}"


def json_object(data: bytes) -> dict[str, Any]:
    """An object in JSON, of a few KiB. Raises ValueError for anything else."""
    value = parse_json(data, MOST_STATE * 16)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def is_count(value: Any) -> bool:
    """An unsigned number of 64 bits, and not a boolean."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64


def _state(entry: Entry) -> dict[str, Any]:
    try:
        if entry.payload_size > MOST_STATE:
            raise ValueError(f"it has {entry.payload_size} bytes")
        state = json_object(entry.payload or b"")
        for key in _COUNTS:
            if not is_count(state.setdefault(key, 0)):
                raise ValueError(f"{key} is {state[key]!r}")
        first, last, messages = state["first_seq"], state["last_seq"], state["messages"]
        if first == 0:
            if last or messages:
                raise ValueError("messages, but no first sequence")
        elif messages > last - first + 1 or last + 1 < first:
            raise ValueError(f"{messages} messages do not fit between {first} and {last}")
        return state
    except ValueError as error:
        raise ArchiveError("v2_state_invalid", f"state.json cannot be used: {error}", entry.place) from None


def _consumer(entry: Entry, metadata: Metadata) -> tuple[ArchivedConsumer, dict[str, Any]]:
    name = subject_text(entry.name[len(CONSUMER_PREFIX) :])
    data, whole = entry.payload or b"", True
    if len(data) < entry.payload_size:
        # The long lists are last, so what was collected can be closed before them.
        data, whole = data.rpartition(b',"pending":')[0] + b"}}", False
    try:
        value = metadata.object(data, entry.place, _CONSUMER_COST + len(name))
        config, state = value["config"], value["state"]
        if not isinstance(config, dict):
            raise ValueError("no config")
        summary = {pair: _sequences(state[pair]) for pair in ("delivered", "ack_floor")}
        pending, redelivered = (state.get(key) or {} for key in ("pending", "redelivered"))
        counts = (len(pending), len(redelivered)) if whole else (None, None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"the consumer {name[:200]!r} cannot be used: {error}"
        raise ArchiveError("v2_consumer_invalid", message, entry.place) from None
    summary_all = {**summary, "num_ack_pending": counts[0], "num_redelivered": counts[1]}
    return ArchivedConsumer(name, config, summary_all), value


def _sequences(pair: dict[str, Any]) -> dict[str, int]:
    sequences = {key: pair[key] for key in ("consumer_seq", "stream_seq")}
    if not all(is_count(number) for number in sequences.values()):
        raise ValueError("its sequences are not numbers")
    return sequences


def read_entries(
    path: str | os.PathLike[str],
    headers: bool = True,
    payloads: bool = True,
    stop: Callable[[], bool] | None = None,
    allowed: Allowance | None = None,
) -> Iterator[tuple[Entry, EntryOrder]]:
    """Every entry of a V2 file in order, each checked, the end marker last, with the order's state after it.

    Every block is decoded and its checksum compared. stop is asked now and then; True ends the walk early.
    Raises ArchiveError for damage, OSError where the file cannot be read. Memory: one block and one entry. allowed:
    how much may be decoded. Without payloads, order.contents has what the consumers' entries say.
    """
    frames, parser = FrameParser(), EntryParser(headers, payloads, keep=MOST_CONSUMER)
    order = EntryOrder(whole=not payloads)
    with open_file(path, DATA) as file:
        while not (stop is not None and stop()):
            data = file.read(_READ)
            if not data:
                break
            for frame in frames.feed(data):
                if allowed is not None:
                    allowed.take(frame.raw_length, frame.place)
                for entry in parser.feed(decode_frame(frame)):
                    order.accept(entry)
                    yield entry, order
        else:
            return
    frames.finish()
    parser.finish()


def walk(
    path: str | os.PathLike[str],
    headers: bool = True,
    payloads: bool = False,
    stop: Callable[[], bool] | None = None,
    allowed: Allowance | None = None,
) -> Iterator[Message]:
    """The messages of a V2 file by rising sequence; see read_entries for what is checked and raised."""
    for entry, _order in read_entries(path, headers, payloads, stop, allowed):
        if entry.sequence:
            subject = subject_text(entry.name)
            yield Message(
                entry.sequence,
                entry.time_ns,
                subject,
                entry.header or b"",
                entry.payload_size,
                entry.payload,
            )
