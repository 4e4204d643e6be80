# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When two streams, or a stream and its backup, are the same. Pure functions over what the API shows."""

from __future__ import annotations

import typing as t

from .._archive.times import ZERO
from .._nats.model import ConsumerInfo, Json, StreamInfo
from .manifest import ConsumerRecord, Manifest, sequences

# A server writes these itself, or leaves them out when they have their default.
_DEFAULTS: dict[str, t.Any] = {"compression": "none", "persist_mode": "default", "first_seq": 1}
_STATE = ("messages", "first_seq", "last_seq", "first_ts", "last_ts", "bytes")
# The marker of a restore under way, see restore.py.
MARKER = "natsops.restore"
#: Metadata of a stream whose subjects were taken away until it is restored: the subjects, as JSON.
HELD = "natsops.held"


def normal_config(config: Json) -> Json:
    """A configuration without what says nothing: unset fields, defaults, and what servers note for themselves."""
    result: Json = {}
    for key, value in config.items():
        if isinstance(value, dict):
            value = normal_config(value)
        elif isinstance(value, list):
            value = [normal_config(item) if isinstance(item, dict) else item for item in value]
        if value in (None, 0, -1, "", [], {}, ZERO) or _DEFAULTS.get(key) == value:
            continue
        if key.startswith("_nats.") or key == MARKER:
            continue
        result[key] = value
    return result


def config_differences(wanted: Json, found: Json) -> list[str]:
    """The fields in which two configurations differ, as C("field: wanted X, found Y"); empty when they are the same."""
    one, other = normal_config(wanted), normal_config(found)
    return [
        f"{key}: backup {one.get(key)!r}, stream {other.get(key)!r}"
        for key in sorted({*one, *other})
        if one.get(key) != other.get(key)
    ]


def lasting(config: Json) -> bool:
    """Whether a consumer holds a position worth keeping: not one of those a client makes for itself and drops.

    Nor one of a stream that sources from this one (2.14): that stream's server makes it anew, with another subject.
    """
    if config.get("sourcing"):
        return False
    return bool(config.get("durable_name")) or config.get("ack_policy", "none") != "none"


def _positions(consumers: t.Iterable[ConsumerInfo | ConsumerRecord]) -> list[t.Any]:
    """What of the lasting consumers must not change for a backup to be current, by name."""
    return [
        (
            c.name,
            normal_config(c.config),
            sequences(c.delivered),
            sequences(c.ack_floor),
            c.num_ack_pending,
            c.num_redelivered,
        )
        for c in sorted(consumers, key=lambda c: c.name)
        if lasting(c.config)
    ]


def unchanged_since(manifest: Manifest, info: StreamInfo, consumers: t.Sequence[ConsumerInfo] | None) -> bool:
    """Whether a stream is as it was backed up: same stream, configuration, state and lasting consumers.

    C(consumers) is C(None) for a backup without consumers.
    """
    if manifest.created != info.created or normal_config(manifest.config) != normal_config(info.config):
        return False
    keys = (*_STATE, "num_deleted", "num_subjects")
    if any(manifest.state.get(key) != info.state.get(key) for key in keys if key in manifest.state):
        return False
    if manifest.with_consumers != (consumers is not None):
        return False
    return _positions(manifest.consumers) == _positions(consumers or ())


def consumer_differences(
    wanted: t.Sequence[ConsumerRecord], found: t.Sequence[ConsumerInfo], first_seq: int
) -> tuple[list[str], list[ConsumerRecord]]:
    """How the consumers of a stream fall short of a backup's.

    Returns sentences about consumers that are there but differ, and the records of those that are not. A consumer
    that has gone on since, or was moved up to the stream's first message, is no difference.
    """
    present = {consumer.name: consumer for consumer in found}
    differences, absent = [], []
    for record in wanted:
        consumer = present.get(record.name)
        if consumer is None:
            absent.append(record)
            continue
        starts_at = ("deliver_policy:",) if _starts_behind_floor(record, consumer) else ()
        for line in config_differences(record.config, consumer.config):
            if not line.startswith(("name:", "pause_until:", "opt_start", *starts_at)):
                differences.append(f"consumer {record.name}: {line}")
        # Before the first message of the stream all positions are one; servers move some of them up.
        floors = (record.ack_floor["stream_seq"], consumer.ack_floor.get("stream_seq") or 0)
        want, have = (max(int(floor), first_seq - 1) for floor in floors)
        # One that was made to start there has acknowledged nothing by itself, and older lines say so.
        if have < want and not starts_at:
            differences.append(f"consumer {record.name}: acknowledged up to {want} in the backup, {have} in the stream")
    return differences, absent


def _starts_behind_floor(record: ConsumerRecord, consumer: ConsumerInfo) -> bool:
    """Whether a restore made the consumer from its record, with a start of its own."""
    config = consumer.config
    behind = int(record.ack_floor["stream_seq"]) + 1
    return config.get("deliver_policy") == "by_start_sequence" and config.get("opt_start_seq") == behind


def interrupted(live: StreamInfo | None) -> bool:
    """Whether a recovery of this stream was begun and not finished: it is held, and empty or half restored."""
    if live is None:
        return False
    metadata = live.config.get("metadata") or {}
    return HELD in metadata and (MARKER in metadata or not int(live.state.get("last_seq") or 0))
