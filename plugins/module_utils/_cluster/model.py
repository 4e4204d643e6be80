# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The picture of a cluster: servers, meta group, streams, consumers. Frozen, and free of clocks and connections."""

from __future__ import annotations

import dataclasses
import typing as t

from .groups import Consumer, Stream
from .majority import majority
from .views import Json


@dataclasses.dataclass(frozen=True)
class Server:
    """A server that answered, or a member of the meta group that did not (C(alive) false, most fields empty).

    C(peer) is its id in raft groups; C(member) whether the meta group counts it; sizes in bytes, C(sync_interval) and
    C(clock_skew) in seconds. C(routes) are the peer ids of servers it has an open route to.
    """

    peer: str
    name: str = ""
    server_id: str = ""
    alive: bool = False
    member: bool = False
    jetstream: bool = False
    seen: bool = False
    cluster: str = ""
    domain: str = ""
    version: str = ""
    api_level: int = 0
    tags: tuple[str, ...] = ()
    unique_tag: str = ""
    limits: Json = dataclasses.field(default_factory=dict)
    usage: Json = dataclasses.field(default_factory=dict)
    sync_interval: float | None = None
    sync_always: bool = False
    health: str = ""
    clock_skew: float = 0.0
    uptime: float | None = None
    streams: int = 0
    consumers: int = 0
    routes: frozenset[str] = frozenset()
    pending_requests: int = 0

    @property
    def label(self) -> str:
        """Its name, or its peer id where nobody knows the name."""
        return self.name or f"peer {self.peer}"


@dataclasses.dataclass(frozen=True)
class MetaView:
    """The meta group as one live server has it, itself included. Ids throughout; C(log) is its last raft index.

    C(unsnapshotted) counts the applied changes that only its log has: a server with an empty disk takes the streams
    they create for new ones.
    """

    peer: str
    members: frozenset[str]
    size: int
    quorum_needed: int
    leader: str = ""
    rescue: bool = False
    observer: bool = False
    changing: frozenset[str] = frozenset()
    log: int = 1
    term: int = 0
    unsnapshotted: int = 0

    @property
    def needed(self) -> int:
        """How many votes it takes, by what this server knows; a rescue in force is the only thing that lowers it."""
        if self.rescue:
            return self.quorum_needed
        return max(self.quorum_needed, majority(max(self.size, len(self.members))))


@dataclasses.dataclass(frozen=True)
class Meta:
    """The meta group by the word of the majority, or by all words together where there is no majority.

    C(leader) is set only when enough voters name it and it answers; C(claims) are all ids that anyone names.
    """

    members: frozenset[str]
    voters: frozenset[str]
    needed: int
    leader: str = ""
    claims: frozenset[str] = frozenset()
    rescue: bool = False
    changing: frozenset[str] = frozenset()
    views: tuple[MetaView, ...] = ()

    @property
    def size(self) -> int:
        return max([len(self.members), *(view.size for view in self.views if view.peer in self.voters)])

    @property
    def has_quorum(self) -> bool:
        return len(self.voters) >= self.needed

    @property
    def tolerated(self) -> int:
        """How many more voters may be lost; negative when too many are."""
        return len(self.voters) - self.needed


@dataclasses.dataclass(frozen=True)
class Picture:
    """All of it. C(accounts) maps ids to names; C(other_domains) names domains that answered too and are left out;
    C(domain_asked) says that the one shown was asked for.

    C(taken) is seconds since the epoch; C(watched) how many seconds the first and the last look were apart;
    C(absent) the peers that answered none of the looks; C(duplicates) names that more than one live server bears;
    C(trusted) false while signs may still be stale.
    """

    taken: float
    servers: tuple[Server, ...]
    meta: Meta | None
    streams: tuple[Stream, ...] = ()
    accounts: dict[str, str] = dataclasses.field(default_factory=dict)
    domain: str = ""
    domain_asked: bool = False
    other_domains: tuple[str, ...] = ()
    looks: int = 1
    watched: float = 0.0
    absent: frozenset[str] = frozenset()
    duplicates: tuple[str, ...] = ()
    trusted: bool = False

    def server(self, peer: str) -> Server:
        """The server with that peer id; one without a name where nobody knows it."""
        for server in self.servers:
            if server.peer == peer:
                return server
        return Server(peer)

    def names(self, peers: t.Iterable[str]) -> str:
        """Their names, sorted, for a sentence."""
        return ", ".join(sorted(self.server(peer).label for peer in peers)) or "none"

    @property
    def ambiguous(self) -> bool:
        """Whether several domains answer and none was asked for."""
        return bool(self.other_domains) and not self.domain_asked

    @property
    def alive(self) -> frozenset[str]:
        """Peer ids of the servers that answered."""
        return frozenset(server.peer for server in self.servers if server.alive)

    @property
    def usable(self) -> frozenset[str]:
        """Peer ids of live members with JetStream: those that can hold copies."""
        return frozenset(server.peer for server in self.servers if server.alive and server.member and server.jetstream)

    def groups(self) -> t.Iterator[Stream | Consumer]:
        """Every stream and consumer."""
        for stream in self.streams:
            yield stream
            yield from stream.consumers
