# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a restore: what to create, and what stands in the way. Asks servers, changes nothing."""

from __future__ import annotations

import dataclasses

from .._archive.rewrite import Selection
from .._nats.api import JetStream, check_stream_name
from .._nats.model import ConsumerInfo, Json, Listing, StreamInfo
from . import compare, preflight
from .inspect import Backup
from .manifest import ConsumerRecord
from .sender import Upload
from .sources import same_but_starts


@dataclasses.dataclass(frozen=True)
class RestoreOptions:
    """What to make of a backup, and what to do where it cannot be made as it was."""

    stream: str = ""
    on_conflict: str = "fail"
    config: Json = dataclasses.field(default_factory=dict)
    replicas: int | None = None
    placement: Json | None = None
    storage: str | None = None
    verify: str = "quick"
    selection: Selection = dataclasses.field(default_factory=Selection)
    consumers_ahead: str = "move"
    temp_path: str = ""
    drop_unsupported: bool = False
    settle_timeout: float = 60.0
    upload: Upload = dataclasses.field(default_factory=Upload)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a restore will do. C(action): C(create), C(replace), C(finish), C(none).

    C(finish) is for a stream that is there whole, where only what C(absent) and C(config_update) name is left to do.
    C(debris) is true where an earlier run was interrupted and left a part of the stream.
    """

    action: str
    name: str
    config: Json
    existing: StreamInfo | None = None
    existing_consumers: tuple[ConsumerInfo, ...] = ()
    absent: tuple[ConsumerRecord, ...] = ()
    differences: tuple[str, ...] = ()
    config_update: bool = False
    debris: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether carrying it out changes anything."""
        return self.action != "none"


def wanted_config(backup: Backup, options: RestoreOptions) -> Json:
    """The stored configuration with the options laid over it."""
    config = {**backup.config, **options.config}
    if options.stream:
        config["name"] = options.stream
    if options.replicas is not None:
        config["num_replicas"] = options.replicas
    if options.placement is not None:
        config["placement"] = options.placement
    if options.storage is not None:
        config["storage"] = options.storage
    return {key: value for key, value in config.items() if value is not None}


async def make_plan(
    js: JetStream, backup: Backup, options: RestoreOptions, account: Json, others: Listing[StreamInfo]
) -> Plan:
    """Compare the backup with what is there and decide. Raises what makes the restore impossible, ConflictError not."""
    backup.require_valid()
    config = wanted_config(backup, options)
    check_stream_name(config["name"])
    config, warnings = preflight.supported_config(config, backup.consumers, js, options.drop_unsupported)
    name = config["name"]
    existing = await js.find_stream(name)
    consumers: tuple[ConsumerInfo, ...] = ()
    if existing is not None:
        if existing.state.get("consumer_count"):
            consumers = (await js.consumers(name)).items
        plan = _against(backup, config, existing, consumers, tuple(warnings))
        if plan.action != "replace" or (options.on_conflict != "replace" and not plan.debris):
            return plan
    else:
        plan = Plan("create", name, config, warnings=tuple(warnings))
    preflight.check_format(backup, config, js)
    preflight.check_interest(config, backup)
    preflight.check_replicas(config, js)
    preflight.check_subjects(config, others.items)
    preflight.check_limits(config, backup, account, existing)
    await preflight.check_message_size(backup, js)
    return plan


def _against(
    backup: Backup, config: Json, existing: StreamInfo, consumers: tuple[ConsumerInfo, ...], warnings: tuple[str, ...]
) -> Plan:
    marked = compare.MARKER in (existing.config.get("metadata") or {})
    wanted = same_but_starts(config, existing.config)
    state = compare.state_differences(backup.state, existing, exact=backup.exact)
    of_config = compare.config_differences(wanted, existing.config)
    of_consumers, absent = compare.consumer_differences(
        [record for record in backup.consumers if compare.lasting(record.config)], consumers
    )
    differences = (*of_config, *state, *of_consumers)
    base = Plan("none", config["name"], config, existing, consumers, differences=differences, warnings=warnings)
    if marked:
        # Ours, and interrupted: whole but not finished, or a part that has to go.
        if state:
            return dataclasses.replace(base, action="replace", debris=True)
        return dataclasses.replace(base, action="finish", absent=tuple(absent), config_update=True)
    if differences:
        return dataclasses.replace(base, action="replace")
    if absent:
        return dataclasses.replace(base, action="finish", absent=tuple(absent))
    return base
