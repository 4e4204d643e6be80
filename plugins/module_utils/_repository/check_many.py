# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checking many backups: several at once, and of a large repository only a share a run."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import math
import time
import typing as t

from .._archive.check.workers import processors
from .inspect import Backup, inspect
from .last_check import Checked, known_damage, last_check, remember


@dataclasses.dataclass(frozen=True)
class Share:
    """How much of it to check in full; C(max_duration) in seconds, after which none is begun. C(None) is all."""

    max_duration: float | None = None
    fraction: float | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing is left for another run."""
        return self.max_duration is None and self.fraction is None


@dataclasses.dataclass(frozen=True)
class Looked:
    """A backup, when it was last checked in full, and a warning if that could not be noted."""

    backup: Backup
    checked: Checked | None
    warning: str = ""


def look(
    places: t.Sequence[str],
    level: str,
    share: Share,
    *,
    write: bool,
    clock: t.Callable[[], float] = time.monotonic,
    stop: t.Callable[[], bool] | None = None,
) -> list[Looked]:
    """Look into the backups in these directories, in their order. With C(write), full checks are noted beside them.

    With a share, those checked longest ago (never, first) are checked in full and the others at level C(none).
    """
    begun = clock()
    with concurrent.futures.ThreadPoolExecutor(processors()) as executor:
        if level != "full":
            found = list(executor.map(lambda place: inspect(place, level, stop), places))
            return [_with_past(backup) for backup in found]
        glances = {place: _glance(place) for place in places}
        chosen = sorted(places, key=lambda place: _age_key(glances[place]))
        if share.fraction is not None:
            chosen = chosen[: math.ceil(share.fraction * len(chosen))]

        def full(place: str) -> Looked | None:
            if share.max_duration is not None and clock() - begun >= share.max_duration:
                return None
            backup = inspect(place, "full", stop)
            warning = remember(backup) if write and backup.data else ""
            return Looked(backup, last_check(backup), warning)

        done = dict(zip(chosen, executor.map(full, chosen)))
    return [done.get(place) or glances[place] for place in places]


def _glance(place: str) -> Looked:
    return _with_past(inspect(place, "none"))


def _with_past(backup: Backup) -> Looked:
    checked = last_check(backup)
    return Looked(known_damage(backup, checked), checked)


def _age_key(looked: Looked) -> tuple[str, str]:
    return (looked.checked.time if looked.checked else "", looked.backup.path)
