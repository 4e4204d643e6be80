# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The consumers of a restored stream: waiting for those of the archive, making those that were not in it."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import typing as t

from ..._nats.api import JetStream
from ..._nats.errors import ApiError
from ..._nats.lines import supported_consumer_config
from ..._nats.model import ConsumerInfo, Listing, StreamInfo
from ..._repository import compare
from ..._repository.inspect import Backup
from ..._repository.manifest import ConsumerRecord
from .reposition import ephemeral_left_out, make_again, told

# A cluster answers a restore before its consumers have been assigned and have elected leaders.
_PATIENCE_CLUSTERED = 30.0
_PATIENCE = 3.0
# They may have been read, or have expired, meanwhile: no reason to wait for long.
_PATIENCE_PENDING = 10.0


def expected(backup: Backup, js: JetStream) -> list[ConsumerRecord]:
    """The consumers that the restored stream must have, as the server's line knows them."""
    return [
        dataclasses.replace(record, config=supported_consumer_config(record.config, js.line))
        for record in backup.consumers
        if compare.lasting(record.config)
    ]


async def settled(js: JetStream, stream: str, wanted: t.Collection[str], patience: float) -> Listing[ConsumerInfo]:
    """The consumers of a stream, once every one that is C(wanted) or exists has answered, or after C(patience) s.

    C(missing) and C(offline) name those that exist and did not answer.
    """
    deadline = time.monotonic() + patience
    while True:
        listing = await js.consumers(stream)
        silent = {*listing.missing, *listing.offline}
        if not silent and not set(wanted) - {consumer.name for consumer in listing.items}:
            return listing
        if time.monotonic() > deadline:
            return listing
        await asyncio.sleep(0.1)


async def finish_consumers(
    js: JetStream, backup: Backup, info: StreamInfo, retention: str
) -> tuple[list[str], list[str]]:
    """Create the lasting consumers that the archive did not bring; C(retention) is what the stream will have.

    Returns the names created, and warnings that say from where each will deliver.
    """
    stream = info.name
    records = expected(backup, js)
    if not backup.consumers:
        return [], []
    archived = [record.name for record in records if record.in_archive]
    listing = await settled(js, stream, archived, _PATIENCE_CLUSTERED if js.clustered else _PATIENCE)
    silent = {*listing.missing, *listing.offline}
    differences, absent = compare.consumer_differences(records, listing.items, int(info.state.get("first_seq") or 0))
    created, warnings = [], [f"{line}." for line in differences]
    for record in absent:
        if record.name in silent:
            warnings.append(
                f"consumer {stream} > {record.name} was restored and does not answer yet; check that it gets a leader."
            )
            continue
        try:
            difference = await make_again(js, record, info, retention)
        except ApiError as exc:
            warnings.append(f"consumer {stream} > {record.name} was not in the archive and cannot be created: {exc}.")
            continue
        created.append(record.name)
        warnings.append(told(record, stream, difference))
    present = {*silent, *(consumer.name for consumer in listing.items)}
    warnings += ephemeral_left_out(stream, backup.consumers, [record.name for record in records], present)
    if js.clustered and int(info.config.get("num_replicas") or 1) > 1:
        await _wait_for_pending(js, stream, records)
    return created, warnings


async def _wait_for_pending(js: JetStream, stream: str, records: t.Sequence[ConsumerRecord]) -> None:
    """Wait until consumers that had messages to deliver see some.

    One led by a replica that has not caught up yet takes the stream for empty, and says so to a client that does not
    wait. It is put right when the data has come, which the API shows nowhere else.
    """
    had = {record.name for record in records if record.num_pending}
    deadline = time.monotonic() + _PATIENCE_PENDING
    while had and time.monotonic() < deadline:
        listing = await js.consumers(stream)
        if had <= {consumer.name for consumer in listing.items if consumer.num_pending}:
            return
        await asyncio.sleep(0.1)
