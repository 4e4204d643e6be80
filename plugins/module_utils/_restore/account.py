# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restoring the streams of an account: origins before those that copy from them, each with its own result."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import typing as t

from .._archive.errors import ArchiveError
from .._nats.errors import ConnectionLostError, NatsError, OptionsError
from .._nats.session import Session
from .._repository.errors import InvalidBackupError, PathError, RestoreError
from .._repository.inspect import Backup, inspect, looks_like_backup
from .._repository.left_empty import REASON, left_empty
from .._repository.nearby import no_account
from .._repository.results import RestoreResult
from .._repository.selection import selected
from .._repository.set_file import Member as SetMember
from .._repository.set_file import SetFile, load
from .._repository.writer import in_thread
from .nothing import nothing_there
from .order import Member, end_of, order
from .origins.settle import settle_named
from .origins.sources import origins, sourced
from .plan import RestoreOptions, Target, look_at_target
from .replace import restore_safely

# Streams to look at, verify or send at once.
_AHEAD = 32


@dataclasses.dataclass(frozen=True)
class AccountRestoreOptions:
    """Which streams, and how many at once; C(parallel) 0 is as many as the servers are known to take."""

    streams: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    parallel: int = 0
    on_error: str = "continue"
    stale: bool = False
    stream: RestoreOptions = dataclasses.field(default_factory=RestoreOptions)


class AccountRestore:
    """One run over the backup of an account. Use L(run) once."""

    def __init__(self, session: Session, path: str, options: AccountRestoreOptions, *, check: bool) -> None:
        self._session = session
        self._path = path
        self._options = options
        self._check = check
        self._stop = False
        self._carried: dict[str, SetMember] = {}
        self._seen: dict[str, t.AbstractSet[str]] = {}
        self._ahead = asyncio.Semaphore(1 if options.on_error == "stop" else _AHEAD)

    async def run(self) -> list[RestoreResult]:
        """Restore every selected stream; returns their results by name.

        Raises what concerns the whole run; the failure of a stream is in its result.
        """
        members, results = self._find()
        target = await look_at_target(self._session.js)
        also = sourced(member.config for member in members)
        target = dataclasses.replace(target, sourced=target.sourced | also)
        results += (await self._in_order(members, target)).values()
        if self._options.stream.origins and not self._check:
            results = await self._settle(results)
        return sorted(map(self._told, results), key=lambda result: result.stream)

    async def _in_order(self, members: t.Sequence[Member], target: Target) -> dict[str, RestoreResult]:
        """Restore members, origins first; what copies from a stream that goes back must not keep what it copied since.

        In a circle some are looked at before their origins. Those are looked at once more.
        """
        results: dict[str, RestoreResult] = {}
        slots = asyncio.Semaphore(self._parallel())
        levels = order(members)
        while levels:
            for level in levels:
                found = await asyncio.gather(*(self._one(member, target, slots) for member in level))
                results.update((result.stream, result) for result in found)
                gone_back = {**target.gone_back, **{r.stream: e for r in found for e in end_of(r)}}
                before, target = target, dataclasses.replace(target, gone_back=gone_back)
                self._seen.update((member.name, before.gone_back.keys()) for member in level)
            again = [m for m in members if results[m.name].status == "unchanged" and self._missed(m, target)]
            levels = [again] if again else []
        return results

    def _missed(self, member: Member, target: Target) -> bool:
        """Whether an origin went back after the member was looked at."""
        later = origins(member.config) & target.gone_back.keys() - {member.name}
        return bool(later - self._seen[member.name])

    async def _settle(self, results: t.Sequence[RestoreResult]) -> list[RestoreResult]:
        """Wait once for the replicas and origins of all that was restored, not for each stream after the other."""
        names = [result.stream for result in results if result.changed]
        timeout = self._options.stream.settle_timeout
        try:
            notes = await self._session.run(lambda js: settle_named(js, names, timeout))
        except ConnectionLostError as exc:
            notes = {name: [f"stream {name}: its replicas and origins were not looked at: {exc}"] for name in names}
        return [
            dataclasses.replace(result, warnings=(*result.warnings, *notes.get(result.stream, ())))
            for result in results
        ]

    def _told(self, result: RestoreResult) -> RestoreResult:
        """The result, with a warning if the backup is older than the others."""
        member = self._carried.get(os.path.basename(result.path))
        if member is None or result.status in ("skipped", "failed"):
            return result
        note = (
            f"stream {result.stream}: its backup is of {member.current_at or 'an earlier set'}, older than the set;"
            f" later ones failed: {member.reason}"
        )
        return dataclasses.replace(result, warnings=(*result.warnings, note))

    def _parallel(self) -> int:
        js = self._session.js
        most = js.line.parallel_restores(js.clustered)
        return min(self._options.parallel or most, most)

    def _find(self) -> tuple[list[Member], list[RestoreResult]]:
        """The directories to restore, and results for those that are left out."""
        path = self._path
        if not os.path.isdir(path):
            raise no_account(path)
        if looks_like_backup(path):
            raise PathError(
                f"path {path} is the backup of one stream, not of an account. Use jetstream_stream_restore, or give the"
                " directory above it.",
                error="path_not_backup",
            )
        described = load(path)
        self._carried = {n: m for n, m in (described.streams if described else {}).items() if m.status == "carried"}
        members, results = [], []
        for name in sorted(os.listdir(path)):
            directory = os.path.join(path, name)
            if name.startswith(".") or not os.path.isdir(directory):
                continue
            if not selected(name, self._options.streams, self._options.exclude):
                continue
            reason = self._why_not(name, directory, described)
            if reason:
                results.append(self._left_out(name, directory, reason))
            else:
                members.append(Member(name, directory, inspect(directory, "none").config))
        results += self._absent({m.name for m in members} | {r.stream for r in results}, described)
        if not members and not results:
            raise nothing_there(path, described)
        return members, results

    def _absent(self, found: set[str], described: SetFile | None) -> list[RestoreResult]:
        """Streams that ought to be there, by name or by the set's file, and are not."""
        for name in self._options.streams:
            if (
                not any(c in name for c in "*?[")
                and name not in found
                and (not described or name not in described.streams)
            ):
                raise OptionsError(f"There is no backup of a stream {name} in {self._path}.", error="stream_not_found")
        results = []
        for name, member in (described.streams if described else {}).items():
            if name in found or not selected(name, self._options.streams, self._options.exclude):
                continue
            directory = os.path.join(self._path, name)
            if member.status in ("current", "carried"):
                failure = InvalidBackupError(
                    f"stream {name}: the backup {directory} is gone, although the set's file lists it. Use another"
                    " backup."
                )
                results.append(RestoreResult(name, "failed", directory, reason=failure.message, failure=failure))
            else:
                results.append(
                    self._left_out(name, directory, f"it was not backed up: {member.reason or member.status}")
                )
        return results

    def _left_out(self, name: str, directory: str, reason: str) -> RestoreResult:
        """A stream without a backup that can be used: a failure where just this one is asked for."""
        text = f"stream {name}: {reason.rstrip('.')}."
        if name in self._options.streams:
            failure = RestoreError(text, error="nothing_restored")
            return RestoreResult(name, "failed", directory, reason=text, failure=failure)
        return RestoreResult(name, "skipped", directory, reason=reason, warnings=(text,))

    def _why_not(self, name: str, directory: str, described: SetFile | None) -> str:
        """Why a directory is left out, or nothing."""
        if left_empty(directory, described):
            return REASON
        if described is None or self._options.stale:
            return ""
        member = described.streams.get(name)
        if member is None:
            return (
                "it does not belong to the backup any more: when the account was last backed up"
                f" ({described.finished_at}), the stream had been deleted. Set stale to restore it all the same"
            )
        if member.status not in ("current", "carried"):
            return (
                f"the directory holds an older backup: the last one ({described.finished_at}) ended with"
                f" {member.reason or member.status!r}. Set stale to restore it all the same"
            )
        return ""

    async def _one(self, member: Member, target: Target, slots: asyncio.Semaphore) -> RestoreResult:
        async with self._ahead:
            if self._stop:
                reason = "an earlier stream failed and on_error is stop"
                return RestoreResult(member.name, "skipped", member.path, reason=reason)
            try:
                # Not in a slot: while one stream is sent, the next are verified.
                backup = await self._inspect(member)
                options = dataclasses.replace(self._options.stream, origins=False)
                return await restore_safely(self._session, backup, options, slots, check=self._check, target=target)
            except (NatsError, ArchiveError, OSError) as exc:
                self._stop = self._options.on_error == "stop"
                return RestoreResult(member.name, "failed", member.path, reason=str(exc), failure=exc)

    async def _inspect(self, member: Member) -> Backup:
        level = self._options.stream.verify
        backup = await in_thread(lambda stop: inspect(member.path, level, stop))
        backup.require_valid()
        if backup.stream != member.name:
            raise InvalidBackupError(
                f"The directory {member.path} holds a backup of the stream {backup.stream}. Give it that name, or"
                " restore it with jetstream_stream_restore."
            )
        return backup
