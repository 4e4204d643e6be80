# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After the data: consumers that were not in it, origins that have to be reached again, and what could not be kept."""

from __future__ import annotations

import asyncio
import datetime
import time

from .._nats.api import JetStream
from .._nats.errors import ApiError, NatsError
from .._nats.model import Json, StreamInfo
from . import compare
from .inspect import Backup
from .manifest import ConsumerRecord
from .plan import Plan


def consumer_config(record: ConsumerRecord, retention: str) -> Json:
    """The configuration that makes a consumer go on where it was: behind its acknowledgement floor."""
    config = {key: value for key, value in record.config.items() if value is not None}
    metadata = {k: v for k, v in (config.get("metadata") or {}).items() if not k.startswith("_nats.")}
    config.pop("metadata", None)
    if metadata:
        config["metadata"] = metadata
    config["name"] = record.name
    floor = int(record.ack_floor["stream_seq"])
    if floor and retention != "workqueue":  # of a work queue, what was acknowledged is gone anyway
        for key in ("deliver_policy", "opt_start_seq", "opt_start_time"):
            config.pop(key, None)
        config["deliver_policy"] = "by_start_sequence"
        config["opt_start_seq"] = floor + 1
    return config


async def finish_consumers(js: JetStream, backup: Backup, plan: Plan) -> tuple[StreamInfo, list[str], list[str]]:
    """Create the lasting consumers that the archive did not bring.

    Returns the stream's state, the names created, and warnings that say from where each will deliver.
    """
    info = await js.stream_info(plan.name)
    records = [record for record in backup.consumers if compare.lasting(record.config)]
    if not records:
        return info, [], []
    present = (await js.consumers(plan.name)).items if info.state.get("consumer_count") else ()
    differences, absent = compare.consumer_differences(records, present)
    created, warnings = [], [f"{line}." for line in differences]
    retention = str(plan.config.get("retention", "limits"))
    for record in absent:
        config = consumer_config(record, retention)
        try:
            await js.create_consumer(plan.name, config)
        except ApiError as exc:
            warnings.append(
                f"consumer {plan.name} > {record.name} was not in the archive and cannot be created: {exc}."
            )
            continue
        created.append(record.name)
        floor = int(record.ack_floor["stream_seq"])
        start = f"from sequence {floor + 1}" if floor else "from its own start"
        pending = f"; {record.num_ack_pending} pending acknowledgements are lost" if record.num_ack_pending else ""
        warnings.append(
            f"consumer {plan.name} > {record.name} was not in the archive; it was created from the manifest and"
            f" delivers {start}{pending}."
        )
    if created:
        info = await js.stream_info(plan.name)
    return info, created, warnings


def _seconds_since(text: str) -> float:
    """Seconds since an RFC 3339 time; infinite where it cannot be read."""
    try:
        then = datetime.datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        return float("inf")
    return (datetime.datetime.now(datetime.timezone.utc) - then).total_seconds()


def notes_on_loss(backup: Backup, config: Json) -> list[str]:
    """What no client can bring back on this line, and what follows from it."""
    notes = []
    name = config["name"]
    window = int(config.get("duplicate_window") or 0) / 1e9
    recent = backup.state.get("messages") and _seconds_since(str(backup.state.get("last_ts", ""))) < window
    if backup.format == "V2" and recent:
        notes.append(
            f"stream {name}: its de-duplication window ({window:g} s) starts empty; a message published again within"
            " it under the same Nats-Msg-Id is stored twice. A restart of the server (or, with replicas, a"
            " step-down of the stream's leader) rebuilds the window."
        )
    clustered_v2 = backup.format == "V2" and bool(backup.manifest and backup.manifest.server.get("cluster"))
    for record in backup.consumers if clustered_v2 else ():
        ahead = int(record.delivered["stream_seq"]) > int(record.ack_floor["stream_seq"])
        if record.in_archive and (record.num_ack_pending or ahead):
            notes.append(
                f"consumer {name} > {record.name}: {record.num_ack_pending} messages were waiting for"
                " acknowledgement; a cluster does not archive which. All after sequence"
                f" {record.ack_floor['stream_seq']} are delivered again, with delivery counts from 1."
            )
    return notes


async def wait_for_origins(js: JetStream, info: StreamInfo, timeout: float) -> list[str]:
    """Give a mirror or sourcing stream time to reach its origins again; returns warnings about those it did not."""
    if not info.config.get("mirror") and not info.config.get("sources"):
        return []
    deadline = time.monotonic() + timeout
    while True:
        waiting = [str(origin.get("name")) for origin in _origins(info) if int(origin.get("active") or 0) < 0]
        broken = {
            str(o.get("name")): str((o.get("error") or {}).get("description")) for o in _origins(info) if o.get("error")
        }
        if not waiting and not broken:
            return []
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.25)
        try:
            info = await js.stream_info(info.name)
        except NatsError:
            break
    return [
        f"stream {info.name}: its origin {name} was not reached within {timeout:g} s"
        f" ({broken.get(name, 'no answer yet')}). The server goes on trying; check that the origin exists."
        for name in sorted({*waiting, *broken})
    ]


def _origins(info: StreamInfo) -> list[Json]:
    return [*info.sources, *([info.mirror] if info.mirror else [])]
