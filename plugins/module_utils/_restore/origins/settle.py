# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting until restored streams have their replicas and reach their origins: one bounded wait for all of them."""

from __future__ import annotations

import asyncio
import time
import typing as t

from ..._nats.api import JetStream
from ..._nats.connection import NoRespondersError
from ..._nats.errors import ConnectionLostError, NatsError
from ..._nats.model import Json, StreamInfo

# What becomes of an origin that nobody answers for is not worth a longer wait: the server goes on trying.
_SILENT = 5.0
_ASK = 2.0
_PARALLEL = 32
_FIRST_PAUSE, _LAST_PAUSE = 0.25, 2.0
THERE, ABSENT, SILENT, UNKNOWN = "there", "absent", "silent", "unknown"
# An origin: the prefix of the API where it is, empty in the same account, and its name.
Origin = tuple[str, str]


async def settle_named(js: JetStream, names: t.Sequence[str], timeout: float) -> dict[str, list[str]]:
    """As L(settle_all), by name; what was restored stays restored where it cannot be looked at."""
    if not names:
        return {}
    try:
        listing = await js.streams()
    except ConnectionLostError:
        raise
    except NatsError as exc:
        return {name: [f"stream {name}: its replicas and origins could not be looked at ({exc})."] for name in names}
    return await settle_all(js, [info for info in listing.items if info.name in names], timeout)


async def settle_all(js: JetStream, infos: t.Sequence[StreamInfo], timeout: float) -> dict[str, list[str]]:
    """Give all these streams together C(timeout) seconds; returns warnings by stream about what did not come."""
    waits = [_Replicas(js, infos, timeout).run(), _Origins(js, infos, timeout).run()]
    warnings: dict[str, list[str]] = {info.name: [] for info in infos}
    for found in await asyncio.gather(*waits):
        for name, texts in found.items():
            warnings[name] += texts
    return warnings


async def wait_for_replicas(js: JetStream, info: StreamInfo, timeout: float) -> None:
    """Give the replicas of one stream time to catch up."""
    await _Replicas(js, [info], timeout).run()


class _Wait:
    """Looks at streams, together and less and less often, until none of them waits any more, or the time is up."""

    def __init__(self, js: JetStream, infos: t.Iterable[StreamInfo], timeout: float) -> None:
        self._js = js
        self._infos = {info.name: info for info in infos}
        self._timeout = timeout
        self._began = time.monotonic()
        self._limit = asyncio.Semaphore(_PARALLEL)

    def _waits(self, info: StreamInfo) -> bool:
        raise NotImplementedError

    async def _watch(self) -> list[StreamInfo]:
        """Wait; returns the streams as they were seen last."""
        pause = _FIRST_PAUSE
        gone: set[str] = set()
        while True:
            waiting = [info for info in self._infos.values() if info.name not in gone and self._waits(info)]
            if not waiting or time.monotonic() - self._began > self._timeout:
                return list(self._infos.values())
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LAST_PAUSE)
            for info, now in zip(waiting, await asyncio.gather(*(self._look(info.name) for info in waiting))):
                if now is None:
                    gone.add(info.name)
                else:
                    self._infos[info.name] = now

    async def _look(self, name: str) -> StreamInfo | None:
        async with self._limit:
            try:
                return await self._js.stream_info(name)
            except ConnectionLostError:
                raise
            except NatsError:
                return None


class _Replicas(_Wait):
    """The answer to a restore is the leader's: until the others have its data, one loss can be the loss of all."""

    @staticmethod
    def _behind(info: StreamInfo) -> int:
        replicas = (info.cluster or {}).get("replicas") or []
        current = [peer for peer in replicas if peer.get("current") and not peer.get("offline")]
        return int(info.config.get("num_replicas") or 1) - 1 - len(current)

    def _waits(self, info: StreamInfo) -> bool:
        return self._behind(info) > 0

    async def run(self) -> dict[str, list[str]]:
        """Wait; returns warnings by stream."""
        return {info.name: [self._told(info)] for info in await self._watch() if self._behind(info) > 0}

    def _told(self, info: StreamInfo) -> str:
        behind = f"{self._behind(info)} of its {int(info.config['num_replicas'])} replicas"
        return (
            f"stream {info.name}: {behind} did not catch up within {self._timeout:g} s. Look at them before a failure."
        )


class _Origins(_Wait):
    """Mirrors and sourcing streams reach their origins again. Each origin is asked for once, for all that want it."""

    def __init__(self, js: JetStream, infos: t.Iterable[StreamInfo], timeout: float) -> None:
        super().__init__(js, [info for info in infos if _origins(info)], timeout)
        self._state: dict[Origin, str] = {}

    def _unreached(self, info: StreamInfo) -> dict[Origin, str]:
        """The origins that the stream does not reach, and what the server says of each."""
        return {
            _key(origin): str((origin.get("error") or {}).get("description") or "no answer yet")
            for origin in _origins(info)
            if int(origin.get("active") or 0) < 0 or origin.get("error")
        }

    def _waits(self, info: StreamInfo) -> bool:
        patience = {ABSENT: 0.0, SILENT: _SILENT}
        past = time.monotonic() - self._began
        return any(past < patience.get(self._state.get(key, ""), self._timeout) for key in self._unreached(info))

    async def run(self) -> dict[str, list[str]]:
        """Wait; returns warnings by stream."""
        wanted = {_key(origin) for info in self._infos.values() for origin in _origins(info)}
        await self._ask(wanted)
        seen = await self._watch()
        # Who was silent may just have come.
        await self._ask({key for info in seen for key in self._unreached(info)})
        return {info.name: self._told(info) for info in seen}

    async def _ask(self, wanted: t.Collection[Origin]) -> None:
        async def ask(key: Origin) -> None:
            async with self._limit:
                self._state[key] = await _state(self._js, *key)

        await asyncio.gather(*map(ask, wanted))

    def _told(self, info: StreamInfo) -> list[str]:
        warnings = []
        for (api, name), said in sorted(self._unreached(info).items()):
            state = self._state.get((api, name), UNKNOWN)
            where = f" at {api}" if api else ""
            if state == ABSENT:
                text = f"its origin {name}{where} does not exist. It goes on once there is one."
            elif state == SILENT:
                text = (
                    f"its origin {name} cannot be reached: nothing answers at {api}. The server goes on trying. See"
                    " whether that domain or account is connected."
                )
            else:
                text = (
                    f"its origin {name}{where} was not reached within {self._timeout:g} s ({said}). The server goes on"
                    " trying; check that the origin exists."
                )
            warnings.append(f"stream {info.name}: {text}")
        return warnings


def _origins(info: StreamInfo) -> list[Json]:
    return [*info.sources, *([info.mirror] if info.mirror else [])]


def _key(origin: Json) -> Origin:
    return str((origin.get("external") or {}).get("api") or "").rstrip("."), str(origin.get("name") or "")


async def _state(js: JetStream, api: str, name: str) -> str:
    """Whether an origin is there, as far as this user can see."""
    try:
        if not api:
            return THERE if await js.find_stream(name) is not None else ABSENT
        # An export may offer only what a copy needs; the second question is refused as it stands, and changes nothing.
        for subject in (f"{api}.STREAM.INFO.{name}", f"{api}.CONSUMER.CREATE.{name}"):
            try:
                answer = await js.connection.request(subject, timeout=_ASK)
            except NoRespondersError:
                continue
            return ABSENT if b'"err_code":10059' in answer.data else THERE
    except ConnectionLostError:
        raise
    except NatsError:
        return UNKNOWN
    return SILENT
