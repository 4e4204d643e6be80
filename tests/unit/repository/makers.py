# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams, consumers and manifests for the tests of the backup ring."""

from __future__ import annotations

import hashlib
from typing import Any

from ansible_collections.natsops.jetstream.plugins.module_utils._nats.model import ConsumerInfo, StreamInfo
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.inspect import Backup
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.manifest import (
    ConsumerRecord,
    FileDigest,
    Manifest,
)

STATE = {
    "messages": 10,
    "bytes": 1000,
    "first_seq": 1,
    "last_seq": 10,
    "first_ts": "2026-01-01T00:00:00Z",
    "last_ts": "2026-01-01T00:00:09Z",
}
CONFIG = {"name": "ORDERS", "subjects": ["orders.>"], "retention": "limits", "storage": "file", "num_replicas": 1}


def stream(config: dict[str, Any] | None = None, **state: Any) -> StreamInfo:
    return StreamInfo({**CONFIG, **(config or {})}, {**STATE, **state}, "2026-01-01T00:00:00Z")


def consumer(name: str = "worker", *, floor: int = 3, **config: Any) -> ConsumerInfo:
    return ConsumerInfo(
        name=name,
        config={"durable_name": name, "ack_policy": "explicit", **config},
        created="2026-01-01T00:00:00Z",
        delivered={"consumer_seq": floor, "stream_seq": floor, "last_active": "2026-02-02T00:00:00Z"},
        ack_floor={"consumer_seq": floor, "stream_seq": floor},
        num_ack_pending=0,
        num_redelivered=0,
        num_pending=7,
    )


def record(name: str = "worker", *, in_archive: bool = True, **more: Any) -> ConsumerRecord:
    return ConsumerRecord.of(consumer(name, **more), in_archive=in_archive)


def manifest(**changes: Any) -> Manifest:
    digest = hashlib.sha256(b"x").hexdigest()
    values: dict[str, Any] = {
        "stream": "ORDERS",
        "account": "APP",
        "format": "V2",
        "files": (FileDigest("backup.json", 10, digest), FileDigest("stream.arc.s2", 20, digest)),
        "config": CONFIG,
        "state": STATE,
        "exact": True,
        "created": "2026-01-01T00:00:00Z",
        "consumers": (record(),),
        "with_consumers": True,
        "server": {"version": "2.15.2"},
        "started_at": "2026-01-02T00:00:00Z",
        "finished_at": "2026-01-02T00:00:01Z",
        "verified": "quick",
        "max_payload": 1 << 20,
    }
    return Manifest(**{**values, **changes})


def backup(**changes: Any) -> Backup:
    values: dict[str, Any] = {
        "path": "/somewhere/ORDERS",
        "level": "quick",
        "stream": "ORDERS",
        "config": CONFIG,
        "state": STATE,
        "manifest": manifest(),
    }
    return Backup(**{**values, **changes})
