# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The receiving end of a stream snapshot."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import time
import typing as t

from .._nats.api import JetStream
from .._nats.errors import ApiError, ConnectionLostError, NatsError, PermissionDeniedError, RequestTimeoutError
from .._nats.hops import chunk_size, first_patience, suspicion, unheard
from .._nats.model import Json
from .._repository.chunks import ACK_SUBJECT, ChunkOrder, most_bytes
from .._repository.errors import SnapshotError, StalledError
from .._repository.writer import ArchiveWriter, Worker

# Chunks acknowledged but not yet on the disk, in bytes; beyond it an acknowledgement waits for the disk.
HIGH_WATER = 4 << 20
_PROGRESS = 1024
_CHUNK = 256 * 1024
# However slow the disk is, a server gives up that hears nothing for 2 s.
_ACK_EVERY = 0.5
_MOST_WAITING = 32 << 20
# Servers before 2.15 take one snapshot of a stream at a time. One whose receiver was killed ends after 2 to 5 s.
_BUSY_PATIENCE = 15.0


@dataclasses.dataclass(frozen=True)
class Transfer:
    """How to move the data. Sizes in bytes, times in seconds; C(timeout) 0 means no limit on the whole.

    C(chunk_size) 0: what every server on the way takes.
    """

    chunk_size: int = 0
    window_size: int = 8 << 20
    stall_timeout: float = 30.0
    timeout: float = 0.0


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A received snapshot: what the server said, and the writer, whose L(finish) is still to be called."""

    config: Json
    state: Json
    writer: ArchiveWriter


class Receiver:
    """Receives one snapshot into a file. One use only."""

    def __init__(self, js: JetStream, stream: str, transfer: Transfer, worker: Worker) -> None:
        self._js = js
        self._stream = stream
        self._transfer = transfer
        self._size = chunk_size(js, transfer.chunk_size, _CHUNK)
        self._worker = worker
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held: collections.deque[str] = collections.deque()
        self._last = time.monotonic()
        self._acked = self._wrote = self._last
        self._order = ChunkOrder(stream, "")
        # Bytes since the time-out began anew: a trickle is no progress.
        self._gained = 0
        self._writer: ArchiveWriter | None = None
        self._acks: set[asyncio.Task[None]] = set()

    async def receive(self, path: str, *, consumers: bool, health_check: bool) -> Snapshot:
        """Take the snapshot into the new file C(path).

        Raises SnapshotError when the server ends it or chunks are lost, StalledError, OSError when the disk refuses,
        and the errors of the connection.
        """
        connection = self._js.connection
        self._writer = ArchiveWriter(self._worker, path, self._release, self._fail)
        inbox = connection.new_inbox()
        self._order = ChunkOrder(self._stream, inbox)
        unwatch = connection.watch(self._on_connection)
        subscription = await connection.subscribe(inbox, self._on_chunk)
        try:
            answer = await self._request(inbox, consumers, health_check)
            self._order.most = most_bytes(answer["state"])
            await self._wait()
        except BaseException:
            self._writer.abandon()
            raise
        finally:
            unwatch()
            if self._done.done():
                self._done.exception()  # seen, also where an earlier error was the one to report
            await connection.unsubscribe(subscription)
        return Snapshot(answer["config"], answer["state"], self._writer)

    async def _request(self, inbox: str, consumers: bool, health_check: bool) -> Json:
        request: Json = {
            "deliver_subject": inbox,
            "no_consumers": not consumers,
            "jsck": health_check,
            "chunk_size": self._size,
        }
        if self._js.line.version >= (2, 12, 5):
            # Older lines do not know the field, and 2.12 refuses unknown fields.
            request["window_size"] = self._transfer.window_size
        # With a health check the server reads everything before it answers.
        timeout = max(self._transfer.stall_timeout, self._js.connection.options.request_timeout)
        patience = time.monotonic() + _BUSY_PATIENCE
        while True:
            try:
                answer = await self._js.snapshot(self._stream, request, timeout=timeout)
                break
            except RequestTimeoutError as exc:
                raise StalledError(
                    f"stream {self._stream}: its leader did not answer the snapshot request within {timeout:g} s. The"
                    " stream may have no leader (see its cluster state), or its server is frozen or gone.",
                ) from exc
            except ApiError as exc:
                if "snapshot in progress" not in exc.description:
                    raise
                if time.monotonic() > patience:
                    raise SnapshotError(
                        f"stream {self._stream}: another snapshot of it has been under way for {_BUSY_PATIENCE:g} s,"
                        " and this server takes one at a time. Wait for the other backup to end, then run again.",
                        error="snapshot_busy",
                        err_code=exc.err_code,
                    ) from exc
            await asyncio.sleep(0.5)
        self._last = time.monotonic()
        return answer

    async def _wait(self) -> None:
        stall, total = self._transfer.stall_timeout, self._transfer.timeout
        end = time.monotonic() + total if total else float("inf")
        while True:
            now = time.monotonic()
            waiting = self._writer.pending if self._writer else 0
            last = self._wrote if waiting > HIGH_WATER else self._last
            if not self._order.count:
                stall = first_patience(self._js, stall)
            wait = min(last + stall, end) - now
            if wait <= 0:
                if now >= end:
                    raise StalledError(
                        f"stream {self._stream}: the backup took longer than the timeout of {total:g} s"
                        f" ({self._order.count} chunks had come). Raise it, or find what is slow."
                    )
                if waiting > HIGH_WATER:
                    raise StalledError(
                        f"stream {self._stream}: the disk has not taken what came for {stall:g} s ({waiting} bytes)."
                        " See what is wrong with it, then run again."
                    )
                if not self._order.count:
                    text, word = unheard(self._js)
                    raise StalledError(
                        f"stream {self._stream}: no data came for {stall:g} s after the snapshot was announced: {text}",
                        error=word or None,
                    )
                raise StalledError(
                    f"stream {self._stream}: no data for {stall:g} s after {self._order.count} chunks. The server or"
                    f" the link to it stalled; run again.{suspicion(self._js, self._size)}"
                )
            done, _pending = await asyncio.wait({self._done}, timeout=min(wait, _ACK_EVERY))
            if done:
                self._done.result()
                return
            if self._held and time.monotonic() - self._acked > _ACK_EVERY and waiting < _MOST_WAITING:
                await self._acknowledge(self._held.popleft())

    def _fail(self, error: Exception) -> None:
        if not self._done.done():
            self._done.set_exception(error)

    def _on_connection(self, error: NatsError) -> None:
        if isinstance(error, PermissionDeniedError):
            if ACK_SUBJECT.lower() in error.message.lower():
                self._fail(
                    PermissionDeniedError(
                        f"stream {self._stream}: this user may not publish to {ACK_SUBJECT}>, which acknowledges the"
                        " chunks of a snapshot. Allow it (see docs/permissions.md) and run again."
                    )
                )
            return
        self._fail(
            ConnectionLostError(f"stream {self._stream}: {error.message}")
            if isinstance(error, ConnectionLostError)
            else error
        )

    async def _on_chunk(self, message: t.Any) -> None:
        if self._done.done() or self._writer is None:
            return
        if not message.data:
            self._on_end(message.headers or {})
            return
        try:
            self._order.accept(len(message.data), message.reply)
        except NatsError as exc:
            self._fail(exc)
            return
        self._gained += len(message.data)
        if self._gained >= _PROGRESS:
            self._last, self._gained = time.monotonic(), 0
        self._writer.write(message.data)
        if message.reply:
            if self._writer.pending <= HIGH_WATER:
                await self._acknowledge(message.reply)
            else:
                self._held.append(message.reply)

    def _on_end(self, headers: t.Mapping[str, str]) -> None:
        status = headers.get("Status", "")
        if status in ("", "204"):
            if not self._done.done():
                self._done.set_result(None)
            return
        text = f"{status} {headers.get('Description', '')}".strip()
        hint = "The server could not read the stream; see its log." if status == "500" else "Run again."
        if status == "408" and self._held:
            hint = "The disk here is too slow; choose another path."
        elif status == "408":
            hint += suspicion(self._js, self._size)
        self._fail(SnapshotError(f"stream {self._stream}: the server ended the snapshot: {text}. {hint}"))

    async def _acknowledge(self, reply: str) -> None:
        self._acked = time.monotonic()
        try:
            await self._js.connection.publish(reply)
        except NatsError as exc:
            self._fail(exc)

    def _release(self) -> None:
        """The disk has caught up a little: acknowledge what waited for it."""
        self._wrote = time.monotonic()
        while self._held and self._writer is not None and self._writer.pending <= HIGH_WATER:
            task = asyncio.ensure_future(self._acknowledge(self._held.popleft()))
            self._acks.add(task)
            task.add_done_callback(self._acks.discard)
