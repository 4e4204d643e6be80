# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application of the demonstration: streams, consumers, a publisher that never stops, and a count of what is there.

It is plain nats-py and knows nothing of the collection. It keeps every message that a server acknowledged, so that it
can say at any time which of them a stream has lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import nats
import nats.errors
import nats.js.errors
from nats.js.api import ConsumerConfig, KeyValueConfig, StreamConfig, StreamSource

from integration.cluster import kit
from servers import Cluster

T = TypeVar("T")
ABOUT = {
    "ORDERS": "3 replicas, published to all the time",
    "METRICS": "1 replica",
    "JOBS": "work queue, 3 replicas",
    "KV_SETTINGS": "key-value bucket, 3 replicas",
    "ORDERS_COPY": "mirror of ORDERS, 3 replicas",
}
# What the application publishes to itself; the rest is copied or made once.
PUBLISHED = ("ORDERS", "METRICS", "JOBS")
CONSUMERS = {("ORDERS", "billing"): 400, ("METRICS", "dashboard"): 100, ("JOBS", "workers"): 50}
_ERRORS = (nats.errors.Error, nats.js.errors.Error, OSError, asyncio.TimeoutError)


class AppError(Exception):
    """The application cannot go on."""


class App(kit.App):
    """The application, in a thread of its own. A context manager."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._publisher: Any = None
        self.acknowledged = {name: [] for name in PUBLISHED}
        self._numbers = {name: itertools.count(1) for name in PUBLISHED}

    def __enter__(self) -> App:
        return self

    def __exit__(self, *exc_info: object) -> None:
        with contextlib.suppress(Exception):
            self.rest()
        self.close()

    def reconnect(self) -> None:
        """Connect anew, to the servers that there are now."""
        self.call(self.client.close())
        self.client = self.call(self._connect())

    def prepare(self) -> None:
        """Make streams and consumers, publish, and have consumers take some."""
        self.call(self._prepare(), 90)

    async def _prepare(self) -> None:
        js = self.client.jetstream(timeout=15)
        await js.add_stream(StreamConfig("ORDERS", subjects=["orders.>"], num_replicas=3))
        await js.add_stream(StreamConfig("METRICS", subjects=["metrics.>"], num_replicas=1))
        await js.add_stream(StreamConfig("JOBS", subjects=["jobs.>"], num_replicas=3, retention="workqueue"))  # type: ignore[arg-type]
        await js.add_stream(StreamConfig("ORDERS_COPY", mirror=StreamSource("ORDERS"), num_replicas=3))
        settings = await js.create_key_value(KeyValueConfig("SETTINGS", history=5, replicas=3))
        for stream, count in (("ORDERS", 1500), ("METRICS", 300), ("JOBS", 200)):
            await self._send(stream, count)
        for number in range(60):
            await settings.put(f"user.{number % 20}", f"value {number}".encode())
        for (stream, durable), count in CONSUMERS.items():
            await js.add_consumer(stream, ConsumerConfig(durable_name=durable, ack_wait=30))
            await self._take(stream, durable, count)

    async def _again(self, work: Callable[[], Awaitable[T]], what: str, timeout: float = 60.0) -> T:
        """Do it, again while servers are away or elect."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return await work()
            except _ERRORS as exc:
                if time.monotonic() > deadline:
                    raise AppError(f"{what} is not possible: {exc!r}") from exc
            await asyncio.sleep(0.1)

    async def _send(self, stream: str, count: int) -> None:
        for _message in range(count):
            await self._publish_one(stream)

    async def _publish_one(self, stream: str) -> None:
        js = self.client.jetstream(timeout=2)
        done = self.acknowledged[stream]
        number = 0

        async def one() -> None:
            # A number that got no answer may be stored all the same, and is not used again.
            nonlocal number
            number = next(self._numbers[stream])
            await js.publish(f"{stream.lower()}.{number % 7}", b"%d" % number)

        await self._again(one, f"publishing to {stream}")
        done.append(number)

    def publish(self, stream: str, count: int) -> None:
        """Publish that many messages and have them acknowledged."""
        self.call(self._send(stream, count))

    async def _take(self, stream: str, durable: str, count: int) -> None:
        js = self.client.jetstream(timeout=5)
        subscription = await js.pull_subscribe_bind(durable, stream)
        for start in range(0, count, 100):
            left = min(count - start, 100)
            while left:

                async def fetch(number: int = left) -> list[Any]:
                    return list(await subscription.fetch(number, timeout=5))

                for message in await self._again(fetch, f"using {durable}"):
                    await message.ack_sync(timeout=10)
                    if stream == "JOBS":
                        self.acknowledged["JOBS"].remove(int(message.data))
                    left -= 1
        await subscription.unsubscribe()

    def take(self, stream: str, durable: str, count: int) -> None:
        """Have a consumer take and acknowledge that many; a job that is done is not expected in its stream any more."""
        self.call(self._take(stream, durable, count))

    def next_of(self, stream: str, durable: str) -> int:
        """The sequence that a consumer would be given next."""

        async def peek() -> int:
            subscription = await self.client.jetstream(timeout=5).pull_subscribe_bind(durable, stream)
            (message,) = await self._again(lambda: subscription.fetch(1, timeout=5), f"using {durable}")
            await message.nak()
            await subscription.unsubscribe()
            return int(message.metadata.sequence.stream)

        return self.call(peek())

    def work(self) -> None:
        """Publish to ORDERS all the time, twenty a second, until C(rest)."""

        async def forever() -> None:
            while True:
                await self._send("ORDERS", 1)
                await asyncio.sleep(0.05)

        self._publisher = asyncio.run_coroutine_threadsafe(forever(), self._loop)

    def rest(self) -> None:
        """Stop publishing."""
        if self._publisher is not None:
            self._publisher.cancel()
            self._publisher = None
            time.sleep(0.3)

    def count(self) -> dict[str, int]:
        """Messages of each stream, counted by reading them all."""
        return {name: len(self.call(self._payloads(name))) for name in ABOUT}

    def lost(self, name: str) -> list[int]:
        """Acknowledged numbers that a plain consumer does not find in a stream."""
        acknowledged = list(self.acknowledged[name])  # more come while it is read
        there = {int(data) for data in self.call(self._payloads(name))}
        return [number for number in acknowledged if number not in there]

    async def _payloads(self, stream: str) -> list[bytes]:
        """The payloads of all messages of a stream, by a plain ordered consumer; of a work queue one by one."""
        js = self.client.jetstream(timeout=5)
        info = await self._again(lambda: js.stream_info(stream), f"reading {stream}")
        state, found = info.state, []
        if stream == "JOBS":
            # A work queue has its one consumer, which would use the messages up.
            for sequence in range(state.first_seq, state.last_seq + 1):
                with contextlib.suppress(nats.js.errors.NotFoundError):
                    found.append((await js.get_msg(stream, sequence)).data or b"")
            return found
        subject = {"ORDERS_COPY": "orders.>", "KV_SETTINGS": "$KV.SETTINGS.>"}.get(stream, f"{stream.lower()}.>")
        subscription = await self._again(
            lambda: js.subscribe(subject, stream=stream, ordered_consumer=True), f"reading {stream}"
        )
        for _message in range(state.messages):
            found.append((await subscription.next_msg(timeout=20)).data)
        await subscription.unsubscribe()
        return found

    def settle(self, copies: int, timeout: float = 60.0) -> None:
        """Wait until the mirror holds what its origin does, and ORDERS has that many current copies."""

        async def settled() -> bool:
            js = self.client.jetstream(timeout=5)
            try:
                orders, copy = await js.stream_info("ORDERS"), await js.stream_info("ORDERS_COPY")
            except _ERRORS:
                return False
            replicas = orders.cluster.replicas or [] if orders.cluster else []
            current = 1 + sum(1 for peer in replicas if peer.current)
            return bool(orders.state.messages == copy.state.messages and current >= copies)

        deadline = time.monotonic() + timeout
        while not self.call(settled()):
            if time.monotonic() > deadline:
                raise AppError(f"ORDERS and its mirror are not settled after {timeout:g} s")
            time.sleep(0.2)
