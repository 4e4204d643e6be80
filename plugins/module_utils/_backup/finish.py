# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After the data: replicas that catch up, origins that have to be reached again, and what could not be kept."""

from __future__ import annotations

import asyncio
import datetime
import time

from .._nats.api import JetStream
from .._nats.errors import NatsError
from .._nats.model import Json, StreamInfo
from .consumers import settled
from .inspect import Backup
from .sources import origins


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
        # By its own count: the stream's sequence is ahead also where a consumer starts late and delivered nothing.
        ahead = int(record.delivered["consumer_seq"]) > int(record.ack_floor["consumer_seq"])
        if record.in_archive and (record.num_ack_pending or ahead):
            notes.append(
                f"consumer {name} > {record.name}: {record.num_ack_pending} messages were waiting for"
                " acknowledgement; a cluster does not archive which. All after sequence"
                f" {record.ack_floor['stream_seq']} are delivered again, with delivery counts from 1."
            )
    return notes


async def put_back(js: JetStream, info: StreamInfo, wanted: Json, timeout: float) -> StreamInfo:
    """Give a restored stream its configuration, without the marker and with what was relaxed.

    Interest comes last, once every replica has every consumer: one that has not drops the messages for it, and a
    consumer that is then led there goes on behind them.
    """
    replicas = int(wanted.get("num_replicas") or 1)
    if replicas > 1 and info.config.get("retention") != wanted.get("retention"):
        if info.config.get("num_replicas") != replicas:
            info = await js.update_stream({**info.config, "num_replicas": replicas})
        await _wait_for_replicas(js, info, timeout)
        await settled(js, info.name, (), timeout)
    return await js.update_stream(wanted)


async def settle(js: JetStream, info: StreamInfo, timeout: float) -> list[str]:
    """Give replicas time to catch up, and a stream to reach its origins; returns warnings about those that did not."""
    return [*await _wait_for_replicas(js, info, timeout), *await _wait_for_origins(js, info, timeout)]


async def _wait_for_replicas(js: JetStream, info: StreamInfo, timeout: float) -> list[str]:
    """The answer to a restore is the leader's: until the others have its data, one loss can be the loss of all."""
    wanted = int(info.config.get("num_replicas") or 1) - 1
    if wanted < 1:
        return []
    deadline = time.monotonic() + timeout
    while True:
        replicas = (info.cluster or {}).get("replicas") or []
        current = [peer for peer in replicas if peer.get("current") and not peer.get("offline")]
        if len(current) >= wanted:
            return []
        if time.monotonic() > deadline:
            behind = f"{wanted - len(current)} of its {wanted + 1} replicas"
            return [
                f"stream {info.name}: {behind} did not catch up within {timeout:g} s. Look at them before a failure."
            ]
        await asyncio.sleep(0.1)
        info = await js.stream_info(info.name)


async def _wait_for_origins(js: JetStream, info: StreamInfo, timeout: float) -> list[str]:
    """Give a mirror or sourcing stream time to reach its origins again; returns warnings about those it did not."""
    if not info.config.get("mirror") and not info.config.get("sources"):
        return []
    present = await _present(js, info)
    absent = sorted(name for name, there in present.items() if not there)
    deadline = time.monotonic() + timeout
    while True:
        waiting = [str(origin.get("name")) for origin in _origins(info) if int(origin.get("active") or 0) < 0]
        broken = {
            str(o.get("name")): str((o.get("error") or {}).get("description")) for o in _origins(info) if o.get("error")
        }
        if not {*waiting, *broken} - {*absent} or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.25)
        try:
            info = await js.stream_info(info.name)
        except NatsError:
            break
    gone = [f"stream {info.name}: its origin {name} does not exist. It goes on once there is one." for name in absent]
    return gone + [
        f"stream {info.name}: its origin {name} was not reached within {timeout:g} s"
        f" ({broken.get(name, 'no answer yet')}). The server goes on trying; check that the origin exists."
        for name in sorted({*waiting, *broken} - {*absent})
    ]


async def _present(js: JetStream, info: StreamInfo) -> dict[str, bool]:
    """Whether each origin in the same account is there; others are not in the answer."""
    return {name: await js.find_stream(name) is not None for name in sorted(origins(info.config))}


def _origins(info: StreamInfo) -> list[Json]:
    return [*info.sources, *([info.mirror] if info.mirror else [])]
