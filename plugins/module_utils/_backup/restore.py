# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restoring one stream: plan, make room, send, finish, and compare what came out with the backup."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import typing as t
import uuid

from .._archive.natswalk import walk
from .._nats.api import JetStream
from .._nats.errors import ApiError, NatsError
from .._nats.model import Json, StreamInfo
from . import compare
from .consumers import finish_consumers
from .errors import ConflictError, RestoreError, VerificationError
from .finish import notes_on_loss, settle
from .inspect import Backup, warnings_of
from .live_sources import hold_back
from .plan import Plan, RestoreOptions, Target, make_plan
from .relax import Relaxed, probe_config, relax, relax_after
from .results import RestoreResult
from .sender import Sender
from .sources import last_copied, start_behind

# An abandoned restore in a cluster comes to light this many seconds later, as an empty stream.
_GHOST_PATIENCE = 20.0
_ATTEMPTS = 4
Slot = t.AsyncContextManager[t.Any]


async def restore_stream(
    js: JetStream, backup: Backup, options: RestoreOptions, target: Target, slot: Slot, *, check: bool
) -> RestoreResult:
    """Restore a backup, or with C(check) say what would happen. Raises on failure; what it began it cleans up.

    C(slot) is held while streams are deleted and created, of which a server may not take several at a time.
    """
    plan = await make_plan(js, backup, options, target)
    notes = (*warnings_of(backup), *plan.warnings)
    result = RestoreResult(plan.name, "unchanged", backup.path, after=plan.config, warnings=notes)
    if plan.existing is not None:
        result = dataclasses.replace(
            result, before=plan.existing.config, state=plan.existing.state, consumers=len(plan.existing_consumers)
        )
    if plan.action == "none":
        return dataclasses.replace(result, after=result.before)
    if plan.action == "replace" and not plan.debris:
        text = "; ".join(plan.differences[:6])
        if options.on_conflict == "skip":
            return dataclasses.replace(
                result, status="skipped", reason=f"it exists and differs: {text}", after=result.before
            )
        if options.on_conflict == "fail":
            raise ConflictError(
                f"stream {plan.name} exists and differs from the backup {backup.path}: {text}. Set on_conflict to"
                " replace to delete it and restore the backup, or to skip; or restore under another name.",
                values={"differences": list(plan.differences)},
            )
        lose = {key: plan.existing.state.get(key, 0) for key in ("messages", "last_seq")} if plan.existing else {}
        result = dataclasses.replace(
            result,
            reason=f"it differs: {text}",
            would_lose={**lose, "consumers": [c.name for c in plan.existing_consumers]},
        )
    if check:
        return dataclasses.replace(result, status=f"would_{plan.action}")
    return await _Restore(js, backup, options, plan, target).run(result, slot)


class _Restore:
    """Carries a plan out."""

    def __init__(self, js: JetStream, backup: Backup, options: RestoreOptions, plan: Plan, target: Target) -> None:
        self._js = js
        self._backup = backup
        self._options = options
        self._plan = plan
        self._target = target
        self._marker = uuid.uuid4().hex
        self._announced = False
        self._warnings: list[str] = []

    async def run(self, result: RestoreResult, slot: Slot) -> RestoreResult:
        plan = self._plan
        statuses = {"create": "created", "replace": "replaced", "finish": "finished"}
        status = "created" if plan.debris else statuses[plan.action]
        if plan.action == "finish":
            relaxed, info = Relaxed(plan.config, plan.config), await self._js.stream_info(plan.name)
        else:
            async with slot:
                if plan.action == "replace":
                    await self._make_room()
                self._warnings += await hold_back(self._js, plan.name, self._target.streams)
                relaxed, info = await self._send_until_taken()
        retention = str(plan.config.get("retention", "limits"))
        names, notes = await finish_consumers(self._js, self._backup, info, retention)
        self._warnings += notes
        if relaxed.request is not relaxed.wanted or plan.config_update:
            # Without the marker, and with what was relaxed.
            info = await self._js.update_stream(relaxed.wanted)
        if plan.action != "finish":
            await self._verify(info)
        self._warnings += notes_on_loss(self._backup, relaxed.wanted)
        self._warnings += await settle(self._js, info, self._options.settle_timeout)
        return dataclasses.replace(
            result,
            status=status,
            state=info.state,
            consumers=int(info.state.get("consumer_count") or 0),
            consumers_created=tuple(names),
            after=info.config,
            warnings=(*result.warnings, *self._warnings),
        )

    async def _make_room(self) -> None:
        """Delete the stream to be replaced, after proof that its successor can be placed."""
        if not self._plan.debris:
            await self._probe()
        await self._js.delete_stream(self._plan.name)

    async def _probe(self) -> None:
        probe = probe_config(self._plan.config)
        try:
            await self._js.create_stream(probe)
        except ApiError as exc:
            if exc.error == "maximum_streams_limit":
                return
            raise RestoreError(
                f"stream {self._plan.name} is not replaced: a stream with the same configuration cannot be created"
                f" ({exc.description}). The stream is untouched; change replicas, placement, storage or config.",
                error=exc.error,
                err_code=exc.err_code,
            ) from exc
        await self._js.delete_stream(probe["name"])

    async def _send_until_taken(self) -> tuple[Relaxed, StreamInfo]:
        """Send; where the server refuses the configuration for what the stream holds, relax it and send again."""
        config, changes = start_behind(self._plan.config, await self._copied())
        if changes:
            self._warnings.append(
                f"stream {self._plan.name}: opt_start_seq of its sources was set ({', '.join(changes)}), so that"
                " messages are not copied a second time from restored origins. Remove it only after a new message"
                " has come from each."
            )
        relaxed = relax(config, self._backup, self._js.line)
        for _attempt in range(_ATTEMPTS):
            try:
                info = await self._send(relaxed.request)
            except ApiError as exc:
                await self._clean_up()
                again = relax_after(exc, relaxed)
                if again is None:
                    raise
                relaxed = again
            except BaseException:
                await asyncio.shield(self._clean_up())
                raise
            else:
                return relaxed, info
        raise RestoreError(f"stream {self._plan.name}: the server refused every way to restore it.")

    async def _copied(self) -> t.Any:
        if not self._plan.config.get("sources") or self._backup.format != "V2":
            return {}
        data = self._backup.data
        return await asyncio.get_running_loop().run_in_executor(
            None, lambda: last_copied(message.header for message in walk(data))
        )

    async def _send(self, config: Json) -> StreamInfo:
        metadata = {**(config.get("metadata") or {}), compare.MARKER: self._marker}
        request = {"config": {**config, "metadata": metadata}, "state": self._backup.state}
        timeout = max(30.0, self._js.connection.options.request_timeout)
        deadline = time.monotonic() + _GHOST_PATIENCE
        while True:
            try:
                self._announced = True
                subject = await self._js.restore(self._plan.name, request, timeout=timeout)
                break
            except ApiError as exc:
                self._announced = False
                if exc.error != "stream_exists" or not await self._clear_ghost() or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.5)
        answer = await Sender(self._js, self._plan.name, subject, self._options.upload).send(self._backup.data)
        return StreamInfo.parse(self._js.parse(answer, f"restore of {self._plan.name}"))

    async def _clear_ghost(self) -> bool:
        """The name is taken by what an interrupted run left. True if it may be tried again."""
        found = await self._js.find_stream(self._plan.name)
        if found is None:
            return True  # it is on its way: not shown yet, but already in the way
        if compare.MARKER not in (found.config.get("metadata") or {}):
            return False
        await self._js.delete_stream(self._plan.name)
        return True

    async def _clean_up(self) -> None:
        """Remove what a failed restore of this run left; quiet if nothing can be asked any more."""
        if not self._announced:
            return  # the server refused at once: nothing was begun
        deadline = time.monotonic() + (_GHOST_PATIENCE if self._js.clustered else 6.0)
        clean = 0
        while time.monotonic() < deadline and self._js.connection.lost is None:
            try:
                found = await self._js.find_stream(self._plan.name)
                ours = found is not None and (found.config.get("metadata") or {}).get(compare.MARKER) == self._marker
                if found is not None and not ours:
                    return
                if ours:
                    await self._js.delete_stream(self._plan.name)
                    return
                clean += 1
                if clean > (3 if not self._js.clustered else 30):
                    return
            except NatsError:
                pass
            await asyncio.sleep(0.2 if not self._js.clustered else 0.5)

    async def _verify(self, info: StreamInfo) -> None:
        """Compare the restored state with the backup's; a cluster is given time to settle."""
        deadline = time.monotonic() + (15.0 if self._js.clustered else 3.0)
        while True:
            backup = self._backup
            differences = compare.state_differences(backup.state, info, exact=backup.exact, up_to=backup.up_to)
            if not differences:
                return
            if time.monotonic() > deadline:
                raise VerificationError(
                    f"stream {self._plan.name} was restored, and is not what the backup {self._backup.path} says:"
                    f" {'; '.join(differences)}. It is left for you to look at; the backup is untouched."
                )
            await asyncio.sleep(0.25)
            info = await self._js.stream_info(self._plan.name)
