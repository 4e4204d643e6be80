# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing back what a lost server alone held: from parameters to the backup ring, and back."""

from __future__ import annotations

import dataclasses
import typing as t

from .._nats.model import Json
from .._nats.session import Session
from .._repository.directory import normal_path
from .._repository.errors import RestoreError
from .._repository.held_record import Record
from .._repository.nearby import account_place
from .._repository.newest import manifests, newest
from .._repository.results import failure_json
from .._restore.recover.hold import Held, hold
from .._restore.recover.recovery import Recovered, Recovery
from .argspec import ArgumentSpec
from .backup import named, positive
from .module import Context, Outcome

_COMMON: dict[str, t.Any] = {
    "path": {"type": "path", "required": True},
    "streams": {"type": "list", "elements": "str", "default": ["*"]},
    "placement": {
        "type": "dict",
        "options": {"cluster": {"type": "str"}, "tags": {"type": "list", "elements": "str"}},
    },
}
HOLD = ArgumentSpec(dict(_COMMON))
RECOVER = ArgumentSpec({**_COMMON, "wait_timeout": {"type": "float", "default": 60.0}})


async def account_hold(context: Context) -> Outcome:
    """The work of jetstream_account_hold."""
    place = account_place(normal_path(context.params["path"]))
    path = newest(place)
    known, without = manifests(path, named(context.params))
    async with Session(context.connection) as session:
        record = _record(context, session, place)
        placement = placement_of(context.params)
        results = await session.run(lambda js: hold(js, path, known, record, placement, check=context.check_mode))
        account = session.account
    warnings = tuple(
        f"stream {one.stream}: {one.reason}." if one.status != "failed" else _not_held(one)
        for one in results
        if one.deleted or one.status == "failed"
    )
    return Outcome(
        any(one.changed for one in results),
        {"path": path, "account": account, "streams": [_held(one) for one in results]},
        warnings=(*warnings, *without),
    )


async def account_recover(context: Context) -> Outcome:
    """The work of jetstream_account_recover."""
    positive(context.params, "wait_timeout")
    place = account_place(normal_path(context.params["path"]))
    path = newest(place)
    known, without = manifests(path, named(context.params))
    async with Session(context.connection) as session:
        record, placement = _record(context, session, place), placement_of(context.params)
        recovery = Recovery(session, path, known, record, placement, check=context.check_mode)
        streams, consumers = await recovery.run(context.params["wait_timeout"])
        account = session.account
    acts = {"restored", "would_restore", "released", "moved", "would_move"}
    return Outcome(
        not acts.isdisjoint([one.status for one in streams] + [one.status for one in consumers]),
        {
            "path": path,
            "account": account,
            "streams": [_values(one) for one in streams],
            "consumers": [dataclasses.asdict(one) for one in consumers],
        },
        warnings=tuple(without),
        failure=_failure(streams),
    )


def _record(context: Context, session: Session, place: str) -> Record:
    info = session.js.connection.info
    cluster = str(info.get("cluster") or info.get("server_name") or "")
    return Record(place, session.account, cluster, named(context.params))


def placement_of(params: t.Mapping[str, t.Any]) -> Json | None:
    """The option placement, without what was left out; C(None) where nothing was given."""
    return {key: value for key, value in (params["placement"] or {}).items() if value} or None


def _not_held(one: Held) -> str:
    return f"stream {one.stream} could not be held: {one.reason}"


def _held(one: Held) -> Json:
    values = dataclasses.asdict(one)
    del values["changed"]
    return values


def _values(one: Recovered) -> dict[str, t.Any]:
    values = {**dataclasses.asdict(dataclasses.replace(one, failure=None)), **failure_json(one.failure)}
    values.pop("failure")
    return values


def _failure(streams: t.Sequence[Recovered]) -> RestoreError | None:
    bad = [one for one in streams if one.status in ("failed", "unreachable")]
    if not bad:
        return None
    names = "; ".join(f"{one.stream}: {one.reason.rstrip('.')}" for one in bad[:5])
    remedy = "" if names.endswith("run again") else " Put that right and run again."
    return RestoreError(
        f"{len(bad)} streams could not be brought back; the others are done. {names}.{remedy}",
        error="restore_incomplete",
    )
