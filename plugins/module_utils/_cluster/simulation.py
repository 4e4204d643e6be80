# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What losing servers would do, before it happens; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from .errors import UnknownServerError
from .groups import Consumer, Stream
from .inventory import Inventory, tells_itself
from .model import Picture
from .placement import replacements
from .plan import listing
from .quorum import LOSES_DATA, LOSES_QUORUM, LOSES_REDUNDANCY, SURVIVES, fate, meta_after_loss


@dataclasses.dataclass(frozen=True)
class Effect:
    """What becomes of one stream or consumer. C(heals): by itself, once the lost servers are removed, C(onto) which."""

    item: Stream | Consumer
    fate: str
    heals: bool = False
    onto: tuple[str, ...] = ()
    needs_backup: bool = False
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Simulation:
    """The effect of losing C(lost) (peer ids) on everything; C(safe) if every group keeps a majority.

    C(unproven) says of lost servers that do not list what they hold what that may be: no group shows it.
    """

    lost: frozenset[str]
    voters: int
    needed: int
    effects: tuple[Effect, ...]
    unproven: tuple[str, ...] = ()

    @property
    def meta_survives(self) -> bool:
        return self.voters >= self.needed

    @property
    def broken(self) -> tuple[Effect, ...]:
        """Groups without a majority of live voters afterwards, those included that had none before."""
        return tuple(effect for effect in self.effects if effect.fate in (LOSES_QUORUM, LOSES_DATA))

    @property
    def safe(self) -> bool:
        return self.meta_survives and not self.broken and not self.unproven


def select(picture: Picture, selectors: t.Iterable[str]) -> frozenset[str]:
    """Peer ids of servers given by name, by id, or as C(tag:<tag>). Raises UnknownServerError, naming what there is."""
    found: set[str] = set()
    for selector in selectors:
        if selector.startswith("tag:"):
            tag = selector[4:].lower()
            hits = {s.peer for s in picture.servers if tag in {one.lower() for one in s.tags}}
        else:
            hits = {s.peer for s in picture.servers if selector in (s.name, s.peer)}
        if not hits:
            tags = sorted({tag for server in picture.servers for tag in server.tags})
            raise UnknownServerError(
                f"{selector!r} is no server of this cluster. Servers: {picture.names(s.peer for s in picture.servers)};"
                f" tags: {', '.join(tags) or 'none'}."
            )
        found |= hits
    return frozenset(found)


def _effect(picture: Picture, stream: Stream, item: Stream | Consumer, lost: frozenset[str], meta_ok: bool) -> Effect:
    verdict = fate(item.group, lost)
    if verdict == SURVIVES and not item.group.has_quorum:
        left = any(replica.alive for replica in item.group.replicas)
        return Effect(item, LOSES_QUORUM if left else LOSES_DATA, why="it has no quorum as it is")
    if verdict == SURVIVES:
        return Effect(item, verdict)
    if verdict == LOSES_DATA:
        copies = "its only copy is" if len(item.group.replicas) == 1 else "all its copies are"
        return Effect(item, verdict, needs_backup=True, why=f"{copies} on {picture.names(item.group.peers & lost)}")
    if not meta_ok:
        return Effect(item, verdict, why="the meta group loses its quorum too: nothing is placed anew until a rescue")
    gone = lost | {replica.peer for replica in stream.group.replicas if not replica.alive}
    onto, lacking = replacements(picture, stream, gone)
    heals = len(onto) >= lacking
    why = "" if heals else f"{lacking} new copies are needed and {len(onto)} servers can take one"
    return Effect(item, verdict, heals, tuple(server.label for server in onto), why=why)


def _unproven(picture: Picture, lost: frozenset[str], holdings: t.Mapping[str, Inventory]) -> t.Iterator[str]:
    for server in picture.servers:
        if server.peer not in lost or not server.member or tells_itself(picture, server.peer):
            continue
        inventory = holdings.get(server.label)
        if inventory and inventory.unseen:
            alone = listing(one.label for one in inventory.unseen)
            yield f"{server.label} does not list what it holds. As far as is known only it has {alone}."
        elif inventory is None or inventory.unknown:
            yield f"{server.label} does not list what it holds, and nobody can say what that is."


def simulate(picture: Picture, lost: frozenset[str], holdings: t.Mapping[str, Inventory] | None = None) -> Simulation:
    """Lose C(lost) on top of what is dead already. C(holdings): what silent servers hold alone, by their names."""
    voters, needed = meta_after_loss(picture.meta, lost) if picture.meta else (len(picture.alive - lost), 1)
    effects = []
    for stream in picture.streams:
        effects.append(_effect(picture, stream, stream, lost, voters >= needed))
        effects.extend(_effect(picture, stream, consumer, lost, voters >= needed) for consumer in stream.consumers)
    return Simulation(lost, voters, needed, tuple(effects), tuple(_unproven(picture, lost, holdings or {})))


__all__ = ["LOSES_DATA", "LOSES_QUORUM", "LOSES_REDUNDANCY", "SURVIVES", "Effect", "Simulation", "select", "simulate"]
