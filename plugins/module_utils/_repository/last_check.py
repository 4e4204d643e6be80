# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a backup was last checked in full, in a small file beside it; the manifest itself is never written again."""

from __future__ import annotations

import dataclasses
import json
import os

from .._archive.report import ERROR, Problem
from .._files.errors import why
from .._files.reading import SIDE_FILE, read_bytes
from .._files.writing import replace_file
from .._nats.model import Json
from . import forms
from .directory import CHECKED
from .inspect import Backup
from .manifest import now
from .suspect import DAMAGE

_LEVEL = "full"


@dataclasses.dataclass(frozen=True)
class Checked:
    """A full check of the past. C(identity) says of which bytes; C(time) is RFC 3339; C(problems) are their ids."""

    identity: str
    time: str
    valid: bool
    problems: tuple[str, ...] = ()
    engine: str = ""


def identity(backup: Backup) -> str:
    """Changes with any byte of the backup: the manifest's digest or, without one, size and time of the data file."""
    if backup.manifest is not None:
        return backup.manifest.digest
    try:
        status = os.stat(backup.data, follow_symlinks=False)
    except OSError:
        return ""
    return f"{status.st_size}-{status.st_mtime_ns}"


def last_check(backup: Backup) -> Checked | None:
    """The last full check of just these bytes: on the day of the backup or later; C(None) if there was none."""
    own = identity(backup)
    try:
        content = forms.read(read_bytes(os.path.join(backup.path, CHECKED), SIDE_FILE), forms.CHECKED)
        found = Checked(**{**content, "problems": tuple(content["problems"])})
        if own and found.identity == own:
            return found
    except (OSError, ValueError):
        # None yet, or not one of ours: the check is done again, which is always right.
        pass
    manifest = backup.manifest
    if manifest is not None and manifest.verified == _LEVEL:
        return Checked(own, manifest.finished_at, valid=True)
    return None


def remember(backup: Backup) -> str:
    """Note the full check that was just done. Returns a warning where that cannot be written, else nothing."""
    engine = (backup.report.engine if backup.report else None) or ""
    problems = tuple(problem.id for problem in backup.problems)
    checked = Checked(identity(backup), now(), backup.valid, problems, engine)
    try:
        content = json.dumps(vars(checked)).encode() + b"\n"
        replace_file(os.path.join(backup.path, CHECKED), content, same=backup.place)
    except OSError as exc:
        return f"{backup.path}: the check cannot be noted for the next run: {why(exc)}."
    return ""


def known_damage(backup: Backup, checked: Checked | None) -> Backup:
    """The backup with what an earlier full check found, where this one did not look as deep."""
    if checked is None or checked.valid or backup.level == _LEVEL or not backup.valid:
        return backup
    message = f"a full check on {checked.time} found: {', '.join(checked.problems)}"
    problem = Problem("damage_known", os.path.basename(backup.data), message, ERROR)
    return dataclasses.replace(backup, problems=(*backup.problems, problem))


def checked_json(checked: Checked | None) -> Json | None:
    """As returned by modules."""
    if checked is None:
        return None
    return {"time": checked.time, "valid": checked.valid, "problems": list(checked.problems), "engine": checked.engine}


def suspicion(backup: Backup, checked: Checked | None = None) -> str:
    """Why the backup may hold less than its stream should have, by itself or by an earlier full check; else empty."""
    if backup.manifest is not None and backup.manifest.suspect is not None:
        return backup.manifest.suspect.text
    found = [problem.message for problem in backup.problems if problem.id in DAMAGE]
    past = [one for one in checked.problems if one in DAMAGE] if checked else []
    if found or not past or checked is None:
        return found[0] if found else ""
    return f"a full check on {checked.time[:16]}Z found that messages are missing or damaged"
