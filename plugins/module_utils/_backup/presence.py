# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose a half restored stream is: a run marks what it makes with a subject on which it answers as long as it lives."""

from __future__ import annotations

import asyncio
import contextlib
import typing as t

from .._nats.api import JetStream
from .._nats.connection import NoRespondersError
from .._nats.errors import NatsError, PermissionDeniedError, RequestTimeoutError
from .._nats.model import StreamInfo
from .compare import MARKER
from .errors import LockedError

# A server drops a restore that sends it nothing for 5 s; before that, the stream is not to be touched.
_SERVER_PATIENCE = 6.0


def marker_of(info: StreamInfo | None) -> str:
    """The mark of the run that is restoring, or began to restore, a stream; empty if there is none."""
    return str((info.config.get("metadata") or {}).get(MARKER) or "") if info is not None else ""


class Presence:
    """One run's mark. Use as an async context manager around everything that happens to the stream."""

    def __init__(self, js: JetStream) -> None:
        self._js = js
        self._subscription: t.Any = None
        self.marker = js.connection.new_inbox()

    async def __aenter__(self) -> Presence:
        self._subscription = await self._js.connection.subscribe(self.marker, self._answer)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._js.connection.unsubscribe(self._subscription)

    async def _answer(self, message: t.Any) -> None:
        with contextlib.suppress(NatsError):
            await self._js.connection.publish(message.reply)


async def require_ended(js: JetStream, info: StreamInfo, *, wait: bool) -> None:
    """Return when the run that marked the stream has ended, and with C(wait), when its server has let go of it.

    Raises LockedError while that run lives.
    """
    try:
        await js.connection.request(marker_of(info), timeout=2.0)
        alive = True
    except NoRespondersError:
        alive = False
        if wait:
            await asyncio.sleep(_SERVER_PATIENCE)
    except (PermissionDeniedError, RequestTimeoutError):
        # This user may not ask, the other may not answer, or its end of the connection has vanished without a word.
        alive = await _moves(js, info)
    if alive:
        raise LockedError(
            f"Another run is restoring the stream {info.name} at this moment. Wait for it to end, then run again."
        )


async def _moves(js: JetStream, info: StreamInfo) -> bool:
    """Whether a restore is under way, by its traces."""
    await asyncio.sleep(_SERVER_PATIENCE)
    now = await js.find_stream(info.name)
    return now is not None and (now.state != info.state or marker_of(now) != marker_of(info))
