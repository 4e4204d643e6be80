# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing back what a cluster has made anew, empty: streams from their backups, consumers to where they were."""

from __future__ import annotations

import asyncio
import dataclasses
import glob
import os
import time
import typing as t

from ..._nats.api import JetStream
from ..._nats.errors import ApiError, NatsError
from ..._nats.model import Json, Listing, StreamInfo
from ..._nats.session import Session
from ..._repository.compare import interrupted
from ..._repository.held_record import Record
from ..._repository.manifest import Manifest
from ..account import AccountRestore, AccountRestoreOptions
from ..order import Member, order
from ..plan import RestoreOptions
from . import recreated
from .consumers import Moved, move_consumers
from .held_streams import Recorded, Verdict

_STUCK = "it is deleted first: no server holds it any more, and none fits its placement"
_INTERVAL = 0.5
_PARALLEL = 4


@dataclasses.dataclass(frozen=True)
class Recovered:
    """What became of one stream.

    C(status): C(restored), C(would_restore), C(behind), C(other), C(absent), C(unreachable), C(released), C(failed).
    C(since) is when the backup began, C(messages) and C(last_seq) what it holds, C(live_seq) what the stream had.
    """

    stream: str
    status: str
    since: str = ""
    messages: int = 0
    last_seq: int = 0
    live_seq: int | None = None
    reason: str = ""
    failure: Exception | None = None


_REASONS = {
    recreated.BEHIND: "it is behind its backup and has messages that came since: it was left as it is",
    recreated.OTHER: "another stream of that name, created at another time, is there: it was left as it is",
    recreated.ABSENT: "there is no such stream any more",
}


async def settled_streams(js: JetStream, names: t.Collection[str], patience: float) -> Listing[StreamInfo]:
    """All streams, once those of C(names) that exist answer, or after C(patience) seconds: new ones elect leaders."""
    deadline = time.monotonic() + patience
    while True:
        listing = await js.streams()
        silent = {*listing.missing, *listing.offline} & set(names)
        leaderless = {
            info.name for info in listing.items if info.cluster is not None and not info.cluster.get("leader")
        }
        if (not silent and not leaderless & set(names)) or time.monotonic() > deadline:
            return listing
        await asyncio.sleep(_INTERVAL)


class Recovery:
    """One run over an account. Use L(run) once.

    C(record): what holding did. C(placement): where streams go whose own placement fits no server that answers.
    """

    def __init__(
        self,
        session: Session,
        path: str,
        known: t.Mapping[str, Manifest],
        record: Record,
        placement: Json | None,
        *,
        check: bool,
    ) -> None:
        self._session = session
        self._path = path
        self._known = dict(known)
        self._check = check
        self._record = record
        self._recorded = Recorded(record, placement, check=check)
        self._verdicts: dict[str, Verdict] = {}

    async def run(self, patience: float) -> tuple[list[Recovered], list[Moved]]:
        """Restore and move all that was made anew; what is as it was is not in the results."""
        names = {*self._known, *self._recorded.entries}
        listing = await self._session.run(lambda js: settled_streams(js, names, patience))
        silent = {*listing.missing, *listing.offline}
        # Of a stream whose servers are all gone, the list has an entry without a state.
        live = {info.name: info for info in listing.items if info.name not in silent}
        self._verdicts = await self._session.run(lambda js: self._recorded.judge(js, live, silent))
        results, empty = self._sorted(live, silent)
        results += await self._restore(empty, live)
        results += await self._release(results)
        bad = {one.stream for one in results if one.status in ("failed", "unreachable", "absent")}
        for name, verdict in self._verdicts.items():
            if name not in bad and (verdict.act != "none" or name in live):
                self._recorded.close(name)
        moved = []
        for name, manifest in self._known.items():
            if name in live and name not in empty and recreated.same_birth(manifest.created, live[name].created):
                moved += await move_consumers(self._session.js, manifest, live[name], check=self._check)
        return sorted(results, key=lambda one: one.stream), moved

    def _sorted(self, live: t.Mapping[str, StreamInfo], silent: t.Collection[str]) -> tuple[list[Recovered], list[str]]:
        """What is told as it is, and the names of what is to be restored."""
        results, empty = [], []
        for name, verdict in self._verdicts.items():
            if verdict.manifest is not None:
                self._known[name] = verdict.manifest
            if verdict.act == "restore":
                empty.append(name)
            elif verdict.act in ("failed", "unreachable"):
                results.append(self._of(name, verdict.act, live, reason=verdict.reason))
        for name, manifest in self._known.items():
            if name in self._verdicts and self._verdicts[name].act != "none":
                continue
            judged = recreated.judge(manifest, live.get(name))
            if name in silent:
                results.append(self._of(name, "unreachable", live, reason="no server answers for it"))
            elif judged == recreated.RECREATED or (recreated.last_seq(manifest.state) and interrupted(live.get(name))):
                empty.append(name)
            elif judged != recreated.INTACT:
                results.append(self._of(name, judged, live, reason=_REASONS[judged]))
        return results, empty

    def _of(self, name: str, status: str, live: t.Mapping[str, StreamInfo], **more: t.Any) -> Recovered:
        manifest = self._known.get(name)
        if manifest is None:
            return Recovered(name, status, **more)
        return Recovered(
            name,
            status,
            since=manifest.started_at,
            messages=int(manifest.state.get("messages") or 0),
            last_seq=recreated.last_seq(manifest.state),
            live_seq=recreated.last_seq(live[name].state) if name in live else None,
            **more,
        )

    async def _restore(self, names: t.Sequence[str], live: t.Mapping[str, StreamInfo]) -> list[Recovered]:
        done: list[Recovered] = []
        members = [Member(name, os.path.join(self._place(name), name), self._known[name].config) for name in names]
        slots = asyncio.Semaphore(_PARALLEL)
        for level in order(members):
            done += await asyncio.gather(*(self._restore_one(member, live, slots) for member in level))
        return done

    def _place(self, name: str) -> str:
        """The directory of the backup that a stream is restored from."""
        return self._verdicts[name].path or self._path if name in self._verdicts else self._path

    async def _restore_one(
        self, member: Member, live: t.Mapping[str, StreamInfo], slots: asyncio.Semaphore
    ) -> Recovered:
        """Restore a stream with its subjects held, so that it can be compared with its backup before anybody writes."""
        config: Json = {}
        if member.config.get("subjects"):
            held = recreated.held_config(dict(member.config))
            config = {key: held[key] for key in ("subjects", "metadata")}
        verdict = self._verdicts.get(member.name, Verdict("restore"))
        options = AccountRestoreOptions(
            streams=(glob.escape(member.name),),
            stale=member.name in self._verdicts,
            stream=RestoreOptions(
                on_conflict="replace_empty", config=config, origins=False, placement=verdict.placement
            ),
        )
        if verdict.stuck and self._check:
            return self._of(member.name, "would_restore", live, reason=_STUCK)
        async with slots:
            try:
                if verdict.stuck:
                    await self._recorded.make_room(self._session.js, member.name, verdict)
            except NatsError as exc:
                return self._of(member.name, "failed", live, reason=exc.message, failure=exc)
            place = self._place(member.name)
            (result,) = await AccountRestore(self._session, place, options, check=self._check).run()
        if not result.changed and result.status != "unchanged":
            return self._of(member.name, "failed", live, reason=result.reason, failure=result.failure)
        self._recorded.restored(member.name)
        reason = _STUCK if verdict.stuck else ""
        return self._of(member.name, "would_restore" if self._check else "restored", live, reason=reason)

    async def _release(self, results: t.Sequence[Recovered]) -> list[Recovered]:
        """Give streams that were held their subjects back; what of it is not told by C(results) is in those returned.

        What is not restored yet stays held: nobody could put its backup in its place any more.
        """
        restored = {one.stream for one in results if one.status in ("would_restore", "restored")}
        bad = {one.stream for one in results} - restored
        done = []
        for info in (await self._session.js.streams()).items:
            config = recreated.released_config(info.config)
            if config is None or info.name in bad or not self._record.wanted(info.name):
                continue
            if self._check and info.name in restored:
                continue
            try:
                if not self._check:
                    await self._session.js.update_stream(config)
            except ApiError as exc:
                why = f"it is there, but its subjects are held: {exc.message}"
                done.append(Recovered(info.name, "failed", reason=why, failure=exc))
                continue
            if info.name not in restored:
                done.append(Recovered(info.name, "released", reason="its subjects were held, and are its own again"))
        return done
