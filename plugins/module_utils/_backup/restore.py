# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restoring one stream: what is planned, what is only said, and what is tried again."""

from __future__ import annotations

import dataclasses

from .._nats.api import JetStream
from .._nats.errors import ApiError
from .errors import ConflictError
from .inspect import Backup, warnings_of
from .plan import Plan, RestoreOptions, Target, make_plan
from .presence import marker_of, require_ended
from .restoring import OccupiedError, Restoring, Slot
from .results import RestoreResult
from .room import clear_probe

_ATTEMPTS = 4


async def restore_stream(
    js: JetStream, backup: Backup, options: RestoreOptions, target: Target, slot: Slot, *, check: bool
) -> RestoreResult:
    """Restore a backup, or with C(check) say what would happen. Raises on failure; what it began it cleans up.

    C(slot) is held while streams are deleted and created, of which a server may not take several at a time.
    """
    began = ""
    for attempt in range(_ATTEMPTS):
        try:
            result = await _try(js, backup, options, target, slot, check=check, fresh=attempt > 0)
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
    js: JetStream, backup: Backup, options: RestoreOptions, target: Target, slot: Slot, *, check: bool, fresh: bool
) -> RestoreResult:
    plan = await make_plan(js, backup, options, target, fresh=fresh)
    if plan.existing is not None and marker_of(plan.existing):
        await require_ended(js, plan.existing, wait=not check)
        if not check:
            found, plan = plan.existing, await make_plan(js, backup, options, target, fresh=True)
            if marker_of(plan.existing) not in ("", marker_of(found)):
                raise OccupiedError(f"stream {plan.name} has been taken by another run.")
    if not check:
        await clear_probe(js, plan.name, target)
    return await _carry_out(js, backup, options, plan, target, slot, check)


async def _carry_out(
    js: JetStream, backup: Backup, options: RestoreOptions, plan: Plan, target: Target, slot: Slot, check: bool
) -> RestoreResult:
    notes = (*warnings_of(backup), *plan.warnings)
    result = RestoreResult(plan.name, "unchanged", backup.path, after=plan.config, warnings=notes)
    if plan.existing is not None:
        result = dataclasses.replace(
            result, before=plan.existing.config, state=plan.existing.state, consumers=len(plan.existing_consumers)
        )
    if plan.action == "none":
        return dataclasses.replace(result, after=result.before)
    if plan.action == "replace" and not plan.debris:
        text = "; ".join(plan.differences[:6])
        if options.on_conflict == "skip":
            return dataclasses.replace(
                result, status="skipped", reason=f"it exists and differs: {text}", after=result.before
            )
        if options.on_conflict == "fail":
            raise ConflictError(
                f"stream {plan.name} exists and differs from the backup {backup.path}: {text}. Set on_conflict to"
                " replace to delete it and restore the backup, or to skip; or restore under another name.",
                values={"differences": list(plan.differences)},
            )
        lose = {key: plan.existing.state.get(key, 0) for key in ("messages", "last_seq")} if plan.existing else {}
        result = dataclasses.replace(
            result,
            reason=f"it differs: {text}",
            would_lose={**lose, "consumers": [c.name for c in plan.existing_consumers]},
        )
    if check:
        return dataclasses.replace(result, status="would_create" if plan.debris else f"would_{plan.action}")
    return await Restoring(js, backup, options, plan, target).run(result, slot)
