# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The replicas of consumers in an archive, changed without writing it anew: one digit each, in few of its blocks."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ..._files.reading import DATA, open_file
from ..codec.s2 import Frame, FrameParser, decode_frame, stored_frame
from ..reader import frames_of
from ..v1.tarball import TarWalker
from ..v2.entries import EntryParser
from ..v2.walk import CONSUMER_PREFIX, EntryOrder, subject_text

# As servers write it. In a text within the JSON the quotes have a backslash.
_REPLICAS = re.compile(rb'"num_replicas":([0-9])(?=[,}])')
_CONSUMER_META = re.compile(r"obs/([^/]+)/meta\.inf")
_MOST_META = 1024 * 1024


class Edit(NamedTuple):
    """Bytes of the file from offset on, length of them, that are to be others."""

    offset: int
    length: int
    data: bytes


class _Frame(NamedTuple):
    start: int
    offset: int
    length: int


class _Index:
    """Where the frames of the file are, by the decoded byte each begins with; and which digits are to change."""

    def __init__(self, wanted: Mapping[str, int], most: int) -> None:
        self.frames: list[_Frame] = []
        self.digits: list[tuple[int, int]] = []
        self._wanted = wanted
        self._most = most
        self._size = 0

    def frame(self, frame: Frame) -> None:
        self.frames.append(_Frame(self._size, frame.offset, frame.length))
        self._size += frame.raw_length

    def consumer(self, name: str, content: bytes, offset: int) -> None:
        found = _REPLICAS.search(content)
        if found is None:
            return
        number = min(self._wanted.get(name, int(found[1])), self._most)
        if number != int(found[1]):
            self.digits.append((offset + found.start(1), number))


def with_replicas(path: str, format_name: str | None, wanted: Mapping[str, int], most: int) -> list[Edit]:
    """What to change so that each consumer has the replicas that are wanted for its name, and none more than most.

    Raises ArchiveError, OSError.
    """
    index = _Index(wanted, most)
    (_read_v2 if format_name == "V2" else _read_v1)(Path(path), index)
    by_frame: dict[_Frame, list[tuple[int, int]]] = {}
    starts = [frame.start for frame in index.frames]
    for place, number in index.digits:
        frame = index.frames[bisect.bisect_right(starts, place) - 1]
        by_frame.setdefault(frame, []).append((place - frame.start, number))
    return list(_edits(path, by_frame)) if by_frame else []


def _edits(path: str, by_frame: dict[_Frame, list[tuple[int, int]]]) -> Iterator[Edit]:
    with open_file(path, DATA) as file:
        for frame, places in sorted(by_frame.items()):
            file.seek(frame.offset)
            (found,) = FrameParser(frame.offset).feed(file.read(frame.length))
            data = bytearray(decode_frame(found))
            for place, number in places:
                data[place : place + 1] = str(number).encode()
            yield Edit(frame.offset, frame.length, stored_frame(bytes(data)))


def _read_v2(path: Path, index: _Index) -> None:
    parser, order = EntryParser(headers=False, payloads=False), EntryOrder()
    head = bytearray()
    name, begun = "", -1
    for frame in frames_of(path):
        index.frame(frame)
        data = decode_frame(frame)
        head += data
        for entry in parser.feed(data):
            if begun >= 0:
                index.consumer(name, bytes(head[begun : entry.offset]), begun)
            order.accept(entry)
            consumer = not entry.sequence and entry.name.startswith(CONSUMER_PREFIX)
            name, begun = subject_text(entry.name[len(CONSUMER_PREFIX) :]), entry.offset if consumer else -1
            if begun < 0 and order.state is not None and not order.consumers_left:
                return


def _read_v1(path: Path, index: _Index) -> None:
    walker = TarWalker(lambda name, size: min(size, _MOST_META) if _CONSUMER_META.fullmatch(name) else 0)
    for frame in frames_of(path):
        index.frame(frame)
        for member in walker.feed(frame.raw_length, lambda frame=frame: decode_frame(frame)):  # type: ignore[misc]
            found = _CONSUMER_META.fullmatch(member.name)
            if found is not None:
                index.consumer(found[1], member.head, member.offset)
