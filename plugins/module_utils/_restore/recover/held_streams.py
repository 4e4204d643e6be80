# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a recovery does about streams that L(hold) deleted or changed, by its record: none of them is forgotten."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import typing as t

from ..._nats.api import JetStream
from ..._nats.errors import RequestTimeoutError
from ..._nats.model import Json, StreamInfo
from ..._repository import held_record
from ..._repository.compare import MARKER, interrupted
from ..._repository.held_record import Entry, Record
from ..._repository.manifest import Manifest
from . import recreated
from .dead_leader import OFFLINE, delete, state_of
from .servers import Servers

_PATIENCE = 15.0


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is to be done: C(restore) it, C(whole), C(failed), C(unreachable), or go by what is there (C(none)).

    C(path): where its backup is. C(placement): where it goes, if not where its own says. C(stuck): no server will ever
    answer for it, so that it is deleted first.
    """

    act: str
    manifest: Manifest | None = None
    path: str = ""
    placement: Json | None = None
    reason: str = ""
    stuck: bool = False


class Recorded:
    """The streams of a record, as a recovery finds them."""

    def __init__(self, record: Record, placement: Json | None, *, check: bool) -> None:
        self._record = record
        self._placement = placement
        self._check = check
        self.entries = record.entries()

    async def judge(
        self, js: JetStream, live: t.Mapping[str, StreamInfo], silent: t.Collection[str]
    ) -> dict[str, Verdict]:
        """What is to be done about each."""
        servers = Servers(js)
        return {
            name: await self._judge(js, servers, entry, live.get(name), silent=name in silent)
            for name, entry in self.entries.items()
        }

    async def _judge(
        self, js: JetStream, servers: Servers, entry: Entry, info: StreamInfo | None, *, silent: bool
    ) -> Verdict:
        if entry.phase == held_record.LEFT and not silent:
            return Verdict("none")  # nothing was done to it
        path, manifest, wrong = self._record.backup(entry)
        wrong = self._record.elsewhere(entry) or wrong
        if wrong or manifest is None:
            return Verdict("failed", reason=f"{wrong}. {self._give_up(entry)}")
        if info is not None:
            return await self._judge_live(js, entry, info, manifest, path)
        own = entry.placement or manifest.config.get("placement")
        chosen, why = await servers.choose(own, self._placement)
        if silent and (why or chosen is None or await state_of(js, entry.stream) != OFFLINE):
            reason = f"no server answers for it, and {why}" if why else "no server answers for it"
            return Verdict("unreachable", manifest, path, reason=reason)
        if why:
            return Verdict("failed", manifest, path, reason=f"it was deleted when it was held, and {why}")
        return Verdict("restore", manifest, path, chosen or entry.placement, stuck=silent)

    async def _judge_live(
        self, js: JetStream, entry: Entry, info: StreamInfo, manifest: Manifest, path: str
    ) -> Verdict:
        metadata = info.config.get("metadata") or {}
        there, wanted = recreated.last_seq(info.state), recreated.last_seq(manifest.state)
        if interrupted(info) or (not there and (wanted or entry.phase == held_record.DELETED)):
            return Verdict("restore", manifest, path, entry.placement)
        if there < wanted or MARKER in metadata:
            reason = (
                f"it was held, and another stream of its name took messages since: it is at {there}, its backup at"
                f" {wanted}. Rename or delete that one, then run again. {self._give_up(entry)}"
            )
            return Verdict("failed", manifest, path, reason=reason)
        if entry.phase == held_record.DELETED and not recreated.same_birth(manifest.created, info.created):
            names = {one.name for one in (await js.consumers(entry.stream)).items}
            lacking = [one["name"] for one in entry.consumers if _lasting(one["config"]) and one["name"] not in names]
            if lacking:
                reason = (
                    f"it is there, and its consumers are not: {', '.join(lacking)}. Create them, as"
                    f" {self._record.file(entry.stream)} has them, then run again. {self._give_up(entry)}"
                )
                return Verdict("failed", manifest, path, reason=reason)
        return Verdict("whole", manifest, path)

    def _give_up(self, entry: Entry) -> str:
        return f"To give it up: rm '{self._record.file(entry.stream)}'"

    async def make_room(self, js: JetStream, name: str, verdict: Verdict) -> None:
        """Delete a stream that no server will ever answer for. Raises RequestTimeoutError where it stays."""
        self._record.write(held_record.phase_of(self.entries[name], held_record.DELETED, placement=verdict.placement))
        await delete(js, name)
        end = time.monotonic() + _PATIENCE
        while name in (await js.call("STREAM.NAMES", {}, what="names of streams")).get("streams", ()):
            if time.monotonic() > end:
                raise RequestTimeoutError(f"stream {name}: it was to be deleted, and is still there. Run again.")
            await asyncio.sleep(0.5)

    def restored(self, name: str) -> None:
        """A stream has its data again."""
        if name in self.entries and not self._check:
            self._record.write(held_record.phase_of(self.entries[name], held_record.RESTORED))

    def close(self, name: str) -> None:
        """A stream is whole and has its subjects."""
        if name in self.entries and not self._check:
            self._record.close(name)


def _lasting(config: Json) -> bool:
    return bool(config.get("durable_name")) and not config.get("inactive_threshold")
