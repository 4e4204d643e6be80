# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Live streams that source from a stream about to be restored: they must not copy its messages a second time."""

from __future__ import annotations

import asyncio

from .._nats.api import JetStream
from .._nats.errors import ApiError
from .._nats.model import Listing, StreamInfo
from .sources import Copied, parse_source, source_key, start_behind

_BATCH = 128
# Messages to look through, from the end, for the last one of a source; beyond it the stream is left alone, with a
# warning.
_MOST = 200_000


async def hold_back(js: JetStream, origin: str, streams: Listing[StreamInfo]) -> list[str]:
    """Make each live stream that sources from C(origin) start behind what it has copied from it.

    Returns a warning for each stream that was changed or could not be.
    """
    if not js.line.source_identity:
        return []
    warnings = []
    for listed in streams.items:
        keys = [
            source_key(s)
            for s in listed.config.get("sources") or []
            if s.get("name") == origin and not s.get("external")
        ]
        if not keys or listed.name == origin:
            continue
        info = await js.find_stream(listed.name)
        if info is None or not info.state.get("messages"):
            continue
        copied, complete = await _last_copied(js, info, set(keys))
        config, changes = start_behind(info.config, copied)
        if changes:
            try:
                await js.update_stream(config)
            except ApiError as exc:
                warnings.append(
                    f"stream {info.name} sources from {origin} and could not be told where to go on"
                    f" ({exc.description}): it will copy the restored messages a second time."
                )
                continue
            warnings.append(
                f"stream {info.name} sources from the restored {origin}: opt_start_seq was set in its configuration"
                f" ({', '.join(changes)}), so that it does not copy messages a second time. Remove it only after it"
                " has taken in a new message."
            )
        if not complete:
            warnings.append(
                f"stream {info.name} sources from {origin}, and none of its last {_MOST} messages tells how far it"
                " had come: it may copy restored messages a second time."
            )
    return warnings


async def _last_copied(js: JetStream, info: StreamInfo, keys: set[str]) -> tuple[dict[str, Copied], bool]:
    """The last copied position of each source, read from the end; false if the stream was not read to its start."""
    found: dict[str, Copied] = {}
    first, upper = int(info.state["first_seq"]), int(info.state["last_seq"])
    looked = 0
    while upper >= first and looked < _MOST:
        lower = max(first, upper - _BATCH + 1)
        batch = await asyncio.gather(*(js.message(info.name, sequence) for sequence in range(upper, lower - 1, -1)))
        for message in batch:
            parsed = parse_source(message.headers) if message else None
            if parsed and parsed[0] in keys:
                found.setdefault(*parsed)
        if keys <= set(found):
            return found, True
        looked += upper - lower + 1
        upper = lower - 1
    return found, upper < first
