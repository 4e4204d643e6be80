# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The message blocks of a V1 archive: records as a server's file store appends them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple, Union

from ..bounds import MOST_BLOCK, Allowance
from ..codec.s2 import FrameParser, decode_frame
from ..codec.varint import read_uvarint
from ..errors import ArchiveError
from .index import StreamIndex

Buffer = Union[bytes, bytearray, memoryview]

_HEAD = struct.Struct("<IQqH")
_HASH = 8
_LEAST = _HEAD.size + _HASH
_HAS_HEADER = 1 << 31
_ERASED = 1 << 63
_TOMBSTONE = 1 << 62
_MOST_RECORD = 32 * 1024 * 1024
# What a store that compresses puts before a block: a word, the algorithm S2, and the original size.
_COMPRESSED = b"cmp\x01"
_LONGEST_HEAD = 4 + 10


class Record(NamedTuple):
    """A message as stored. size: of its record in bytes, which is what servers count."""

    sequence: int
    time_ns: int
    subject: bytes
    header: bytes
    payload: bytes
    size: int


class BlockParser:
    """Takes one message block in pieces of any size and gives the records in it that hold a message.

    Erased messages and marks of deleted ones are stepped over, the sequences of the marks collected in tombstones.
    Memory: one record. It knows nothing of an index: see live. allowed: what all compressed blocks may become.
    """

    def __init__(self, name: str, allowed: Allowance | None = None) -> None:
        self.name = name
        self._allowed = allowed
        self._expanded = Allowance(MOST_BLOCK)
        self.offset = 0
        self.tombstones: list[int] = []
        self._rest = b""
        self._last = 0
        self._need = _LEAST
        self._frames: FrameParser | None = None
        self._hash = b""
        self._started = False

    def feed(self, data: Buffer) -> Iterator[Record]:
        """The messages that data completes. Raises ArchiveError v1_record_invalid, and those of S2 within the block."""
        if not self._started:
            self._rest += bytes(data)
            if len(self._rest) < _LONGEST_HEAD:
                return
            data, self._rest = self._rest, b""
            data = self._start(data)
        if self._frames is None:
            yield from self._records(bytes(data))
            return
        # The last eight bytes are the last record's hash, kept as it was.
        data = self._hash + bytes(data)
        data, self._hash = data[:-_HASH], data[-_HASH:]
        for frame in self._frames.feed(data):
            for allowed in filter(None, (self._expanded, self._allowed)):
                allowed.take(frame.raw_length, f"member {self.name}")
            yield from self._records(decode_frame(frame))

    def finish(self) -> Iterator[Record]:
        """The last messages. Raises ArchiveError v1_record_invalid where the block ends within a record."""
        if not self._started and self._rest:
            data, self._rest = self._rest, b""
            yield from self._records(self._start(data))
        if self._frames is not None:
            self._frames.finish()
            yield from self._records(self._hash)
        if self._rest:
            raise self._invalid(f"the block ends {len(self._rest)} bytes into a record")

    def _start(self, data: bytes) -> bytes:
        self._started = True
        if not data.startswith(_COMPRESSED):
            return data
        try:
            _size, pos = read_uvarint(data, len(_COMPRESSED))
        except (IndexError, ValueError):
            raise self._invalid("a compressed block without its size") from None
        self._frames = FrameParser()
        return data[pos:]

    def _records(self, data: bytes) -> Iterator[Record]:
        if self._rest:
            data = self._rest + data
        pos, end = 0, len(data)
        unpack, least = _HEAD.unpack_from, _LEAST
        while end - pos >= max(self._need, least):
            length, sequence, time_ns, subject_size = unpack(data, pos)
            with_header = length & _HAS_HEADER
            length &= ~_HAS_HEADER
            smallest = least + subject_size + (4 if with_header else 0)
            if not smallest <= length <= _MOST_RECORD:
                self.offset += pos
                raise self._invalid(f"a record of {length} bytes")
            if length > end - pos:
                self._need = length
                break
            self._need = least
            if sequence & _TOMBSTONE:
                self.tombstones.append(sequence & ~_TOMBSTONE)
            elif sequence & _ERASED or sequence <= self._last:
                # A server goes by the first record of a sequence as well.
                self._last = max(self._last, sequence & ~_ERASED)
            else:
                self._last = sequence
                start = pos + _HEAD.size + subject_size
                stop = pos + length - _HASH
                header = b""
                if with_header:
                    size = int.from_bytes(data[start : start + 4], "little")
                    start += 4
                    if size > stop - start:
                        self.offset += pos
                        raise self._invalid(f"headers of {size} bytes in a record of {length}")
                    header = data[start : start + size]
                    start += size
                subject = data[pos + _HEAD.size : pos + _HEAD.size + subject_size]
                yield Record(sequence, time_ns, subject, header, data[start:stop], length)
            pos += length
        self._rest = data[pos:]
        self.offset += pos

    def _invalid(self, message: str) -> ArchiveError:
        return ArchiveError("v1_record_invalid", message, f"member {self.name}, byte {self.offset}")


def live(record: Record, block: int, index: StreamIndex | None, tombstones: frozenset[int]) -> bool:
    """Is the message still part of its stream, by the index or, without one, by the marks of deleted messages?"""
    if index is None:
        return record.sequence not in tombstones
    return index.holds(block, record.sequence)
