# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configurations that are stricter than the data they were put over: relaxed for the restore, put back after it."""

from __future__ import annotations

import dataclasses
import hashlib
import uuid

from ..._nats.api import JetStream
from ..._nats.errors import ApiError
from ..._nats.lines import Line
from ..._nats.model import Json, Listing, StreamInfo
from ..._repository.compare import MARKER
from ..._repository.inspect import Backup
from ..live.configuration import still_relaxed

# What a stream to try the configuration with leaves out: what would make it copy, what asks for room that the stream
# to be replaced still has, and what refers to the real subjects.
_NOT_PROBED = frozenset(
    "name subjects mirror mirror_direct sources sealed max_bytes republish subject_transform first_seq"
    " template_owner".split()
)


def probe_name(stream: str) -> str:
    """The name of the stream that proves that C(stream) can be created: always the same, so that debris is found."""
    return f"natsops_probe_{hashlib.sha256(stream.encode()).hexdigest()[:16]}"


def probe_config(wanted: Json) -> Json:
    """A configuration for an empty stream that can be created if one with C(wanted) can; its subjects are its own."""
    name = probe_name(wanted["name"])
    subjects = [f"{name}.{subject}" for subject in wanted.get("subjects") or []] or [name]
    kept = {key: value for key, value in wanted.items() if key not in _NOT_PROBED}
    metadata = {**(kept.get("metadata") or {}), MARKER: name}
    return {**kept, "name": name, "subjects": subjects, "metadata": metadata}


async def attainable(js: JetStream, wanted: Json, streams: Listing[StreamInfo]) -> tuple[Json, tuple[Json, ...]]:
    """The configuration that servers will have, and the fields that cannot be as they were.

    A mirror takes no smaller messages than its origin. Where that was raised since, servers refuse the mirror and every
    update of it (10030).
    """
    limit, mirror = int(wanted.get("max_msg_size") or -1), wanted.get("mirror") or {}
    if limit <= 0 or not mirror or mirror.get("external"):
        return wanted, ()
    name = str(mirror.get("name") or "")
    origin = next((info for info in streams.items if info.name == name), None) or await js.find_stream(name)
    least = int(origin.config.get("max_msg_size") or -1) if origin is not None else -1
    if least <= limit:
        return wanted, ()
    reason = f"its origin {name} takes messages of {least} bytes, and a mirror may not take less"
    return {**wanted, "max_msg_size": least}, (still_relaxed("max_msg_size", limit, least, reason),)


@dataclasses.dataclass(frozen=True)
class Relaxed:
    """C(request) is the configuration to restore with, C(wanted) the one to have in the end.

    C(identity_splits): the stream will be another one to those that source from it with each change of its leader.
    """

    wanted: Json
    request: Json
    identity_splits: bool = False


def relax(wanted: Json, backup: Backup, line: Line, *, is_origin: bool) -> Relaxed:
    """What is certain to be in the way is taken out at once: it costs nothing, since an update follows anyway.

    C(is_origin): other streams source from it.
    """
    request = dict(wanted)
    splits = is_origin and line.source_identity and int(wanted.get("num_replicas") or 1) > 1
    if splits and not any(int(record.config.get("num_replicas") or 0) > 1 for record in backup.consumers):
        # The replica that takes a restore remembers another creation time than the others, and with every change of
        # leader the stream would become another one to those that source from it, which then copy again.
        request["num_replicas"] = 1
        splits = False
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
    if wanted.get("retention") == "interest" and (backup.consumers or backup.manifest is None):
        # Servers make the consumers of an archive one after the other, and may have the messages before: those that
        # wait only for a consumer that comes later are dropped before it is there.
        request["retention"] = "limits"
    return Relaxed(wanted, request, splits)


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
    # V1 restores put the words about a consumer or the stream into an error of their own (10062).
    text = error.description
    if (error.err_code == 10030 or "must have max message size" in text) and request.get("max_msg_size") != -1:
        # Its origin takes larger messages, and is not to be seen from here.
        request["max_msg_size"] = -1
        return dataclasses.replace(relaxed, request=request)
    if (error.err_code == 10026 or "maximum consumers limit" in text) and request.get("max_consumers") != -1:
        request["max_consumers"] = -1
        return dataclasses.replace(relaxed, request=request)
    return None
