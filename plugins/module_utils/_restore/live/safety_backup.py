# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeping what a live stream holds before it is replaced: a safety backup to its last acknowledged message.

The first backup is taken while publishers go on. Then the stream's subjects are taken away, so that nobody gets an
acknowledgement for a message that would be lost; what came meanwhile is backed up again; then the stream may go.
"""

from __future__ import annotations

import asyncio
import contextlib
import typing as t

from ..._archive.errors import ArchiveError
from ..._backup.account import backup_stream
from ..._backup.stream import BackupOptions, check_memory
from ..._nats.api import JetStream
from ..._nats.errors import ConnectionLostError, NatsError
from ..._nats.model import ConsumerInfo, Json, StreamInfo
from ..._nats.session import Session
from ..._repository import compare
from ..._repository import safety_place as safety
from ..._repository.errors import BackupError, ConflictError, RestoreError
from ..._repository.inspect import Backup, inspect
from ..._repository.safety_place import SafetyPlace
from ..._repository.writer import in_thread
from ..plan import Plan, RestoreOptions
from ..recover.recreated import last_seq
from .fence import fence, lift, still

_LOOKS = 3
_HEADROOM = 16 * 1024 * 1024


class Keeper:
    """What one run knows of the stream it replaces. It outlives the loss of a connection.

    C(path) is the safety backup, empty where there is none. C(deleting): the stream's end was asked for; C(gone): it
    was deleted, by this run or by an earlier one. C(sent): the new one was begun; C(arrived): its data is there.
    C(held): it may be without its subjects.
    """

    def __init__(self, session: Session, backup: Backup, options: RestoreOptions) -> None:
        self.session = session
        self.backup = backup
        self.options = options
        self.stream = options.stream or backup.stream
        self.place = SafetyPlace(options.safety_path or safety.default_root(), session.account, self.stream)
        self.path = ""
        self.old: StreamInfo | None = None
        self.consumers: tuple[ConsumerInfo, ...] = ()
        self.lost: Json = {}
        self.notes: list[str] = []
        self.deleting = self.gone = self.arrived = self.sent = self.held = False
        self._up_to = -1
        self._exact = False

    @property
    def active(self) -> bool:
        """Whether this run may replace a stream."""
        return self.options.on_conflict in ("replace", "replace_empty")

    def _wanted(self, info: StreamInfo) -> bool:
        """Whether there is something to keep."""
        return self.options.safety_backup and last_seq(info.state) > 0

    def _cluster(self, js: JetStream) -> str:
        info = js.connection.info
        return str(info.get("cluster") or info.get("server_name") or "")

    def cost(self, js: JetStream, plan: Plan) -> Json:
        """What the safety backup will cost. Writes nothing. Raises BackupError where it cannot be taken."""
        info = plan.existing
        if info is None or not self._wanted(info):
            return {}
        size = int(info.state.get("bytes") or 0)
        try:
            safety.check_root(self.place.root, self.backup.path)
            check_memory(js, info)
            safety.check_room(self.place, size + _HEADROOM)
        except BackupError as exc:
            # A false alarm: a BackupError is an exception.
            raise safety.refuse(self.stream, exc) from exc  # pylint: disable=bad-exception-cause
        return {
            "path": self.place.directory,
            "messages": int(info.state.get("messages") or 0),
            "last_seq": last_seq(info.state),
            "bytes": size,
        }

    async def take(self, js: JetStream, plan: Plan) -> None:
        """Back the live stream up, while it goes on. Raises BackupError; then nothing was touched."""
        self.old, self.consumers = plan.existing, plan.existing_consumers
        self.cost(js, plan)
        if plan.existing is not None and self._wanted(plan.existing):
            await self._back_up(plan.existing)

    async def _back_up(self, info: StreamInfo) -> None:
        """Take a safety backup of the stream as it is now, unless the newest one there is of just that."""
        try:
            self.place.prepare()
            found = await in_thread(lambda _stop: self._current(info))
            if found is None:
                path = self.place.new()
                options = BackupOptions(config=(self.old or info).config)
                result = await backup_stream(self.session, self.stream, path, options, check=False)
                self.notes += [note for note in result.warnings if note not in self.notes]
                found = await in_thread(lambda stop: inspect(path, "digest", stop))
                found.require_valid()
        except ConnectionLostError:
            raise
        except (NatsError, ArchiveError, OSError) as exc:
            raise safety.refuse(self.stream, exc) from exc
        self.path, self._up_to, self._exact = found.path, last_seq(found.state), found.exact

    def _current(self, info: StreamInfo) -> Backup | None:
        """The newest safety backup, where the stream has not changed since: an earlier run took it and ended."""
        for path in self.place.paths()[-1:]:
            found = inspect(path, "digest")
            if found.valid and found.manifest and compare.unchanged_since(found.manifest, info, self.consumers):
                return found
        return None

    @contextlib.asynccontextmanager
    async def closed(self, js: JetStream) -> t.AsyncIterator[None]:
        """Nobody can add to the stream while the block runs, and the safety backup has all of it.

        Where the block fails and the stream is still there, it gets its subjects back.
        """
        now = await js.find_stream(self.stream)
        if now is None or self.old is None or now.created != self.old.created:
            yield  # it is not the stream that was looked at: the block refuses it
            return
        fenced = False
        try:
            if self.options.safety_backup or self.options.on_conflict == "replace_empty":
                fenced = await fence(js, now)
            await self._last_look(js, fenced=fenced)
            self.deleting = True
            yield
            self.gone = True
        except BaseException:
            if fenced:
                self.held = not await asyncio.shield(lift(js, now))
            raise

    async def _last_look(self, js: JetStream, *, fenced: bool) -> None:
        for look in range(_LOOKS):
            info = await still(js, self.stream, fenced=fenced)
            if info is None:
                return
            self.lost = {"messages": int(info.state.get("messages") or 0), "last_seq": last_seq(info.state)}
            self.lost["consumers"] = [consumer.name for consumer in self.consumers]
            if self.options.on_conflict == "replace_empty" and last_seq(info.state):
                raise ConflictError(
                    f"stream {self.stream} is not empty any more: it has taken in messages up to sequence"
                    f" {last_seq(info.state)} since this run looked at it. It is untouched. Run again with on_conflict:"
                    " replace to replace it all the same.",
                    values={"now": "old stream"},
                )
            if not self._wanted(info):
                return
            if last_seq(info.state) <= self._up_to and (self._exact or look):
                self._note(js, safety.DELETING)
                return
            await self._back_up(info)
        if not (self.old and self.old.config.get("subjects")):
            # Copies come as long as there are origins, and these have them.
            self.notes.append(
                f"stream {self.stream}: its origins went on while it was replaced. What it copied behind sequence"
                f" {self._up_to} is not in the safety backup {self.path}; its origins have it."
            )
            self._note(js, safety.DELETING)
            return
        raise RestoreError(
            f"stream {self.stream} is not replaced: messages go on arriving faster than they are backed up, and its"
            " subjects cannot be taken away for that time. The stream is untouched. Stop its publishers (or use"
            " jetstream_account_hold), then run again.",
            error="stream_busy",
            values={"now": "old stream"},
        )

    def _note(self, js: JetStream, phase: str) -> None:
        if self.path and self.old is not None:
            self.place.note(self.path, phase, self.old.created, self._cluster(js), self.lost)

    def conclude(self, js: JetStream, phase: str) -> None:
        """Note how the replacement ended; what cannot be noted is found and named by the next run."""
        with contextlib.suppress(BackupError):
            self._note(js, phase)

    def resume(self, js: JetStream, existing: StreamInfo | None, *, check: bool) -> bool:
        """Whether an earlier run, or this one before it lost its connection, deleted the old stream and did not end."""
        note = self.place.unfinished(self._cluster(js)) if self.active else None
        if note is None:
            return False
        if existing is not None and existing.created == note.created:
            if not check:
                with contextlib.suppress(BackupError):
                    self.place.note(note.path, safety.KEPT, note.created, note.cluster, note.lost)
            return False
        self.path, self.gone, self.lost = note.path, True, note.lost
        self.old = StreamInfo({}, {}, note.created) if self.old is None else self.old
        return True

    def forget(self) -> None:
        """An earlier run's safety backup was named; this run makes its own."""
        self.path, self.gone, self.old, self.lost = "", False, None, {}

    def told(self) -> Json:
        """The safety backup as results name it; empty where there is none."""
        if not self.path:
            return {}
        found = inspect(self.path, "none")
        return {
            "path": self.path,
            "messages": int(found.state.get("messages") or 0),
            "last_seq": last_seq(found.state),
            "bytes": found.size,
        }
