# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeping publishers off streams whose only copy is lost, until they are restored."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
import typing as t

from ..._nats.api import JetStream
from ..._nats.errors import ApiError, NatsError, RequestTimeoutError
from ..._nats.model import Json, StreamInfo
from ..._repository import held_record
from ..._repository.errors import BackupError
from ..._repository.held_record import Entry, Record
from ..._repository.manifest import Manifest
from ..before.relax import probe_name
from ..before.trial import prove, question
from . import recreated
from .dead_leader import ANSWERS, GONE, OFFLINE, OFFLINE_CODE, PATIENCE, delete, state_of
from .servers import Servers

_PATIENCE_NEW = 15.0
# In the place of a wildcard.
_SAMPLE = "natsops-sample"
_ANEW = "it is deleted and made anew, empty: the cluster changes it no more. What its dead server has of it is given up"
_ELSEWHERE = "it is deleted and made anew, empty, where placement says. What its dead server has of it is given up"
_LEFT = "it is left as it is, since a new one could not be created"


@dataclasses.dataclass(frozen=True)
class Held:
    """What became of one stream. C(status): C(held), C(would_hold), C(failed).

    C(deleted): it is deleted and made anew. C(changed): something was done, or would be.
    """

    stream: str
    status: str
    reason: str = ""
    deleted: bool = False
    placement: Json | None = None
    changed: bool = True


async def hold(
    js: JetStream,
    path: str,
    known: t.Mapping[str, Manifest],
    record: Record,
    placement: Json | None,
    *,
    check: bool,
) -> list[Held]:
    """Take the subjects of those streams away that no server answers for and that a backup is there for.

    The update is a matter of the meta group, which carries it out without the leader: the empty stream that the
    removal of the dead server makes takes no messages, so that a restore can put the backup in its place.
    C(path): of the backups. What an earlier run deleted and did not make anew is made anew.
    """
    listing = await js.streams()
    missing = set(listing.missing)
    there = {*missing, *listing.offline, *(info.name for info in listing.items)}
    holding = _Holding(js, path, record, Servers(js), placement, check=check)
    jobs = [
        holding.one(manifest, gone=False)
        for name, manifest in known.items()
        if name in missing and _alone(manifest.config)
    ]
    jobs += [
        holding.again(entry)
        for name, entry in holding.entries.items()
        if entry.phase == held_record.DELETED and name not in there
    ]
    return [one for one in await asyncio.gather(*jobs) if one is not None]


def _alone(config: Json) -> bool:
    """Whether a stream has one copy (others may be missing while they elect a leader), and publishers."""
    return int(config.get("num_replicas") or 1) == 1 and bool(config.get("subjects"))


class _Holding:
    """One run over the streams of an account."""

    def __init__(
        self, js: JetStream, path: str, record: Record, servers: Servers, placement: Json | None, *, check: bool
    ) -> None:
        self._js = js
        self._path = path
        self._record = record
        self._servers = servers
        self._placement = placement
        self._check = check
        self.entries = record.entries()

    async def one(self, manifest: Manifest, *, gone: bool) -> Held | None:
        """Hold one stream; what fails is in the result. Nothing for one that answers by now."""
        try:
            return await self._one(manifest, gone)
        except NatsError as exc:
            return Held(manifest.stream, "failed", exc.message, changed=False)

    async def again(self, entry: Entry) -> Held | None:
        """Make a stream anew that an earlier run deleted."""
        _place, manifest, wrong = self._record.backup(entry)
        if manifest is None:
            return Held(entry.stream, "failed", f"{wrong}. An earlier run deleted the stream", changed=False)
        return await self.one(manifest, gone=True)

    async def _one(self, manifest: Manifest, gone: bool) -> Held | None:
        name = manifest.stream
        entry = self.entries.get(name)
        elsewhere = self._record.elsewhere(entry) if entry is not None else ""
        if elsewhere:
            return Held(name, "failed", elsewhere, changed=False)
        state = GONE if gone else await state_of(self._js, name)
        if state == ANSWERS or (state == GONE and not gone):
            return None
        before = entry.placement if gone and entry is not None else None
        chosen, why = await self._servers.choose(before or manifest.config.get("placement"), self._placement)
        chosen = chosen or before
        if why and gone:
            return Held(name, "failed", f"an earlier run deleted it, and {why}", changed=False)
        if why:
            return self._left(manifest, f"{_LEFT}: {why}")
        if chosen is None and not gone and await self._is_held(manifest):
            return Held(name, "held", "its subjects were taken away already", changed=False)
        return await self._carry_out(manifest, chosen, state, gone)

    async def _carry_out(self, manifest: Manifest, chosen: Json | None, state: str, gone: bool) -> Held:
        name = manifest.stream
        config = recreated.held_config(manifest.config)
        if chosen is not None:
            config = {**config, "placement": chosen}
        anew = chosen is not None or state in (GONE, OFFLINE)
        if anew and not gone:
            refused = await self._refused(manifest, config)
            if refused:
                return self._left(manifest, refused)
        self._record.require_writable()
        reason = "" if not anew or gone else _ELSEWHERE if chosen is not None else _ANEW
        if self._check:
            return Held(name, "would_hold", reason, deleted=anew, placement=chosen)
        self._note(manifest, held_record.DELETED if anew else held_record.CHANGED, chosen)
        try:
            if anew:
                await self._make_anew(name, config)
            elif not await self._update(manifest, config):
                await self._refuse_or_make_anew(manifest, config)
                anew, reason = True, _ANEW
        except NatsError as exc:
            return Held(name, "failed", exc.message, deleted=anew, placement=chosen, changed=anew)
        return Held(name, "held", reason, deleted=anew, placement=chosen)

    def _left(self, manifest: Manifest, reason: str) -> Held:
        if not self._check:
            with contextlib.suppress(BackupError):  # nothing was done that could not be found again
                self._note(manifest, held_record.LEFT, None)
        return Held(manifest.stream, "failed", reason, changed=False)

    def _note(self, manifest: Manifest, phase: str, placement: Json | None) -> None:
        """On disk before anything is done. Of what an earlier run deleted, the backup of that time is the one."""
        earlier = self.entries.get(manifest.stream)
        if earlier is not None and earlier.phase == held_record.DELETED:
            entry = held_record.phase_of(earlier, earlier.phase, placement=placement)
        else:
            entry = self._record.new(manifest, self._path, phase, placement)
        self._record.write(entry)

    async def _is_held(self, manifest: Manifest) -> bool:
        """Whether the meta group has the stream without its subjects; it answers where the stream's leader is dead."""
        held = recreated.held_config(manifest.config)["subjects"][0]
        own = str(manifest.config["subjects"][0]).replace("*", _SAMPLE).replace(">", _SAMPLE)
        return await self._has(manifest.stream, held) and not await self._has(manifest.stream, own)

    async def _has(self, name: str, subject: str) -> bool:
        answer = await self._js.call("STREAM.NAMES", {"subject": subject}, what=f"whether stream {name} is held")
        return name in (answer.get("streams") or ())

    async def _refused(self, manifest: Manifest, config: Json) -> str:
        """Why a new stream could not be created, or nothing. Check mode asks what can be asked."""
        existing = StreamInfo(manifest.config, manifest.state, manifest.created)
        why = ""
        try:
            await question(self._js, config, existing)
            if not self._check:
                await prove(self._js, manifest.consumers, config, existing)
        except ApiError as exc:
            why = f"{exc.description} ({exc.err_code})"
        except BackupError as exc:
            cause = exc.__cause__
            why = f"{cause.description} ({cause.err_code})" if isinstance(cause, ApiError) else exc.message
        except RequestTimeoutError:
            why = "nobody answered when a trial was to be created"
            await delete(self._js, probe_name(manifest.stream))
        if not why:
            return ""
        return f"{_LEFT}: {why}. Raise the limit, or give placement, then run again."

    async def _update(self, manifest: Manifest, config: Json) -> bool:
        """Take the subjects away. False where the cluster changes the stream no more. Raises where it was not done."""
        name = manifest.stream
        try:
            await self._js.call(f"STREAM.UPDATE.{name}", config, timeout=PATIENCE, what=f"hold stream {name}")
        except RequestTimeoutError:
            end = time.monotonic() + _PATIENCE_NEW
            while not await self._is_held(manifest):
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(0.5)
        except ApiError as exc:
            if exc.err_code != OFFLINE_CODE:
                raise
            return False
        return True

    async def _refuse_or_make_anew(self, manifest: Manifest, config: Json) -> None:
        """It went offline between the question and the update."""
        refused = await self._refused(manifest, config)
        if refused:
            raise BackupError(refused)
        self._record.write(held_record.phase_of(self._record.entries()[manifest.stream], held_record.DELETED))
        await self._make_anew(manifest.stream, config)

    async def _make_anew(self, name: str, config: Json) -> None:
        """Put an empty stream without publishers in the place of one whose server the cluster knows to be gone.

        From about three minutes after the loss on, such a stream cannot be updated any more. It can be deleted, and a
        new one is not placed on a server that is known to be gone.
        """
        await delete(self._js, name)
        end = time.monotonic() + _PATIENCE_NEW
        while True:
            try:
                await self._js.create_stream(config)
            except (ApiError, RequestTimeoutError):
                # The deletion is on its way.
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(0.2)
            else:
                return
