# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making room for a restored stream, and taking away what a restore that failed has left."""

from __future__ import annotations

import asyncio
import time

from .._nats.api import JetStream
from .._nats.errors import ApiError, NatsError, PermissionDeniedError
from .._nats.model import Json, StreamInfo
from .compare import MARKER
from .errors import ConflictError, RestoreError
from .plan import Plan, Target
from .presence import marker_of
from .relax import probe_config, probe_name

# An abandoned restore in a cluster comes to light this many seconds later, as an empty stream.
GHOST_PATIENCE = 20.0


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


async def make_room(js: JetStream, plan: Plan) -> None:
    """Delete the stream to be replaced, after proof that its successor can be placed. Raises RestoreError."""
    if not plan.debris:
        await _probe(js, plan.config)
    now = await js.find_stream(plan.name)
    if now is None:
        return
    if plan.existing is None or now.created != plan.existing.created:
        raise ConflictError(
            f"stream {plan.name} was made anew by somebody else while it was about to be replaced. It is untouched; see"
            " what it is, then run again."
        )
    await delete_if_there(js, plan.name)


async def _probe(js: JetStream, config: Json) -> None:
    probe = probe_config(config)
    try:
        await js.create_stream(probe)
    except ApiError as exc:
        if exc.error == "maximum_streams_limit":
            return
        raise RestoreError(
            f"stream {config['name']} is not replaced: a stream with the same configuration cannot be created"
            f" ({exc.description}). The stream is untouched; change replicas, placement, storage or config.",
            error=exc.error,
            err_code=exc.err_code,
        ) from exc
    await delete_if_there(js, probe["name"])


async def wait_for_occupant(js: JetStream, name: str) -> StreamInfo | None:
    """The stream that takes the name according to a server, as soon as it shows; C(None) if it does not."""
    deadline = time.monotonic() + GHOST_PATIENCE
    while time.monotonic() < deadline:
        found = await js.find_stream(name)
        if found is not None:
            return found
        await asyncio.sleep(0.5)
    return None


async def clean_up(js: JetStream, name: str, marker: str) -> None:
    """Remove what a failed restore with this mark left; quiet if nothing can be asked any more."""
    deadline = time.monotonic() + (GHOST_PATIENCE if js.clustered else 6.0)
    clean = 0
    while time.monotonic() < deadline and js.connection.lost is None:
        try:
            found = await js.find_stream(name)
            if found is not None and marker_of(found) != marker:
                return
            if found is not None:
                await js.delete_stream(name)
                return
            clean += 1
            if clean > (3 if not js.clustered else 30):
                return
        except PermissionDeniedError:
            return  # what is left has our marker: the next run by a user who may takes it away
        except NatsError:
            pass
        await asyncio.sleep(0.2 if not js.clustered else 0.5)
