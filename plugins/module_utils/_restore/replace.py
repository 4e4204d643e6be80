# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restore that may replace a live stream: it never ends with nothing, and it says what exists when it fails."""

from __future__ import annotations

import asyncio

from .._archive.errors import ArchiveError
from .._nats.api import JetStream
from .._nats.errors import ApiError, NatsError
from .._nats.model import Json, StreamInfo
from .._nats.session import Session
from .._repository import safety_place as safety
from .._repository.errors import BackupError, RestoreError, VerificationError
from .._repository.inspect import Backup, inspect
from .._repository.results import RestoreResult
from .._repository.writer import in_thread
from .live.fence import lift
from .live.make_room import delete_if_there
from .live.marker import marker_of
from .live.safety_backup import Keeper
from .plan import RestoreOptions, Target, look_at_target
from .recover.recreated import last_seq
from .selective import restore_selected
from .stream import restore_stream
from .transfer import Slot

_ATTEMPTS = 2
_PAUSE = 2.0
#: What exists after a replacement, in results as C(now).
OLD, PUT_BACK, NEW, EMPTY, MISSING, PARTIAL, OTHER, UNKNOWN = (
    *("old stream", "old stream put back", "new stream", "empty", "missing", "partial", "another stream", "unknown"),
)


async def restore_safely(
    session: Session, backup: Backup, options: RestoreOptions, slot: Slot, *, check: bool, target: Target | None = None
) -> RestoreResult:
    """L(restore_selected) over a session. Where the replacement of a stream fails, the old one is put back.

    Raises on failure, with C(now), C(lost) and C(safety_backup) in the error's C(values) where a stream was to be
    replaced.
    """
    keeper = Keeper(session, backup, options)

    async def work(js: JetStream) -> RestoreResult:
        account = target or await look_at_target(js)
        # Of an account, some streams may have none of the messages that are wanted.
        return await restore_selected(
            js, backup, options, account, slot, check=check, keeper=keeper, may_be_empty=target is not None
        )

    try:
        return await session.run(work)
    except (NatsError, ArchiveError, OSError, asyncio.CancelledError) as exc:
        if check or not (keeper.gone or keeper.old):
            raise
        ended = asyncio.ensure_future(_Aftermath(keeper, exc, slot).told())
        # A first signal ends the restore; the old stream is put back all the same. A second signal ends that too.
        raise await asyncio.shield(ended) from exc


class _Aftermath:
    """What to do, and to say, after the replacement of a stream has failed."""

    def __init__(self, keeper: Keeper, failure: BaseException, slot: Slot) -> None:
        self._keeper = keeper
        self._failure = failure
        self._slot = slot
        self._name = keeper.stream
        self._why_not = ""
        self._restored: RestoreResult | None = None

    async def told(self) -> Exception:
        """The error to raise; the old stream is put back where that can be done."""
        try:
            now = await self._now() if self._keeper.deleting or self._keeper.gone else OLD
            if now == OLD and self._keeper.held:
                await self._keeper.session.run(self._lift)
        except (NatsError, OSError) as exc:
            now, self._why_not = UNKNOWN, str(exc)
        if now in (MISSING, EMPTY, PARTIAL):
            now = await self._put_back(now)
        return self._error(now)

    async def _find(self) -> StreamInfo | None:
        return await self._keeper.session.run(lambda js: js.find_stream(self._name))

    async def _now(self) -> str:
        """What exists. A new stream that fails its comparison and that nobody has used counts as a part."""
        found, keeper = await self._find(), self._keeper
        if found is None:
            return MISSING
        # A V1 restore on a single server gives the new stream the time of the old one.
        if keeper.old is not None and not keeper.gone and found.created == keeper.old.created:
            return OLD
        if marker_of(found):
            return NEW if keeper.arrived and not isinstance(self._failure, VerificationError) else PARTIAL
        if not keeper.arrived:
            return OTHER if found.state.get("messages") or found.state.get("consumer_count") else EMPTY
        unused = last_seq(found.state) <= keeper.backup.up_to
        return PARTIAL if isinstance(self._failure, VerificationError) and unused else NEW

    async def _lift(self, js: JetStream) -> None:
        if self._keeper.old is not None and await lift(js, self._keeper.old):
            self._keeper.held = False

    async def _put_back(self, now: str) -> str:
        keeper = self._keeper
        if not keeper.path and not (keeper.old is not None and keeper.old.config and not last_seq(keeper.old.state)):
            return now
        for attempt in range(_ATTEMPTS):
            try:
                await keeper.session.run(self._restore_old)
                return PUT_BACK
            except (NatsError, ArchiveError, OSError) as exc:
                self._why_not = str(exc)
                await asyncio.sleep(_PAUSE * (attempt + 1))
        try:
            found = await self._find()
        except (NatsError, OSError):
            return UNKNOWN
        return MISSING if found is None else EMPTY if not last_seq(found.state) else PARTIAL

    async def _restore_old(self, js: JetStream) -> None:
        keeper = self._keeper
        if keeper.arrived:
            # It differs from its backup, and nobody has written to it: it makes room.
            await delete_if_there(js, self._name)
        if not keeper.path and keeper.old is not None:
            await js.create_stream(keeper.old.config)
            for consumer in keeper.consumers:
                await js.create_consumer(self._name, {**consumer.config, "name": consumer.name})
            return
        old = await in_thread(lambda stop: inspect(keeper.path, "quick", stop))
        options = RestoreOptions(
            preflight=False,
            settle_timeout=min(keeper.options.settle_timeout, 30.0),
            upload=keeper.options.upload,
        )
        target = await look_at_target(js)
        self._restored = await restore_stream(js, old, options, target, self._slot, check=False)
        keeper.conclude(js, safety.PUT_BACK)

    def _error(self, now: str) -> Exception:
        keeper, failure = self._keeper, self._failure
        cancelled = isinstance(failure, asyncio.CancelledError)
        message = "Interrupted by a signal." if cancelled else getattr(failure, "message", str(failure))
        values: Json = {**getattr(failure, "values", {}), "now": now}
        told = keeper.told()
        if told:
            values["safety_backup"] = told
        if self._keeper.held and now in (OLD, UNKNOWN):
            message += (
                f" The subjects of stream {self._name} are still taken away, so that nobody can publish to it; run"
                " again, which gives them back."
            )
        if now != OLD:
            values["lost"] = {"messages": 0, "consumers": []} if now == PUT_BACK else keeper.lost
            message = f"{message} {self._sentence(now)}"
        if self._restored is not None and self._restored.warnings:
            values["put_back_warnings"] = list(self._restored.warnings)
        error = RestoreError(
            message,
            error="interrupted" if cancelled else getattr(failure, "error", "unexpected"),
            err_code=failure.err_code if isinstance(failure, (ApiError, BackupError)) else None,
            values=values,
        )
        error.changed = now != OLD
        return error

    def _sentence(self, now: str) -> str:
        keeper = self._keeper
        held = f"{keeper.lost.get('messages', 0)} messages up to sequence {keeper.lost.get('last_seq', 0)}"
        if now == PUT_BACK:
            of = f"from the safety backup {keeper.path}" if keeper.path else "empty, as it was"
            more = " ".join(self._restored.warnings) if self._restored else ""
            return f"The old stream {self._name} was put back {of} and compared with it: {held}. {more}".strip()
        states = {
            MISSING: f"There is no stream {self._name} now: the old one was deleted",
            EMPTY: f"The stream {self._name} is empty now: the old one was deleted",
            PARTIAL: f"A part of the new stream {self._name} is there: the old one was deleted",
            NEW: f"The new stream {self._name} has its messages, and may not be complete otherwise. The old one was"
            " deleted",
            OTHER: f"Another stream {self._name}, made by somebody else, is there now. The old one was deleted",
            UNKNOWN: f"The old stream {self._name} was deleted, and what is there now cannot be asked"
            f"{' (a part of the new one may be)' if keeper.sent else ''}",
        }
        why = f" It could not be put back: {self._why_not}" if self._why_not and now != NEW else ""
        if not keeper.path:
            return f"{states[now]}.{why} It held {held}; there is no safety backup of it."
        replace = now not in (MISSING, UNKNOWN)
        command = safety.command(keeper.path, keeper.session.js.connection.options, replace=replace)
        where = f"that is in the safety backup {keeper.path}"
        return f"{states[now]}.{why} It held {held}: {where}. Restore it with: {command}"
