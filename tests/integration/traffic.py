# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications that go on while a stream is gone, restored and there again: they retry, as real ones do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

import nats.errors
from nats.aio.client import Client

from servers import wait_for
from servers.server import Endpoint


class Traffic:
    """A plain nats-py client in a thread of its own. Use as a context manager around what it is to live through."""

    def __init__(self, endpoint: Endpoint, pause: float = 0.01) -> None:
        self._endpoint = endpoint
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    async def _run(self) -> None:
        client = Client()
        await client.connect(self._endpoint.urls, **self._endpoint.auth("app"), max_reconnect_attempts=-1)
        try:
            while not self._stop.is_set():
                with contextlib.suppress(nats.errors.Error, asyncio.TimeoutError):
                    await self.turn(client)
                await asyncio.sleep(self._pause)
        finally:
            await client.close()

    async def turn(self, client: Client) -> None:
        """What it does again and again."""
        raise NotImplementedError


class Publisher(Traffic):
    """Publishes numbered messages until each is acknowledged; `acknowledged` maps the sequence to the payload."""

    def __init__(
        self,
        endpoint: Endpoint,
        subject: Callable[[int], str] | str,
        *,
        headers: Callable[[int], Mapping[str, str]] | None = None,
        payload: Callable[[int], bytes] = lambda number: b"live %d" % number,
        pause: float = 0.01,
    ) -> None:
        super().__init__(endpoint, pause)
        self._subject = subject
        self._headers = headers
        self._payload = payload
        self._number = 0
        self.acknowledged: dict[int, bytes] = {}

    async def turn(self, client: Client) -> None:
        number = self._number
        subject = self._subject if isinstance(self._subject, str) else self._subject(number)
        headers = dict(self._headers(number)) if self._headers else None
        payload = self._payload(number)
        answer = json.loads((await client.request(subject, payload, timeout=1, headers=headers)).data)
        if "error" not in answer:
            self.acknowledged[int(answer["seq"])] = payload
            self._number += 1

    def wait(self, more: int = 10) -> None:
        """Wait until it has published some more."""
        until = self._number + more
        wait_for(lambda: self._number >= until, 30, "the publisher to go on")


class Worker(Traffic):
    """Fetches from a durable consumer and acknowledges; `taken` are the sequences."""

    def __init__(self, endpoint: Endpoint, stream: str, consumer: str, *, batch: int = 5, pause: float = 0.01) -> None:
        super().__init__(endpoint, pause)
        self._names = stream, consumer
        self._batch = batch
        self.taken: list[int] = []

    async def turn(self, client: Client) -> None:
        stream, consumer = self._names
        subscription = await client.jetstream().pull_subscribe_bind(consumer, stream)
        try:
            for message in await subscription.fetch(self._batch, timeout=0.5):
                await message.ack_sync()
                self.taken.append(message.metadata.sequence.stream)
        finally:
            await subscription.unsubscribe()
