# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A part of an archive, in either format, as a V2 archive: up to a moment, from one on, some subjects only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Callable, Union

from ..reader import Archive, Consumer
from ..times import format_ns
from ..v2.walk import Message
from ..v2.writer import ArchiveWriter
from .selection import Selection

Stop = Union[Callable[[], bool], None]

_MOST_KNOWN = 100_000
_RECORD, _HEADER_SIZE = 30, 4


@dataclass(frozen=True)
class Rewritten:
    """What was written. moved, left_out: names of consumers that were ahead of the cut. largest: (bytes, sequence)."""

    state: dict[str, Any]
    consumers: tuple[Consumer, ...]
    moved: tuple[str, ...]
    left_out: tuple[str, ...]
    largest: tuple[int, int]


class _Counter:
    """The state of the new stream, as its messages go by."""

    def __init__(self, archive: Archive, selection: Selection) -> None:
        self._selection = selection
        self._known: dict[str, bool] = {}
        state = archive.state
        self.messages = self.bytes = 0
        self.first: Message | None = None
        self.last: Message | None = None
        self.largest = (0, 0)
        self.cut = selection.until_seq is not None or selection.until_ns is not None
        self._end = int(state.get("last_seq") or 0)
        self._reached = 0

    def wants(self, message: Message) -> bool:
        """Judge the next message, and count it if it is wanted."""
        if not self._selection.before_end(message):
            return False
        self._reached = message.sequence
        if not self._selection.after_begin(message) or not self._takes(message.subject):
            return False
        size = message.payload_size + len(message.header)
        self.messages += 1
        subject = len(message.subject.encode("utf-8", "surrogateescape"))
        self.bytes += size + subject + _RECORD + (_HEADER_SIZE if message.header else 0)
        self.first = self.first or message
        self.last = message
        if size > self.largest[0]:
            self.largest = size, message.sequence
        return True

    def _takes(self, subject: str) -> bool:
        found = self._known.get(subject)
        if found is None:
            found = self._selection.takes(subject)
            if len(self._known) < _MOST_KNOWN:
                self._known[subject] = found
        return found

    @property
    def last_seq(self) -> int:
        """Where the new stream ends: at the cut, or where the old one did."""
        if not self.cut:
            return max(self._end, self._reached)
        until = self._selection.until_seq
        if until is not None and self._selection.until_ns is None:
            return min(until, max(self._end, self._reached))
        return self._reached

    def state(self) -> dict[str, Any]:
        """As in state.json."""
        last, first = self.last_seq, self.first.sequence if self.first else self.last_seq + 1
        return {
            "messages": self.messages,
            "bytes": self.bytes,
            "first_seq": first,
            "first_ts": format_ns(self.first.time_ns if self.first else 0),
            "last_seq": last,
            "last_ts": format_ns(self.last.time_ns if self.last else 0),
            "num_deleted": max(0, last - first + 1 - self.messages),
        }


def rewrite(
    archive: Archive, selection: Selection, ahead: str, file: BinaryIO | None, time_ns: int, stop: Stop = None
) -> Rewritten:
    """Write the selected part of archive into an empty file as V2; without a file, only find out what it would be.

    ahead: "move" brings consumers that are ahead of the cut back to it, "leave_out" leaves them out. time_ns: of the
    entries that are no messages. Raises ArchiveError for damage, OSError.
    """
    writer = ArchiveWriter(file, archive.consumers, time_ns) if file is not None else None
    counter = _Counter(archive, selection)
    waiting = {int(number) for one in archive.consumers for key in _LISTS for number in one.state.get(key) or {}}
    kept: set[int] = set()
    for message in archive.messages(payloads=writer is not None, stop=stop):
        if counter.wants(message):
            if message.sequence in waiting:
                kept.add(message.sequence)
            if writer is not None:
                writer.message(message)
    state = counter.state()
    consumers, moved, left_out = [], [], []
    for consumer in archive.consumers:
        is_ahead = counter.cut and position(consumer.state) > state["last_seq"]
        if is_ahead and ahead == "leave_out":
            left_out.append(consumer.name)
            continue
        if is_ahead:
            moved.append(consumer.name)
        consumers.append(_cut(consumer, state["last_seq"] if counter.cut else None, kept))
    if writer is not None:
        writer.finish(state, tuple(consumers))
    state["consumer_count"] = len(consumers)
    return Rewritten(state, tuple(consumers), tuple(moved), tuple(left_out), counter.largest)


_PAIRS = ("delivered", "ack_floor")
_LISTS = ("pending", "redelivered")


def position(state: dict[str, Any]) -> int:
    """How far a consumer is in its stream."""
    return max(int((state.get(pair) or {}).get("stream_seq") or 0) for pair in _PAIRS)


def _cut(consumer: Consumer, last: int | None, kept: set[int]) -> Consumer:
    state = dict(consumer.state)
    for pair in _PAIRS:
        if last is not None and state[pair]["stream_seq"] > last:
            state[pair] = {**state[pair], "stream_seq": last}
    for key in _LISTS:
        left = {number: value for number, value in (state.pop(key, None) or {}).items() if int(number) in kept}
        if left:
            state[key] = left
    return replace(consumer, state=state)
