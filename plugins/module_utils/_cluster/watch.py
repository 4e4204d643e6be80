# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looking until the signs can be trusted: for 10 to 25 seconds after a loss, servers say what is no longer true."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import typing as t

from .._nats.answers import Sample
from .._nats.errors import ConnectionLostError
from .._nats.system import System
from .build import make_picture
from .model import Picture
from .views import reduce_jsz

# A dead server may look current to others for about 10 s; a leader without its quorum may stay leader for 20 s.
INTERVAL = 12.0
QUORUM_INTERVAL = 25.0

Clock = t.Callable[[], float]
Sleep = t.Callable[[float], t.Awaitable[None]]
Reopen = t.Callable[[], t.Awaitable[System]]


@dataclasses.dataclass(frozen=True)
class Doubt:
    """Something in a picture that may be over in a moment, or stale: how long it has to last to be believed."""

    why: str
    long: bool = False


def doubts(picture: Picture, *, counting: bool = False) -> tuple[Doubt, ...]:
    """What keeps a single look from being trusted; nothing for a cluster in which all is well.

    With C(counting), a group with too few live members is as sure as their silence is: who leads it is not asked.
    """
    found: list[Doubt] = []
    meta = picture.meta
    if meta is None:
        return ()
    absent = meta.members - picture.alive
    if absent:
        found.append(Doubt(f"no answer from {picture.names(absent)}"))
    unseen = {server.peer for server in picture.servers if server.alive and server.jetstream and not server.seen}
    if unseen:
        found.append(Doubt(f"{picture.names(unseen)} did not list streams"))
    if picture.duplicates:
        found.append(Doubt(f"several servers are named {', '.join(picture.duplicates)}"))
    if not meta.leader:
        found.append(Doubt("no meta leader that a majority knows", long=True))
    elif meta.claims != {meta.leader} or any(view.members != meta.members for view in meta.views):
        found.append(Doubt("servers differ about the meta group"))
    for item in picture.groups():
        group = item.group
        if not group.leader:
            long = group.has_quorum or not counting
            found.append(Doubt(f"{item.kind} {item.label} has no leader with a majority", long))
        elif not group.whole or group.behind:
            found.append(Doubt(f"{item.kind} {item.label} is not whole"))
    return tuple(found)


class Watch:
    """Pictures of a cluster over a connection of the system account; the clock and the sleeper can be injected."""

    def __init__(
        self,
        system: System,
        *,
        reopen: Reopen | None = None,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._system = system
        self._reopen = reopen
        self.clock = clock
        self.sleep = sleep

    @property
    def system(self) -> System:
        return self._system

    async def look(self) -> Picture:
        """One whole look at all servers."""
        return await self._read(lambda system: system.sample(reduce_jsz))

    async def glance(self) -> Picture:
        """One light look: servers and meta group, no streams."""
        return await self._read(lambda system: system.probe())

    async def _read(self, read: t.Callable[[System], t.Awaitable[Sample]]) -> Picture:
        """Looking can be done again: where the server on the other end dies, by another one."""
        try:
            sample = await read(self._system)
        except ConnectionLostError:
            if self._reopen is None:
                raise
            self._system = await self._reopen()
            sample = await read(self._system)
        return make_picture(sample, self._system.domain_of(sample), asked=bool(self._system.asked_domain))

    async def settle(
        self,
        interval: float = INTERVAL,
        stop: t.Callable[[Picture], bool] = lambda _picture: False,
        *,
        counting: bool = False,
    ) -> Picture:
        """Look until nothing is in doubt, or what is in doubt has lasted long enough, or C(stop) is satisfied.

        C(interval) is for doubts about servers; those about a quorum take as much longer as C(QUORUM_INTERVAL) is than
        C(INTERVAL). A picture is C(trusted) only when it waited at least as long as those two say, and no
        servers share a name.
        """
        scale = interval / INTERVAL
        started = self.clock()
        picture = await self.look()
        absent, looks = picture.absent, 1
        while True:
            watched = self.clock() - started
            found = doubts(picture, counting=counting)
            need = QUORUM_INTERVAL if any(doubt.long for doubt in found) else INTERVAL if found else 0.0
            trusted = watched >= need and not picture.duplicates
            picture = dataclasses.replace(
                picture, looks=looks, watched=watched, absent=absent & picture.absent, trusted=trusted
            )
            if watched >= need * scale or stop(picture):
                return picture
            # The second look comes after one interval: what was a passing trouble needs no longer wait.
            await self.sleep(min(interval, need * scale - watched))
            picture = await self.look()
            absent, looks = absent & picture.absent, looks + 1
