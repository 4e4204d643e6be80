# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stream about to be replaced takes nothing in any more: its subjects are taken away for that moment.

Otherwise a message could be acknowledged between the last look at the stream and its end. A publisher gets no
acknowledgement meanwhile, and publishes again, as it does while there is no stream. The metadata say what the subjects
were, so that the next run gives them back if this one is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

from ..._nats.api import JetStream
from ..._nats.errors import ApiError, NatsError, PermissionDeniedError
from ..._nats.model import Json, StreamInfo
from ..._repository.compare import HELD
from ..recover.recreated import last_seq

#: Metadata of a stream that a run is about to replace: its subjects, as JSON.
FENCED = "natsops.replacing"
_PATIENCE = 5.0
_ATTEMPTS = 5


async def fence(js: JetStream, info: StreamInfo) -> bool:
    """Take the subjects of a stream away. False where there are none, or where the server does not do it."""
    config = info.config
    metadata = dict(config.get("metadata") or {})
    if not config.get("subjects") or config.get("sealed") or HELD in metadata:
        return False
    metadata.setdefault(FENCED, json.dumps(config["subjects"]))
    try:
        await js.update_stream({**config, "subjects": [f"$NATSOPS.HELD.{info.name}"], "metadata": metadata})
    except (ApiError, PermissionDeniedError):
        return False
    except BaseException:
        # It may have been done, and the answer was lost.
        await asyncio.shield(lift(js, info))
        raise
    return True


def opened(config: Json) -> Json | None:
    """The configuration with its subjects back, or C(None) where they were not taken away for a replacement."""
    metadata = dict(config.get("metadata") or {})
    try:
        subjects = json.loads(metadata.pop(FENCED))
    except (KeyError, TypeError, ValueError):
        return None
    if not isinstance(subjects, list):
        return None
    found = {**config, "subjects": subjects, "metadata": metadata}
    if not metadata:
        del found["metadata"]
    return found


async def lift(js: JetStream, info: StreamInfo) -> bool:
    """Give a stream that is still there its subjects back. Quiet; false if it could not be done."""
    for _attempt in range(_ATTEMPTS):
        with contextlib.suppress(NatsError):
            now = await js.find_stream(info.name)
            config = opened(now.config) if now is not None and now.created == info.created else None
            if config is not None:
                await js.update_stream(config)
            return True
        if js.connection.lost is not None:
            break
        await asyncio.sleep(0.5)
    return False


async def still(js: JetStream, name: str, *, fenced: bool) -> StreamInfo | None:
    """The stream when nothing is under way to it any more: what was on its way when the subjects went may yet come."""
    info = await js.find_stream(name)
    deadline = time.monotonic() + _PATIENCE
    while fenced and info is not None and time.monotonic() < deadline:
        await asyncio.sleep(0.3 if js.clustered else 0.1)
        now = await js.find_stream(name)
        if now is None or last_seq(now.state) == last_seq(info.state):
            return now
        info = now
    return info
