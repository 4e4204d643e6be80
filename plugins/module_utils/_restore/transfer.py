# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carrying out the plan of one restore: make room, send, finish, and compare what came out with the backup."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import typing as t

from .._archive.v2.walk import walk
from .._nats.api import JetStream
from .._nats.errors import ApiError, MisdirectedError, NatsError
from .._nats.model import Json, StreamInfo
from .._nats.shapes import STREAM, read_answer
from .._repository import compare
from .._repository.errors import RestoreError
from .._repository.inspect import Backup
from .._repository.open_data import data_of, open_data
from .._repository.results import RestoreResult
from .._repository.safety_place import REPLACED
from .._repository.writer import in_thread
from .before.relax import Relaxed, relax, relax_after
from .live.configuration import put_back, sentence
from .live.consumers import finish_consumers
from .live.finish import notes_on_loss, settle
from .live.make_room import clean_up, make_room, reveal
from .live.marker import Presence, patience
from .origins.live import Follower, followers_of, hold_back, let_go_on
from .origins.sources import last_copied, same_but_starts, start_behind
from .plan import Plan, RestoreOptions, Target
from .sender import Sender
from .verify.restored import verify_restored

if t.TYPE_CHECKING:
    from .live.safety_backup import Keeper

_ATTEMPTS = 4
# Bytes of a chunk for a server that was too slow for larger ones.
_SMALL = 16 * 1024
Slot = t.AsyncContextManager[t.Any]


class OccupiedError(RestoreError):
    """A stream of that name came to be after the plan was made; C(values["began"]) is the status where it is our own:
    a cluster can take a stream that it has just made for another one."""


class Restoring:
    """Carries one plan out. Use L(run) once."""

    def __init__(
        self,
        js: JetStream,
        backup: Backup,
        options: RestoreOptions,
        plan: Plan,
        target: Target,
        keeper: Keeper | None = None,
    ) -> None:
        self._js = js
        self._backup = backup
        self._options = options
        self._plan = plan
        self._target = target
        self._keeper = keeper
        self._presence = Presence(js, plan.name)
        self._upload = options.upload
        self._announced = False
        self._warnings: list[str] = []

    async def run(self, result: RestoreResult, slot: Slot) -> RestoreResult:
        """Do what the plan says; returns C(result) completed. Raises on failure; what it began it cleans up."""
        async with self._presence:
            return await self._run(result, slot)

    async def _run(self, result: RestoreResult, slot: Slot) -> RestoreResult:
        plan, keeper = self._plan, self._keeper
        statuses = {"create": "created", "replace": "replaced", "finish": "finished"}
        status = "created" if plan.debris else statuses[plan.action]
        if plan.action == "finish":
            info = await self._js.stream_info(plan.name)
            # Where it has to start behind what it copied, the run that began it has set so.
            config = same_but_starts(plan.config, info.config)
            relaxed = Relaxed(config, config)
            followers = await self._followers() if plan.config_update else []
        else:
            if keeper is not None and plan.action == "replace" and not plan.debris:
                await keeper.take(self._js, plan)
            async with slot:
                if plan.action == "replace":
                    await make_room(self._js, self._backup, plan, keeper)
                followers = await self._followers()
                self._warnings += await hold_back(self._js, plan.name, followers)
                relaxed, info = await self._send_until_taken(status)
        if keeper is not None:
            keeper.arrived = True
        mark = relaxed.request is not relaxed.wanted or plan.config_update
        try:
            retention = str(plan.config.get("retention", "limits"))
            names, notes = await finish_consumers(self._js, self._backup, info, retention)
            self._warnings += notes
        except BaseException:
            if mark:
                await asyncio.shield(self._unmark(info, relaxed.wanted))
            raise
        left: list[Json] = []
        if mark:
            info, left = await put_back(self._js, info, relaxed.wanted, self._options.settle_timeout)
            self._warnings += [sentence(plan.name, field) for field in left]
        if plan.action != "finish":
            info, notes = await verify_restored(self._js, self._backup, info)
            self._warnings += notes
        if keeper is not None:
            keeper.conclude(self._js, REPLACED)
            self._warnings += keeper.notes
            result = dataclasses.replace(
                result, safety_backup=keeper.told(), would_lose=keeper.lost or result.would_lose
            )
        before = plan.existing.state if plan.existing and plan.action == "replace" else {}
        self._warnings += await let_go_on(self._js, info, self._backup.up_to, before, followers)
        self._warnings += notes_on_loss(self._backup, relaxed.wanted)
        if self._options.origins:
            self._warnings += await settle(self._js, info, self._options.settle_timeout)
        return dataclasses.replace(
            result,
            status=status,
            state=info.state,
            consumers=int(info.state.get("consumer_count") or 0),
            consumers_created=tuple(names),
            after=info.config,
            relaxed=(*result.relaxed, *left),
            warnings=(*result.warnings, *self._warnings),
        )

    async def _unmark(self, info: StreamInfo, wanted: Json) -> None:
        """The data is there and the rest failed: the stream gets its configuration, as far as can be."""
        with contextlib.suppress(NatsError):
            await put_back(self._js, info, wanted, 0)

    async def _followers(self) -> list[Follower]:
        return await followers_of(self._js, self._plan.name, self._target.streams)

    async def _send_until_taken(self, status: str) -> tuple[Relaxed, StreamInfo]:
        """Send; where the server refuses the configuration for what the stream holds, relax it and send again."""
        config, changes = start_behind(self._plan.config, await self._copied(), self._target.gone_back)
        if changes:
            self._warnings.append(
                f"stream {self._plan.name}: opt_start_seq of its sources was set ({', '.join(changes)}), so that"
                " messages are not copied a second time from restored origins. Remove it only after a new message"
                " has come from each."
            )
        relaxed = relax(config, self._backup, self._js.line, is_origin=self._plan.name in self._target.sourced)
        if relaxed.identity_splits:
            self._warnings.append(
                f"stream {self._plan.name}: its replicas remember different creation times until they are restarted,"
                " and what sources from it copies messages since the restore again whenever its leader changes. Restart"
                " the servers one by one."
            )
        for attempt in range(_ATTEMPTS):
            try:
                info = await self._send(relaxed.request)
            except ApiError as exc:
                await self._clean_up()
                once_more = isinstance(exc, MisdirectedError) and attempt < _ATTEMPTS // 2
                if "closed pipe" in exc.description:
                    await self._after_another(exc, attempt)
                    once_more = True
                again = relaxed if once_more else relax_after(exc, relaxed)
                if again is None and exc.error == "stream_exists":
                    raise OccupiedError(exc.message, values={"began": self._announced and status}) from exc
                if again is None:
                    raise
                relaxed = again
            except BaseException:
                await asyncio.shield(self._clean_up())
                raise
            else:
                return relaxed, info
        raise RestoreError(f"stream {self._plan.name}: the server refused every way to restore it.")

    async def _after_another(self, exc: ApiError, attempt: int) -> None:
        """The server had stopped to read: for another restore of the stream, or for one that was given up just before.

        Or a chunk kept it busy for longer than the 5 s that it waits for the next: thousands of consumers do. Return
        once it has let go; the next try, in small chunks, finds out what is there then. Raises RestoreError.
        """
        if attempt:
            raise RestoreError(
                f"stream {self._plan.name}: the server ended the restore while the data came ({exc.description})."
                " Another restore of it is under way, from another host or with another tool: wait for its end, then"
                " run again. Or the server is too slow for the stream's consumers: set chunk_size to 1024.",
                error="restore_dropped",
                err_code=exc.err_code,
            ) from exc
        small = min(self._upload.chunk_size or _SMALL, _SMALL)
        self._upload = dataclasses.replace(self._upload, chunk_size=small)
        await asyncio.sleep(patience(self._js))

    async def _copied(self) -> t.Any:
        if not self._plan.config.get("sources") or self._backup.format != "V2":
            return {}
        data = self._backup.data
        return await asyncio.get_running_loop().run_in_executor(
            None, lambda: last_copied(message.header for message in walk(data))
        )

    async def _send(self, config: Json) -> StreamInfo:
        metadata = {**(config.get("metadata") or {}), compare.MARKER: self._presence.marker}
        request = {"config": {**config, "metadata": metadata}, "state": self._backup.state}
        timeout = max(30.0, self._js.connection.options.request_timeout)
        try:
            self._announced = True
            if self._keeper is not None:
                self._keeper.sent = True
            subject = await self._js.restore(self._plan.name, request, timeout=timeout)
        except MisdirectedError:
            raise
        except ApiError as exc:
            self._announced = False
            if exc.error != "stream_exists":
                raise
            replace = self._options.on_conflict == "replace"
            await reveal(self._js, request["config"], self._presence, replace=replace)
            raise OccupiedError(exc.message) from exc
        with open_data(self._backup) as descriptor:
            data = await in_thread(lambda _stop: data_of(self._backup, descriptor, config))
            answer = await Sender(self._js, self._plan.name, subject, self._upload).send(data.read)
        return StreamInfo.parse(read_answer(answer, f"restore of {self._plan.name}", "the restore's end", STREAM))

    async def _clean_up(self) -> None:
        if self._announced:  # otherwise the server refused at once, and nothing was begun
            await clean_up(self._js, self._plan.name, self._presence)
