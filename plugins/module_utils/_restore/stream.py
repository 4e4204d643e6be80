# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restoring one stream: what is planned, what is only said, and what is tried again."""

from __future__ import annotations

import dataclasses
import typing as t

from .._nats.api import JetStream
from .._nats.errors import ApiError
from .._repository.errors import ConflictError
from .._repository.inspect import Backup, warnings_of
from .._repository.results import RestoreResult
from .._repository.safety_place import REPLACED
from .before import applications as running
from .before.consumer_replicas import fitted
from .before.rights import require_rights
from .live.fence import lift
from .live.make_room import clear_probe
from .live.marker import Presence, marker_of, require_ended
from .plan import Plan, RestoreOptions, Target, make_plan, wanted_config
from .transfer import OccupiedError, Restoring, Slot

if t.TYPE_CHECKING:
    from .live.safety_backup import Keeper

_ATTEMPTS = 4


async def restore_stream(
    js: JetStream,
    backup: Backup,
    options: RestoreOptions,
    target: Target,
    slot: Slot,
    *,
    check: bool,
    keeper: Keeper | None = None,
) -> RestoreResult:
    """Restore a backup, or with C(check) say what would happen. Raises on failure; what it began it cleans up.

    C(slot) is held while streams are deleted and created, of which a server may not take several at a time. C(keeper)
    keeps what a stream holds before it is replaced.
    """
    began = ""
    backup, notes = fitted(backup, wanted_config(backup, options))
    for attempt in range(_ATTEMPTS):
        try:
            result = await _try(js, backup, options, target, slot, keeper, check=check, fresh=attempt > 0)
            if result.changed:
                result = dataclasses.replace(result, warnings=(*result.warnings, *notes))
            return dataclasses.replace(result, status=began) if began and result.status == "finished" else result
        except OccupiedError as exc:
            began = exc.values.get("began") or began
        except ApiError as exc:
            # What an interrupted run left can vanish by itself.
            if exc.error != "stream_not_found":
                raise
    raise ConflictError(
        f"stream {options.stream or backup.stream}: others create and delete it at the same time. See who, then run"
        " again."
    )


async def _try(
    js: JetStream,
    backup: Backup,
    options: RestoreOptions,
    target: Target,
    slot: Slot,
    keeper: Keeper | None,
    *,
    check: bool,
    fresh: bool,
) -> RestoreResult:
    plan = await make_plan(js, backup, options, target, fresh=fresh, check=check)
    if plan.existing is not None and marker_of(plan.existing):
        await require_ended(js, plan.existing, wait=not check)
        if not check:
            found, plan = plan.existing, await make_plan(js, backup, options, target, fresh=True)
            if marker_of(plan.existing) not in ("", marker_of(found)):
                raise OccupiedError(f"stream {plan.name} has been taken by another run.")
    if not check:
        await clear_probe(js, plan.name, target)
        if plan.existing is not None and plan.fenced:
            # An earlier run was killed just before it would have replaced the stream.
            async with Presence(js, plan.name):
                await lift(js, plan.existing)
            plan = await make_plan(js, backup, options, target, fresh=True)
    return await _carry_out(js, backup, options, plan, target, slot, keeper, check)


async def _carry_out(
    js: JetStream,
    backup: Backup,
    options: RestoreOptions,
    plan: Plan,
    target: Target,
    slot: Slot,
    keeper: Keeper | None,
    check: bool,
) -> RestoreResult:
    notes = (*warnings_of(backup), *plan.warnings)
    result = RestoreResult(plan.name, "unchanged", backup.path, after=plan.config, warnings=notes, relaxed=plan.relaxed)
    if plan.existing is not None:
        result = dataclasses.replace(
            result, before=plan.existing.config, state=plan.existing.state, consumers=len(plan.existing_consumers)
        )
    replaces = plan.action == "replace" and not plan.debris
    resumed = keeper is not None and keeper.resume(js, plan.existing, check=check)
    if keeper is not None and resumed:
        result = _resumed(result, keeper, replaces)
        if plan.action == "none" and not check:
            keeper.conclude(js, REPLACED)
        if replaces:
            keeper.forget()
    if plan.action == "none":
        return dataclasses.replace(result, after=result.before)
    if replaces:
        result = _conflict(result, backup, options, plan)
        if result.status == "skipped":
            return result
        result = dataclasses.replace(result, warnings=(*result.warnings, *running.notes(plan, backup)))
        if check and keeper is not None:
            result = dataclasses.replace(result, safety_backup=keeper.cost(js, plan))
    if plan.action in ("create", "replace"):
        require_rights(js, plan.name, replaces=replaces, keeps=keeper is not None)
    if plan.action != "finish":
        result = dataclasses.replace(result, ends_at=backup.up_to)
    if check:
        action = "create" if plan.debris else plan.action
        return dataclasses.replace(result, status="would_replace" if resumed else f"would_{action}")
    result = await Restoring(js, backup, options, plan, target, keeper).run(result, slot)
    return dataclasses.replace(result, status="replaced") if resumed else result


def _resumed(result: RestoreResult, keeper: Keeper, replaces: bool) -> RestoreResult:
    """Say that an earlier run deleted the old stream, and where that is kept."""
    note = (
        f"stream {result.stream}: an earlier run deleted the stream that was there and did not come to its end. What it"
        f" held ({keeper.lost.get('messages', 0)} messages up to sequence {keeper.lost.get('last_seq', 0)}) is in the"
        f" safety backup {keeper.path}."
    )
    result = dataclasses.replace(result, warnings=(*result.warnings, note))
    if replaces:
        return result
    return dataclasses.replace(result, would_lose=keeper.lost, safety_backup=keeper.told())


def _conflict(result: RestoreResult, backup: Backup, options: RestoreOptions, plan: Plan) -> RestoreResult:
    """What C(on_conflict) makes of a stream that differs. Raises ConflictError where it is to fail."""
    text = "; ".join(plan.differences[:6])
    if options.on_conflict == "skip":
        return dataclasses.replace(
            result, status="skipped", reason=f"it exists and differs: {text}", after=result.before
        )
    if not options.replaces(plan.existing):
        last = int(plan.existing.state.get("last_seq") or 0) if plan.existing else 0
        not_empty = f" replace_empty leaves it alone, since it has had messages (last_seq {last})."
        raise ConflictError(
            f"stream {plan.name} exists and differs from the backup {backup.path}: {text}."
            f"{not_empty if options.on_conflict == 'replace_empty' else ''} Set on_conflict to replace to delete it and"
            " restore the backup, to replace_empty to do so only while it has never had a message, or to skip; or"
            " restore under another name.",
            values={"differences": list(plan.differences), "ends_at": backup.up_to},
        )
    lose = {key: plan.existing.state.get(key, 0) for key in ("messages", "last_seq")} if plan.existing else {}
    return dataclasses.replace(
        result,
        reason=f"it differs: {text}",
        would_lose={**lose, "consumers": [c.name for c in plan.existing_consumers]},
    )
