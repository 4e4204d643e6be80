# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Comparing a restored stream with its backup, while publishers go on and the stream lives by its configuration."""

from __future__ import annotations

import asyncio
import contextlib
import time

from ..._archive.times import ZERO, parse_ns
from ..._nats.api import JetStream
from ..._nats.errors import PermissionDeniedError
from ..._nats.model import StreamInfo
from ..._repository.errors import VerificationError
from ..._repository.inspect import Backup
from .content import ITSELF, Figures, arrived, kept, lost, movements, state_differences
from .held import as_held, may_hold_less, note_on
from .taken import unexplained

# More deleted sequences than that are not asked for: their list would not fit into the memory of small hosts.
_MOST_DELETED = 2_000_000


async def with_deleted(js: JetStream, backup: Backup, info: StreamInfo) -> StreamInfo:
    """C(info), asked anew with its deleted sequences where only they can tell what of the backup is in the stream."""
    if kept(backup.state, info.state) is not None or Figures.of(info.state).holes > _MOST_DELETED:
        return info
    return await js.stream_info(info.name, deleted=True)


async def other_end(js: JetStream, backup: Backup, info: StreamInfo) -> list[str]:
    """A difference where the message at the backup's last sequence is another one, which figures cannot tell.

    A stream that lost its end and was written to has as many messages as before.
    """
    last = Figures.of(backup.state).last
    if not last or not arrived(backup.state, info.state):
        return []
    found = await js.message(info.name, last)
    if found is None or parse_ns(found.time) == parse_ns(str(backup.state.get("last_ts") or ZERO)):
        return []
    return [f"message {last}: it is of {backup.state.get('last_ts')} in the backup, of {found.time} in the stream"]


async def verify_restored(js: JetStream, backup: Backup, info: StreamInfo) -> tuple[StreamInfo, list[str]]:
    """Compare a stream that was just restored, as C(info) shows it, with the backup; a cluster is given time to settle.

    Returns the stream as it is now and notes on what came meanwhile. Raises VerificationError.
    """
    deadline, name = time.monotonic() + (15.0 if js.clustered else 3.0), info.name
    with contextlib.suppress(PermissionDeniedError):
        # The answer to a restore is of before its last steps, but who may not ask has that at least.
        info = await js.stream_info(name)
    while True:
        info = await with_deleted(js, backup, info)
        differences = state_differences(backup.state, info, exact=backup.exact, up_to=backup.up_to, others=True)
        if not differences:
            differences = await other_end(js, backup, info)
        if not differences and lost(backup.state, info.state):
            if "deleted" not in info.state:
                info = await js.stream_info(name, deleted=True)
            reason = await unexplained(js, backup, info, arrived(backup.state, info.state, backup.up_to))
            differences = [f"messages: {reason}, which nothing in its configuration takes"] if reason else []
        if not differences:
            return info, notes_on_arrivals(backup, info, "while it was restored")
        if time.monotonic() > deadline:
            held = await as_held(backup, info) if may_hold_less(backup, info) else backup
            if held is not backup:
                return info, [note_on(backup, held, name), *(await verify_restored(js, held, info))[1]]
            raise VerificationError(
                f"stream {name} was restored, and is not what the backup {backup.path} says:"
                f" {'; '.join(differences)}. It is left for you to look at; the backup is untouched."
            )
        await asyncio.sleep(0.25)
        info = await js.stream_info(name)


def notes_on_arrivals(backup: Backup, info: StreamInfo, when: str) -> list[str]:
    """A note on the messages behind the backup's last one; not for a mirror, which has none of its own."""
    count = arrived(backup.state, info.state, backup.up_to)
    if not count or info.config.get("mirror"):
        return []
    own = [movement.what for movement in movements(info.config) if movement.adds == ITSELF]
    origin = f" (from publishers or {', '.join(own)})" if own else ""
    behind = f"{count} messages came behind the backup's last sequence {Figures.of(backup.state).last}"
    return [f"stream {info.name}: {behind} {when}{origin}. They are kept."]
