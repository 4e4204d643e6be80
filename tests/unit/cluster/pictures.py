# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures for tests: made by hand or drawn by hypothesis."""

from __future__ import annotations

from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.groups import Consumer, Group, Replica, Stream
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.majority import majority
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.model import Meta, MetaView, Picture, Server
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.answers import peer_id
from hypothesis import strategies as st

NAMES = ("n1", "n2", "n3", "n4", "n5")
LIMITS = {"storage": 1 << 40, "memory": 1 << 30}


def ids(*names: str) -> frozenset[str]:
    return frozenset(peer_id(name) for name in names)


def server(name: str, alive: bool = True, **fields: object) -> Server:
    """A member, with JetStream where it is alive."""
    base: dict[str, object] = {
        "peer": peer_id(name),
        "name": name,
        "alive": alive,
        "member": True,
        "jetstream": alive,
        "seen": alive,
        "cluster": "C1",
        "version": "2.15.2" if alive else "",
        "limits": LIMITS,
        "health": "ok" if alive else "",
        **fields,
    }
    return Server(**base)  # type: ignore[arg-type]


def group(wanted: int, *peers: str, alive: frozenset[str], last: int = 10, leads: bool = True) -> Group:
    """A group on those servers, led by the first live one when it has a majority."""
    replicas = tuple(
        Replica(
            peer_id(name),
            name,
            alive=name in alive,
            present=name in alive,
            current=True,
            last_seq=last if name in alive else None,
        )
        for name in peers
    )
    plain = Group(wanted, replicas)
    leader = next((one.peer for one in replicas if one.alive), "") if leads and plain.has_quorum else ""
    return Group(wanted, replicas, leader, leader)


def stream(name: str, on: Group, *consumers: Group, **fields: object) -> Stream:
    items = tuple(Consumer("APP", name, f"c{number}", True, one) for number, one in enumerate(consumers))
    return Stream("APP", name, on, cluster="C1", last_seq=10, messages=10, consumers=items, **fields)  # type: ignore[arg-type]


def meta_of(members: tuple[str, ...], alive: frozenset[str], leader: str = "", rescue: int = 0) -> Meta:
    """A meta group whose live members agree; C(rescue) is a lowered quorum."""
    voters = ids(*(name for name in members if name in alive))
    needed = rescue or majority(len(members))
    lead = peer_id(leader) if leader else ""
    everyone = ids(*members)
    views = tuple(MetaView(peer, everyone, len(members), needed, lead, bool(rescue)) for peer in sorted(voters))
    return Meta(everyone, voters, needed, lead, frozenset({lead} - {""}), bool(rescue), frozenset(), views)


def picture(
    members: tuple[str, ...],
    alive: frozenset[str],
    streams: tuple[Stream, ...] = (),
    leader: str | None = None,
    rescue: int = 0,
    **fields: object,
) -> Picture:
    """A trusted picture; the first live member leads where there are votes enough."""
    live = [name for name in members if name in alive]
    if leader is None:
        leader = live[0] if len(live) >= (rescue or majority(len(members))) else ""
    servers = tuple(server(name, name in alive) for name in members)
    base: dict[str, object] = {
        "taken": 1000.0,
        "servers": servers,
        "meta": meta_of(members, alive, leader, rescue),
        "streams": streams,
        "accounts": {"APP": "APP"},
        "absent": ids(*members) - ids(*live),
        "trusted": True,
        "watched": 12.0,
        **fields,
    }
    return Picture(**base)  # type: ignore[arg-type]


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    """Any small cluster: 1 to 5 members, any of them dead, streams of 1 to 5 replicas anywhere, with consumers."""
    size = draw(st.integers(1, 5))
    members = NAMES[:size]
    alive = frozenset(draw(st.sets(st.sampled_from(members), min_size=1)))
    streams = []
    for number in range(draw(st.integers(0, 4))):
        on = draw(st.permutations(members))[: draw(st.integers(1, size))]
        inner = [draw(st.permutations(on))[: draw(st.integers(1, len(on)))] for _part in range(draw(st.integers(0, 2)))]
        consumers = [group(len(one), *one, alive=alive) for one in inner]
        one = group(len(on), *on, alive=alive)
        if any(name in alive for name in on):
            streams.append(stream(f"S{number}", one, *consumers))
    return picture(members, alive, tuple(streams))
