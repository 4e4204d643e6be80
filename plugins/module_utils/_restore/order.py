# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which order the streams of an account are restored, and where that takes their origins. Pure functions."""

from __future__ import annotations

import dataclasses
import typing as t

from .._repository.results import RestoreResult
from .origins.sources import origins


@dataclasses.dataclass(frozen=True)
class Member:
    """A stream's directory in the backup of an account; C(config) is that of its backup.json, empty if unreadable."""

    name: str
    path: str
    config: t.Mapping[str, t.Any]


def order(members: t.Sequence[Member]) -> list[list[Member]]:
    """Members in levels, each of which copies only from earlier ones; a circle is broken at its most wanted member."""
    left = {member.name: member for member in members}
    needs = {m.name: {o for o in origins(dict(m.config)) if o in left and o != m.name} for m in members}
    levels = []
    while left:
        ready = [name for name in left if not needs[name] & left.keys()]
        if not ready:
            # A circle of sources: start with what most of the others wait for.
            waited = {name: sum(name in needs[other] for other in left) for name in left}
            ready = [max(sorted(left), key=lambda name: waited[name])]
        levels.append([left.pop(name) for name in sorted(ready)])
    return levels


def end_of(result: RestoreResult) -> tuple[int, ...]:
    """The last sequence of a stream that was, would be, or with on_conflict replace would be restored."""
    end = getattr(result.failure, "values", {}).get("ends_at", result.ends_at)
    return () if end is None else (end,)
