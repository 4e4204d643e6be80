# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backing up streams: one, or those of an account, side by side, each whole or not at all."""

from __future__ import annotations

import asyncio
import dataclasses
import os

from .._files.trees import remove_path
from .._nats.api import JetStream, check_stream_name
from .._nats.errors import ConnectionLostError, NatsError, OptionsError
from .._nats.model import Listing, StreamInfo
from .._nats.session import Session
from .._repository import set_file as setfile
from .._repository.account_directory import check_account_target, close_account_target, open_account_target
from .._repository.commit import Committer
from .._repository.directory import Workplace, check_directory_path, os_errors
from .._repository.entries import mixed_up, place_of, unfit, unreachable
from .._repository.errors import BackupError, PathError, SnapshotError, VerificationError
from .._repository.results import StreamResult, failed
from .._repository.selection import require_matches, selected
from .._repository.writer import Worker, in_thread
from .previous import SUSPECT_BACKUP, examine, notes_of, why_transfer
from .stream import BackupOptions, Source, check_memory, line_notes, look, transfer

_ATTEMPTS = 4


def check_transfer(js: JetStream, options: BackupOptions) -> None:
    """Refuse sizes that the server cannot do. Raises OptionsError."""
    size, window = options.transfer.chunk_size, options.transfer.window_size
    if size and not 1024 <= size <= 1 << 20:
        raise OptionsError(f"chunk_size {size} is not between 1024 and 1048576 bytes.")
    most = js.connection.server_max_payload
    if size > most:
        raise OptionsError(
            f"chunk_size {size} is larger than the server's max_payload of {most} bytes. Choose a smaller one.",
            error="chunk_too_large",
        )
    least = size or 1024
    if not least <= window <= 32 << 20:
        raise OptionsError(f"window_size {window} is not between chunk_size ({least}) and 33554432 bytes.")


async def backup_stream(
    session: Session, stream: str, path: str, options: BackupOptions, *, check: bool
) -> StreamResult:
    """Back up one stream into C(path); with C(check), say what would happen. Raises on failure."""
    check_stream_name(stream)
    check_directory_path(path)
    check_transfer(session.js, options)
    info = await session.js.stream_info(stream)
    check_memory(session.js, info)
    if check:
        return await _predict(session.js, info, session.account, path, options)
    examine(path, stream, "none", force=options.force)  # refused before anything is touched, the lock included
    with Workplace(path) as workplace, Worker() as writer, Worker() as publisher:
        result = await _stage(session, info, path, options, workplace, writer)
        if result.changed:
            await Committer(workplace, publisher).commit(os.path.join(workplace.stage, stream), path)
        return dataclasses.replace(result, warnings=(*result.warnings, *line_notes(session.js, [info])))


async def _predict(js: JetStream, info: StreamInfo, account: str, path: str, options: BackupOptions) -> StreamResult:
    backup = examine(path, info.name, options.verify, force=options.force)
    source = await look(js, info, account, options)
    why = why_transfer(backup, source, force=options.force)
    if backup is None or why:
        return StreamResult(info.name, "would_transfer", path, reason=why, warnings=source.notes)
    return StreamResult(info.name, "unchanged", path, backup.manifest, warnings=notes_of(source, backup))


async def _stage(
    session: Session, info: StreamInfo, path: str, options: BackupOptions, workplace: Workplace, writer: Worker
) -> StreamResult:
    """Bring a stream that changed into the hidden place; it still has to be committed."""
    with os_errors(path):
        # Not in the writer's thread: reading a large backup there would keep the chunks of other streams waiting.
        backup = await in_thread(lambda stop: examine(path, info.name, options.verify, force=options.force, stop=stop))
        source = await session.run(lambda js: look(js, info, session.account, options))
        why = why_transfer(backup, source, force=options.force)
        if backup is not None and not why:
            return StreamResult(info.name, "unchanged", path, backup.manifest, warnings=notes_of(source, backup))
        if why.startswith(SUSPECT_BACKUP) and options.verify != "none":
            # What only a full check finds must not look good again because nobody looked.
            options = dataclasses.replace(options, verify="full")
        for left in range(_ATTEMPTS - 1, -1, -1):
            try:
                result = await session.run(lambda js: _transfer(js, source, options, workplace, writer))
                break
            except (SnapshotError, VerificationError) as exc:
                # A consumer was deleted just when the server came to it.
                if "store is closed" not in exc.message or not left:
                    raise
    return dataclasses.replace(result, path=path, reason=why)


async def _transfer(
    js: JetStream, source: Source, options: BackupOptions, workplace: Workplace, writer: Worker
) -> StreamResult:
    stage = place_of(workplace.stage, source.info.name)
    try:
        workplace.make(source.info.name)
    except PathError:
        # The attempt before the connection was lost made it; the writer's thread may just be about to write there.
        await writer.call(lambda: remove_path(stage))
        workplace.make(source.info.name)
    return await transfer(js, source, options, stage, writer)


@dataclasses.dataclass(frozen=True)
class AccountOptions:
    """Which streams, and how many at once."""

    streams: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    parallel: int = 4
    on_error: str = "continue"
    prune: bool = False
    stream: BackupOptions = dataclasses.field(default_factory=BackupOptions)


class AccountBackup:
    """One run over the streams of an account. Use L(run) once."""

    def __init__(self, session: Session, path: str, options: AccountOptions, *, check: bool) -> None:
        self._session = session
        self._path = path
        self._options = options
        self._check = check
        self._stop = False
        #: Streams that cannot have a directory, and why. They are failures, and are never touched.
        self._refused: dict[str, StreamResult] = {}
        self.changed = False

    async def run(self) -> tuple[list[StreamResult], list[str]]:
        """Back up every selected stream. Returns their results, by name, and warnings about the whole.

        Raises what concerns the whole run; the failure of a stream is in its result.
        """
        check_account_target(self._path)
        check_transfer(self._session.js, self._options.stream)
        listing = await self._session.js.streams()
        self._refuse(listing)
        require_matches(names_of(listing), self._options.streams)
        notes = line_notes(self._session.js, self._chosen(listing))
        if self._check:
            results = [await self._predict(info) for info in self._chosen(listing)] + self._unreachable(listing)
            return sorted(results, key=lambda result: result.stream), [*notes, *self._close(listing)]
        with Workplace(self._path) as workplace, Worker() as writer, Worker() as publisher:
            open_account_target(self._path)
            self._refuse(listing, workplace.stage)
            committer = Committer(workplace, publisher)
            slots = asyncio.Semaphore(self._options.parallel)
            jobs = [self._one(info, slots, workplace, committer, writer) for info in self._chosen(listing)]
            results = [*await asyncio.gather(*jobs), *self._unreachable(listing)]
            results.sort(key=lambda result: result.stream)
            with os_errors(self._path):
                warnings = [*notes, *self._close(listing)]
                setfile.update(self._path, self._session.account, results, names_of(listing))
        return results, warnings

    def _chosen(self, listing: Listing[StreamInfo]) -> list[StreamInfo]:
        named = {info.name: info for info in listing.items if info.name not in self._refused}
        return [info for name, info in named.items() if self._selected(name)]

    def _selected(self, name: str) -> bool:
        return selected(name, self._options.streams, self._options.exclude)

    def _refuse(self, listing: Listing[StreamInfo], stage: str = "") -> None:
        """Sort out names that no directory can have; with C(stage), those that its file system mixes up."""
        wanted = {name for name in names_of(listing) if self._selected(name)} - set(self._refused)
        self._refused.update(mixed_up(self._path, wanted, stage) if stage else unfit(self._path, wanted))

    def _unreachable(self, listing: Listing[StreamInfo]) -> list[StreamResult]:
        """Results for what is listed and cannot be backed up: its servers do not answer, or its name is none."""
        return [
            failed(name, self._place(name), failure)
            for name, failure in unreachable(listing).items()
            if name not in self._refused and self._selected(name)
        ] + list(self._refused.values())

    def _place(self, name: str) -> str:
        """Where the earlier backup of a stream is, if there is one."""
        return place_of(self._path, name)

    def _options_for(self, info: StreamInfo) -> BackupOptions:
        if info.config.get("retention", "limits") == "limits":
            return self._options.stream
        return dataclasses.replace(self._options.stream, consumers=True)

    async def _predict(self, info: StreamInfo) -> StreamResult:
        path, js = self._place(info.name), self._session.js
        try:
            check_memory(js, info)
        except BackupError as exc:
            return StreamResult(info.name, "skipped", path, reason=exc.message)
        try:
            return await _predict(js, info, self._session.account, path, self._options_for(info))
        except NatsError as exc:
            return failed(info.name, path, exc)

    async def _one(
        self,
        info: StreamInfo,
        slots: asyncio.Semaphore,
        workplace: Workplace,
        committer: Committer | None,
        writer: Worker,
    ) -> StreamResult:
        path = self._place(info.name)
        try:
            async with slots:
                if self._stop:
                    reason = "an earlier stream failed and on_error is stop"
                    return StreamResult(info.name, "skipped", path, reason=reason)
                try:
                    check_memory(self._session.js, info)
                except BackupError as exc:
                    return StreamResult(info.name, "skipped", path, reason=exc.message)
                options = self._options_for(info)
                result = await _stage(self._session, info, path, options, workplace, writer)
            if result.changed and committer is not None:
                # Not in a slot: while one batch is brought onto the disk, the next streams are under way.
                await committer.commit(os.path.join(workplace.stage, info.name), path)
        except NatsError as exc:
            self._stop = self._options.on_error == "stop" or isinstance(exc, ConnectionLostError)
            return failed(info.name, path, exc)
        if options.consumers and not self._options.stream.consumers:
            retention = info.config.get("retention")
            note = f"stream {info.name} has {retention} retention: its consumers were backed up all the same."
            return dataclasses.replace(result, warnings=(*result.warnings, note))
        return result

    def _close(self, listing: Listing[StreamInfo]) -> list[str]:
        """Deal with directories of streams that are no more; in check mode only say so."""
        names = names_of(listing)
        pruned, warnings = close_account_target(self._path, names, prune=self._options.prune, check=self._check)
        self.changed |= pruned
        return warnings


def names_of(listing: Listing[StreamInfo]) -> set[str]:
    """The names of all streams of a listing, those without an answer included."""
    return {info.name for info in listing.items} | set(listing.missing) | set(listing.offline)
