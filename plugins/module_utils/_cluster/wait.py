# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Seeing a change through: until its result shows on every live server."""

from __future__ import annotations

import dataclasses
import typing as t

from .groups import Consumer, Group, Stream
from .model import Picture
from .placement import replacements
from .watch import Watch

Targets = dict[str, int]


@dataclasses.dataclass(frozen=True)
class Progress:
    """C(pending) maps the labels of streams and consumers that are not whole yet to why.

    C(excused) maps those to why that cannot become whole by waiting: no server for a copy, other dead members.
    """

    pending: dict[str, str]
    excused: dict[str, str]
    whole: int

    def excuse(self, reasons: t.Mapping[str, str]) -> Progress:
        """The same with those items of C(reasons) excused that are pending."""
        late = {label: why for label, why in reasons.items() if label in self.pending}
        pending = {label: why for label, why in self.pending.items() if label not in late}
        return Progress(pending, {**self.excused, **late}, self.whole)

    def __bool__(self) -> bool:
        return not self.pending


def _lagging(group: Group, targets: Targets, label: str) -> str:
    """Copies that have not reached what the leader had when it was first seen."""
    last = next((replica.last_seq for replica in group.replicas if replica.peer == group.leader), None)
    target = targets.setdefault(label, last or 0)
    late = [one for one in group.replicas if one.alive and (one.last_seq is None or one.last_seq < target)]
    return ", ".join(f"{one.name or one.peer} is at {one.last_seq} of {target}" for one in late)


def _why(picture: Picture, stream: Stream, item: Stream | Consumer, peer: str, targets: Targets) -> tuple[str, bool]:
    """Why an item is not whole (nothing: it is), and whether waiting cannot help."""
    group = item.group
    others = [one.peer for one in group.replicas if not one.alive and one.peer != peer]
    if peer in group.peers:
        return f"still lists {picture.server(peer).label}", False
    if not group.leader:
        if others and not group.has_quorum:
            return f"no majority: {picture.names(others)} must be removed or come back", True
        return "no leader yet", False
    if others:
        return f"has a copy on {picture.names(others)}, which is dead: remove it or bring it back", True
    coming = [one.name or one.peer for one in group.replicas if one.pending or not one.present]
    if coming:
        return f"a copy is being made on {', '.join(coming)}", False
    if len(group.replicas) < group.wanted:
        dead = frozenset(server.peer for server in picture.servers if not server.alive) | {peer}
        onto, lacking = replacements(picture, stream, dead)
        text = f"{len(group.replicas)} of {group.wanted} replicas"
        return (f"{text}: no server for the others", True) if len(onto) < lacking else (text, False)
    if group.desired:
        return (group.desired.get("status") or {}).get("description") or "a move is under way", False
    return (_lagging(group, targets, item.label) if item.kind == "stream" else ""), False


def progress(picture: Picture, peer: str, targets: Targets) -> Progress:
    """How far the replicated streams and consumers are after C(peer) was taken away.

    C(targets) is kept by the caller from look to look: what each leader had when it was first seen.
    """
    pending: dict[str, str] = {}
    excused: dict[str, str] = {}
    whole = 0
    for stream in picture.streams:
        items: list[Stream | Consumer] = [stream, *stream.consumers]
        for item in items:
            if item.group.wanted < 2 and len(item.group.replicas) < 2 and peer not in item.group.peers:
                continue
            why, hopeless = _why(picture, stream, item, peer, targets)
            if not why:
                whole += 1
            else:
                (excused if hopeless else pending)[item.label] = why
    return Progress(pending, excused, whole)


async def until(
    watch: Watch, done: t.Callable[[Picture], bool], *, timeout: float, interval: float, light: bool = False
) -> tuple[Picture, bool]:
    """Look every C(interval) seconds until C(done) or C(timeout); the last picture, and whether it was."""
    deadline = watch.clock() + timeout
    while True:
        picture = await (watch.glance() if light else watch.look())
        if done(picture):
            return picture, True
        if watch.clock() >= deadline:
            return picture, False
        await watch.sleep(min(interval, max(deadline - watch.clock(), 0.0)))
