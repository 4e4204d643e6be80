# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restore drill: each backup is restored into a private server, read back, compared, and taken away again."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import time
import typing as t

from .._archive.check.fingerprint import WORTH_A_PROCESS, Fingerprint
from .._archive.errors import ArchiveError
from .._archive.times import parse_ns
from .._nats.errors import NatsError
from .._nats.lines import Line
from .._nats.model import Json
from .._nats.options import make_options
from .._nats.readback import Readback
from .._nats.session import Session
from .._nats.wire import Wire
from .._repository.errors import RestoreError
from .._repository.inspect import Backup, inspect
from .._repository.open_data import open_data
from .._repository.writer import in_thread
from .._restore.before.consumer_replicas import fitted
from .._restore.live.consumers import expected, settled
from .._restore.live.make_room import delete_if_there
from .._restore.plan import look_at_target, wanted_config
from .._restore.selective import restore_selected
from .._server.errors import ServerError
from .._server.local import LocalServer
from .compare import NAMED, Reading, consumer_differences, doubts, read_and_compare
from .result import Drill, DrillOptions

ACCOUNT = "DRILL"
# What would make messages come or go by the clock, and what only a cluster can do.
_LEFT_OUT = ("max_age", "allow_msg_ttl", "subject_delete_marker_ttl", "allow_msg_schedules", "placement")
_PATIENCE = 5.0
# Seconds that a server which closes its connection may take to end, so that its log can be told.
_LAST_WORDS = 0.3
# The most that a server takes.
_MAX_PAYLOAD = 64 * 1024 * 1024


class DrillRun:
    """One run over backups, one after the other: a single server takes one restore at a time."""

    def __init__(self, options: DrillOptions) -> None:
        self._options = options
        self.version = ""
        self.cleared: list[str] = []

    async def run(self, paths: t.Sequence[str]) -> list[Drill]:
        """Drill the backups in these directories, in their order. Raises ServerError, and RestoreError for a server
        that is older than an archive; what concerns one backup is in its result."""
        need = await in_thread(lambda _stop: _need(paths))
        left = list(paths)
        done: list[Drill] = []
        while left:
            async with self._server(need) as server:
                self.version = server.version
                self.cleared += server.cleared
                self._require_line(paths)
                async with Session(make_options(server.connection(ACCOUNT))) as session:
                    while left and session.js.connection.lost is None:
                        done.append(await self._one(left.pop(0), session, server))
                        if done[-1].status == "failed":
                            # It may have been killed by what it was given: the others get a new one.
                            with contextlib.suppress(ServerError):
                                server.check()
                                continue
                            break
        return done

    def _server(self, need: int) -> LocalServer:
        options = self._options
        return LocalServer(
            options.binary,
            accounts=[ACCOUNT],
            need=need,
            max_payload=_MAX_PAYLOAD,
            parent=options.parent or None,
            options={"jetstream": {"limits": dict(options.limits)}} if options.limits else None,
        )

    def _require_line(self, paths: t.Sequence[str]) -> None:
        """Raise RestoreError where the server is older than an archive's format."""
        if Line.of(self.version).writes_v2:
            return
        newer = [path for path in paths if inspect(path, "none").data.endswith(".arc.s2")]
        if newer:
            raise RestoreError(
                f"{len(newer)} of the backups, {newer[0]} for one, are V2 archives, which nats-server {self.version}"
                " cannot read. Give the server_binary of 2.15 or newer.",
                error="format_unsupported",
            )

    async def _one(self, path: str, session: Session, server: LocalServer) -> Drill:
        seconds: dict[str, float] = {}
        with _timed(seconds, "verify"):
            backup = await in_thread(lambda stop: inspect(path, self._options.verify, stop))
        drill = Drill(backup, "invalid", seconds=seconds)
        if not backup.valid:
            return drill
        try:
            with open_data(backup) as descriptor:
                data = _path_of(descriptor, backup)
                apart = backup.format == "V1" and backup.size >= WORTH_A_PROCESS
                with contextlib.closing(Fingerprint(data, process=apart, known=backup.known_bytes)) as fingerprint:
                    return await self._restore(drill, data, fingerprint, session, server, seconds)
        except (NatsError, ArchiveError, OSError) as exc:
            reason = str(exc)
            if session.js.connection.lost is not None:
                await asyncio.sleep(_LAST_WORDS)
            try:
                server.check()
            except ServerError as ended:
                reason = f"{reason} {ended}"
            return dataclasses.replace(drill, status="failed", reason=reason, failure=exc)

    async def _restore(
        self,
        drill: Drill,
        data: str,
        fingerprint: Fingerprint,
        session: Session,
        server: LocalServer,
        seconds: dict[str, float],
    ) -> Drill:
        js, backup = session.js, drill.backup
        config = {key: None for key in _LEFT_OUT if backup.config.get(key) is not None}
        options = dataclasses.replace(self._options.restore, replicas=1, config=config, origins=False)
        target = dataclasses.replace(await look_at_target(js), sourced=frozenset())
        try:
            with _timed(seconds, "restore"):
                result = await restore_selected(js, backup, options, target, asyncio.Lock(), check=False)
            info = await js.stream_info(result.stream)
            records = expected(fitted(backup, wanted_config(backup, options))[0], js)
            listing = await settled(js, info.name, [record.name for record in records], _PATIENCE)
            differences = consumer_differences(backup, records, listing.items, info.state)
            with _timed(seconds, "read"):
                reading = await self._read(backup, data, fingerprint, server, info)
            differences += await self._accepted(js, wanted_config(backup, options), backup)
            differences += doubts(backup, reading)
        finally:
            with contextlib.suppress(NatsError):
                await delete_if_there(js, backup.stream)
        named = (*reading.differences, *differences)
        return dataclasses.replace(
            drill,
            status="different" if named else "identical",
            reading=reading,
            differences=named[:NAMED],
            count=reading.count + len(differences),
            consumers=len(listing.items),
            notes=result.warnings,
        )

    async def _read(
        self, backup: Backup, data: str, fingerprint: Fingerprint, server: LocalServer, info: t.Any
    ) -> Reading:
        login = server.connection(ACCOUNT)

        def work(stop: t.Callable[[], bool]) -> Reading:
            wire = Wire(server.port, login["user"], login["password"], self._options.restore.upload.stall_timeout)
            with contextlib.closing(wire):
                readback = Readback(wire, parse_ns)
                return read_and_compare(backup, data, fingerprint, readback, info, stop)

        try:
            return await in_thread(work)
        except asyncio.CancelledError:
            # The thread ends with what it reads from.
            fingerprint.close()
            server.close()
            raise

    @staticmethod
    async def _accepted(js: t.Any, config: Json, backup: Backup) -> list[str]:
        """Whether the server takes the configuration with what was left out for the drill."""
        whole = {**config, **{key: backup.config[key] for key in _LEFT_OUT[:-1] if backup.config.get(key) is not None}}
        if whole == config or config.get("sealed"):
            return []
        try:
            await js.update_stream(whole)
        except NatsError as exc:
            return [f"configuration: the server refuses it: {exc}"]
        return []


def _path_of(descriptor: int, backup: Backup) -> str:
    """A path that stays with the open file, for other processes as well, whatever becomes of its name."""
    held = f"/proc/{os.getpid()}/fd/{descriptor}"
    return held if os.path.exists(held) else backup.data


@contextlib.contextmanager
def _timed(seconds: dict[str, float], name: str) -> t.Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        seconds[name] = time.monotonic() - started


def _need(paths: t.Sequence[str]) -> int:
    """Bytes of disk for the largest backup while it is restored."""
    backups = (inspect(path, "none") for path in paths)
    return max((backup.size + 2 * int(backup.state.get("bytes") or 0) for backup in backups), default=0)
