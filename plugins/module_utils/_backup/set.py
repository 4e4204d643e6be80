# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backing up an account into a repository: a run that finds a change makes a set, which shares what did not change."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import os

from .._files.trees import directory, remove_path
from .._nats.model import Listing, StreamInfo
from .._nats.session import Session
from .._repository.directory import Workplace, os_errors
from .._repository.disk import make_directories
from .._repository.entries import place_of
from .._repository.errors import BackupError, PathError
from .._repository.manifest import now
from .._repository.new_set import clear_unfinished, link_stream, link_verified, point_latest, publish_set
from .._repository.remnants import free_latest, losses
from .._repository.results import StreamResult
from .._repository.selection import require_matches
from .._repository.set_file import Member, SetFile, is_complete, member_of, store
from .._repository.sets import LATEST, BackupSet, check_repository, newest, set_name, sets_of
from .._repository.writer import Worker
from .account import AccountBackup, AccountOptions, check_transfer, names_of
from .stream import line_notes


class SetBackup(AccountBackup):
    """One run over the streams of an account, into the account's directory of a repository. Use L(run) once.

    C(set): the name of the set that holds the result: a new one, or the newest where nothing had changed; empty in
    check mode where a new one would be made.
    """

    def __init__(
        self, session: Session, path: str, options: AccountOptions, *, check: bool, allow_empty: bool = False
    ) -> None:
        super().__init__(session, path, options, check=check)
        self._allow_empty = allow_empty
        self._previous: BackupSet | None = None
        self.set = ""

    async def run(self) -> tuple[list[StreamResult], list[str]]:
        """As of an account's backup into a plain directory; see there."""
        check_repository(self._path)
        check_transfer(self._session.js, self._options.stream)
        listing = await self._session.js.streams()
        self._refuse(listing)
        require_matches(names_of(listing), self._options.streams)
        notes = line_notes(self._session.js, self._chosen(listing))
        if self._check:
            self._previous = self._find_previous()
            results = [await self._predict(info) for info in self._chosen(listing)] + self._unreachable(listing)
            warnings = [*self._close(listing), *free_latest(self._path, check=True)]
            self._note_change(results)
            self.set = "" if self.changed or not self._previous else self._previous.name
            return sorted(results, key=lambda result: result.stream), [*notes, *warnings]
        with Workplace(self._path) as workplace, Worker() as writer:
            with os_errors(self._path):
                make_directories(self._path)
                notes = (*notes, *self._tidy())
            self._refuse(listing, workplace.stage)
            self._previous = self._find_previous()
            name = set_name(datetime.datetime.now(datetime.timezone.utc), [one.name for one in sets_of(self._path)])
            slots = asyncio.Semaphore(self._options.parallel)
            jobs = [self._one(info, slots, workplace, None, writer) for info in self._chosen(listing)]
            results = [*await asyncio.gather(*jobs), *self._unreachable(listing)]
            results.sort(key=lambda result: result.stream)
            warnings = self._close(listing)
            self._note_change(results)
            if self.changed:
                # In the thread that writes: what a failed transfer had still to write is written by then.
                warnings += await writer.call(lambda: self._publish(name, workplace.stage, results, names_of(listing)))
                self.set = name
            elif self._previous is not None:
                self._confirm(self._previous, results)
                self.set = self._previous.name
            final = os.path.join(self._path, self.set)
            results = [dataclasses.replace(r, path=os.path.join(final, r.stream) if r.path else "") for r in results]
        return results, [*notes, *warnings]

    def _tidy(self) -> list[str]:
        """Clear what killed runs left; returns what a person should know."""
        clear_unfinished(self._path)
        notes = free_latest(self._path, check=False)
        sets = sets_of(self._path)
        whole = newest(sets)
        link = os.path.join(self._path, LATEST)
        if whole and (not os.path.islink(link) or os.readlink(link) != whole.name):
            point_latest(self._path, whole.name)
        unfinished = [
            f"The set {one.path} is not whole ({one.trouble or 'its file is missing'}). It is left alone, and not used."
            for one in sets
            if not one.whole and not one.gone
        ]
        return [*notes, *unfinished, *losses(sets)]

    def _find_previous(self) -> BackupSet | None:
        """The set to compare with. Raises PathError where it is of another account."""
        found = newest(sets_of(self._path))
        if found and found.about and self._session.account not in ("", found.about.account or self._session.account):
            raise PathError(
                f"path {self._path} holds sets of the account {found.about.account}, and these credentials are of"
                f" {self._session.account}. Give each account its own directory, or correct the credentials.",
                error="path_other_account",
            )
        return found

    def _place(self, name: str) -> str:
        return place_of(self._newest(), name)

    def _newest(self) -> str:
        return self._previous.path if self._previous else self._path

    def _before(self) -> dict[str, Member]:
        return dict(self._previous.about.streams) if self._previous and self._previous.about else {}

    def _note_change(self, results: list[StreamResult]) -> None:
        """A set is made where there is none, where data came, and where a stream came or went."""
        self.changed |= any(result.changed for result in results)
        # Nothing but failures is no set: the one before says more.
        useful = any(result.status != "failed" for result in results) or not results
        self.changed |= self._previous is None and useful

    def _close(self, listing: Listing[StreamInfo]) -> list[str]:
        """Streams that are no more are not carried on; said once, in the run that leaves them out."""
        kept_before = {name for name, member in self._before().items() if member.digest}
        gone = sorted(kept_before - names_of(listing))
        if gone and not names_of(listing) and not self._allow_empty:
            raise BackupError(
                f"The account has no streams at all, and its newest set {self._newest()} has {len(kept_before)}. If"
                " the cluster lost them, restore them; if they were deleted on purpose, set allow_empty.",
                error="account_emptied",
            )
        self.changed |= bool(gone)
        kept = f"the set {self._previous.name} still has it" if self._previous else ""
        return [f"stream {name} is no more and is not in the new set; {kept}." for name in gone]

    def _confirm(self, previous: BackupSet, results: list[StreamResult]) -> None:
        """Note in the newest set that it is what the streams are."""
        if previous.about is None:
            return
        moment = now()
        members = self._before()
        for result in results:
            if result.status == "unchanged" and result.stream in members:
                members[result.stream] = dataclasses.replace(member_of(result), current_at=moment)
        with os_errors(previous.path), directory(self._path, follow=False) as account:
            store(previous.path, dataclasses.replace(previous.about, streams=members, checked=moment), within=account)

    def _publish(self, name: str, stage: str, results: list[StreamResult], existing: set[str]) -> list[str]:
        """Link what did not change into the stage and put it in its place; returns warnings."""
        moment, warnings = now(), []
        before = self._before()
        members: dict[str, Member] = {}
        for result in results:
            if result.status == "unchanged":
                link_stream(self._place(result.stream), place_of(stage, result.stream))
            if result.status in ("transferred", "unchanged"):
                # A backup that was begun is of the stream as it was then, at the latest.
                at = result.manifest.started_at if result.changed and result.manifest else moment
                members[result.stream] = dataclasses.replace(member_of(result), current_at=at)
            else:
                members[result.stream] = member_of(result)
        tried = {result.stream: result for result in results if result.status == "failed"}
        for stream, member in before.items():
            if stream not in existing or (stream in members and stream not in tried) or not member.digest:
                continue
            remove_path(place_of(stage, stream))
            wrong = link_verified(self._place(stream), place_of(stage, stream), stream)
            if wrong:
                warnings.append(f"stream {stream}: its backup in {self._place(stream)} is not carried on: {wrong}.")
            elif stream in tried:
                members[stream] = dataclasses.replace(member, status="carried", reason=tried[stream].reason)
            else:
                members[stream] = member
        kept = {stream for stream, member in members.items() if member.digest}
        for left in sorted(set(os.listdir(stage)) - kept):
            remove_path(os.path.join(stage, left))  # of a transfer that failed
        about = SetFile(self._session.account, now(), is_complete(members), members, moment, self._session.account_name)
        publish_set(self._path, stage, name, about)
        return warnings
