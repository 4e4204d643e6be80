# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After the data: the configuration as it is to be, and what could not be kept."""

from __future__ import annotations

import datetime

from ..._nats.api import JetStream
from ..._nats.model import Json, StreamInfo
from ..._repository.inspect import Backup
from ..origins.settle import settle_all


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


async def settle(js: JetStream, info: StreamInfo, timeout: float) -> list[str]:
    """Give replicas time to catch up, and a stream to reach its origins; returns warnings about those that did not."""
    return (await settle_all(js, [info], timeout))[info.name]
