# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of an evacuation: everything off a server, which stays a member; pure."""

from __future__ import annotations

import re

from .groups import Stream
from .inventory import Inventory
from .lines import can_evacuate, evacuation_by_hand, oldest_line
from .model import Picture, Server
from .placement import replacements, why_not
from .plan import Plan, Refusal, listing, meta_facts
from .refusals import blind_refusals, quorum_refusals


def touched(picture: Picture, peer: str) -> list[Stream]:
    """Streams with a copy, or a consumer's copy, on that server."""
    return [
        stream
        for stream in picture.streams
        if peer in stream.group.peers or any(peer in consumer.group.peers for consumer in stream.consumers)
    ]


def plan_evacuation(picture: Picture, target: Server, inventory: Inventory) -> Plan:
    """Move everything off C(target), alive or dead."""
    meta, arithmetic = picture.meta, meta_facts(picture)
    refusals = [*quorum_refusals(picture), *blind_refusals(picture)]
    if meta is None:
        return Plan(target, True, tuple(refusals))
    if target.peer not in meta.members:
        return Plan(target, False, arithmetic=arithmetic)
    line = oldest_line(picture)
    if not can_evacuate(line):
        refusals.insert(0, Refusal("unsupported_by_server", evacuation_by_hand(line)))
    gone = frozenset([target.peer])
    streams = touched(picture, target.peer)
    left = picture.usable - gone
    highest = max([stream.group.wanted for stream in streams], default=1)
    arithmetic += f" Without {target.label}: {len(left)} live servers; the highest num_replicas on it is {highest}."
    if len(left) < highest:
        why = (
            f"{len(left)} live servers besides {target.label} are fewer than {highest} replicas: streams would be cut"
            " down silently and stay so. Add a server first."
        )
        refusals.append(Refusal("no_spare", why))
    stuck = [stream for stream in streams if _stuck(picture, stream, gone)]
    if stuck:
        names = listing(f"{stream.label} ({why_not(picture, stream, gone)})" for stream in stuck)
        why = f"{len(stuck)} streams fit nowhere else and would stay, silently: {names}. Change their placement first."
        refusals.append(Refusal("no_suitable_peers", why))
    headless = [stream.label for stream in streams if not stream.group.has_quorum]
    if headless:
        why = (
            f"Streams without a quorum cannot be moved: {listing(headless)}. Start their dead servers again, or remove"
            " these with jetstream_peer_remove."
        )
        refusals.append(Refusal("stream_without_quorum", why))
    warnings = list(inventory.notes)
    warnings.append(
        f"{target.label} stays a member and counts for the quorum, and new streams may be placed on it: remove it soon,"
        " or give it the server tag !jetstream."
    )
    waiting = inventory.unseen
    silent = target.peer not in picture.usable
    if silent and (waiting or inventory.unknown):
        names = listing(one.label for one in waiting) or "nobody can say what that is"
        warnings.append(f"What only {target.label} holds is moved off when it is back ({names}).")
    blocked = sorted({f"{one.account} > {one.stream}" for one in waiting if one.consumer} & {s.label for s in streams})
    if blocked and silent:
        warnings.append(
            f"{listing(blocked)}: consumers with their only copy on {target.label} hold up the move of the stream. It"
            f" keeps {target.label} as one more replica until that one is back or these consumers are deleted."
        )
    needed = bool(streams or waiting or (inventory.unknown and silent))
    return Plan(target, needed, tuple(refusals), tuple(warnings), arithmetic, unhealed=tuple(s.label for s in stuck))


def under_way(picture: Picture, peer: str) -> bool:
    """Whether all that is seen of the server's streams is on its way to others already."""
    streams = [stream for stream in picture.streams if peer in stream.group.peers]
    wanted = [{one.get("peer") for one in (stream.group.desired or {}).get("replicas") or ()} for stream in streams]
    return bool(wanted) and all(peers and peer not in peers for peers in wanted)


def held_up(picture: Picture, peer: str) -> dict[str, str]:
    """Streams whose move off the dead C(peer) waits for a consumer that nobody else has; labels and why."""
    found: dict[str, str] = {}
    if peer in picture.usable:
        return found
    for stream in touched(picture, peer):
        status = (stream.group.desired or {}).get("status") or {}
        consumer = re.search(r"waiting for consumer '(.+)' to migrate", str(status.get("description") or ""))
        if consumer and consumer[1] not in {one.name for one in stream.consumers}:
            found[stream.label] = (
                f"waits for {picture.server(peer).label} to come back, which has the only copy of its consumer"
                f" {consumer[1]}; deleting that consumer ends it as well"
            )
    return found


def not_proven(before: Picture, now: Picture, peer: str) -> dict[str, str]:
    """What had a copy on C(peer) before and is not seen on another server now; labels and why.

    A server that stopped to list what it has may still have it all, so its silence proves nothing. Consumers that are
    not durable end by themselves.
    """
    there = {(item.kind, item.label): item.group for item in now.groups()}
    found: dict[str, str] = {}
    for item in before.groups():
        if peer not in item.group.peers or not getattr(item, "durable", True):
            continue
        group = there.get((item.kind, item.label))
        if group is None:
            found[item.label] = "no live server shows it any more"
        elif not any(one.alive and one.present and not one.pending and one.peer != peer for one in group.replicas):
            found[item.label] = "no other live server has a copy"
        elif not group.leader:
            found[item.label] = "it has no leader"
    return found


def _stuck(picture: Picture, stream: Stream, gone: frozenset[str]) -> bool:
    onto, lacking = replacements(picture, stream, gone)
    return len(onto) < lacking
