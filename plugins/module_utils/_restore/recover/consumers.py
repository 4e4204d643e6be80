# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Consumers that a cluster has made anew: moved to where they were in the backup."""

from __future__ import annotations

import dataclasses

from ..._nats.api import JetStream
from ..._nats.errors import ApiError, NatsError
from ..._nats.model import ConsumerInfo, Json, StreamInfo
from ..._repository.manifest import ConsumerRecord, Manifest
from ..live.reposition import behind_floor
from . import recreated


@dataclasses.dataclass(frozen=True)
class Moved:
    """What became of one consumer. C(status): C(moved), C(would_move), C(left); C(seq) is what it delivers next."""

    stream: str
    consumer: str
    status: str
    seq: int = 0
    reason: str = ""


async def move_consumers(js: JetStream, manifest: Manifest, info: StreamInfo, *, check: bool) -> list[Moved]:
    """Move the consumers of a stream that were made anew to where they were in the backup."""
    records = {record.name: record for record in manifest.consumers}
    if not records:
        return []
    moved = []
    for consumer in (await js.consumers(info.name)).items:
        record = records.get(consumer.name)
        if record is not None and recreated.went_back(record, consumer):
            moved.append(await _move(js, info, record, consumer, check=check))
    return moved


async def _move(js: JetStream, info: StreamInfo, record: ConsumerRecord, live: ConsumerInfo, *, check: bool) -> Moved:
    seq = int(record.ack_floor["stream_seq"]) + 1
    retention = str(info.config.get("retention") or "limits")
    if seq == 1 or retention != "limits":
        why = "nothing was acknowledged" if seq == 1 else f"a stream with {retention} retention has no older messages"
        return Moved(info.name, record.name, "left", reason=f"{why}; it begins with what the stream has")
    if int(live.ack_floor.get("stream_seq") or 0) + 1 >= seq:
        return Moved(info.name, record.name, "left", reason="it has come as far again")
    if check:
        return Moved(info.name, record.name, "would_move", seq)
    try:
        await _reset(js, info.name, record, retention, seq)
    except NatsError as exc:
        return Moved(info.name, record.name, "left", reason=f"it could not be moved: {exc.message}")
    return Moved(info.name, record.name, "moved", seq)


async def _reset(js: JetStream, stream: str, record: ConsumerRecord, retention: str, seq: int) -> None:
    if js.line.resets_consumers:
        try:
            subject = f"CONSUMER.RESET.{stream}.{record.name}"
            await js.call(subject, {"seq": seq}, what=f"reset consumer {stream} > {record.name}")
        except ApiError:
            # Not for every deliver policy; older servers of a mixed cluster do not know it.
            pass
        else:
            return
    config: Json = behind_floor(record, retention)
    await js.delete_consumer(stream, record.name)
    await js.create_consumer(stream, config)
