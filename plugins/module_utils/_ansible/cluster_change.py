# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removal of a server: plan, refuse or act, and see it through."""

from __future__ import annotations

import typing as t

from .._cluster import actions, lines
from .._cluster.errors import NotWholeError, RefusedError
from .._cluster.model import Picture, Server
from .._cluster.plan import Plan, Refusal, listing, resolve
from .._cluster.removal import plan_removal
from .._cluster.wait import Progress, progress, until
from .._cluster.watch import Watch
from .._nats.answers import peer_id
from .._nats.errors import NatsError
from .argspec import ArgumentSpec
from .cluster import HOLDINGS, SILENT, changing, inventory_of, need_cluster, until_cut_off, wait_options
from .cluster_stream import remove_from_stream
from .module import Context, Outcome

REMOVE = (
    HOLDINGS.merge(wait_options(300.0))
    .merge(SILENT)
    .merge(
        ArgumentSpec(
            {
                "peer": {"type": "str", "required": True},
                "stream": {"type": "str"},
                "allow_online": {"type": "bool", "default": False},
                "accept_data_loss": {"type": "bool", "default": False},
                "require_spare": {"type": "bool", "default": False},
            }
        )
    )
)


def _hopeless(picture: Picture) -> bool:
    """A count that only gets a refusal needs no second look."""
    return picture.meta is None or not picture.meta.has_quorum


async def picture_and_target(context: Context, watch: Watch) -> tuple[Picture, Server | None]:
    """A picture that can be trusted (or one that refuses everything), and the server meant by O(peer)."""
    picture = await watch.settle(stop=_hopeless, counting=True)
    need_cluster(picture)
    target = resolve(picture, str(context.params["peer"]))
    if isinstance(target, Refusal):
        raise RefusedError(target.why, error=target.word)
    return picture, target


def _members(picture: Picture, without: str = "") -> list[str]:
    members = picture.meta.members if picture.meta else ()
    return sorted(picture.server(peer).label for peer in members if peer != without)


def nobody(context: Context) -> Plan:
    """The plan for a server that nobody lists: its id is computed, for groups that may still have it as a peer."""
    wanted = str(context.params["peer"])
    return Plan(Server(peer_id(wanted), wanted), False)


def not_a_member(context: Context, picture: Picture) -> str:
    return (
        f"{context.params['peer']!r} is in no server's list of members, which is true of a removed server and of a"
        f" typing error alike. Members: {', '.join(_members(picture))}."
    )


async def remove(context: Context) -> Outcome:
    """C(jetstream_peer_remove)."""
    async with changing(context) as watch:
        if context.params["stream"]:
            return await remove_from_stream(context, watch)
        picture, target = await picture_and_target(context, watch)
        if target and not _hopeless(picture) and await until_cut_off(context, watch, picture, {target.peer}):
            picture, target = await picture_and_target(context, watch)
        if target is None:
            plan = nobody(context)
            check_leader(picture)
        else:
            plan = plan_removal(
                picture,
                target,
                await inventory_of(context, picture, target.peer),
                allow_online=context.params["allow_online"],
                accept_data_loss=context.params["accept_data_loss"],
                require_spare=context.params["require_spare"],
                fenced=context.params["fenced"],
            )
        values = {**plan.values(), "members": _members(picture)}
        if not plan.needed:
            check_leader(picture)
            unfinished = progress(picture, plan.target.peer, {}).pending
            if context.params["wait"] and unfinished and not context.check_mode:
                # A run that ended early may have removed it: what that one would have waited for is waited for here.
                values.update(await _wait_whole(context, watch, plan, changed=False))
            return Outcome(False, values, _diff(values["members"], ""), (not_a_member(context, picture),))
        plan.check()
        values["members"] = _members(picture, plan.target.peer)
        diff = _diff(_members(picture), plan.target.label)
        if context.check_mode:
            return Outcome(True, values, diff, plan.warnings)
        await watch.sleep(max(lines.removal_pause(lines.oldest_line(picture)) - picture.watched, 0.0))
        await actions.check_again(watch, picture, plan.target, context.params["allow_online"], context.params["fenced"])
        sent = await actions.remove_server(watch, plan.target)
        warnings = (
            plan.warnings if sent.changed else (*plan.warnings, f"Another run removed it meanwhile: {sent.answer}.")
        )
        try:
            values.update(
                await _wait_whole(context, watch, plan, changed=sent.changed) if context.params["wait"] else {}
            )
            warnings += left_degraded(values)
        except NotWholeError:
            raise
        except NatsError as exc:
            # The removal is done and seen, whatever comes after it.
            return Outcome(sent.changed, values, diff, warnings, exc)
        return Outcome(sent.changed, values, diff, warnings)


def check_leader(picture: Picture) -> None:
    """Whether someone is no member can be said by a leader with a majority only."""
    meta = picture.meta
    if meta is not None and (not meta.has_quorum or not meta.leader):
        raise RefusedError(
            f"Refused: {len(meta.voters)} live voters of {meta.size}, {meta.needed} needed, and"
            f" {'no leader' if not meta.leader else 'no majority'}: nobody can say who is a member.",
            error="no_quorum",
        )


def _diff(members: list[str], removed: str) -> dict[str, t.Any]:
    after = [name for name in members if name != removed]
    return {"before": {"members": members}, "after": {"members": after}}


async def _wait_whole(context: Context, watch: Watch, plan: Plan, *, changed: bool) -> dict[str, t.Any]:
    """Wait until everything replicated is whole on live members; the result's values, or NotWholeError."""
    state: list[Progress] = []
    targets: dict[str, int] = {}

    def done(picture: Picture) -> bool:
        state.append(progress(picture, plan.target.peer, targets))
        del state[:-1]
        return not state[0].pending and bool(picture.meta and picture.meta.leader)

    picture, finished = await until(
        watch, done, timeout=context.params["wait_timeout"], interval=context.params["wait_interval"]
    )
    values = progress_values(state[0])
    if not finished:
        advice = lines.stalled_by_leader(picture) or "Look at the servers' logs and at jetstream_cluster_info."
        raise NotWholeError(
            f"{plan.target.label} is no member any more, but {len(state[0].pending)} streams or consumers are not whole"
            f" after {context.params['wait_timeout']:g} s: {reasons_of(state[0].pending)}. {advice} Run again to go on"
            " waiting. Where a stream still lists the removed server, use the option stream.",
            changed=changed,
            values={**plan.values(), **values},
        )
    return values


def left_degraded(values: dict[str, t.Any]) -> tuple[str, ...]:
    """A warning about what is not whole and will not become so by waiting."""
    reasons = values.get("reasons") or {}
    if not reasons:
        return ()
    return (f"{len(reasons)} streams or consumers are not whole, and waiting does not help: {reasons_of(reasons)}.",)


def progress_values(state: Progress) -> dict[str, t.Any]:
    return {"whole": state.whole, "pending": state.pending, "degraded": sorted(state.excused), "reasons": state.excused}


def reasons_of(pending: dict[str, str]) -> str:
    return listing((f"{label} ({why})" for label, why in sorted(pending.items())), 10)
