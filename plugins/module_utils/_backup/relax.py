# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configurations that are stricter than the data they were put over: relaxed for the restore, put back after it."""

from __future__ import annotations

import dataclasses
import uuid

from .._nats.errors import ApiError
from .._nats.lines import Line
from .._nats.model import Json
from .inspect import Backup

# What a stream to try the configuration with leaves out: what would make it copy, what asks for room that the stream
# to be replaced still has, and what refers to the real subjects.
_NOT_PROBED = frozenset(
    "name subjects mirror mirror_direct sources sealed max_bytes republish subject_transform first_seq"
    " template_owner".split()
)


def probe_config(wanted: Json) -> Json:
    """A configuration for an empty stream that can be created if one with C(wanted) can; its subjects are its own."""
    name = f"natsops_probe_{uuid.uuid4().hex[:12]}"
    subjects = [f"{name}.{subject}" for subject in wanted.get("subjects") or []] or [name]
    kept = {key: value for key, value in wanted.items() if key not in _NOT_PROBED}
    return {**kept, "name": name, "subjects": subjects}


@dataclasses.dataclass(frozen=True)
class Relaxed:
    """C(request) is the configuration to restore with, C(wanted) the one to have in the end."""

    wanted: Json
    request: Json


def relax(wanted: Json, backup: Backup, line: Line) -> Relaxed:
    """What is certain to be in the way is taken out at once: it costs nothing, since an update follows anyway."""
    request = dict(wanted)
    if int(wanted.get("max_msg_size") or -1) > 0 and backup.format == "V2":
        request["max_msg_size"] = -1
    if wanted.get("sealed"):
        # A sealed stream takes no update, and so could not lose the marker of the restore.
        request["sealed"] = False
    count = sum(record.in_archive for record in backup.consumers)
    limit = int(wanted.get("max_consumers") or -1)
    if 0 < limit < count and line.version >= (2, 12, 0):
        # Older lines neither mind nor can change it back.
        request["max_consumers"] = -1
    left_out = any(not record.in_archive for record in backup.consumers)
    if wanted.get("retention") == "interest" and left_out:
        # Messages that wait only for a consumer that comes later would be dropped before it is there.
        request["retention"] = "limits"
    return Relaxed(wanted, request)


def relax_after(error: ApiError, relaxed: Relaxed) -> Relaxed | None:
    """The next thing to try after the server refused; C(None) if there is nothing."""
    request = dict(relaxed.request)
    if error.err_code == 10081 or "forms a cycle" in error.description:
        # A push consumer delivers to a subject that the stream takes in by now.
        if relaxed.request.get("subjects") != relaxed.wanted.get("subjects"):
            return None
        request["subjects"] = [f"natsops.restore.{uuid.uuid4().hex}"]
        return dataclasses.replace(relaxed, request=request)
    if error.err_code in (10058, 10130) and int(request.get("num_replicas") or 1) > 1:
        # A cluster can take its own half-made stream for another one; with one replica there is no such race.
        request["num_replicas"] = 1
        return dataclasses.replace(relaxed, request=request)
    if error.err_code == 10026 and request.get("max_consumers") != -1:
        request["max_consumers"] = -1
        return dataclasses.replace(relaxed, request=request)
    return None
