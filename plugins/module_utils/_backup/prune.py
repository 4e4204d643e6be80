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
from .newset import clear_unfinished, remove_set
from .repository import BackupSet, age, newest, sets_of

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


def plan_prune(sets: t.Sequence[BackupSet], keep: Keep, now: datetime.datetime) -> Pruned:
    """What to remove of these sets, the oldest first. The newest whole one and the newest complete one always stay.

    One without its file is nobody's to judge, and stays.
    """
    whole = [one for one in sets if one.whole]
    last = {one.name for one in whole[-keep.last :]} if keep.last else set()
    first = newest(whole)
    complete = next((one for one in reversed(whole) if one.complete), None)
    removed, kept = [], []
    for one in sets:
        if not one.whole:
            kept.append((one, "it is not whole"))
        elif one is first:
            kept.append((one, "it is the newest"))
        elif one is complete:
            kept.append((one, "it is the newest complete one"))
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
        return plan_prune(sets_of(path), keep, now)
    with Workplace(path):
        clear_unfinished(path)
        plan = plan_prune(sets_of(path), keep, now)
        for one in plan.removed:
            remove_set(path, one.name)
    return plan
