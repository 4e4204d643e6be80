# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sending end of a stream restore: chunks go out in a window, not one by one."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
import typing as t

from .._nats.api import JetStream
from .._nats.errors import ConnectionLostError, NatsError, PermissionDeniedError
from .._nats.hops import chunk_size, suspicion, unheard
from .._nats.shapes import read_answer
from .._repository.chunks import Unanswered
from .._repository.errors import RestoreError, StalledError

# The reply to the restore request can overtake the news of its subject, so that nobody listens yet; after this many
# seconds the server itself has given the restore up.
_FIRST_CHUNK_PATIENCE = 4.0
_FIRST_CHUNK_STEP = 0.02
_READ = 1 << 20
# Each chunk costs both sides about the same, however large it is; what is under way is what a long link needs.
_CHUNK = 512 * 1024
_UNDER_WAY = 8 << 20
# Seconds between questions whether the server still works on what it was sent, and for a last answer to arrive.
_ASK_EVERY = 10.0
_GRACE = 2.0


@dataclasses.dataclass(frozen=True)
class Upload:
    """How to move the data: size of a chunk in bytes, chunks under way at once (0: choose), times in seconds."""

    chunk_size: int = 0
    in_flight: int = 0
    stall_timeout: float = 30.0
    timeout: float = 3600.0


class Sender:
    """Sends one archive. One use only."""

    def __init__(self, js: JetStream, stream: str, subject: str, upload: Upload) -> None:
        self._connection = js.connection
        self._line = js.line
        self._stream = stream
        self._subject = subject
        self._upload = upload
        self._size = chunk_size(js, upload.chunk_size, _CHUNK)
        self._suspicion = suspicion(js, self._size)
        self._unheard = unheard(js)
        self._slots = upload.in_flight or max(_UNDER_WAY // self._size, 1)
        self._window = asyncio.Semaphore(self._slots)
        loop = asyncio.get_running_loop()
        self._failed: asyncio.Future[None] = loop.create_future()
        self._first: asyncio.Future[bool] = loop.create_future()
        self._final: asyncio.Future[bytes] = loop.create_future()
        self._inbox = ""
        self._sent = 0
        self._open = Unanswered(stream, subject)
        self._answered = 0
        self._last = time.monotonic()
        self._end = self._last + upload.timeout

    async def send(self, read: t.Callable[[int], bytes]) -> bytes:
        """Send what C(read) gives and return the server's last answer, a stream_create_response.

        Raises RestoreError when the server refuses a chunk or drops the restore, StalledError, and the errors of the
        connection.
        """
        self._inbox = self._connection.new_inbox()
        unwatch = self._connection.watch(self._on_connection)
        subscription = await self._connection.subscribe(f"{self._inbox}.*", self._on_answer)
        try:
            await self._send_chunks(read)
            await self._wait(self._drained(), self._upload.stall_timeout)
            await self._connection.publish(self._subject, b"", reply=f"{self._inbox}.end")
            return await self._wait_for_the_end()
        except BaseException:
            await self._abort()
            raise
        finally:
            unwatch()
            for future in (self._failed, self._first, self._final):
                if future.done() and not future.cancelled():
                    future.exception()  # seen, also where another error is the one to report
            await self._connection.unsubscribe(subscription)

    async def _wait_for_the_end(self) -> bytes:
        """The last answer. It may take long, so now and then make sure that somebody is still there to give it."""
        asking = asyncio.ensure_future(self._keep_asking())
        try:
            return t.cast("bytes", await self._wait(self._final, None))
        finally:
            asking.cancel()

    async def _keep_asking(self) -> None:
        while self._line.version >= (2, 12, 0):  # older ones do not expect a second end
            await asyncio.sleep(_ASK_EVERY)
            with contextlib.suppress(NatsError):
                await self._connection.publish(self._subject, b"", reply=f"{self._inbox}.still")

    async def _abort(self) -> None:
        """Have the server drop the restore at once, not when it has heard nothing for a while."""
        with contextlib.suppress(NatsError):
            await self._connection.publish(self._subject, b"-")  # a chunk that wants no answer is none

    async def _send_chunks(self, read: t.Callable[[int], bytes]) -> None:
        loop = asyncio.get_running_loop()
        size = self._size
        while block := await loop.run_in_executor(None, read, max(_READ // size, 1) * size):
            for start in range(0, len(block), size):
                chunk = block[start : start + size]
                if not self._sent:
                    await self._send_first(chunk)
                else:
                    await self._slot()
                    await self._publish(chunk)

    async def _send_first(self, chunk: bytes) -> None:
        patience = time.monotonic() + _FIRST_CHUNK_PATIENCE
        while True:
            self._first = asyncio.get_running_loop().create_future()
            self._sent = 0
            await self._publish(chunk)
            if await self._wait(self._first, self._upload.stall_timeout):
                return
            if time.monotonic() > patience:
                text, word = self._unheard
                text = f"stream {self._stream}: the server announced a restore and nobody takes the data: {text}"
                raise RestoreError(text if word else f"{text}{self._suspicion}", error=word or "restore_dropped")
            await asyncio.sleep(_FIRST_CHUNK_STEP)

    async def _publish(self, chunk: bytes) -> None:
        self._sent += 1
        self._open.add(self._sent)
        await self._connection.publish(self._subject, chunk, reply=f"{self._inbox}.{self._sent}")

    async def _slot(self) -> None:
        if self._window.locked():
            await self._wait(self._window.acquire(), self._upload.stall_timeout)
        else:
            await self._window.acquire()
            if self._failed.done():
                self._failed.result()

    async def _drained(self) -> None:
        for _slot in range(self._slots):
            await self._window.acquire()

    async def _wait(self, wanted: t.Awaitable[t.Any], stall: float | None) -> t.Any:
        """Wait, but not past a failure, the total time-out, or C(stall) seconds in which nothing was answered."""
        task = asyncio.ensure_future(wanted)
        try:
            while True:
                now = time.monotonic()
                limit = min(self._end, self._last + stall if stall else self._end) - now
                if limit <= 0:
                    raise StalledError(
                        f"stream {self._stream}: the server answered {self._answered} of {self._sent} chunks and then"
                        f" nothing for {now - self._last:.0f} s. Its server may be frozen or gone; run again."
                        f"{self._suspicion}"
                    )
                await asyncio.wait({task, self._failed}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
                if self._failed.done():
                    self._failed.result()
                if task.done():
                    return task.result()
        finally:
            if not task.done():
                task.cancel()

    def _fail(self, error: Exception) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    def _on_connection(self, error: NatsError) -> None:
        if isinstance(error, PermissionDeniedError):
            if self._subject.lower() in error.message.lower():
                self._fail(
                    PermissionDeniedError(
                        f"stream {self._stream}: this user may not publish to $JS.SNAPSHOT.RESTORE.>, which takes"
                        " the data of a restore. Allow it (see docs/permissions.md) and run again."
                    )
                )
        elif isinstance(error, ConnectionLostError):
            self._fail(ConnectionLostError(f"stream {self._stream}: {error.message}"))

    async def _on_answer(self, message: t.Any) -> None:
        self._last = time.monotonic()
        index = message.subject.rpartition(".")[2]
        dropped = not message.data and (message.headers or {}).get("Status") == "503"
        if index in ("still", "end"):
            if dropped:
                self._give_up_soon()
            elif index == "end" and not self._final.done():
                self._final.set_result(message.data)
            return
        try:
            self._open.take(index)
        except NatsError as exc:
            self._fail(exc)
            return
        if index == "1" and not self._first.done():
            self._first.set_result(not dropped)
            if dropped:
                return
            self._answered += 1
            if message.data:
                self._refused(message.data)
            return
        if dropped:
            self._give_up_soon()
            return
        self._answered += 1
        self._window.release()
        if message.data:
            self._refused(message.data)

    def _give_up_soon(self) -> None:
        """Nobody takes the chunks any more. The answer that says why is slower than this news: give it time."""
        asyncio.get_running_loop().call_later(_GRACE, self._give_up)

    def _give_up(self) -> None:
        if not self._final.done():
            self._fail(self._dropped())
            self._failed.exception()  # seen, also where nobody waits any more

    def _dropped(self) -> RestoreError:
        return RestoreError(
            f"stream {self._stream}: the server dropped the restore after {self._answered} chunks. It may have been"
            f" restarted, or its leader changed; run again.{self._suspicion}",
            error="restore_dropped",
        )

    def _refused(self, data: bytes) -> None:
        try:
            if read_answer(data, f"restore of {self._stream}", self._subject).get("config"):
                return
        except NatsError as exc:
            self._fail(exc)
        self._fail(RestoreError(f"stream {self._stream}: unexpected answer to a chunk: {data[:200]!r}."))
