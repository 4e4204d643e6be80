# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rescue of the meta group, and stepping leaders down."""

from __future__ import annotations

import dataclasses
import typing as t

from .._cluster import actions, lines
from .._cluster.errors import ClusterError, RefusedError
from .._cluster.model import Picture
from .._cluster.rescue import Rescue, known_states, plan_rescue
from .._cluster.watch import Watch
from .._nats.errors import OptionsError
from .argspec import ArgumentSpec
from .cluster import LAST_PICTURE, SILENT, changing, need_cluster, read_last_picture, until_cut_off
from .cluster_backups import BACKUPS, read_backups
from .module import Context, Outcome

RESCUE = (
    ArgumentSpec(
        {
            "confirmed_dead": {"type": "list", "elements": "str", "required": True},
            "quorum_needed": {"type": "str", "default": "auto"},
            "known_states": {"type": "dict"},
            "accept_stale": {"type": "bool", "default": False},
        }
    )
    .merge(LAST_PICTURE)
    .merge(BACKUPS)
    .merge(SILENT)
)
# How often, and for how long, to look again while a survivor still believes in a leader.
_BELIEF_LOOKS, _BELIEF_INTERVAL = 5, 5.0


def _quorum(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise OptionsError(f"quorum_needed {text!r} must be auto or a number of at least 1.")
    return int(text)


def _known_states(raw: t.Any) -> dict[str, dict[str, int]]:
    if raw is None:
        return {}
    try:
        return {account: {name: int(last) for name, last in streams.items()} for account, streams in raw.items()}
    except (AttributeError, TypeError, ValueError):
        text = "known_states must map accounts to streams to last sequences, such as {APP: {ORDERS: 1200}}."
        raise OptionsError(text) from None


async def _look(watch: Watch) -> Picture:
    """A picture after every survivor has given its old leader up, or has had the time to."""
    picture = await watch.settle()
    for _look in range(_BELIEF_LOOKS):
        meta = picture.meta
        if meta is None or meta.has_quorum or not meta.claims:
            break
        await watch.sleep(_BELIEF_INTERVAL)
        again = await watch.look()
        absent = picture.absent & again.absent
        picture = dataclasses.replace(
            again, looks=picture.looks + 1, watched=picture.watched + _BELIEF_INTERVAL, absent=absent, trusted=True
        )
    return picture


async def rescue(context: Context) -> Outcome:
    """C(jetstream_meta_rescue)."""
    params = context.params
    wanted, given = _quorum(params["quorum_needed"]), _known_states(params["known_states"])
    last, (backups, unusable) = read_last_picture(context), read_backups(context)

    def planned(picture: Picture) -> Rescue:
        states = {picture.accounts.get(account, account): streams for account, streams in given.items()}
        known = known_states(picture, states, last, backups)
        rescue = plan_rescue(picture, params["confirmed_dead"], wanted, known, params["accept_stale"], params["fenced"])
        plan = dataclasses.replace(rescue.plan, warnings=(*rescue.plan.warnings, *unusable))
        return dataclasses.replace(rescue, plan=plan)

    async with changing(context) as watch:
        picture = await _look(watch)
        need_cluster(picture)
        if picture.meta and await until_cut_off(context, watch, picture, picture.meta.members):
            picture = await _look(watch)
        plan = planned(picture)
        values = _values(picture, plan)
        if not plan.plan.needed:
            text = f"The meta group has a leader ({values['leader']}): there is nothing to rescue."
            return Outcome(False, values, warnings=(text,))
        plan.plan.check()
        diff = {"before": {"quorum_needed": _needed(picture)}, "after": {"quorum_needed": plan.quorum}}
        if context.check_mode:
            return Outcome(True, values, diff, plan.plan.warnings)
        await _still_dead(watch, picture, planned)
        survivors = sum(server.alive for server in picture.servers)
        answers, after = await actions.rescue(watch, plan.quorum, survivors)
        return _outcome(values, answers, after, diff, plan)


async def _still_dead(watch: Watch, picture: Picture, planned: t.Callable[[Picture], Rescue]) -> None:
    """A last look before the request: nobody came back, and nobody leads."""
    now = await watch.glance()
    servers = tuple(dataclasses.replace(one, seen=picture.server(one.peer).seen) for one in now.servers)
    merged = dataclasses.replace(
        now, servers=servers, streams=picture.streams, accounts=picture.accounts, absent=picture.absent & now.absent
    )
    again = planned(merged).plan
    if not again.needed:
        raise RefusedError("Refused: a leader was elected meanwhile. Nothing was touched.", error="leader_known")
    again.check()


def _needed(picture: Picture) -> int:
    return picture.meta.needed if picture.meta else 0


def _values(picture: Picture, plan: Rescue) -> dict[str, t.Any]:
    meta = picture.meta
    values = {key: value for key, value in plan.plan.values().items() if key in ("refusals", "arithmetic")}
    return {
        **values,
        "leader": picture.server(meta.leader).label if meta and meta.leader else None,
        "quorum_needed": plan.quorum,
        "previous_quorum": _needed(picture),
        "survivors": sorted(picture.server(peer).label for peer in (meta.voters if meta else ())),
        "to_remove": [{"peer": peer, "name": picture.server(peer).name} for peer in plan.dead],
    }


def _outcome(
    values: dict[str, t.Any], answers: list[actions.Answered], after: Picture, diff: t.Any, plan: Rescue
) -> Outcome:
    accepted = [answer for answer in answers if answer.accepted]
    refused = {answer.server: answer.error for answer in answers if not answer.accepted and not answer.empty}
    values = {**values, "answers": [dataclasses.asdict(answer) for answer in answers]}
    warnings = [*plan.plan.warnings, *(f"{name}: {error}." for name, error in refused.items())]
    if after.meta and after.meta.leader:
        values["leader"] = after.server(after.meta.leader).label
        warnings.append("The rescue lasts 5 minutes: remove the dead servers now (jetstream_peer_remove), by peer id.")
        return Outcome(bool(accepted), values, diff, tuple(warnings))
    if not accepted:
        said = "; ".join(f"{answer.server}: {answer.error}" for answer in answers) or "nobody answered"
        text = f"No survivor accepted the rescue ({said}). Nothing was changed."
        return Outcome(False, values, warnings=tuple(warnings), failure=ClusterError(text, error="rescue_refused"))
    alone = actions.routeless(after)
    names = ", ".join(answer.server for answer in accepted)
    text = f"The quorum was lowered to {plan.quorum} on {names}, but nobody leads."
    if alone:
        text += (
            f" {', '.join(alone)} has no route to any other server, and no raft group runs before the first one."
            " Start one more server with a route to it (a new, empty one will do) within 5 minutes, or then run again."
        )
        return Outcome(True, values, diff, tuple(warnings), ClusterError(text, error="no_routes", changed=True))
    text += f" Run again; {lines.recovery_without_rescue(lines.oldest_line(after))}"
    return Outcome(True, values, diff, tuple(warnings), ClusterError(text, error="no_meta_leader", changed=True))
