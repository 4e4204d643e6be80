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

from .._nats.api import JetStream
from .._nats.errors import ApiError, NatsError
from .._nats.model import ConsumerInfo, Json, Listing, StreamInfo
from . import recreated
from .account_restore import AccountRestore, AccountRestoreOptions
from .manifest import ConsumerRecord, Manifest
from .plan import RestoreOptions
from .reposition import behind_floor
from .restore_order import Member, order
from .session import Session

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


@dataclasses.dataclass(frozen=True)
class Moved:
    """What became of one consumer. C(status): C(moved), C(would_move), C(left); C(seq) is what it delivers next."""

    stream: str
    consumer: str
    status: str
    seq: int = 0
    reason: str = ""


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
    """One run over an account. Use L(run) once."""

    def __init__(self, session: Session, path: str, known: t.Mapping[str, Manifest], *, check: bool) -> None:
        self._session = session
        self._path = path
        self._known = known
        self._check = check

    async def run(self, patience: float) -> tuple[list[Recovered], list[Moved]]:
        """Restore and move all that was made anew; what is as it was is not in the results."""
        listing = await self._session.run(lambda js: settled_streams(js, self._known.keys(), patience))
        live = {info.name: info for info in listing.items}
        silent = {*listing.missing, *listing.offline}
        results, empty = [], []
        for name, manifest in self._known.items():
            verdict = recreated.judge(manifest, live.get(name))
            if name in silent:
                results.append(self._of(name, "unreachable", live, reason="no server answers for it"))
            elif verdict == recreated.RECREATED or (
                recreated.last_seq(manifest.state) and recreated.interrupted(live.get(name))
            ):
                empty.append(name)
            elif verdict != recreated.INTACT:
                results.append(self._of(name, verdict, live, reason=_REASONS[verdict]))
        results += await self._restore(empty, live)
        results += await self._release({one.stream for one in results if one.status in ("would_restore", "restored")})
        moved = []
        for name, manifest in self._known.items():
            if name in live and name not in empty and recreated.same_birth(manifest.created, live[name].created):
                moved += await self._consumers(manifest, live[name])
        return sorted(results, key=lambda one: one.stream), moved

    def _of(self, name: str, status: str, live: t.Mapping[str, StreamInfo], **more: t.Any) -> Recovered:
        manifest = self._known[name]
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
        members = [Member(name, os.path.join(self._path, name), self._known[name].config) for name in names]
        slots = asyncio.Semaphore(_PARALLEL)
        for level in order(members):
            done += await asyncio.gather(*(self._restore_one(member, live, slots) for member in level))
        return done

    async def _restore_one(
        self, member: Member, live: t.Mapping[str, StreamInfo], slots: asyncio.Semaphore
    ) -> Recovered:
        """Restore a stream with its subjects held, so that it can be compared with its backup before anybody writes."""
        config: Json = {}
        if member.config.get("subjects"):
            held = recreated.held_config(dict(member.config))
            config = {key: held[key] for key in ("subjects", "metadata")}
        options = AccountRestoreOptions(
            streams=(glob.escape(member.name),),
            stream=RestoreOptions(on_conflict="replace_empty", config=config, origins=False),
        )
        async with slots:
            (result,) = await AccountRestore(self._session, self._path, options, check=self._check).run()
        status = "would_restore" if self._check else "restored"
        if not result.changed and result.status != "unchanged":
            return self._of(member.name, "failed", live, reason=result.reason, failure=result.failure)
        return self._of(member.name, status, live)

    async def _release(self, restored: t.Collection[str]) -> list[Recovered]:
        """Give streams that were held their subjects back; what of it is not told by C(restored) is in the results."""
        done = []
        for info in (await self._session.js.streams()).items:
            config = recreated.released_config(info.config)
            if config is None or (self._check and info.name in restored):
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

    async def _consumers(self, manifest: Manifest, info: StreamInfo) -> list[Moved]:
        records = {record.name: record for record in manifest.consumers}
        if not records:
            return []
        js = self._session.js
        moved = []
        for consumer in (await js.consumers(info.name)).items:
            record = records.get(consumer.name)
            if record is not None and recreated.went_back(record, consumer):
                moved.append(await self._move(js, info, record, consumer))
        return moved

    async def _move(self, js: JetStream, info: StreamInfo, record: ConsumerRecord, live: ConsumerInfo) -> Moved:
        seq = int(record.ack_floor["stream_seq"]) + 1
        retention = str(info.config.get("retention") or "limits")
        if seq == 1 or retention != "limits":
            why = (
                "nothing was acknowledged" if seq == 1 else f"a stream with {retention} retention has no older messages"
            )
            return Moved(info.name, record.name, "left", reason=f"{why}; it begins with what the stream has")
        if int(live.ack_floor.get("stream_seq") or 0) + 1 >= seq:
            return Moved(info.name, record.name, "left", reason="it has come as far again")
        if self._check:
            return Moved(info.name, record.name, "would_move", seq)
        try:
            await self._reset(js, info.name, record, retention, seq)
        except NatsError as exc:
            return Moved(info.name, record.name, "left", reason=f"it could not be moved: {exc.message}")
        return Moved(info.name, record.name, "moved", seq)

    async def _reset(self, js: JetStream, stream: str, record: ConsumerRecord, retention: str, seq: int) -> None:
        if js.line.resets_consumers:
            try:
                subject = f"CONSUMER.RESET.{stream}.{record.name}"
                await js.call(subject, {"seq": seq}, what=f"reset consumer {stream} > {record.name}")
            except ApiError:
                # Not for every deliver policy; older servers of a mixed cluster do not know it.
                pass
            else:
                return
        config: Json = behind_floor(record, retention)
        await js.delete_consumer(stream, record.name)
        await js.create_consumer(stream, config)
