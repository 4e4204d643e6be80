# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The last drill of a backup, in a small file beside it; the manifest itself is never written again."""

from __future__ import annotations

import dataclasses
import json
import os

from .._files.errors import why
from .._files.reading import SIDE_FILE, read_bytes
from .._files.writing import replace_file
from .._nats.model import Json
from . import forms
from .directory import DRILLED
from .inspect import Backup
from .last_check import identity


@dataclasses.dataclass(frozen=True)
class Drilled:
    """A drill of the past. C(identity) says of which bytes; C(time) is RFC 3339; C(status) as in the drill's result."""

    identity: str
    time: str
    status: str
    seconds: float = 0.0
    messages: int = 0
    server: str = ""

    @property
    def passed(self) -> bool:
        """What was restored was what had been backed up."""
        return self.status == "identical"


def last_drill(backup: Backup) -> Drilled | None:
    """The last drill of just these bytes, C(None) if there was none."""
    try:
        found = Drilled(**forms.read(read_bytes(os.path.join(backup.path, DRILLED), SIDE_FILE), forms.DRILLED))
    except (OSError, ValueError):
        return None  # none yet, or not one of ours
    own = identity(backup)
    return found if own and found.identity == own else None


def remember_drill(backup: Backup, drilled: Drilled) -> str:
    """Note a drill. Returns a warning where that cannot be written, else nothing."""
    try:
        content = json.dumps(vars(drilled)).encode() + b"\n"
        replace_file(os.path.join(backup.path, DRILLED), content, same=backup.place)
    except OSError as exc:
        return f"{backup.path}: the drill cannot be noted beside the backup: {why(exc)}."
    return ""


def drilled_json(drilled: Drilled | None) -> Json | None:
    """As returned by modules."""
    if drilled is None:
        return None
    kept = {key: value for key, value in vars(drilled).items() if key != "identity"}
    return {**kept, "passed": drilled.passed}
