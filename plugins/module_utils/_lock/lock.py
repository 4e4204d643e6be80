# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lock that holds across hosts: an entry of a JetStream key-value bucket in the account that is backed up."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import time
import typing as t
import uuid

from .._nats.api import JetStream
from .._nats.connect import connect
from .._nats.errors import (
    ConnectError,
    ConnectionLostError,
    JetStreamUnavailableError,
    NatsError,
    RequestTimeoutError,
    TlsError,
)
from .._nats.options import Options
from .._repository.errors import LockedError, LockLostError
from .entry import Bucket, Entry, StaleError

T = t.TypeVar("T")
Sleep = t.Callable[[float], t.Awaitable[None]]
# Beyond its expiry an entry is left alone this much longer, as a part of it: clocks of servers are not one.
_MARGIN = 0.1
_POLL = 0.5
_PASSING = (ConnectError, TlsError, ConnectionLostError, RequestTimeoutError, JetStreamUnavailableError)


@dataclasses.dataclass(frozen=True)
class LockOptions:
    """C(bucket) and C(key) name the entry; C(expiry): seconds after which a silent holder has lost it.

    C(wait): seconds to wait for another holder; C(owner): who we are, for people.
    """

    bucket: str
    key: str
    expiry: float = 60.0
    wait: float = 0.0
    owner: str = ""


class KeyValueLock:
    """Exclusive among all who use the same entry. It has a connection of its own, and L(guard) is all that is needed.

    Compare-and-set on the entry's revision decides every change. The holder counts from when it sent its last
    refresh, and those who wait by the servers' clock from when that was stored: the holder always gives up first.
    """

    def __init__(
        self,
        connection: Options,
        options: LockOptions,
        *,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._connection = connection
        self._options = options
        self._clock = clock
        self._sleep = sleep
        self._js: JetStream | None = None
        self._token = uuid.uuid4().hex
        self._revision = 0
        self._since = ""
        self._sent = 0.0

    async def guard(self, work: t.Callable[[], t.Awaitable[T]]) -> T:
        """Do C(work) while the lock is held; it is cancelled as soon as that is no longer certain.

        Raises LockedError where another holds it, LockLostError, and what C(work) raises.
        """
        try:
            await self._acquire()
            task = asyncio.ensure_future(work())
            beat = asyncio.ensure_future(self._keep())
            try:
                await asyncio.wait({task, beat}, return_when=asyncio.FIRST_COMPLETED)
                if not task.done():
                    beat.result()
                return await task
            finally:
                for one in (task, beat):
                    one.cancel()
                await asyncio.gather(task, beat, return_exceptions=True)
                await self._release()
        finally:
            await self._close()

    async def _bucket(self) -> Bucket:
        if self._js is not None and self._js.connection.lost is not None:
            await self._close()
        if self._js is None:
            js = JetStream(await connect(self._connection))
            self._js = js
        return Bucket(self._js, self._options.bucket)

    async def _close(self) -> None:
        js, self._js = self._js, None
        if js is not None:
            await js.connection.close()

    def _mine(self) -> Entry:
        return Entry(
            owner=self._options.owner or f"process {os.getpid()} on {os.uname().nodename}",
            token=self._token,
            since=self._since,
            expiry=self._options.expiry,
        )

    async def _acquire(self) -> None:
        """Take the entry when it is free or its holder has been silent for too long. Raises LockedError."""
        bucket = await self._bucket()
        await bucket.ensure()
        end = self._clock() + self._options.wait
        while True:
            found, now = await bucket.read(self._options.key)
            if found is None or found.entry is None or found.age(now) > found.entry.expiry * (1 + _MARGIN):
                self._since = now
                self._sent = self._clock()
                try:
                    self._revision = await bucket.write(self._options.key, self._mine(), found.revision if found else 0)
                    return
                except StaleError:
                    continue  # another was faster: see who
            left = found.entry.expiry * (1 + _MARGIN) - found.age(now)
            if self._clock() >= end:
                raise LockedError(
                    f"The lock {self._options.key} in the bucket {self._options.bucket} is held by {found.entry.owner}"
                    f" since {found.entry.since}. If that one is dead, the lock is free in {max(left, 0.0):.0f} s."
                    " Run again then, or set lock_wait."
                )
            await self._sleep(max(0.05, min(_POLL, left + 0.05, end - self._clock())))

    async def _keep(self) -> t.NoReturn:
        """Refresh the entry three times within its life. Raises LockLostError; never returns."""
        pause = self._options.expiry / 3
        while True:
            await self._sleep(pause)
            pause = self._options.expiry / 3
            left = self._sent + self._options.expiry - self._clock()
            try:
                await asyncio.wait_for(self._refresh(), max(left, 0.001))
            except (asyncio.TimeoutError, *_PASSING) as exc:
                left = self._sent + self._options.expiry - self._clock()
                if left <= 0.0:
                    raise self._lost(f"it could not be refreshed for {self._options.expiry:g} s ({exc})") from exc
                pause = min(_POLL, left)

    async def _refresh(self) -> None:
        bucket = await self._bucket()
        sent = self._clock()
        try:
            revision = await bucket.write(self._options.key, self._mine(), self._revision)
        except StaleError:
            found, _now = await bucket.read(self._options.key)
            if found is None or found.entry is None or found.entry.token != self._token:
                holder = found.entry.owner if found and found.entry else "nobody"
                raise self._lost(f"it is held by {holder} now") from None
            # An answer was lost on the way, not the lock.
            revision, sent = found.revision, self._sent
        self._revision, self._sent = revision, sent

    def _lost(self, why: str) -> LockLostError:
        return LockLostError(
            f"The lock {self._options.key} in the bucket {self._options.bucket} was lost: {why}. The work was stopped;"
            " what was complete before is as it was. Run again."
        )

    async def _release(self) -> None:
        """Give the entry back. Where that is not possible it expires by itself."""
        with contextlib.suppress(NatsError, asyncio.TimeoutError):
            await asyncio.wait_for(self._give_back(), 5.0)

    async def _give_back(self) -> None:
        bucket = await self._bucket()
        with contextlib.suppress(StaleError):
            await bucket.write(self._options.key, None, self._revision)
