# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The link C(latest) where a copy has made a directory of it, and sets of which only a part is left."""

from __future__ import annotations

import os
import time
import typing as t

from .directory import os_errors
from .sets import LATEST, BackupSet


def free_latest(path: str, *, check: bool) -> list[str]:
    """Move a directory C(latest) aside, so that the link can take its place; returns a warning about it.

    A copy that follows links makes it. It is not removed: nobody here knows whether it is the same as a set.
    """
    place = os.path.join(path, LATEST)
    if os.path.islink(place) or not os.path.isdir(place):
        return []
    aside = f".{LATEST}-copied-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    if not check:
        with os_errors(place):
            os.rename(place, os.path.join(path, aside))
    done = "would be moved" if check else "was moved"
    text = (
        f"{place} is a directory, not a link to a set: the repository was copied with links followed. It {done} to"
        f" {os.path.join(path, aside)}. Remove that when the sets are as they should be."
    )
    return [text]


def lost_streams(one: BackupSet) -> list[str]:
    """The streams that the set's file lists as backed up and that have no directory any more."""
    members = one.about.streams if one.about else {}
    return sorted(
        name
        for name, member in members.items()
        if member.status in ("current", "carried") and not os.path.isdir(os.path.join(one.path, name))
    )


def losses(sets: t.Iterable[BackupSet]) -> list[str]:
    """A warning for each set of which something is gone."""
    warnings = []
    for one in sets:
        lost = lost_streams(one)
        if one.gone:
            warnings.append(
                f"The set {one.path} cannot be used: only its file is left. jetstream_backup_prune removes it."
            )
        elif lost:
            names = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
            warnings.append(f"The set {one.path} has lost the backups of {names}. Look who removed them.")
    return warnings
