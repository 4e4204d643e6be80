# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The chunks of one snapshot, each held against what the protocol says before it is written or answered."""

from __future__ import annotations

import re

from .._nats.errors import ProtocolError
from .._nats.model import Json
from .errors import SnapshotError

ACK_SUBJECT = "$JS.SNAPSHOT.ACK."
_GIB = 1 << 30
# Blocks of a V1 store hold this much of deleted messages, whatever is left in them.
_OF_DELETED = 2 << 20
_MOST_BLOCKS = 10_000
_OF_CONSUMER = 1 << 20
_MOST_CONSUMERS = 10_000


def most_bytes(state: Json) -> int:
    """What a snapshot of a stream with this state can have at most, with a lot of room for deleted messages."""
    messages, size, consumers = (int(state.get(key) or 0) for key in ("messages", "bytes", "consumer_count"))
    deleted = _OF_DELETED * min(messages, _MOST_BLOCKS)
    return _GIB + 8 * size + deleted + _OF_CONSUMER * min(consumers, _MOST_CONSUMERS)


class ChunkOrder:
    """Checks chunk after chunk. C(count): how many have come; C(most): bytes for all, once the stream's state is known.

    A chunk's reply subject is the server's word, and an empty message goes there with this user's rights: it must be an
    acknowledgement of this snapshot, and of nothing else. Over a gateway it has that gateway's prefix.
    """

    def __init__(self, stream: str, inbox: str) -> None:
        self.count = 0
        self.received = 0
        self.most: int | None = None
        self._stream = stream
        self._inbox = inbox
        own = re.escape(f"{ACK_SUBJECT}{stream}.")
        self._form = re.compile(rf"((?:_GR_\.[^.]+\.[^.]+\.)?{own}[A-Za-z0-9_-]+)\.[0-9]{{1,10}}\.([0-9]{{1,19}})")
        self._subject = ""
        self._last = False

    def accept(self, size: int, reply: str) -> None:
        """The next chunk. Raises SnapshotError where one was lost, ProtocolError."""
        self.count += 1
        self.received += size
        if self._last:
            raise self._wrong("data came after the last chunk")
        if self.most is not None and self.received > self.most:
            raise self._wrong(f"more than {self.most} bytes came, far more than the stream has by its state")
        if not reply:
            # The last chunk, if it is short, wants no acknowledgement.
            self._last = True
            return
        match = self._form.fullmatch(reply)
        if match is None or self._subject not in ("", match[1]):
            raise self._wrong(f"chunk {self.count} wants its acknowledgement on {reply!r:.120}, which is not its own")
        self._subject = match[1]
        if match[2] != str(self.count):
            raise SnapshotError(
                f"stream {self._stream}: chunk {self.count} of the snapshot was lost (chunk {match[2]} came instead)."
                " Run again.",
                error="chunks_lost",
            )

    def _wrong(self, detail: str) -> ProtocolError:
        return ProtocolError(f"snapshot of {self._stream}", self._inbox, detail)


class Unanswered:
    """The chunks of a restore that wait for their answer; each gets one."""

    def __init__(self, stream: str, subject: str) -> None:
        self._stream = stream
        self._subject = subject
        self._numbers: set[int] = set()

    def add(self, number: int) -> None:
        """A chunk is on its way."""
        self._numbers.add(number)

    def take(self, number: str) -> None:
        """Its answer is there. Raises ProtocolError where no such chunk waits for one."""
        wanted = int(number) if number.isascii() and number.isdigit() and len(number) < 20 else 0
        if wanted not in self._numbers:
            detail = f"it is for the chunk {number!r:.40}, which waits for none"
            raise ProtocolError(f"restore of {self._stream}", self._subject, detail)
        self._numbers.discard(wanted)
