# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong or risky with streams and consumers; pure."""

from __future__ import annotations

import typing as t

from .finding import CRITICAL, INFO, WARNING, Finding
from .groups import Consumer, Stream
from .model import Picture
from .placement import replacements, why_not

Found = t.Iterator[Finding]
Item = t.Union[Stream, Consumer]


def _quorum(picture: Picture, item: Item, alone: dict[str, list[str]]) -> Found:
    group = item.group
    voters, label = len(group.voters), (item.label,)
    if voters <= 1:
        holder = picture.names(group.peers)
        if group.live:
            alone.setdefault(f"{item.kind}|{holder}", []).append(item.label)
        if group.live and not group.leader:
            remedy = f"Look again in half a minute; if it lasts, read the log of {holder}."
            yield Finding(
                f"{item.kind}_no_leader", WARNING, label, f"Its only copy, on {holder}, does not lead.", remedy
            )
        return
    count = f"{group.live} of {voters} replicas are on live members and {group.needed} are needed"
    if not group.has_quorum:
        silent = [replica.peer for replica in group.voters if not replica.alive]
        detail = f"{count}; dead: {picture.names(silent)}. STREAM.INFO and healthz may say that all is well."
        remedy = (
            "Start a dead server again with its disk; or, if they are gone for good, jetstream_peer_remove each of"
            " them: the live copy is kept and copied. Change nothing on the stream itself before."
        )
        yield Finding(f"{item.kind}_quorum_lost", CRITICAL, label, detail, remedy)
        return
    if not group.leader:
        remedy = "Look again in half a minute; if it lasts, step its replicas' servers through a restart, one by one."
        yield Finding(f"{item.kind}_no_leader", CRITICAL, label, f"{count}, but none of them leads.", remedy)
    if group.live == group.needed and group.live < voters:
        detail = f"{count}: one more loss stops it."
        remedy = "Bring the missing server back, or remove it so that another takes its place."
        yield Finding(f"{item.kind}_quorum_at_edge", WARNING, label, detail, remedy)


def _copies(picture: Picture, item: Item) -> Found:
    group, label = item.group, (item.label,)
    ghosts = [replica.peer for replica in group.replicas if replica.ghost]
    if ghosts:
        detail = f"It lists {picture.names(ghosts)} as a replica, which is no member of the meta group."
        remedy = "jetstream_peer_remove with the option stream; 2.10 leaves such entries after two removals in a row."
        yield Finding(f"{item.kind}_ghost_peer", WARNING, label, detail, remedy)
    have = len([replica for replica in group.voters if not replica.ghost])
    if have < group.wanted and group.live:
        states = "all of them current" if not group.behind else "not all of them current"
        detail = f"{have} of {group.wanted} replicas ({states}): num_replicas asks for more than there are."
        remedy = "Add a server that fits its placement: the missing replica is then made by itself."
        yield Finding(f"{item.kind}_missing_replicas", WARNING, label, detail, remedy)
    for replica in group.behind:
        last = next((one.last_seq for one in group.replicas if one.peer == group.leader), 0)
        detail = f"The copy on {replica.name or replica.peer} is at {replica.last_seq}, the leader's at {last}."
        remedy = "Wait; it does not count for safety until it has caught up."
        yield Finding(f"{item.kind}_replica_behind", WARNING, label, detail, remedy)
    absent = [one.peer for one in group.replicas if one.alive and not one.present and not one.pending]
    if absent and group.leader and all(picture.server(peer).seen for peer in absent):
        detail = f"{picture.names(absent)} should have a copy and does not list one."
        remedy = "Wait; if it lasts, read that server's log."
        yield Finding(f"{item.kind}_replica_absent", WARNING, label, detail, remedy)
    if group.desired:
        status = group.desired.get("status") or {}
        detail = f"It is being moved or scaled: {status.get('description') or 'no status'}."
        remedy = "Wait until it is done before taking a server away."
        if status.get("type") == "blocked":
            remedy += " If it lasts: what it waits for is on a dead server; start that one, or delete what is named."
        yield Finding(f"{item.kind}_moving", INFO, label, detail, remedy)


def _placement(picture: Picture, stream: Stream) -> Found:
    dead = frozenset(replica.peer for replica in stream.group.replicas if not replica.alive)
    onto, lacking = replacements(picture, stream, dead) if dead else ([], 0)
    if len(onto) < lacking:
        why = why_not(picture, stream, dead)
        detail = f"{lacking} of its replicas are lost and {len(onto)} servers can take one: {why}."
        remedy = "Add a server that fits, or change the stream's placement."
        yield Finding("placement_cannot_be_met", WARNING, (stream.label,), detail, remedy)


def _limits(stream: Stream) -> Found:
    counts = {"max_msgs": stream.messages, "max_bytes": stream.bytes, "max_consumers": len(stream.consumers)}
    for name, limit in stream.limits.items():
        if counts[name] >= limit * 0.95:
            detail = f"{counts[name]} of {name} {limit}."
            remedy = "With discard old its oldest messages go; with discard new publishers are refused."
            yield Finding("stream_near_limit", INFO, (stream.label,), detail, remedy)


def _ahead(stream: Stream, consumer: Consumer) -> Found:
    furthest = max(consumer.delivered, consumer.ack_floor)
    if stream.group.leader and consumer.group.leader and furthest > stream.last_seq:
        detail = f"It is at sequence {furthest} of a stream that ends at {stream.last_seq}: what comes is skipped."
        remedy = "The stream was restored or rolled back: reset or create the consumer anew."
        yield Finding("consumer_ahead_of_stream", CRITICAL, (consumer.label,), detail, remedy)


def _alone(alone: t.Mapping[str, list[str]]) -> Found:
    for key, labels in sorted(alone.items()):
        kind, holder = key.split("|", 1)
        detail = f"{len(labels)} with their only copy on {holder}: gone if it is lost."
        remedy = "Back up the stream." if kind == "stream" else "Keep its state: an account backup has it."
        yield Finding(
            f"{kind}_single_copy", INFO, tuple(labels), detail, f"{remedy} 3 replicas need no backup for this."
        )


def of_groups(picture: Picture) -> Found:
    """Findings of every stream and consumer; single copies are gathered, one finding a server."""
    alone: dict[str, list[str]] = {}
    for stream in picture.streams:
        yield from _quorum(picture, stream, alone)
        yield from _copies(picture, stream)
        if picture.meta:
            yield from _placement(picture, stream)
        yield from _limits(stream)
        for consumer in stream.consumers:
            yield from _quorum(picture, consumer, alone)
            yield from _copies(picture, consumer)
            yield from _ahead(stream, consumer)
    yield from _alone(alone)
