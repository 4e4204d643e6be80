# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a catalogue of odd streams, with consumers, whose contents are the same on every run.

Each entry of `catalogue.SAMPLES` is a function that makes one stream; `make_streams` runs those that are asked for and
that the server's line knows, origins before what copies them.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import nats.errors
from nats.aio.msg import Msg

from . import oracle
from .cluster import Cluster
from .server import Endpoint

# The first line that knows a field; older lines get the configuration without it.
FIELDS_SINCE = {
    "allow_msg_ttl": (2, 11),
    "subject_delete_marker_ttl": (2, 11),
    "allow_msg_counter": (2, 12),
    "allow_atomic": (2, 12),
    "allow_msg_schedules": (2, 12),
    "persist_mode": (2, 12),
    "allow_batched": (2, 14),
    "pause_until": (2, 11),
    "priority_groups": (2, 11),
    "priority_policy": (2, 11),
    "priority_timeout": (2, 11),
}

Pairs = Sequence[tuple[str, str]]
Item = tuple[str, bytes] | tuple[str, bytes, Pairs]

SECOND = 10**9
HOUR = 3600 * SECOND
FAR_AWAY = "2099-01-01T00:00:00Z"


class SampleError(Exception):
    """The server refused something a sample needs."""


@dataclass(frozen=True)
class Sample:
    """One stream of the catalogue.

    since: first line that can hold it. standard: part of the quick subset. needs: samples that must be made before.
    clustered: only in a cluster of three or more. memory: in memory storage (no backup before 2.15).
    """

    key: str
    build: Callable[[Maker], Awaitable[None]]
    about: str
    since: tuple[int, int] = (2, 10)
    standard: bool = False
    needs: tuple[str, ...] = ()
    clustered: bool = False
    memory: bool = False
    stream: str = ""


class Maker:
    """What a sample's function works with: names under the prefix, the API and a quick publisher."""

    def __init__(self, endpoint: Endpoint, client: oracle.RawClient, prefix: str, replicas: int) -> None:
        self.endpoint = endpoint
        self.line = endpoint.line
        self.client = client
        self.prefix = prefix
        self.replicas = replicas
        self.reader = oracle.connection_reader(endpoint, client)
        self._sample: Sample | None = None

    def begin(self, sample: Sample) -> None:
        """Work on `sample` from now on."""
        self._sample = sample

    @property
    def stream(self) -> str:
        """The name of the present sample's stream."""
        assert self._sample
        return self.name_of(self._sample)

    @property
    def root(self) -> str:
        """The first token of the present sample's subjects."""
        assert self._sample
        return self.root_of(self._sample.key)

    def root_of(self, key: str) -> str:
        """The first token of the subjects of the sample `key`."""
        return f"{self.prefix}{key}".lower()

    def name_of(self, sample: Sample) -> str:
        """The stream name of `sample`; `{}` in its own name stands for the prefix."""
        return sample.stream.replace("{}", self.prefix) or f"{self.prefix}{sample.key}"

    def random(self, purpose: str = "") -> random.Random:
        """A generator that gives the same values for the same sample on every run."""
        assert self._sample
        return random.Random(f"{self._sample.key}/{purpose}")

    async def ask(self, subject: str, body: Any = None) -> dict[str, Any]:
        """Send an API request; SampleError when it is refused."""
        answer = await self.reader.ask(subject, body, check=False)
        if "error" in answer:
            raise SampleError(f"{self.stream}: {subject}: {answer['error']}")
        return answer

    async def create(self, **config: Any) -> dict[str, Any]:
        """Create the sample's stream: limits, file, `<root>.>`, unless `config` says otherwise; return its info."""
        whole = {
            "name": self.stream,
            "subjects": [f"{self.root}.>"],
            "retention": "limits",
            "storage": "file",
            "num_replicas": self.replicas,
            **config,
        }
        known = self._known({key: value for key, value in whole.items() if value is not None})
        return await self.ask(f"STREAM.CREATE.{self.stream}", known)

    async def update(self, **changes: Any) -> None:
        """Change the configuration of the sample's stream."""
        config = (await self.ask(f"STREAM.INFO.{self.stream}"))["config"]
        await self.ask(f"STREAM.UPDATE.{self.stream}", {**config, **self._known(changes)})

    async def consumer(self, name: str, *, durable: bool = True, **config: Any) -> None:
        """Create a consumer: durable pull with explicit acks, unless `config` says otherwise."""
        whole: dict[str, Any] = {
            "name": name,
            "durable_name": name if durable else None,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "replay_policy": "instant",
            **config,
        }
        if not durable:
            whole.setdefault("inactive_threshold", 24 * HOUR)
        known = self._known({key: value for key, value in whole.items() if value is not None})
        await self.ask(
            f"CONSUMER.CREATE.{self.stream}.{name}", {"stream_name": self.stream, "config": known, "action": "create"}
        )

    async def publish(self, items: Iterable[Item]) -> None:
        """Publish (subject, data[, headers]) in order, many under way at once, and wait for every ack."""
        inbox = self.client.new_inbox()
        acks: asyncio.Queue[Msg] = asyncio.Queue()
        under_way = 0

        async def take(message: Msg) -> None:
            acks.put_nowait(message)

        async def send(item: Item) -> None:
            nonlocal under_way
            subject, data, *headers = item
            if headers:
                lines = "".join(f"{key}: {value}\r\n" for key, value in headers[0])
                await self.client.publish_block(subject, inbox, f"NATS/1.0\r\n{lines}\r\n".encode(), data)
            else:
                await self.client.publish(subject, data, reply=inbox)
            under_way += 1

        async def settle(allowed: int) -> bool:
            """Take acks until no more than `allowed` are missing; False when nobody listened to one."""
            nonlocal under_way
            while under_way > allowed:
                message = await asyncio.wait_for(acks.get(), 15)
                under_way -= 1
                if message.headers and message.headers.get("Status"):
                    return False
                answer = json.loads(message.data or b"{}")
                if "error" in answer:
                    raise SampleError(f"{self.stream}: publish refused: {answer}")
            return True

        subscription = await self.client.subscribe(inbox, cb=take)
        unheard = SampleError(f"{self.stream}: nobody stores what is published")
        try:
            remaining = iter(items)
            for first in itertools.islice(remaining, 1):
                # Alone: in a cluster the interest in a new stream's subjects takes a moment to spread.
                for _attempt in range(200):
                    await send(first)
                    if await settle(0):
                        break
                    await asyncio.sleep(0.02)
                else:
                    raise unheard
            for item in remaining:
                await send(item)
                if not await settle(200):
                    raise unheard
            if not await settle(0):
                raise unheard
        finally:
            await subscription.unsubscribe()

    async def fill(self, count: int, subjects: Sequence[str] = ("a", "b", "c.d"), size: int = 60) -> None:
        """Publish `count` JSON messages over the given subjects (below the root), every fifth with headers."""
        chance = self.random("fill")

        def items() -> Iterable[Item]:
            for number in range(count):
                text = "".join(chance.choices("abcdefghij -", k=size))
                data = json.dumps({"n": number, "text": text}).encode()
                subject = f"{self.root}.{subjects[number % len(subjects)]}"
                yield (
                    (subject, data, [("X-Number", str(number)), ("Träger", "ü")])
                    if number % 5 == 0
                    else (subject, data)
                )

        await self.publish(items())

    async def pull(self, consumer: str, count: int) -> list[Msg]:
        """Take `count` messages from a pull consumer, without acking any."""
        inbox = self.client.new_inbox()
        arrived: asyncio.Queue[Msg] = asyncio.Queue()

        async def take(message: Msg) -> None:
            arrived.put_nowait(message)

        subscription = await self.client.subscribe(inbox, cb=take)
        try:
            subject = f"{self.reader.prefix}.CONSUMER.MSG.NEXT.{self.stream}.{consumer}"
            taken: list[Msg] = []
            for _attempt in range(200):
                await self.client.publish(subject, json.dumps({"batch": count}).encode(), reply=inbox)
                while len(taken) < count:
                    message = await asyncio.wait_for(arrived.get(), 10)
                    if message.reply:
                        taken.append(message)
                    elif (message.headers or {}).get("Status") == "503" and not taken:
                        break
                    else:
                        raise SampleError(f"{self.stream}: {consumer} answers {message.headers}")
                else:
                    return taken
                await asyncio.sleep(0.02)
            raise SampleError(f"{self.stream}: nobody serves {consumer}")
        finally:
            await subscription.unsubscribe()

    async def settle_acks(self, messages: Iterable[Msg], word: bytes = b"+ACK") -> None:
        """Acknowledge messages and wait until the server has taken note."""
        for message in messages:
            for _attempt in range(200):
                try:
                    await self.client.request(message.reply, word, timeout=10)
                    break
                except nats.errors.NoRespondersError:
                    await asyncio.sleep(0.02)
            else:
                raise SampleError(f"{self.stream}: nobody takes the ack of {message.reply}")

    async def wait_messages(self, count: int, timeout: float = 45.0) -> None:
        """Wait until the sample's stream holds `count` messages: mirrors and sources fill in the background."""
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            state = (await self.ask(f"STREAM.INFO.{self.stream}"))["state"]
            if state["messages"] >= count:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise SampleError(f"{self.stream} holds {state['messages']} of {count} messages after {timeout:g} s")
            await asyncio.sleep(0.02)

    def _known(self, config: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in config.items() if FIELDS_SINCE.get(key, (0, 0)) <= self.line}


def choose(endpoint: Endpoint, which: str | Iterable[str] = "standard") -> list[Sample]:
    """Return the samples of `which` ("standard", "all" or keys) that this server can hold, origins first.

    Keys are taken as they are: KeyError for one that is unknown, ValueError for one that the server cannot hold.
    """
    from .catalogue import SAMPLES

    clustered = isinstance(endpoint, Cluster) and len(endpoint.nodes) >= 3

    def fits(sample: Sample) -> bool:
        return sample.since <= endpoint.line and (clustered or not sample.clustered)

    if isinstance(which, str):
        if which not in ("standard", "all"):
            raise ValueError(f"{which!r}: give 'standard', 'all' or a list of keys")
        wanted = [sample for sample in SAMPLES.values() if fits(sample) and (which == "all" or sample.standard)]
    else:
        wanted = [SAMPLES[key] for key in which]
        unfit = [sample.key for sample in wanted if not fits(sample)]
        if unfit:
            raise ValueError(f"{endpoint!r} cannot hold {unfit}")
    ordered: dict[str, Sample] = {}
    for sample in wanted:
        for key in (*sample.needs, sample.key):
            ordered.setdefault(key, SAMPLES[key])
    return list(ordered.values())


def make_streams(
    endpoint: Endpoint,
    which: str | Iterable[str] = "standard",
    *,
    user: str = "app",
    prefix: str = "",
    replicas: int = 1,
) -> list[str]:
    """Make the samples of `which` in the account of `user` and return the names of their streams.

    prefix: put before stream names and subjects, for servers that several tests share. replicas: of all streams but
    those that set their own. Needs whichever samples others are made from; SampleError when the server refuses one.
    """
    return oracle.run(_make(endpoint, choose(endpoint, which), user, prefix, replicas))


async def _make(endpoint: Endpoint, samples: list[Sample], user: str, prefix: str, replicas: int) -> list[str]:
    client = await oracle.connect(endpoint, user)
    try:
        maker = Maker(endpoint, client, prefix, replicas)
        for sample in samples:
            maker.begin(sample)
            await sample.build(maker)
        return [maker.name_of(sample) for sample in samples]
    finally:
        await client.close()
