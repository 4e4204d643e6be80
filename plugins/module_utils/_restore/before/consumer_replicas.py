# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Consumers that fit the stream to be made: none may have more replicas than it."""

from __future__ import annotations

import dataclasses

from ..._nats.account_limits import replicas_of
from ..._nats.model import Json
from ..._repository.inspect import Backup
from ..._repository.manifest import ConsumerRecord

# Their consumers must have as many replicas as the stream.
_EXACT = ("interest", "workqueue")


def fitted(backup: Backup, config: Json) -> tuple[Backup, list[str]]:
    """The backup with consumers that a stream of C(config) can have, and a warning that names those that changed."""
    replicas, exact = replicas_of(config), config.get("retention") in _EXACT
    records, changed = [], []
    for record in backup.consumers:
        own = int(record.config.get("num_replicas") or 0)
        if own > replicas or (exact and own not in (0, replicas)):
            record = _with(record, replicas)
            changed.append(record.name)
        records.append(record)
    if not changed:
        return backup, []
    names = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
    note = (
        f"stream {config['name']}: replicas of {len(changed)} consumers are set to {replicas}, as the stream has them"
        f" ({names}): a server takes no others."
    )
    return dataclasses.replace(backup, fitted=tuple(records)), [note]


def _with(record: ConsumerRecord, replicas: int) -> ConsumerRecord:
    return dataclasses.replace(record, config={**record.config, "num_replicas": replicas})
