# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an archive really holds, where a restored stream has less than the backup's state says."""

from __future__ import annotations

import asyncio
import dataclasses

from ..._archive.errors import ArchiveError
from ..._archive.times import format_ns
from ..._archive.v2.walk import read_entries
from ..._nats.model import Json, StreamInfo
from ..._repository.inspect import Backup
from ..._repository.suspect import Suspicion, unkeepable
from .content import kept


def may_hold_less(backup: Backup, info: StreamInfo) -> bool:
    """Whether a stream looks like the restored backup but for messages that may not be in the archive."""
    there = kept(backup.state, info.state)
    reached = int(info.state.get("last_seq") or 0) >= int(backup.state.get("last_seq") or 0)
    fewer = reached and there is not None and 0 < there < int(backup.state.get("messages") or 0)
    return fewer or unkeepable(backup.state)


async def as_held(backup: Backup, info: StreamInfo) -> Backup:
    """The backup with the state of what is in it, where that is less than its own state says; else as it is.

    A server leaves out of a snapshot what it cannot read, and counts it all the same. Reads all of a V2 archive: only
    for a stream C(info) that differs. Of sequences that no server keeps, what C(info) has is what can be had.
    """
    if unkeepable(backup.state):
        found = {key: info.state.get(key) for key in backup.state if key in info.state}
        return dataclasses.replace(backup, state={**backup.state, **found})
    if backup.format != "V2" or backup.derived:
        return backup
    try:
        return await asyncio.get_running_loop().run_in_executor(None, _counted, backup)
    except (ArchiveError, OSError):
        return backup  # the difference is told as it is


def _counted(backup: Backup) -> Backup:
    first = last = None
    count = 0
    for entry, order in read_entries(backup.data, headers=False, payloads=False):
        if entry.sequence:
            first, last, count = first or entry, entry, order.messages
    said = int(backup.state.get("messages") or 0)
    if count >= said:
        return backup
    state: Json = {**backup.state, "messages": count, "num_deleted": said - count}
    if first is not None and last is not None:
        state.update(first_seq=first.sequence, first_ts=format_ns(first.time_ns), last_ts=format_ns(last.time_ns))
    else:
        state.update(first_seq=int(state.get("last_seq") or 0) + 1)
    return dataclasses.replace(backup, state=state)


def note_on(backup: Backup, held: Backup, stream: str) -> str:
    """What a restore says of a backup that holds less than its state says."""
    said, count = (int(one.state.get("messages") or 0) for one in (backup, held))
    if unkeepable(backup.state):
        return Suspicion("sequences", 0, said, (str(backup.state.get("last_seq")),)).sentence(stream)
    if backup.manifest is not None and backup.manifest.kept_all:
        return Suspicion("missing", said - count, said).sentence(stream)
    return (
        f"stream {stream}: the archive has {count} of the {said} messages that its state counts. The others expired or"
        " were deleted while it was taken, or the server could not read them. What is there was restored."
    )
