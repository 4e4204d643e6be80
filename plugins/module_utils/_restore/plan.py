# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a restore: what to create, and what stands in the way. Asks servers, changes nothing."""

from __future__ import annotations

import dataclasses
import typing as t

from .._archive.rewrite.selection import Selection
from .._archive.times import ZERO, parse_ns
from .._nats.account_limits import Allowance
from .._nats.api import JetStream, check_stream_name
from .._nats.hops import far
from .._nats.model import ConsumerInfo, Json, Listing, StreamInfo
from .._repository import compare
from .._repository.inspect import Backup
from .._repository.manifest import ConsumerRecord
from .before import preflight
from .before.consumer_limits import ConsumerCheck, ServerLimits, ask_limits
from .before.relax import attainable
from .before.trial import ask, consumers_of
from .live.configuration import sentence
from .live.consumers import expected, settled
from .live.fence import opened
from .origins.sources import same_but_starts, sourced
from .sender import Upload
from .verify.arrivals import examine

# Seconds to wait for the consumers of a stream that is there: one may just be electing its leader.
_PATIENCE = 6.0


@dataclasses.dataclass(frozen=True)
class RestoreOptions:
    """What to make of a backup, and what to do where it cannot be made as it was.

    C(origins): whether to look after the origins of a mirror or sourcing stream, and for its replicas, afterwards.
    C(safety_backup): whether a stream that is replaced is backed up first, below C(safety_path). C(preflight): whether
    to look for what makes the restore impossible; where there is nothing left to lose, it is simply tried.
    """

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
    origins: bool = True
    upload: Upload = dataclasses.field(default_factory=Upload)
    safety_backup: bool = False
    safety_path: str = ""
    preflight: bool = True

    def replaces(self, existing: StreamInfo | None) -> bool:
        """Whether a stream that differs is to make room."""
        empty = existing is None or not int(existing.state.get("last_seq") or 0)
        return self.on_conflict == "replace" or (self.on_conflict == "replace_empty" and empty)


@dataclasses.dataclass(frozen=True)
class Target:
    """The account to restore into, as it was when the run began.

    C(sourced) are streams from which others source, there or in what the run restores. C(planned) are those that a run
    in check mode would have restored by now, by name. C(gone_back) has the last sequence of each stream that the run
    has restored (in check mode: would restore) so far.
    """

    account: Json
    streams: Listing[StreamInfo]
    sourced: frozenset[str] = frozenset()
    limits: ServerLimits = dataclasses.field(default_factory=ServerLimits)
    planned: dict[str, StreamInfo] = dataclasses.field(default_factory=dict)
    gone_back: t.Mapping[str, int] = dataclasses.field(default_factory=dict)


async def look_at_target(js: JetStream) -> Target:
    """Gather what every restore of a run needs to know of the account."""
    streams = await js.streams()
    account = await js.call("INFO", what="JetStream account info")
    limits = await ask_limits(js, streams.items)
    return Target(account, streams, sourced(info.config for info in streams.items), limits)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a restore will do. C(action): C(create), C(replace), C(finish), C(none).

    C(finish) is for a stream that is there whole, where only what C(absent) and C(config_update) name is left to do.
    C(debris) is true where an earlier run was interrupted and left a part of the stream, C(fenced) where one left it
    without its subjects. C(relaxed) are fields that the server will not have as the backup has them.
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
    fenced: bool = False
    relaxed: tuple[Json, ...] = ()
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
    js: JetStream, backup: Backup, options: RestoreOptions, target: Target, *, fresh: bool = False, check: bool = False
) -> Plan:
    """Compare the backup with what is there and decide. Raises what makes the restore impossible, ConflictError not.

    C(fresh): the stream of that name came or went since C(target) was looked at. C(check): nothing will be carried out.
    """
    backup.require_valid()
    config = wanted_config(backup, options)
    check_stream_name(config["name"])
    preflight.check_shape(config)
    config, warnings = preflight.supported_config(config, backup.consumers, js, options.drop_unsupported)
    name = config["name"]
    existing = next((info for info in target.streams.items if info.name == name), None)
    if fresh or (existing is None and name in (*target.streams.missing, *target.streams.offline)):
        existing = await js.find_stream(name)
    config, relaxed = await attainable(js, config, target.streams)
    warnings += [sentence(name, field) for field in relaxed]
    plan = Plan("create", name, config, relaxed=relaxed, warnings=tuple(warnings))
    if existing is not None:
        unfenced = opened(existing.config)
        if unfenced is not None:
            existing = dataclasses.replace(existing, config=unfenced)
        replace = options.replaces(existing)
        plan = await _examine(js, backup, config, existing, target.gone_back, tuple(warnings), replace=replace)
        plan = dataclasses.replace(plan, relaxed=relaxed, fenced=unfenced is not None)
        if plan.changes and not fresh:
            # The list may be seconds old: decide on what is there now.
            return await make_plan(js, backup, options, target, fresh=True, check=check)
        if plan.action != "replace" or (not options.replaces(existing) and not plan.debris):
            return plan
    if not options.preflight:
        return plan
    preflight.check_format(backup, config, js)
    preflight.check_interest(config, backup)
    preflight.check_name(config, backup, existing)
    preflight.check_replicas(config, js)
    preflight.check_subjects(config, target.streams.items)
    allow = Allowance(config, target.account, target.streams.items, js.line, target.planned)
    need = await preflight.need_of(backup, allow)
    notes = preflight.check_limits(config, allow, need, target.streams)
    clustered = js.clustered or far(js)
    ConsumerCheck(config, allow, target.limits, counted=not clustered).check(list(consumers_of(backup)))
    if check:
        target.planned[name] = StreamInfo(config, backup.state, "")
    await preflight.check_message_size(backup, js)
    if existing is not None:
        await ask(js, backup, config, existing, is_origin=name in target.sourced)
    return dataclasses.replace(plan, warnings=(*plan.warnings, *notes))


async def _examine(
    js: JetStream,
    backup: Backup,
    config: Json,
    existing: StreamInfo,
    gone_back: t.Mapping[str, int],
    warnings: tuple[str, ...],
    *,
    replace: bool,
) -> Plan:
    consumers: Listing[ConsumerInfo] = Listing(())
    existing, state, notes = await examine(js, backup, existing, gone_back, replace=replace)
    warnings = (*warnings, *notes)
    if existing.state.get("consumer_count"):
        consumers = await settled(js, config["name"], (), _PATIENCE)
    return _against(backup, expected(backup, js), config, existing, consumers, state, warnings)


def _against(
    backup: Backup,
    records: list[ConsumerRecord],
    config: Json,
    existing: StreamInfo,
    listing: Listing[ConsumerInfo],
    state: list[str],
    warnings: tuple[str, ...],
) -> Plan:
    consumers, silent = listing.items, {*listing.missing, *listing.offline}
    marked = compare.MARKER in (existing.config.get("metadata") or {})
    wanted = same_but_starts(config, existing.config)
    of_config = compare.config_differences(wanted, existing.config)
    of_consumers, absent = compare.consumer_differences(
        [record for record in records if record.name not in silent],
        consumers,
        int(existing.state.get("first_seq") or 0),
    )
    if silent:
        warnings = (*warnings, f"stream {config['name']}: no answer about {', '.join(sorted(silent))}; not compared.")
    differences = (*of_config, *state, *of_consumers)
    base = Plan("none", config["name"], config, existing, consumers, differences=differences, warnings=warnings)
    if marked:
        # Ours, and interrupted: whole but not finished, or a part that has to go.
        if state:
            return dataclasses.replace(base, action="replace", debris=not _used_since(backup, existing))
        return dataclasses.replace(base, action="finish", absent=tuple(absent), config_update=True)
    if differences:
        return dataclasses.replace(base, action="replace")
    if absent:
        return dataclasses.replace(base, action="finish", absent=tuple(absent))
    return base


def _used_since(backup: Backup, info: StreamInfo) -> bool:
    """Whether messages came into a half restored stream that are not the restore's: they are not to be deleted.

    A stream without subjects of its own holds copies only.
    """
    if not info.config.get("subjects") or not info.state.get("messages"):
        return False
    last = int(info.state.get("last_seq") or 0)
    return last > backup.up_to or parse_ns(str(info.state.get("last_ts") or ZERO)) > backup.newest
