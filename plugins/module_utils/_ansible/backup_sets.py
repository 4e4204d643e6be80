# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a repository's sets say of themselves: their age, whether they are complete, and of each stream's backup."""

from __future__ import annotations

import datetime
import os
import typing as t

from .._files.names import account_of
from .._files.reading import holds
from .._nats.errors import OptionsError
from .._nats.model import Json
from .._repository.errors import PathError
from .._repository.manifest import Manifest
from .._repository.set_file import Member
from .._repository.sets import LATEST, BackupSet, age, choose, holds_sets, is_set_name, newest, sets_of


def account_directories(path: str) -> list[str]:
    """The directories of accounts with sets: C(path) itself, or those right below it."""
    if holds_sets(path):
        return [path]
    below = [entry.path for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]
    # One that cannot be read is told as a backup that is not valid.
    return sorted(place for place in below if holds(place) is not None and holds_sets(place))


def chosen_sets(accounts: t.Sequence[str], wanted: str | None, before: str | None) -> list[BackupSet]:
    """The one set of each account that the options set and before mean. Raises PathError, OptionsError."""
    if wanted and before:
        raise OptionsError("set and before exclude each other: name a set, or a moment.")
    if not accounts:
        raise PathError(
            "There are no sets here. Leave set and before out for a plain directory.", error="set_not_found"
        )
    if len(accounts) > 1 and wanted == LATEST:
        # One account without a whole set does not hide the others; the list of sets tells of it.
        accounts = [path for path in accounts if newest(sets_of(path))] or accounts
    return [choose(sets_of(path), path, wanted or LATEST, before or "") for path in accounts]


def sets_json(accounts: t.Sequence[str]) -> list[Json]:
    """All sets of these accounts, by account and the oldest first."""
    now = datetime.datetime.now(datetime.timezone.utc)
    found = []
    for path in accounts:
        sets = sets_of(path)
        first = newest(sets)
        found += [_set_json(account_in(path, first), one, one is first, now) for one in sets]
    return found


def account_in(path: str, newest_set: BackupSet | None) -> str:
    """The name of the account whose directory it is, as its path says it."""
    about = newest_set.about if newest_set else None
    return account_of(os.path.basename(path), (about.account_name, about.account) if about else ())


def _set_json(account: str, one: BackupSet, first: bool, now: datetime.datetime) -> Json:
    answer: Json = {
        "account": account,
        "set": one.name,
        "path": one.path,
        "whole": one.whole,
        "complete": one.complete,
        "newest": first,
    }
    if one.about is None:
        return {**answer, "trouble": one.trouble or "its file is missing"}
    about = one.about
    answer.update(
        finished_at=about.finished_at,
        account_id=about.account,
        account_name=about.account_name or about.account,
        checked=about.checked or about.finished_at,
        age=round(age(about.checked or about.finished_at, now), 1),
        streams={name: member_json(member, None, now) for name, member in sorted(about.streams.items())},
    )
    return answer


def member_json(member: Member, manifest: Manifest | None, now: datetime.datetime) -> Json:
    """How a stream is in a set; C(age) counts from when its backup was last found to be what the stream is."""
    at = member.current_at or (manifest.started_at if manifest else "")
    answer: Json = {"status": member.status, "current_at": at or None, "age": round(age(at, now), 1) if at else None}
    return {**answer, "reason": member.reason} if member.reason else answer


def membership(path: str, known: dict[str, BackupSet | None]) -> Json:
    """What the set of a stream's directory says of it: C(set) and more; empty for a directory in no set."""
    parent, name = os.path.split(path)
    if not is_set_name(os.path.basename(parent)):
        return {}
    account = os.path.dirname(parent)
    if parent not in known:
        known.update({one.path: one for one in sets_of(account)})
        known.setdefault(parent, None)
    one = known[parent]
    answer: Json = {
        "set": os.path.basename(parent),
        "account_directory": os.path.basename(account),
        "account_name": account_in(account, one),
    }
    member = one.about.streams.get(name) if one and one.about else None
    if member is None:
        return {**answer, "status": "foreign" if one and one.about else "unfinished"}
    return {**answer, **member_json(member, None, datetime.datetime.now(datetime.timezone.utc))}
