# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A connection for a long job: it is made anew, a bounded number of times, when a server goes away."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import typing as t

from .api import JetStream
from .connect import connect
from .errors import (
    ApiError,
    ConnectError,
    ConnectionLostError,
    JetStreamUnavailableError,
    RequestTimeoutError,
    TlsError,
)
from .options import Options
from .urls import split_servers

T = t.TypeVar("T")
_RECONNECTS = 3
# Seconds that a cluster may take until its JetStream has a leader again.
_ELECTION = 30.0


class Session:
    """One account's JetStream over a connection that survives the loss of a server. Use as an async context manager.

    C(leaderless): it opens also where the meta group has no leader. C(account) is what the server calls the account,
    an id in operator mode; C(account_name) is its name, empty where the server does not tell (before 2.12).
    """

    def __init__(self, options: Options, *, leaderless: bool = False) -> None:
        self._options = options
        self._leaderless = leaderless
        self._js: JetStream | None = None
        self._lock = asyncio.Lock()
        self._left = _RECONNECTS
        self.account = ""
        self.account_name = ""

    async def __aenter__(self) -> Session:
        self._js = await self._open(self._options)
        user = await self._js.user_info()
        self.account = str(user.get("account", ""))
        self.account_name = str(user.get("account_name", ""))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._js is not None:
            await self._js.connection.close()

    @property
    def js(self) -> JetStream:
        """The API over the present connection."""
        if self._js is None:
            raise ConnectionLostError("The session is not open.")
        return self._js

    async def _open(self, options: Options) -> JetStream:
        connection = await connect(options)
        js = JetStream(connection)
        try:
            await js.start(leaderless=self._leaderless)
        except BaseException:
            await connection.close()
            raise
        return js

    async def recover(self, broken: JetStream) -> bool:
        """After C(broken) lost its connection: connect to any server that is known. False when that is not possible."""
        async with self._lock:
            if self.js is not broken:
                return self.js.connection.lost is None
            if self._left <= 0 or broken.connection.lost is None:
                return False
            self._left -= 1
            known = split_servers(broken.connection.info.get("connect_urls") or ())
            servers = tuple(dict.fromkeys((*self._options.servers, *known)))
            end = time.monotonic() + _ELECTION
            while True:
                try:
                    self._js = await self._open(dataclasses.replace(self._options, servers=servers))
                    return True
                except (ConnectError, TlsError, ConnectionLostError):
                    return False
                except (RequestTimeoutError, JetStreamUnavailableError, ApiError):
                    # The server that went away may have led the cluster's JetStream.
                    if time.monotonic() > end:
                        return False
                await asyncio.sleep(0.5)

    async def run(self, work: t.Callable[[JetStream], t.Awaitable[T]]) -> T:
        """Do C(work); when the connection is lost under it, once more over a new one. C(work) must be repeatable."""
        js = self.js
        try:
            return await work(js)
        except ConnectionLostError:
            if not await self.recover(js):
                raise
            return await work(self.js)
