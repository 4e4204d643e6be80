# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writing a V2 archive: messages first, since only then is known what its head has to say."""

from __future__ import annotations

import json
from typing import Any, BinaryIO

from ..codec.s2 import S2_IDENTIFIER, STORED_BLOCK, stored_frame
from ..reader import Consumer
from .entries import MAGIC, write_entry
from .walk import CONSUMER_PREFIX, STATE_NAME, Message

_PADDING = 0xFE
_MOST_PADDING = (1 << 24) - 1
_FRAME_HEAD = 8
_LEAST_PADDING = 4
# Longer than any state: eleven numbers of 20 digits, two times and the names of these.
_STATE_ROOM = 1024


def consumer_entry(consumer: Consumer, time_ns: int) -> bytes:
    """A consumer as an entry of the head."""
    content = json.dumps({"config": consumer.config, "state": consumer.state}, separators=(",", ":"))
    name = consumer.name.encode("utf-8", "surrogateescape")
    return write_entry(CONSUMER_PREFIX + name, time_ns, 0, b"", content.encode())


def _framed(data: bytes) -> bytes:
    view = memoryview(data)
    return b"".join(stored_frame(view[pos : pos + STORED_BLOCK]) for pos in range(0, len(view), STORED_BLOCK))


class ArchiveWriter:
    """Writes into an empty, seekable file: message after message, then finish.

    consumers: at least as long, as JSON, as those that finish is given. Blocks are stored: every reader of S2 takes
    them, and nothing here compresses.
    """

    def __init__(self, file: BinaryIO, consumers: tuple[Consumer, ...], time_ns: int) -> None:
        self._file = file
        self._time_ns = time_ns
        head = len(MAGIC) + _STATE_ROOM + sum(len(consumer_entry(one, time_ns)) for one in consumers)
        blocks = head // STORED_BLOCK + 1
        self._room = len(S2_IDENTIFIER) + head + blocks * _FRAME_HEAD + _LEAST_PADDING
        self._file.write(bytes(self._room))
        self._pieces: list[bytes] = []
        self._size = 0

    def message(self, message: Message) -> None:
        """The next message; sequences must rise."""
        subject = message.subject.encode("utf-8", "surrogateescape")
        entry = write_entry(subject, message.time_ns, message.sequence, message.header, message.payload or b"")
        self._pieces.append(entry)
        self._size += len(entry)
        if self._size >= STORED_BLOCK:
            self._flush()

    def finish(self, state: dict[str, Any], consumers: tuple[Consumer, ...]) -> None:
        """The end marker, then the head. Raises ValueError where consumers are longer than announced."""
        self._pieces.append(write_entry(b"", 0, 0, b"", b""))
        self._flush()
        entries = [consumer_entry(one, self._time_ns) for one in consumers]
        content = json.dumps({**state, "consumer_count": len(entries)}, separators=(",", ":")).encode()
        head = b"".join((MAGIC, write_entry(STATE_NAME, self._time_ns, 0, b"", content), *entries))
        written = S2_IDENTIFIER + _framed(head)
        left = self._room - len(written)
        if left < _LEAST_PADDING:
            raise ValueError("the consumers are longer than announced")
        self._file.seek(0)
        self._file.write(written)
        while left:
            size = min(left, _MOST_PADDING)
            if 0 < left - size < _LEAST_PADDING:
                size -= _LEAST_PADDING
            self._file.write(bytes((_PADDING,)) + (size - _LEAST_PADDING).to_bytes(3, "little"))
            self._file.write(bytes(size - _LEAST_PADDING))
            left -= size
        self._file.flush()

    def _flush(self) -> None:
        data = b"".join(self._pieces)
        self._file.write(_framed(data))
        self._pieces, self._size = [], 0
