# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a snapshot that was just taken holds all that its stream has: the stream is asked once more."""

from __future__ import annotations

import dataclasses

from .._archive.report import ArchiveReport
from .._archive.v2.walk import read_entries
from .._nats.api import JetStream
from .._nats.model import Json, StreamInfo
from .._repository import suspect
from .._repository.suspect import Suspicion
from .._repository.writer import Worker

# To name what is missing, at most so many sequences are looked at; the server lists each deleted one.
_MOST_LOOKED_AT = 1_000_000
_MOST_DELETED = 100_000
# What a server lost is told together with the list of deleted messages, which is not asked for where it is long.
_FEW_DELETED = 1_000


@dataclasses.dataclass(frozen=True)
class Judgement:
    """C(after): the stream's state after the snapshot, empty where there was no need to ask."""

    after: Json
    kept_all: bool
    suspicion: Suspicion | None


async def judge(
    js: JetStream, before: StreamInfo, config: Json, state: Json, report: ArchiveReport, data: str, worker: Worker
) -> Judgement:
    """What the figures of a snapshot prove. C(before): the stream as it was before; C(state): the snapshot's own."""
    fewer = suspect.too_few(state, report)
    deleted = int(state.get("num_deleted") or 0)
    info = await js.stream_info(before.name, deleted=deleted <= (_MOST_DELETED if fewer else _FEW_DELETED))
    after = info.state
    kept = info.created == before.created and suspect.kept_all(config, state, after)
    missing: tuple[str, ...] = ()
    if fewer and kept and deleted <= _MOST_DELETED:
        missing = await worker.call(lambda: _missing(state, after, fewer, data))
    suspicion = suspect.judge(config, state, report, kept=kept, lost=after.get("lost"), missing=missing)
    return Judgement(after, kept, suspicion)


def _missing(state: Json, after: Json, fewer: int, data: str) -> tuple[str, ...]:
    """The sequences that the stream counts and the archive has not; nothing where they cannot be told for certain."""
    first, last = int(state.get("first_seq") or 0), int(state.get("last_seq") or 0)
    deleted = {int(sequence) for sequence in after.get("deleted") or ()}
    entries = read_entries(data, headers=False, payloads=False)
    sequences = (entry.sequence for entry, _order in entries if entry.sequence)
    found = suspect.absent(sequences, first, last, deleted, _MOST_LOOKED_AT)
    return suspect.as_ranges(found) if found is not None and len(found) == fewer else ()
