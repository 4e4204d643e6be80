# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether messages are those of a V2 archive, told by the checksums of its blocks, without decoding it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..bounds import allowance
from ..codec.crc32c import crc32c, masked
from ..codec.s2 import Frame, decode_frame
from ..reader import Path, frames_of
from ..v2.entries import EntryParser, write_entry
from .fingerprint import Fields

_END = write_entry(b"", 0, 0, b"", b"")


class Retraced(NamedTuple):
    """same: whether they are. messages, size: how many were taken to tell, and the bytes of their headers and data."""

    same: bool
    messages: int
    size: int


class _Encoded:
    """Messages as the archive has them, a stretch at a time, with the end marker behind the last."""

    def __init__(self, messages: Iterable[Fields]) -> None:
        self._left = iter(messages)
        self._buffer = bytearray()
        self._ended = False
        self.messages = 0
        self.size = 0

    def take(self, count: int) -> bytes | None:
        """The next bytes; None if there are not so many."""
        buffer = self._buffer
        while len(buffer) < count:
            message = next(self._left, None)
            if message is None:
                if self._ended:
                    return None
                self._ended = True
                buffer += _END
                continue
            sequence, time_ns, subject, header, payload = message
            buffer += write_entry(subject, time_ns, sequence, header, payload)
            self.messages += 1
            self.size += len(header) + len(payload)
        taken = bytes(memoryview(buffer)[:count])
        del buffer[:count]
        return taken

    @property
    def exhausted(self) -> bool:
        """Whether everything was taken, the end marker as well."""
        return self._ended and not self._buffer and next(self._left, None) is None


def retrace(path: Path, messages: Iterable[Fields], known: int = 0) -> Retraced:
    """Compare messages (sequence, time, subject, header, payload each) with an archive that was found valid.

    A block counts as the same if its length and its CRC-32C are. Raises ArchiveError, OSError.
    """
    encoded = _Encoded(messages)
    frames = frames_of(path, allowed=allowance(path, known))
    same = _begins(frames, encoded)
    while same:
        frame = next(frames, None)
        if frame is None:
            same = encoded.exhausted
            break
        block = encoded.take(frame.raw_length)
        same = block is not None and masked(crc32c(block)) == frame.crc
    return Retraced(same, encoded.messages, encoded.size)


def _begins(frames: Iterator[Frame], encoded: _Encoded) -> bool:
    """Decode up to the first message, which the archive alone knows, and compare what follows it in that block."""
    parser, head, begin = EntryParser(headers=False, payloads=False), b"", 0
    for frame in frames:
        head += decode_frame(frame)
        for entry in parser.feed(head[len(head) - frame.raw_length :]):
            if entry.sequence or entry.is_end:
                rest = head[entry.offset - begin :]
                return encoded.take(len(rest)) == rest
        # What belongs to entries that were seen is not needed any more.
        head, begin = head[max(parser.offset - begin, 0) :], max(parser.offset, begin)
    return False
