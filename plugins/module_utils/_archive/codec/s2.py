# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The framing of S2 and Snappy streams: chunks with a type, a length and the checksum of what they hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from ..errors import ArchiveError
from .crc32c import crc32c, extend, masked
from .s2_block import MAX_BLOCK, decode_block, raw_length

Buffer = Union[bytes, bytearray, memoryview]

S2_IDENTIFIER = b"\xff\x06\x00\x00S2sTwO"
SNAPPY_IDENTIFIER = b"\xff\x06\x00\x00sNaPpY"
COMPRESSED, STORED, IDENTIFIER = 0x00, 0x01, 0xFF
FIRST_SKIPPABLE = 0x80
_CHECKSUM = 4
_HEADER = 4
_MOST_PIECES = 1024
# What an incompressible block of MAX_BLOCK bytes can grow to: its length, one tag for every 16 MiB, some slack.
_MAX_CHUNK = _CHECKSUM + MAX_BLOCK + MAX_BLOCK // 64 + 64
# Stored blocks this size restore as fast as larger ones and keep every reader's memory low.
STORED_BLOCK = 1024 * 1024


@dataclass(frozen=True)
class Frame:
    """A data chunk.

    kind: COMPRESSED or STORED. offset: of its type byte in the file. length: of the whole chunk, its four bytes of
    header included. crc: the masked CRC-32C of the decoded bytes. raw_length: the number of these. pieces: the chunk's
    bytes after the checksum, as they came in, not copied. starts_stream: a stream identifier came before it.
    """

    kind: int
    offset: int
    length: int
    crc: int
    raw_length: int
    pieces: tuple[memoryview, ...]
    starts_stream: bool = False

    @property
    def payload(self) -> Buffer:
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)

    @property
    def place(self) -> str:
        return f"byte {self.offset}"


def _damaged(frame: Frame) -> ArchiveError:
    return ArchiveError("s2_checksum", "the checksum of a block does not match its content", frame.place)


def check_stored(frame: Frame) -> None:
    """Raise ArchiveError s2_checksum where a STORED frame's content does not match its checksum; copies nothing."""
    crc = 0
    for piece in frame.pieces:
        crc = extend(crc, piece)
    if masked(crc) != frame.crc:
        raise _damaged(frame)


def decode_frame(frame: Frame, check: bool = True) -> bytes:
    """The decoded bytes of a frame, checked unless told not to. Raises ArchiveError s2_checksum, s2_block_invalid."""
    if frame.kind == STORED:
        data = bytes(frame.payload)
    else:
        try:
            data = decode_block(frame.payload)
        except ArchiveError as error:
            raise ArchiveError(error.error, error.message, frame.place) from None
    if check and masked(crc32c(data)) != frame.crc:
        raise _damaged(frame)
    return data


class FrameParser:
    """Takes an S2 stream in pieces of any size and gives its data frames.

    It holds one frame at most, less than 4.1 MiB, as views of what was fed: do not change that afterwards.
    offset: more than 0 to begin within a stream, at the bound of a chunk there.
    """

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset
        self._head = bytearray()
        self._pieces: list[memoryview] = []
        self._wanted = 0
        self._kind = -1
        self._start = 0
        self._skipping = 0
        self._identified = offset > 0
        self._new_stream = False

    def feed(self, data: Buffer) -> list[Frame]:
        """The frames that data completes. Raises ArchiveError s2_frame_invalid, after which the parser is of no use."""
        frames: list[Frame] = []
        view = memoryview(data)
        pos, end = 0, len(view)
        while pos < end:
            if self._skipping:
                taken = min(self._skipping, end - pos)
                self._skipping -= taken
            elif self._kind < 0:
                taken = min(_HEADER - len(self._head), end - pos)
                self._head += view[pos : pos + taken]
                if len(self._head) == _HEADER:
                    self._start = self.offset + taken - _HEADER
                    self._begin()
            else:
                taken = min(self._wanted, end - pos)
                self._pieces.append(view[pos : pos + taken])
                self._wanted -= taken
                if len(self._pieces) % _MOST_PIECES == 0:
                    # A view costs more memory than a few bytes do.
                    self._pieces[-_MOST_PIECES:] = [memoryview(b"".join(self._pieces[-_MOST_PIECES:]))]
                if not self._wanted:
                    frame = self._complete()
                    if frame is not None:
                        frames.append(frame)
            pos += taken
            self.offset += taken
        return frames

    def finish(self) -> None:
        """Raise ArchiveError s2_truncated where the stream ends within a chunk, archive_empty where it has no byte."""
        if not self.offset:
            raise ArchiveError("archive_empty", "the archive is empty", "byte 0")
        if self._head or self._kind >= 0 or self._skipping:
            raise self._invalid(f"the archive ends at byte {self.offset}, within a chunk", "s2_truncated")

    def _begin(self) -> None:
        kind = self._head[0]
        length = int.from_bytes(self._head[1:], "little")
        if kind != IDENTIFIER and not self._identified:
            raise self._invalid("the file does not begin as an S2 stream", "not_an_archive")
        self._head.clear()
        if kind in (COMPRESSED, STORED):
            least = _CHECKSUM + (1 if kind == COMPRESSED else 0)
            most = _MAX_CHUNK if kind == COMPRESSED else _CHECKSUM + MAX_BLOCK
            if not least <= length <= most:
                raise self._invalid(f"a chunk of {length} bytes, outside {least} to {most}")
        elif kind == IDENTIFIER:
            if length != len(S2_IDENTIFIER) - _HEADER:
                raise self._invalid("a stream identifier of a wrong length", self._not_identified)
        elif kind < FIRST_SKIPPABLE:
            raise self._invalid(f"a chunk of the unknown type 0x{kind:02x}")
        else:
            self._skipping = length
            return
        if length:
            self._kind, self._wanted, self._pieces = kind, length, []
            return
        raise self._invalid("an empty chunk")

    def _complete(self) -> Frame | None:
        pieces, kind = self._pieces, self._kind
        self._pieces, self._kind = [], -1
        if kind == IDENTIFIER:
            name = b"".join(pieces)
            if name not in (S2_IDENTIFIER[_HEADER:], SNAPPY_IDENTIFIER[_HEADER:]):
                raise self._invalid("an unknown stream identifier", self._not_identified)
            self._identified = self._new_stream = True
            return None
        length = _HEADER + sum(map(len, pieces))
        checksum, content = _split(pieces, _CHECKSUM)
        if kind == STORED:
            raw = length - _HEADER - _CHECKSUM
        else:
            start, _rest = _split(content, min(5, length - _HEADER - _CHECKSUM))
            try:
                raw, _used = raw_length(start)
            except ArchiveError as error:
                raise self._invalid(error.message, error.error) from None
        first, self._new_stream = self._new_stream, False
        return Frame(kind, self._start, length, int.from_bytes(checksum, "little"), raw, tuple(content), first)

    @property
    def _not_identified(self) -> str:
        return "s2_frame_invalid" if self._identified else "not_an_archive"

    def _invalid(self, message: str, error: str = "s2_frame_invalid") -> ArchiveError:
        return ArchiveError(error, message, f"byte {self._start}")


def _split(pieces: list[memoryview], size: int) -> tuple[bytes, list[memoryview]]:
    """The first size bytes, and the views of the rest."""
    head = bytearray()
    for index, piece in enumerate(pieces):
        taken = size - len(head)
        head += piece[:taken]
        if len(head) == size:
            rest = [piece[taken:]] if taken < len(piece) else []
            return bytes(head), rest + pieces[index + 1 :]
    return bytes(head), []


def stored_frame(data: Buffer) -> bytes:
    """One STORED chunk with at most MAX_BLOCK bytes of data."""
    if len(data) > MAX_BLOCK:
        raise ValueError(f"a block holds at most {MAX_BLOCK} bytes")
    size = (len(data) + _CHECKSUM).to_bytes(3, "little")
    return b"".join((bytes((STORED,)), size, masked(crc32c(data)).to_bytes(_CHECKSUM, "little"), data))


def encode_stored(data: Buffer, block: int = STORED_BLOCK) -> bytes:
    """A whole S2 stream of data in STORED chunks of block bytes: valid everywhere, with no compressor."""
    view = memoryview(data)
    return S2_IDENTIFIER + b"".join(stored_frame(view[pos : pos + block]) for pos in range(0, len(view), block))
