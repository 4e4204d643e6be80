# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which sets of an account are old enough to go, and removing them."""

from __future__ import annotations

import dataclasses
import datetime
import os
import typing as t

from .directory import Workplace
from .held_record import needed_sets
from .inspect import inspect
from .last_check import last_check, suspicion
from .new_set import clear_unfinished, remove_set
from .set_file import set_path
from .sets import BackupSet, age, newest, sets_of

DAY = 86400.0


@dataclasses.dataclass(frozen=True)
class Keep:
    """Sets to keep: the last so many, and those finished within so many days; C(None) where that does not count."""

    last: int | None = None
    days: float | None = None


@dataclasses.dataclass(frozen=True)
class Pruned:
    """What went, and what stays and why; both the oldest first."""

    removed: tuple[BackupSet, ...]
    kept: tuple[tuple[BackupSet, str], ...]


def _held(one: BackupSet) -> bool:
    """Whether a stream that was held is yet to be restored from a set."""
    return one.name in needed_sets(os.path.dirname(one.path))


Doubt = t.Callable[[BackupSet, str], bool]


def _marked(one: BackupSet, stream: str) -> bool:
    return one.about is not None and stream in one.about.streams and one.about.streams[stream].suspect


def doubted(one: BackupSet, stream: str) -> bool:
    """Whether a stream's backup in a set may hold less than the stream should have, as far as anybody has found."""
    if _marked(one, stream):
        return True
    backup = inspect(os.path.join(one.path, stream), "none")
    return bool(suspicion(backup, last_check(backup)))


def _before_suspect(whole: t.Sequence[BackupSet], doubt: Doubt) -> dict[str, list[str]]:
    """The sets with the newest good backup of streams whose newest one is suspect, and the names of these."""
    newest_of: dict[str, BackupSet] = {}
    for one in whole:
        if one.about is not None:
            newest_of.update({name: one for name, member in one.about.streams.items() if member.digest})
    found: dict[str, list[str]] = {}
    for name, first in sorted(newest_of.items()):
        if not doubt(first, name):
            continue
        for one in reversed(whole):
            member = one.about.streams.get(name) if one.about else None
            if member is not None and member.digest and not doubt(one, name):
                found.setdefault(one.name, []).append(name)
                break
    return found


def plan_prune(sets: t.Sequence[BackupSet], keep: Keep, now: datetime.datetime, doubt: Doubt = _marked) -> Pruned:
    """What to remove of these sets, the oldest first. The newest whole one and the newest complete one always stay,
    and for a stream whose newest backup is suspect (C(doubt)) the newest one that is not.

    One without its file is nobody's to judge, and stays.
    """
    whole = [one for one in sets if one.whole]
    last = {one.name for one in whole[-keep.last :]} if keep.last else set()
    first = newest(whole)
    complete = next((one for one in reversed(whole) if one.complete), None)
    good = _before_suspect(whole, doubt)
    removed, kept = [], []
    for one in sets:
        if one.gone and first is not None:
            removed.append(one)
        elif not one.whole:
            kept.append((one, "it is not whole"))
        elif one is first:
            kept.append((one, "it is the newest"))
        elif one is complete:
            kept.append((one, "it is the newest complete one"))
        elif one.name in good:
            names = ", ".join(good[one.name][:5]) + (" and others" if len(good[one.name]) > 5 else "")
            kept.append((one, f"it has the newest backup of {names} that is not suspect"))
        elif _held(one):
            kept.append((one, "a stream that was held is yet to be restored from it"))
        elif one.name in last:
            kept.append((one, f"it is one of the last {keep.last}"))
        elif keep.days is not None and age(one.finished_at, now) <= keep.days * DAY:
            kept.append((one, f"it is not older than {keep.days:g} days"))
        else:
            removed.append(one)
    return Pruned(tuple(removed), tuple(kept))


def prune(path: str, keep: Keep, *, check: bool) -> Pruned:
    """Remove the sets of an account that are not to be kept; with C(check), only say which. Raises LockedError."""
    now = datetime.datetime.now(datetime.timezone.utc)
    if check or not os.path.isdir(path):
        return plan_prune(sets_of(path), keep, now, doubted)
    with Workplace(path):
        clear_unfinished(path)
        plan = plan_prune(sets_of(path), keep, now, doubted)
        for one in plan.removed:
            if one.gone:
                os.unlink(set_path(one.path))
            else:
                remove_set(path, one.name)
    return plan
