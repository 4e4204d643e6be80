# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Streams and consumers with the raft groups that hold their copies, as all live servers together see them."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from .majority import majority
from .views import Json


@dataclasses.dataclass(frozen=True)
class Replica:
    """One peer of a group. C(alive): its server answered and is a member. C(present): that server has a copy.

    C(last_seq) is its own copy's, C(None) where it cannot be known; C(ghost): its server is no member.
    """

    peer: str
    name: str = ""
    alive: bool = False
    present: bool = False
    current: bool = False
    offline: bool = False
    lag: int = 0
    last_seq: int | None = None
    pending: bool = False
    ghost: bool = False


@dataclasses.dataclass(frozen=True)
class Group:
    """The raft group of a stream or consumer: C(wanted) copies, the peers, and who leads (id) with enough votes."""

    wanted: int
    replicas: tuple[Replica, ...]
    leader: str = ""
    claim: str = ""
    desired: Json | None = None

    @functools.cached_property
    def voters(self) -> tuple[Replica, ...]:
        return tuple(replica for replica in self.replicas if not replica.pending)

    @functools.cached_property
    def peers(self) -> frozenset[str]:
        return frozenset(replica.peer for replica in self.replicas)

    @functools.cached_property
    def live(self) -> int:
        return sum(replica.alive for replica in self.voters)

    @functools.cached_property
    def needed(self) -> int:
        return majority(len(self.voters))

    @property
    def has_quorum(self) -> bool:
        return self.live >= self.needed

    @functools.cached_property
    def behind(self) -> tuple[Replica, ...]:
        """Live copies that the leader says are not current and that lack messages it has, or lack more than a tenth."""
        leader = next((replica for replica in self.replicas if replica.peer == self.leader), None)
        if leader is None or leader.last_seq is None:
            return ()
        last = leader.last_seq
        return tuple(
            replica
            for replica in self.replicas
            if replica.alive
            and replica.last_seq is not None
            and (replica.last_seq < last * 0.9 or (replica.last_seq < last and not replica.current))
        )

    @functools.cached_property
    def whole(self) -> bool:
        """A leader, as many copies as wanted, each there on a live member, and no move under way."""
        there = all(replica.alive and replica.present and not replica.pending for replica in self.replicas)
        return bool(self.leader) and there and len(self.replicas) >= self.wanted and not self.desired


@dataclasses.dataclass(frozen=True)
class Consumer:
    """A consumer; sequences are its leader's."""

    account: str
    stream: str
    name: str
    durable: bool
    group: Group
    delivered: int = 0
    ack_floor: int = 0

    kind: t.ClassVar[str] = "consumer"

    @property
    def label(self) -> str:
        return f"{self.account} > {self.stream} > {self.name}"


@dataclasses.dataclass(frozen=True)
class Copy:
    """What one live server has of a stream."""

    first_seq: int
    last_seq: int
    messages: int


@dataclasses.dataclass(frozen=True)
class Stream:
    """A stream of which at least one live server has a copy; counts are the leader's, else the longest copy's.

    C(copies): that of each live server, by peer; C(ordered): see StreamView.
    """

    account: str
    name: str
    group: Group
    cluster: str = ""
    storage: str = "file"
    placement: Json = dataclasses.field(default_factory=dict)
    max_bytes: int = 0
    limits: Json = dataclasses.field(default_factory=dict)
    messages: int = 0
    bytes: int = 0
    first_seq: int = 0
    last_seq: int = 0
    first_ts: str = ""
    last_ts: str = ""
    origin: str = ""
    consumers: tuple[Consumer, ...] = ()
    copies: t.Mapping[str, Copy] = dataclasses.field(default_factory=dict)
    ordered: bool = False

    kind: t.ClassVar[str] = "stream"

    @property
    def label(self) -> str:
        return f"{self.account} > {self.name}"
