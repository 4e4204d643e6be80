# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans of a removal: of a server from the meta group, or from one stream; pure."""

from __future__ import annotations

from .groups import Stream
from .inventory import Inventory
from .lines import oldest_line, return_of_removed, stalled_by_leader
from .model import Picture, Server
from .placement import replacements, why_not
from .plan import Plan, Refusal, listing, meta_facts
from .quorum import LOSES_DATA, LOSES_QUORUM, after_removal, meta_after_removal
from .refusals import alive_refusals, blind_refusals, data_refusals, quorum_refusals


def unhealable(picture: Picture, gone: frozenset[str]) -> tuple[list[str], str]:
    """Labels of replicated streams that lack copies once C(gone) are removed and have no server for them; and why."""
    found, why = [], ""
    dead = gone | ((picture.meta.members if picture.meta else frozenset()) - picture.alive)
    for stream in picture.streams:
        short = len([replica for replica in stream.group.replicas if not replica.ghost]) < stream.group.wanted
        if not (stream.group.peers & gone or short) or stream.group.wanted < 2:
            continue
        onto, lacking = replacements(picture, stream, dead)
        if lacking > len(onto) and after_removal(stream.group, gone) != LOSES_DATA:
            found.append(stream.label)
            why = why or why_not(picture, stream, dead)
    return found, why


def plan_removal(
    picture: Picture,
    target: Server,
    inventory: Inventory,
    *,
    allow_online: bool = False,
    accept_data_loss: bool = False,
    require_spare: bool = False,
    fenced: bool = False,
) -> Plan:
    """Remove C(target) from the meta group."""
    meta = picture.meta
    gone = frozenset([target.peer])
    refusals = [*quorum_refusals(picture), *blind_refusals(picture)]
    arithmetic = meta_facts(picture)
    if meta is None:
        return Plan(target, True, tuple(refusals))
    others = [view.members for view in meta.views if view.peer in meta.voters - gone]
    if not any(target.peer in members for members in (meta.members, *others)):
        # What it says of itself does not count: every server lists itself.
        return Plan(target, False, arithmetic=arithmetic)
    if target.peer in meta.members:
        votes, needed = meta_after_removal(meta, gone)
        arithmetic += f" After the removal: {meta.size - 1} members, {votes} live voters, {needed} needed."
        if meta.has_quorum and votes < needed:
            why = f"The meta group would not keep its quorum: {votes} live voters, {needed} needed."
            refusals.append(Refusal("quorum_after", why))
    refusals.extend(alive_refusals(picture, target, allow_online, fenced))
    refusals.extend(data_refusals(picture, target, inventory, accept_data_loss))
    refusals.extend(_broken(picture, gone))
    unhealed, spare_why = unhealable(picture, gone)
    warnings = [*inventory.notes, *filter(None, [stalled_by_leader(picture)])]
    if unhealed:
        text = f"{len(unhealed)} streams would stay with fewer replicas than they ask for ({spare_why})."
        if require_spare:
            refusals.append(Refusal("no_spare", f"{text} Add a server that fits first."))
        else:
            warnings.append(f"{text} They heal by themselves when a server that fits is added.")
    comes_back = return_of_removed(oldest_line(picture))
    warnings.append(
        f"If {target.label} is started again it becomes a member again {comes_back}, and what its disk held is deleted"
        " then. Disable its service; copy its store directory first if it is wanted."
    )
    return Plan(target, True, tuple(refusals), tuple(warnings), arithmetic, inventory.held, tuple(unhealed))


def _broken(picture: Picture, gone: frozenset[str]) -> list[Refusal]:
    broken = [
        item.label
        for item in picture.groups()
        if item.group.has_quorum and after_removal(item.group, gone) == LOSES_QUORUM
    ]
    if not broken:
        return []
    why = f"{len(broken)} streams or consumers would lose their majority: {listing(broken)}."
    return [Refusal("quorum_after", why)]


def plan_stream_removal(
    picture: Picture,
    target: Server,
    stream: Stream,
    *,
    allow_online: bool = False,
    accept_data_loss: bool = False,
    require_spare: bool = False,
    fenced: bool = False,
) -> Plan:
    """Remove C(target) from the peers of one stream; its consumers follow."""
    group, gone = stream.group, frozenset([target.peer])
    arithmetic = (
        f"{stream.label}: {len(group.voters)} replicas ({picture.names(group.peers)}), {group.live} on live members,"
        f" {group.needed} are needed."
    )
    if target.peer not in group.peers:
        return Plan(target, False, arithmetic=arithmetic)
    refusals = [*quorum_refusals(picture), *blind_refusals(picture)]
    if target.alive and not allow_online:
        why = f"{target.label} is alive and its copy is good: allow it by allow_online."
        refusals.append(Refusal("server_online", why))
    elif not target.alive and not any(one.ghost for one in group.replicas if one.peer == target.peer):
        refusals.extend(alive_refusals(picture, target, allow_online, fenced))
    verdict = after_removal(group, gone)
    if verdict == LOSES_DATA and not accept_data_loss:
        why = f"{target.label} holds the last copy of {stream.label}: it would come back empty. Say accept_data_loss."
        refusals.append(Refusal("data_loss", why))
    if group.has_quorum and verdict == LOSES_QUORUM:
        refusals.append(Refusal("quorum_after", f"{stream.label} would lose its majority."))
    unhealed = [] if group.wanted < 2 or len(replacements(picture, stream, gone)[0]) else [stream.label]
    warnings = [*filter(None, [stalled_by_leader(picture)])]
    if unhealed:
        text = f"{stream.label} would stay with fewer replicas ({why_not(picture, stream, gone)})."
        if require_spare:
            refusals.append(Refusal("no_spare", f"{text} Add a server that fits first."))
        else:
            warnings.append(f"{text} It heals by itself when a server that fits is added; older lines answer 10075.")
    return Plan(target, True, tuple(refusals), tuple(warnings), arithmetic, unhealed=tuple(unhealed))
