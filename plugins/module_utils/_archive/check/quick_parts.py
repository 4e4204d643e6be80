# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The quick check's view of either format: what to decode of it, and what its head and end say."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import replace
from typing import Any, Callable

from ..bounds import MOST_CONSUMER
from ..codec.s2 import Frame, decode_frame
from ..errors import ArchiveError
from ..report import WARNING, ArchiveReport, Problem
from ..v1.tarball import TarWalker
from ..v1.walk import MemberOrder
from ..v2.entries import MAGIC, Entry, EntryParser, read_numbers
from ..v2.walk import EntryOrder, subject_text

Decode = Callable[[Frame], bytes]

_END_MARKER = bytes(5)
_END = "end of the archive"
# What is kept of the end, in decoded bytes: enough for a last message of 2 MiB, and little enough to keep memory low.
_TAIL_SIZE = 3 * 1024 * 1024
_TAIL_FRAMES = 64
_KEEP_OF_CONSUMER = 1024 * 1024
_NEAR_END = 64 * 1024
# A time of the years 1975 to 2116 takes nine bytes as a varint; the byte before it ends the length of the name.
_TIME = re.compile(rb"(?<=[\x00-\x7f])[\x80-\xff]{8}[\x01-\x7f]")
_LONGEST_NAME_LENGTH = 3


def described(entry: Entry | None) -> dict[str, Any] | None:
    """A message as ArchiveReport holds it."""
    if entry is None:
        return None
    return {"sequence": entry.sequence, "subject": subject_text(entry.name), "time_ns": entry.time_ns}


class QuickTar:
    """A V1 archive: every member's header, and the few members that say what is in it."""

    def __init__(self, whole: bool = False, decode: Decode = decode_frame) -> None:
        self._decode = decode
        self._order = MemberOrder(whole)
        self._walker = TarWalker(self._order.wants)

    @property
    def order(self) -> MemberOrder:
        """The members seen."""
        return self._order

    @property
    def problems(self) -> list[Problem]:
        return self._order.problems

    def frame(self, frame: Frame) -> None:
        for member in self._walker.feed(frame.raw_length, lambda: self._decode(frame)):
            self._order.accept(member)

    def finish(self) -> None:
        self._walker.finish()
        self._order.finish()

    def describe(self, report: ArchiveReport) -> ArchiveReport:
        order = self._order
        return replace(
            report,
            format="V1",
            stream=order.config["name"] if order.config else None,
            config=order.config,
            state=order.state,
            consumers=order.consumers,
            first_message=order.first_message,
            snapshot_time=order.mtime_ns,
        )


class QuickV2:
    """A V2 archive: every entry up to the first message and the rest of its block, then the last entry."""

    def __init__(self, whole: bool = False, decode: Decode = decode_frame) -> None:
        self._decode = decode
        self.problems: list[Problem] = []
        keep = MOST_CONSUMER if whole else _KEEP_OF_CONSUMER
        self._parser = EntryParser(headers=False, payloads=False, keep=keep)
        self._order = EntryOrder()
        self._walking = True
        self._tail: deque[Frame] = deque()
        self._tail_size = 0
        self._frames = 0
        self._last: Entry | None = None

    @property
    def order(self) -> EntryOrder:
        """The entries seen."""
        return self._order

    def frame(self, frame: Frame) -> None:
        self._frames += 1
        self._tail.append(frame)
        self._tail_size += frame.raw_length
        while len(self._tail) > 1 and (self._tail_size > _TAIL_SIZE or len(self._tail) > _TAIL_FRAMES):
            self._tail_size -= self._tail.popleft().raw_length
        if self._walking:
            self._walk(self._decode(frame))
        elif frame.starts_stream and self._decode(frame).startswith(MAGIC):
            raise ArchiveError("trailing_data", "a second archive begins within the file", frame.place)

    def finish(self) -> None:
        if self._walking:
            self._parser.finish()
            self._last = self._order.last
            state = self._order.state
            found = self._order.messages
            if state and state["messages"] > found:
                message = f"{found} messages are in the archive, which says that it has {state['messages']}"
                self.problems.append(Problem("v2_count_low", "state.json", message, WARNING))
            return
        self._search_end()

    def describe(self, report: ArchiveReport) -> ArchiveReport:
        order = self._order
        complete = self._walking and self._parser.ended
        return replace(
            report,
            format="V2",
            state=order.state,
            consumers=tuple(order.consumers),
            first_message=described(order.first),
            last_message=described(self._last),
            complete=complete,
            messages=order.messages if complete else None,
            snapshot_time=order.state_time or None,
        )

    def _walk(self, data: bytes) -> None:
        for entry in self._parser.feed(data):
            self._order.accept(entry)
        # Small archives are walked to their end; of others, the head is enough.
        self._walking = self._order.first is None or self._parser.ended

    def _search_end(self) -> None:
        data = b""
        for index in range(len(self._tail) - 1, -1, -1):
            data = self._decode(self._tail[index]) + data
            if len(data) < len(_END_MARKER):
                continue
            if not data.endswith(_END_MARKER):
                raise ArchiveError("v2_end_missing", "the archive does not end with its end marker", _END)
            self._last = self._entry_before_end(data, max(0, len(data) - _NEAR_END)) or self._entry_before_end(data, 0)
            if self._last is not None:
                return
        message = "the end marker is there, but the last message is too large to be checked against it"
        self.problems.append(Problem("v2_end_unproven", _END, message, WARNING))

    def _entry_before_end(self, data: bytes, begin: int) -> Entry | None:
        """The entry whose content reaches exactly to the end marker: proof that the marker is one."""
        marker = len(data) - len(_END_MARKER)
        for found in reversed([match.start() for match in _TIME.finditer(data, begin, marker)]):
            for start in range(found - 1, max(-1, found - 1 - _LONGEST_NAME_LENGTH), -1):
                entry = self._entry_at(data, start, marker)
                if entry is not None:
                    return entry
        return None

    def _entry_at(self, data: bytes, start: int, marker: int) -> Entry | None:
        try:
            name_size, time_ns, sequence, header, payload, pos = read_numbers(data, start)
        except (IndexError, ValueError):
            return None
        if pos + name_size + header + payload != marker or not name_size:
            return None
        first = self._order.first
        if first is None or not first.sequence <= sequence <= self._order.most:
            return None
        return Entry(data[pos : pos + name_size], time_ns, sequence, header, payload, None, None, start)
