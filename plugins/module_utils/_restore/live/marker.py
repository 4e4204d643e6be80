# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose a half restored stream is: a run marks what it makes with a subject on which it answers as long as it lives.

The mark is the same for every run that restores that stream, so that a later one knows what an earlier one asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import typing as t
import uuid

from ..._nats.api import JetStream
from ..._nats.connection import NoRespondersError
from ..._nats.errors import NatsError, PermissionDeniedError, RequestTimeoutError
from ..._nats.model import StreamInfo
from ..._repository.compare import MARKER
from ..._repository.errors import LockedError

# A server drops a restore that sends it nothing for 5 s; before that, the stream is not to be touched. A cluster then
# takes away what was made, be it whole, and shows an empty stream instead.
_SERVER_PATIENCE = 6.0
_CLUSTER_PATIENCE = 13.0


def marker_of(info: StreamInfo | None) -> str:
    """The mark of the run that is restoring, or began to restore, a stream; empty if there is none."""
    return str((info.config.get("metadata") or {}).get(MARKER) or "") if info is not None else ""


def _locked(stream: str) -> LockedError:
    return LockedError(
        f"Another run is restoring the stream {stream} at this moment. Wait for it to end, then run again."
    )


async def _ask(js: JetStream, subject: str, payload: bytes = b"", timeout: float = 2.0) -> bool | None:
    """Whether a run answers there; C(None) if that cannot be told.

    This user may not be allowed to ask, the other not to answer, or its end of the connection vanished without a word.
    """
    try:
        await js.connection.request(subject, payload, timeout=timeout)
    except NoRespondersError:
        return False
    except (PermissionDeniedError, RequestTimeoutError):
        return None
    return True


class Presence:
    """One run's presence at one stream. Use as an async context manager around everything that happens to the stream.

    Raises LockedError on entry while another run is present.
    """

    def __init__(self, js: JetStream, stream: str) -> None:
        self._js = js
        self._stream = stream
        self._id = uuid.uuid4().hex.encode()
        self._subscription: t.Any = None
        prefix = js.connection.new_inbox().rpartition(".")[0]
        self.marker = f"{prefix}.natsops-restore-{hashlib.sha256(stream.encode()).hexdigest()[:20]}"

    async def __aenter__(self) -> Presence:
        if await _ask(self._js, self.marker):
            raise _locked(self._stream)
        self._subscription = await self._js.connection.subscribe(self.marker, self._answer)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._js.connection.unsubscribe(self._subscription)

    async def _answer(self, message: t.Any) -> None:
        if message.data != self._id:
            with contextlib.suppress(NatsError):
                await self._js.connection.publish(message.reply)

    async def others(self) -> bool:
        """Whether another run came while this one was at work: both began at the same moment."""
        return bool(await _ask(self._js, self.marker, self._id, timeout=1.0))


def patience(js: JetStream) -> float:
    """Seconds after which nothing can come of a restore that was given up."""
    return _CLUSTER_PATIENCE if js.clustered else _SERVER_PATIENCE


async def require_ended(js: JetStream, info: StreamInfo, *, wait: bool) -> None:
    """Return when the run that marked the stream has ended, and with C(wait), when its server has let go of it.

    Raises LockedError while that run lives.
    """
    alive = await _ask(js, marker_of(info))
    if alive is not False or wait:
        before = info.state
        if not alive:
            await asyncio.sleep(patience(js))
        now = await js.find_stream(info.name) if alive is None else None
        if alive or (now is not None and marker_of(now) == marker_of(info) and _came(before, now.state)):
            raise _locked(info.name)


def _came(before: t.Mapping[str, t.Any], now: t.Mapping[str, t.Any]) -> bool:
    """Whether data has come: a restore is under way."""
    return int(now.get("last_seq") or 0) > int(before.get("last_seq") or 0)
