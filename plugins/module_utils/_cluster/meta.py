# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who leads the meta group and who its members are, from every live server's own answers; pure."""

from __future__ import annotations

import typing as t

from .._nats.answers import Sample, meta_group, peer_id
from .majority import majority
from .model import Meta, MetaView
from .views import Json, Page, known_name


def meta_view(peer: str, raftz: Json, jsz: Json) -> MetaView | None:
    """One server's view; C(jsz) is the meta group as JSZ or VARZ show it.

    RAFTZ is preferred: old lines list no peers elsewhere while there is no leader. Only C(jsz) tells of a rescue.
    """
    raft = meta_group(raftz)
    if not raft and not jsz:
        return None
    rescue = bool(jsz.get("rescue"))
    if raft:
        peers = raft.get("peers") or {}
        return MetaView(
            peer=peer,
            members=frozenset([peer, *peers]),
            size=int(raft.get("size") or 0),
            quorum_needed=int((jsz.get("quorum_needed") if rescue else None) or raft.get("quorum_needed") or 0),
            leader=raft.get("leader") or "",
            rescue=rescue,
            observer=bool(raft.get("observer")),
            changing=frozenset(name for name, about in peers.items() if about.get("known") is False),
            log=int(raft.get("pindex") or 0),
            term=int(raft.get("term") or 0),
            unsnapshotted=_unsnapshotted(raft),
        )
    size = int(jsz.get("cluster_size") or 0)
    leader = jsz.get("peer") or (peer_id(jsz["leader"]) if jsz.get("leader") else "")
    members = [peer, *([leader] if leader else []), *(other["peer"] for other in jsz.get("replicas") or ())]
    needed = int(jsz.get("quorum_needed") or majority(size))
    return MetaView(peer, frozenset(members), size, needed, leader, rescue)


def _unsnapshotted(raft: Json) -> int:
    wal = raft.get("wal") or {}
    if not wal.get("messages"):
        return 0
    return max(0, min(int(raft.get("applied") or 0), int(wal["last_seq"])) - int(wal["first_seq"]) + 1)


def agreed_leader(views: t.Mapping[str, MetaView]) -> str:
    """The id of the server that names itself leader and that enough of its own members name too; else nothing.

    "Enough" is what the claimant's own view asks for, so that a leader which has lost its followers and does not know
    it yet is not believed.
    """
    found = ""
    for peer, view in views.items():
        if view.leader != peer:
            continue
        backers = [other for other in view.members if other in views and views[other].leader == peer]
        if len(backers) >= view.needed and (not found or view.term > views[found].term):
            found = peer
    return found


def make_meta(views: t.Mapping[str, MetaView]) -> Meta | None:
    """The meta group from the views of all live servers; C(None) where there is none (a standalone server)."""
    if not views:
        return None
    leader = agreed_leader(views)
    if leader:
        members = views[leader].members
    else:
        # Nobody can say who is right: everything that any server with a log counts as a member, counts.
        full = [view for view in views.values() if view.log > 0] or list(views.values())
        members = frozenset[str]().union(*(view.members for view in full))
    voting = {peer: view for peer, view in views.items() if peer in members and not view.observer}
    if not leader:
        # An empty server's vote elects nobody.
        voting = {peer: view for peer, view in voting.items() if view.log > 0} or voting
    rescue = any(view.rescue for view in voting.values())
    if leader and views[leader].rescue:
        needed = views[leader].needed
    else:
        needed = max([view.needed for view in voting.values()] + ([] if rescue else [majority(len(members))]))
    return Meta(
        members=members,
        voters=frozenset(voting),
        needed=needed,
        leader=leader,
        claims=frozenset(view.leader for view in views.values() if view.leader),
        rescue=rescue,
        changing=frozenset[str]().union(*(view.changing for view in voting.values())),
        views=tuple(views[peer] for peer in sorted(views)),
    )


def meta_of(sample: Sample, pages: t.Mapping[str, list[Page]], servers: t.Mapping[str, str]) -> Meta | None:
    """The meta group of a sample; C(servers) maps the server ids to look at to their peer ids."""
    views = {}
    for server, peer in servers.items():
        page = next(iter(pages.get(server) or ()), None)
        shown = page.meta if page else ((sample.varz.get(server) or {}).get("jetstream") or {}).get("meta") or {}
        found = meta_view(peer, sample.raftz.get(server) or {}, shown)
        if found:
            views[peer] = found
    return make_meta(views)


def meta_names(sample: Sample, pages: t.Mapping[str, list[Page]]) -> dict[str, str]:
    """Every name that any server knows for a peer id."""
    names: dict[str, str] = {}
    for raftz in sample.raftz.values():
        for peer, about in (meta_group(raftz).get("peers") or {}).items():
            if known_name(about.get("name") or ""):
                names[peer] = about["name"]
    for server_pages in pages.values():
        for page in server_pages[:1]:
            for other in page.meta.get("replicas") or ():
                if known_name(other.get("name") or ""):
                    names[other["peer"]] = other["name"]
    names.update((peer_id(head["name"]), head["name"]) for head in sample.heads.values())
    # The hash tells whether a name can be right.
    return {peer: name for peer, name in names.items() if peer_id(name) == peer}
