# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making room for a restored stream, and taking away what a restore that failed has left."""

from __future__ import annotations

import asyncio
import contextlib
import time
import typing as t

from ..._nats.api import JetStream
from ..._nats.errors import ApiError, NatsError, PermissionDeniedError, RequestTimeoutError
from ..._nats.model import Json
from ..._repository.compare import MARKER
from ..._repository.errors import ConflictError, LockedError
from ..._repository.inspect import Backup
from ..before.relax import probe_name
from ..before.trial import prove
from ..plan import Plan, Target
from .marker import Presence, marker_of, patience

if t.TYPE_CHECKING:
    from .safety_backup import Keeper

_CLEAN_UP = 20.0


async def delete_if_there(js: JetStream, name: str) -> None:
    """Delete a stream; fine if it is gone already."""
    try:
        await js.delete_stream(name)
    except ApiError as exc:
        if exc.error != "stream_not_found":
            raise


async def clear_probe(js: JetStream, name: str, target: Target) -> None:
    """Delete the probe for the stream C(name) that a killed run left."""
    probe = probe_name(name)
    if any(info.name == probe and MARKER in (info.config.get("metadata") or {}) for info in target.streams.items):
        await delete_if_there(js, probe)


async def make_room(js: JetStream, backup: Backup, plan: Plan, keeper: Keeper | None) -> None:
    """Delete the stream to be replaced, after proof that its successor can be placed. Raises RestoreError.

    C(keeper) sees to it that what the stream holds is kept.
    """
    if not plan.debris:
        await prove(js, backup.consumers, plan.config, plan.existing)
    async with keeper.closed(js) if keeper is not None and not plan.debris else contextlib.nullcontext():
        await _delete_old(js, plan)


async def _delete_old(js: JetStream, plan: Plan) -> None:
    now = await js.find_stream(plan.name)
    if now is None:
        return
    if plan.existing is None or now.created != plan.existing.created:
        raise ConflictError(
            f"stream {plan.name} was made anew by somebody else while it was about to be replaced. It is untouched; see"
            " what it is, then run again."
        )
    await delete_if_there(js, plan.name)


async def reveal(js: JetStream, config: Json, presence: Presence, *, replace: bool) -> None:
    """Return when the name in C(config), taken according to a server and by nothing to be seen, is to be tried again.

    In a cluster, a restore that was given up can leave a name taken by nothing: no request shows it. To create a stream
    with the very configuration of the restore brings it to light, as an empty stream; with any other it is refused.
    So what an earlier run began is told from a restore or a stream of somebody else, which is left alone: raises
    ConflictError, unless C(replace). Raises LockedError while another run is at work.
    """
    name = config["name"]
    end = time.monotonic() + patience(js)
    while time.monotonic() < end:
        if await js.find_stream(name) is not None:
            return
        if await presence.others():
            raise LockedError(f"Another run is restoring the stream {name} at this moment. Wait for it to end.")
        await asyncio.sleep(0.5)
    try:
        await js.create_stream(config)
    except (ApiError, RequestTimeoutError):
        pass  # the older lines do it and tell nothing, or something else
    found = await js.find_stream(name)
    if (found is not None and marker_of(found) == presence.marker and not found.state.get("messages")) or (
        found is None and replace
    ):
        await delete_if_there(js, name)
    elif found is None:
        raise ConflictError(
            f"stream {name}: the name is taken, by a restore that somebody else began and perhaps gave up; it is not"
            " shown. Wait for its end; or delete the stream (nats stream rm), or set on_conflict to replace, and run"
            " again."
        )


async def clean_up(js: JetStream, name: str, presence: Presence) -> None:
    """Remove what a restore of this run left that a server took up and that failed; quiet if nothing can be asked."""
    end = time.monotonic() + _CLEAN_UP
    clean = 0
    while time.monotonic() < end and js.connection.lost is None:
        await asyncio.sleep(0.5 if js.clustered else 0.2)
        try:
            found = await js.find_stream(name)
            if (found is not None and marker_of(found) != presence.marker) or await presence.others():
                return
            if found is not None or js.clustered:
                # In a cluster the name stays taken, also where there is no stream to be seen.
                await delete_if_there(js, name)
                return
            clean += 1
            if clean > 3:
                return
        except PermissionDeniedError:
            return  # what is left has our marker: the next run by a user who may takes it away
        except NatsError:
            pass
