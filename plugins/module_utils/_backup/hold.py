# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeping publishers off streams whose only copy is lost, until they are restored."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
import typing as t

from .._nats.api import JetStream
from .._nats.errors import ApiError, NatsError, RequestTimeoutError
from .._nats.model import Json
from . import recreated
from .manifest import Manifest

# The answer comes from the stream's leader, which is dead: that it was asked is all there is.
_PATIENCE = 2.0
_PATIENCE_NEW = 15.0
# "stream is offline"
_OFFLINE = 10118


@dataclasses.dataclass(frozen=True)
class Held:
    """What became of one stream. C(status): C(held), C(would_hold), C(failed)."""

    stream: str
    status: str
    reason: str = ""


async def hold(js: JetStream, known: t.Mapping[str, Manifest], *, check: bool) -> list[Held]:
    """Take the subjects of those streams away that no server answers for and that a backup is there for.

    The update is a matter of the meta group, which carries it out without the leader: the empty stream that the
    removal of the dead server makes takes no messages, so that a restore can put the backup in its place.
    """
    missing = set((await js.streams()).missing)
    chosen = [manifest for name, manifest in known.items() if name in missing and _alone(manifest.config)]
    if check:
        return [Held(manifest.stream, "would_hold") for manifest in chosen]
    return list(await asyncio.gather(*(_hold(js, manifest) for manifest in chosen)))


def _alone(config: Json) -> bool:
    """Whether a stream has one copy (others may be missing while they elect a leader), and publishers."""
    return int(config.get("num_replicas") or 1) == 1 and bool(config.get("subjects"))


async def _hold(js: JetStream, manifest: Manifest) -> Held:
    name = manifest.stream
    config: Json = recreated.held_config(manifest.config)
    try:
        try:
            await js.call(f"STREAM.UPDATE.{name}", config, timeout=_PATIENCE, what=f"hold stream {name}")
        except ApiError as exc:
            if exc.err_code != _OFFLINE:
                raise
            await _make_anew(js, name, config)
    except RequestTimeoutError:
        return Held(name, "held")
    except NatsError as exc:
        return Held(name, "failed", exc.message)
    return Held(name, "held")


async def _make_anew(js: JetStream, name: str, config: Json) -> None:
    """Put an empty stream without publishers in the place of one whose server the cluster knows to be gone.

    From about three minutes after the loss on, such a stream cannot be updated any more. It can be deleted, and a new
    one is not placed on a server that is known to be gone.
    """
    with contextlib.suppress(RequestTimeoutError):
        await js.call(f"STREAM.DELETE.{name}", timeout=_PATIENCE, what=f"delete stream {name}")
    end = time.monotonic() + _PATIENCE_NEW
    while True:
        try:
            await js.create_stream(config)
        except (ApiError, RequestTimeoutError):
            # The deletion is on its way.
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.2)
        else:
            return
