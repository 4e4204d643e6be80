# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Consumers that an archive did not bring: made again where they were, with their own configuration where that can be.

From 2.14 on, CONSUMER.RESET moves a consumer and leaves its configuration as it is. Older lines can only make one that
starts by a sequence. A consumer is made paused, so that it delivers nothing before it is where it has to be.
"""

from __future__ import annotations

import datetime
import time
import typing as t

from ..._archive.times import ZERO, parse_ns
from ..._nats.api import JetStream
from ..._nats.errors import ApiError, NatsError, PermissionDeniedError, RequestTimeoutError
from ..._nats.model import ConsumerInfo, Json, StreamInfo
from ..._repository.manifest import ConsumerRecord

# Such a consumer refuses every position.
_NO_POSITION = ("new", "last", "last_per_subject")
# It ends by itself, should this run be killed before it ends it.
_PAUSE = datetime.timedelta(seconds=60)


def own_config(record: ConsumerRecord) -> Json:
    """The configuration as it was, without what servers note for themselves."""
    config = {key: value for key, value in record.config.items() if value is not None}
    metadata = {k: v for k, v in (config.pop("metadata", None) or {}).items() if not k.startswith("_nats.")}
    if metadata:
        config["metadata"] = metadata
    return {**config, "name": record.name}


def behind_floor(record: ConsumerRecord, retention: str) -> Json:
    """A configuration that makes a consumer go on behind its acknowledgement floor."""
    config = own_config(record)
    floor = int(record.ack_floor["stream_seq"])
    if floor and retention != "workqueue":  # of a work queue, what was acknowledged is gone anyway
        for key in ("deliver_policy", "opt_start_seq", "opt_start_time"):
            config.pop(key, None)
        config["deliver_policy"] = "by_start_sequence"
        config["opt_start_seq"] = floor + 1
    return config


async def make_again(js: JetStream, record: ConsumerRecord, info: StreamInfo, retention: str) -> str:
    """Create a consumer of the stream C(info) from its record; C(retention) is what the stream will have.

    Returns how it differs from what it was, in words; empty where it does not. Raises what the server says of the
    creation itself.
    """
    stream, floor = info.name, int(record.ack_floor["stream_seq"])
    if not floor or retention == "workqueue":
        await js.create_consumer(stream, own_config(record))
        return ""
    why = _why_not(js, record, info)
    if not why:
        try:
            return await _reset(js, stream, record, floor + 1)
        except NatsError as exc:
            if not isinstance(exc, (ApiError, PermissionDeniedError, RequestTimeoutError)):
                raise
            why = f"it could not be moved by CONSUMER.RESET ({exc})"
        try:
            await js.delete_consumer(stream, record.name)
        except (ApiError, PermissionDeniedError) as exc:
            if getattr(exc, "error", "") != "consumer_not_found":
                return f"{why}, nor deleted ({exc}), and delivers from its own start"
    await js.create_consumer(stream, behind_floor(record, retention))
    return f"{why}, so that its deliver policy is now by_start_sequence {floor + 1}"


def _why_not(js: JetStream, record: ConsumerRecord, info: StreamInfo) -> str:
    """Why a consumer cannot be moved; empty where it can."""
    policy = record.config.get("deliver_policy", "all")
    if not js.line.resets_consumers:
        return f"nats-server {js.line} cannot move a consumer (2.14 can)"
    if policy in _NO_POSITION:
        return f"a consumer with the deliver policy {policy} cannot be moved"
    if info.config.get("retention", "limits") != "limits":
        # There, to move it forward deletes messages, as if it had acknowledged them.
        return "moving it would delete messages of a stream with interest retention"
    floor, last = int(record.ack_floor["stream_seq"]), int(info.state.get("last_seq") or 0)
    return f"the stream ends before it, at {last}" if floor > last else ""


async def _reset(js: JetStream, stream: str, record: ConsumerRecord, sequence: int) -> str:
    until = (datetime.datetime.now(datetime.timezone.utc) + _PAUSE).strftime("%Y-%m-%dT%H:%M:%SZ")
    await js.create_consumer(stream, {**own_config(record), "pause_until": until})
    what = f"reset of consumer {stream} > {record.name}"
    info = ConsumerInfo.parse(await js.call(f"CONSUMER.RESET.{stream}.{record.name}", {"seq": sequence}, what=what))
    if int(info.ack_floor.get("stream_seq") or 0) != sequence - 1:
        raise RequestTimeoutError(f"consumer {stream} > {record.name} is not where it was moved to.")
    own = str(record.config.get("pause_until") or ZERO)
    request = {"pause_until": own} if parse_ns(own) > time.time_ns() else {}
    try:
        await js.call(
            f"CONSUMER.PAUSE.{stream}.{record.name}", request, what=f"end of pause of {stream} > {record.name}"
        )
    except (ApiError, PermissionDeniedError, RequestTimeoutError) as exc:
        return f"it is paused until {until}, since its pause could not be ended ({exc})"
    return ""


def told(record: ConsumerRecord, stream: str, difference: str) -> str:
    """The warning of a consumer that was made again."""
    floor = int(record.ack_floor["stream_seq"])
    start = f"from sequence {floor + 1}" if floor else "from its own start"
    pending = f"; {record.num_ack_pending} pending acknowledgements are lost" if record.num_ack_pending else ""
    text = f"consumer {stream} > {record.name} was not in the archive; it was created from the manifest"
    if "delivers from its own start" in difference:
        return f"{text}: {difference}{pending}."
    return f"{text} and delivers {start}{pending}" + (f": {difference}." if difference else ".")


def ephemeral_left_out(
    stream: str, records: t.Iterable[ConsumerRecord], wanted: t.Collection[str], present: t.Collection[str]
) -> list[str]:
    """A warning that names the consumers that no restore brings back: their clients made them, and make them anew."""
    gone = [
        one.name
        for one in records
        if one.name not in wanted and one.name not in present and not one.config.get("sourcing")
    ]
    if not gone:
        return []
    named = ", ".join(gone[:5]) + (f" and {len(gone) - 5} more" if len(gone) > 5 else "")
    text = f"stream {stream}: {len(gone)} ephemeral consumers are not brought back ({named})."
    return [f"{text} Their clients have to make them again."]
