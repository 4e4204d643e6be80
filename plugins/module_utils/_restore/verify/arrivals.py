# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a stream that is there has taken in since its backup, and whether that is a difference.

A stream that was restored goes on: its new messages are no difference. The stream that was backed up and went on is
another matter, where it can be told. And who asks for C(replace) wants a stream as it was at its backup, in any case.
"""

from __future__ import annotations

import asyncio
import re
import typing as t

from ..._archive.times import ZERO, parse_ns
from ..._nats.api import JetStream
from ..._nats.model import StreamInfo
from ..._repository.compare import MARKER
from ..._repository.inspect import Backup
from ..origins.went_back import origin_differences
from ..recover.recreated import same_birth
from .content import ITSELF, OTHERS, Figures, arrived, movements, state_differences
from .held import as_held, may_hold_less, note_on
from .restored import notes_on_arrivals, other_end, with_deleted

# Messages to look at from each end of those that came.
_LOOK = 128
# Headers that servers give to messages that nobody published: copies, markers, messages of a schedule.
_NOT_PUBLISHED = re.compile(rb"\r\n(nats-stream-source|nats-marker-reason|nats-scheduler):", re.IGNORECASE)


def is_original(backup: Backup, info: StreamInfo) -> bool | None:
    """Whether the stream is the one that was backed up, and not one that was restored or made since.

    C(None) where that cannot be told: servers give a stream of a V1 archive its old creation time back, but for a
    cluster.
    """
    created = backup.manifest.created if backup.manifest else ""
    if not created:
        return None
    if same_birth(created, info.created):
        return None if backup.format == "V1" or backup.derived else True
    newest = str(backup.state.get("last_ts") or ZERO)
    # Replicas can remember different times; those are all from before the backup's last message.
    return parse_ns(info.created) <= parse_ns(newest)


async def examine(
    js: JetStream, backup: Backup, info: StreamInfo, gone_back: t.Mapping[str, int], *, replace: bool
) -> tuple[StreamInfo, list[str], list[str]]:
    """Compare a stream that is there with a backup: the stream, perhaps asked anew, differences, and notes.

    C(gone_back): the last sequence of each stream that this run restores; copies of later ones are differences.
    """
    info = await with_deleted(js, backup, info)
    original = is_original(backup, info)
    begun = MARKER in (info.config.get("metadata") or {})
    others = begun or (not replace and original is not True)
    differences = state_differences(backup.state, info, exact=backup.exact, up_to=backup.up_to, others=others)
    notes: list[str] = []
    if differences and may_hold_less(backup, info):
        said, backup = backup, await as_held(backup, info)
        if backup is not said:
            notes.append(note_on(said, backup, info.name))
            differences = state_differences(backup.state, info, exact=backup.exact, up_to=backup.up_to, others=others)
    if not differences:
        differences += await other_end(js, backup, info)
    came = arrived(backup.state, info.state, backup.up_to)
    if not differences and came and not others:
        differences += await _published(js, backup, info)
    if not differences and came and not begun:
        differences, unseen = await origin_differences(js, info, backup.up_to, gone_back)
        notes += [*notes_on_arrivals(backup, info, "since"), *(unseen if replace else [])] if not differences else []
    return info, differences, notes


async def _published(js: JetStream, backup: Backup, info: StreamInfo) -> list[str]:
    """A difference where somebody published to a stream that also takes messages in by itself."""
    if not {ITSELF, OTHERS} <= {movement.adds for movement in movements(info.config)}:
        return []
    first, last = backup.up_to + 1, Figures.of(info.state).last
    sequences = sorted({*range(first, min(first + _LOOK, last + 1)), *range(max(first, last - _LOOK), last + 1)})
    found = await asyncio.gather(*(js.message(info.name, sequence) for sequence in sequences))
    own = [message.sequence for message in found if message and not _NOT_PUBLISHED.search(message.headers)]
    if not own:
        return []
    return [f"last_seq: backup {Figures.of(backup.state).last}, stream {last}, with messages that were published"]
