# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One connection to NATS that ends in bounded time: it never reconnects behind the caller's back."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import typing as t

from .errors import (
    ConnectionLostError,
    JetStreamUnavailableError,
    NatsError,
    PermissionDeniedError,
    RequestTimeoutError,
)
from .options import Options
from .subjects import require_sendable

try:
    import nats.errors as nats_errors
except ImportError:
    pass  # connect.py reports it before anything here is used

# Seconds between looks at a client that may have closed without a word.
_LOOK_EVERY = 0.5
Handler = t.Callable[[t.Any], t.Awaitable[None]]
Watcher = t.Callable[[NatsError], None]
# Whether a message is the wanted answer.
Accept = t.Callable[[t.Any], bool]
_VIOLATION = re.compile(r"permissions violation for (publish|subscription) to \"?([^\"\s]+)", re.IGNORECASE)


class NoRespondersError(JetStreamUnavailableError):
    """Nobody listens on the subject."""

    error = "no_responders"


class Connection:
    """An open connection. Make it with C(connect.connect), close it with L(close)."""

    def __init__(self, client: t.Any, options: Options) -> None:
        self._client = client
        self._options = options
        self._watchers: list[Watcher] = []
        self._pending: dict[str, tuple[str, asyncio.Future[t.Any], Accept | None]] = {}
        self._tokens = itertools.count(1)
        self._inbox = ""
        self._closing = False
        self._largest = 0
        self._too_large = False
        self._guard: asyncio.Task[None] | None = None
        self.lost: NatsError | None = None

    @property
    def info(self) -> dict[str, t.Any]:
        """The last INFO of the server on the other end: C(version), C(server_name), C(cluster), C(max_payload), ..."""
        return dict(getattr(self._client, "_server_info", None) or {})

    @property
    def max_payload(self) -> int:
        """Largest message the server takes from this user, in bytes; an account can have a limit of its own."""
        return int(self._client.max_payload)

    @property
    def server_max_payload(self) -> int:
        """Largest message the server takes from anybody, in bytes: it holds for what a stream has stored."""
        return int((getattr(self._client, "first_info", None) or {}).get("max_payload") or self.max_payload)

    @property
    def options(self) -> Options:
        return self._options

    def watch(self, watcher: Watcher) -> t.Callable[[], None]:
        """Call C(watcher) with every permission violation and with the loss of the connection; returns the undo."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def _notify(self, error: NatsError) -> None:
        for watcher in list(self._watchers):
            watcher(error)

    async def on_error(self, exc: Exception) -> None:
        """Callback of the client: turn permission violations into errors of the requests that met them."""
        match = _VIOLATION.search(str(exc))
        if not match:
            self._too_large = self._too_large or "maximum payload" in str(exc).lower()
            return
        kind, subject = match.group(1).lower(), match.group(2)
        prefix = self._options.inbox_prefix
        if kind == "subscription" and subject.lower().startswith(f"{prefix.lower()}."):
            text = f"subscribe to {prefix}.>, where answers arrive. Grant it, or set inbox_prefix to what it may use"
        else:
            known = [requested for requested, *_rest in self._pending.values() if requested.lower() == subject.lower()]
            verb = "publish to" if kind == "publish" else "subscribe to"
            text = f"{verb} {known[0] if known else subject}. Grant it"
        error = PermissionDeniedError(
            f"This user has no permission to {text} (see docs/permissions.md), then run again."
        )
        for requested, future, _accept in list(self._pending.values()):
            # The client lower-cases what the server said; a denied inbox concerns every request.
            if (requested.lower() == subject.lower() or kind == "subscription") and not future.done():
                future.set_exception(error)
        self._notify(error)

    async def on_closed(self) -> None:
        """Callback of the client: every waiting request fails at once."""
        if self._closing or self.lost is not None:
            return
        cause = "See its log, then run again."
        if self._too_large:
            cause = (
                f"The server closed it, since a message of {self._largest} bytes is larger than the max_payload that it"
                " has for this account. Set chunk_size to less, then run again."
            )
        # What a server says before it closes: its own words, of which only the kind is wanted.
        if "expired" in str(getattr(self._client, "last_error", None) or "").lower():
            cause = "The server closed it, since the credentials have expired. Get new ones, then run again."
        self.lost = ConnectionLostError(
            f"The connection to {', '.join(self._options.safe_servers())} was lost. {cause}"
        )
        for _subject, future, _accept in list(self._pending.values()):
            if not future.done():
                future.set_exception(self.lost)
        self._notify(self.lost)

    async def start(self) -> None:
        """Open the inbox that the answers of all requests share."""
        self._inbox = self._client.new_inbox()

        async def answer(message: t.Any) -> None:
            entry = self._pending.get(message.subject.rpartition(".")[2])
            if entry is not None and not entry[1].done() and (entry[2] is None or entry[2](message)):
                entry[1].set_result(message)

        await self.subscribe(f"{self._inbox}.*", answer)
        self._guard = asyncio.ensure_future(self._look())

    async def _look(self) -> None:
        """A client that fails to send what is left when it closes forgets to call back (nats-py 2.16)."""
        while not self._client.is_closed:  # noqa: ASYNC110  nobody tells: that is why it is looked at
            await asyncio.sleep(_LOOK_EVERY)
        await self.on_closed()

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        *,
        timeout: float | None = None,
        again: float | None = None,
        headers: dict[str, str] | None = None,
        accept: Accept | None = None,
    ) -> t.Any:
        """Ask and return the answering message; every C(again) seconds the question is sent once more.

        Where several may answer, the first that C(accept) takes is returned.

        Raises NoRespondersError, RequestTimeoutError, PermissionDeniedError, ConnectionLostError.
        """
        if self.lost is not None:
            raise self.lost
        loop = asyncio.get_running_loop()
        token = str(next(self._tokens))
        future: asyncio.Future[t.Any] = loop.create_future()
        self._pending[token] = (subject, future, accept)
        seconds = self._options.request_timeout if timeout is None else timeout

        def expire() -> None:
            if not future.done():
                future.set_exception(RequestTimeoutError(f"No answer to {subject} within {seconds:g} s."))

        timer = loop.call_later(seconds, expire)
        try:
            reply = f"{self._inbox}.{token}"
            await self.publish(subject, payload, reply=reply, headers=headers)
            while again and not (await asyncio.wait((future,), timeout=again))[0]:
                await self.publish(subject, payload, reply=reply, headers=headers)
            message = await future
        finally:
            timer.cancel()
            del self._pending[token]
        if not message.data and message.headers and message.headers.get("Status") == "503":
            raise NoRespondersError(f"Nothing answers on {subject}.")
        return message

    async def publish(
        self, subject: str, payload: bytes = b"", *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Send one message. Raises ConnectionLostError, and NatsError for a subject that is none."""
        require_sendable(subject, reply)
        if self.lost is not None:
            raise self.lost
        self._largest = max(self._largest, len(payload))
        try:
            await self._client.publish(subject, payload, reply=reply, headers=headers)
        except (nats_errors.ConnectionClosedError, nats_errors.ConnectionDrainingError, OSError) as exc:
            await self.on_closed()
            raise self.lost or ConnectionLostError(
                f"The connection was lost while sending to {subject}: {exc}."
            ) from exc

    async def subscribe(self, subject: str, handler: Handler) -> t.Any:
        """Subscribe; messages are handed to C(handler) one at a time, in order. No limit on what waits for it.

        Raises ConnectionLostError.
        """
        require_sendable(subject)
        try:
            return await self._client.subscribe(subject, cb=handler, pending_bytes_limit=0, pending_msgs_limit=0)
        except (nats_errors.ConnectionClosedError, nats_errors.ConnectionDrainingError, OSError) as exc:
            await self.on_closed()
            raise self.lost or ConnectionLostError(f"The connection was lost: {exc}.") from exc

    async def unsubscribe(self, subscription: t.Any) -> None:
        """Stop a subscription; fine on a connection that is gone."""
        with contextlib.suppress(nats_errors.Error, OSError):
            await subscription.unsubscribe()

    def new_inbox(self) -> str:
        """A fresh subject for answers, under the inbox prefix."""
        return str(self._client.new_inbox())

    async def flush(self, timeout: float = 5.0) -> None:
        """Return when the server has seen everything sent so far. Raises RequestTimeoutError, ConnectionLostError."""
        try:
            await self._client.flush(timeout=timeout)
        except nats_errors.TimeoutError:
            raise RequestTimeoutError(f"The server did not answer a PING within {timeout:g} s.") from None
        except nats_errors.ConnectionClosedError as exc:
            raise self.lost or ConnectionLostError("The connection was lost.") from exc

    async def close(self) -> None:
        """Close; bounded, and quiet about a connection that is gone already."""
        self._closing = True
        if self._guard is not None:
            self._guard.cancel()
        # AttributeError: a client of nats-py 2.8 that never reached a server cannot close itself.
        with contextlib.suppress(asyncio.TimeoutError, nats_errors.Error, OSError, AttributeError):
            await asyncio.wait_for(self._client.close(), 2.0)
