# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evacuation of a server: plan, refuse or act, and wait for the proof that it holds nothing alone."""

from __future__ import annotations

import typing as t

from .._cluster import actions
from .._cluster.errors import NotWholeError
from .._cluster.evacuation import held_up, not_proven, plan_evacuation, touched, under_way
from .._cluster.inventory import Inventory, tells_itself
from .._cluster.model import Picture
from .._cluster.plan import Plan, listing
from .._cluster.wait import Progress, progress, until
from .._cluster.watch import Watch
from .._nats.errors import NatsError
from .argspec import ArgumentSpec
from .cluster import HOLDINGS, changing, inventory_of, wait_options
from .cluster_change import (
    check_leader,
    left_degraded,
    nobody,
    not_a_member,
    picture_and_target,
    progress_values,
    reasons_of,
)
from .module import Context, Outcome

EVACUATE = HOLDINGS.merge(wait_options(600.0)).merge(ArgumentSpec({"peer": {"type": "str", "required": True}}))


async def evacuate(context: Context) -> Outcome:
    """C(jetstream_peer_evacuate)."""
    async with changing(context) as watch:
        picture, target = await picture_and_target(context, watch)
        if target is None:
            check_leader(picture)
            return Outcome(False, nobody(context).values(), warnings=(not_a_member(context, picture),))
        inventory = await inventory_of(context, picture, target.peer)
        plan = plan_evacuation(picture, target, inventory)
        streams = [stream.label for stream in touched(picture, target.peer)]
        values = {**plan.values(), "streams": streams}
        if not plan.needed:
            plan.check()
            warnings = plan.warnings
            if picture.meta and target.peer not in picture.meta.members:
                warnings = (not_a_member(context, picture),)
            return Outcome(False, values, warnings=warnings)
        plan.check()
        changed = not under_way(picture, target.peer)
        diff = {"before": {"streams": streams}, "after": {"streams": []}} if changed else None
        if context.check_mode:
            return Outcome(changed, values, diff, plan.warnings)
        # Where it is under way already it does no harm, and takes in what a move of single streams does not.
        await actions.evacuate_server(watch, target)
        warnings = plan.warnings
        try:
            if context.params["wait"]:
                values.update(await _Emptying(context, plan, picture, inventory).wait(watch, changed=changed))
            warnings += left_degraded(values)
        except NotWholeError:
            raise
        except NatsError as exc:
            return Outcome(changed, values, diff, warnings, exc)
        return Outcome(changed, values, diff, warnings)


class _Emptying:
    """The wait until a server is empty. What it held is known from the first picture and from the inventory."""

    def __init__(self, context: Context, plan: Plan, before: Picture, inventory: Inventory) -> None:
        self._params = context.params
        self._plan = plan
        self._before = before
        self._peer = plan.target.peer
        # A server that told nothing at the start cannot be seen to be emptied; it holds what others say of it.
        self._told = tells_itself(before, self._peer)
        self._silent = [one.label for one in inventory.unseen]
        self._unknown = not self._told and bool(inventory.unknown)
        self._targets: dict[str, int] = {}
        self._state = Progress({}, {}, 0)
        self._unproven: dict[str, str] = {}
        self._stopped = False
        self._left: int | None = None

    def _done(self, picture: Picture) -> bool:
        waiting = held_up(picture, self._peer)
        self._state = progress(picture, self._peer, self._targets).excuse(waiting)
        self._unproven = {
            label: why
            for label, why in not_proven(self._before, picture, self._peer).items()
            if label not in waiting and label not in self._state.excused
        }
        server = picture.server(self._peer)
        self._stopped = self._told and server.alive and not server.jetstream
        tells = tells_itself(picture, self._peer)
        if tells:
            self._left = server.streams + server.consumers
        else:
            self._left = None if self._unknown else len({*self._unproven, *self._silent})
        moving = any(item.group.desired and item.label not in waiting for item in picture.groups())
        empty = tells == self._told and not self._unproven and not (tells and self._left)
        return self._stopped or (empty and not self._state.pending and not moving)

    async def wait(self, watch: Watch, *, changed: bool) -> dict[str, t.Any]:
        """The result's values, or NotWholeError."""
        _picture, finished = await until(
            watch, self._done, timeout=self._params["wait_timeout"], interval=self._params["wait_interval"]
        )
        values = {**progress_values(self._state), "left": self._left, "unproven": self._unproven}
        why = self._why_not(finished)
        if why:
            raise NotWholeError(why, changed=changed, values={**self._plan.values(), **values})
        return values

    def _why_not(self, finished: bool) -> str:
        """Why the server is not known to be empty, or nothing."""
        target = self._plan.target
        if not finished:
            return (
                f"The evacuation of {target.label} is under way, but not done after {self._params['wait_timeout']:g} s:"
                f" it still has {self._left} streams and consumers;"
                f" {reasons_of({**self._unproven, **self._state.pending}) or 'moves are under way'}. Run again to go on"
                " waiting; do not remove the server yet."
            )
        if self._stopped:
            return (
                f"JetStream went off on {target.label} during the evacuation; its disk may be full. It is not proven"
                f" that everything was moved: {reasons_of(self._unproven) or 'the server does not list what it has'}."
                " Keep its disk. Give it room, start it again, and run this again."
            )
        if target.alive and self._left != 0:
            return (
                f"It is not proven that {target.label} is empty: its JetStream does not run, so it lists nothing, and"
                f" nothing is moved off it. It was last known to hold {listing(self._silent) or 'what nobody can say'}."
                " Start its JetStream again, and run this again."
            )
        return ""
