# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the answers of all servers to one picture; pure."""

from __future__ import annotations

import dataclasses
import datetime
import re
import typing as t

from .._nats.answers import Sample, peer_id
from .errors import UnknownDomainError
from .groups import Consumer, Copy, Group, Replica, Stream
from .majority import majority
from .meta import meta_names, meta_of
from .model import Meta, Picture, Server
from .views import ConsumerView, GroupView, Json, Page, StreamView

NS = 1e9
# Servers ping over a route that is idle every 30 s.
_SILENT = 65


def make_picture(sample: Sample, domain: str = "", *, asked: bool = False) -> Picture:
    """The picture of the servers in C(domain), which was C(asked) for. Raises UnknownDomainError where none answers."""
    heads = {server: head for server, head in sample.heads.items() if (head.get("domain") or "") == domain}
    if not heads:
        others = sorted({str(head.get("domain") or "") for head in sample.heads.values()})
        raise UnknownDomainError(
            f"No server of the JetStream domain {domain!r} answers. Domains of those that do:"
            f" {', '.join(map(repr, others))}."
        )
    domains = {head.get("domain") or "" for head in sample.heads.values() if head.get("jetstream")} - {domain}
    peers = {server: peer_id(head["name"]) for server, head in heads.items()}
    pages: dict[str, list[Page]] = {server: sample.pages.get(server) or [] for server in heads}
    meta = meta_of(sample, pages, peers)
    names = meta_names(sample, pages)
    standalone = meta is None
    ids = {head["id"]: peer for head, peer in ((heads[server], peers[server]) for server in heads)}
    servers = {peers[server]: _server(sample, server, peers[server], meta, pages[server], ids) for server in heads}
    for peer in meta.members if meta else ():
        servers.setdefault(peer, Server(peer, names.get(peer, ""), member=True))
    usable = {one.peer for one in servers.values() if one.alive and one.jetstream and (one.member or standalone)}
    accounts: dict[str, str] = {}
    views: dict[tuple[str, str], dict[str, StreamView]] = {}
    for server, server_pages in pages.items():
        for page in server_pages:
            accounts.update(page.accounts)
            if peers[server] in usable:
                for view in page.stream_views:
                    views.setdefault((view.account, view.name), {})[peers[server]] = view
    accounts = _told_apart(accounts)
    context = _Context(frozenset(usable), meta.members if meta else frozenset(usable), {**names}, accounts)
    streams = tuple(context.stream(views[key]) for key in sorted(views))
    ordered = tuple(sorted(servers.values(), key=lambda server: (server.label, server.peer)))
    return Picture(
        taken=sample.at,
        servers=ordered,
        meta=meta,
        streams=streams,
        accounts=accounts,
        domain=domain,
        domain_asked=asked,
        other_domains=tuple(sorted(domains)),
        absent=frozenset(server.peer for server in ordered if not server.alive),
        duplicates=_shared_names(sample, heads),
    )


def _told_apart(accounts: t.Mapping[str, str]) -> dict[str, str]:
    """Ids of accounts with their names; the id itself where several accounts have the name, or it is another's id."""
    names = [*accounts.values()]
    others = {name for one, name in accounts.items() if name != one and (names.count(name) > 1 or name in accounts)}
    return {one: one if name in others else name for one, name in accounts.items()}


def _shared_names(sample: Sample, heads: t.Mapping[str, Json]) -> tuple[str, ...]:
    """Names that more than one live server bears, by the answers and by the routes of those that answered.

    Servers with one name refuse a route to each other, so a question asked through one of them never reaches the other.
    A route that was silent for two pings may be the rest of a server that died without a word.
    """
    bearers = {(head["name"], head["id"]) for head in heads.values()}
    for server in heads:
        for route in (sample.routez.get(server) or {}).get("routes") or ():
            if (
                route.get("remote_name")
                and route.get("remote_id")
                and (_seconds(route.get("idle") or "") or 0) < _SILENT
            ):
                bearers.add((route["remote_name"], route["remote_id"]))
    names = [name for name, _server_id in bearers]
    return tuple(sorted({name for name in names if names.count(name) > 1}))


def _server(
    sample: Sample, server: str, peer: str, meta: Meta | None, pages: list[Page], ids: t.Mapping[str, str]
) -> Server:
    head, varz, health = sample.heads[server], sample.varz.get(server) or {}, sample.healthz.get(server) or {}
    page = pages[0] if pages else None
    js = varz.get("jetstream") or {}
    config = (page.config if page else None) or js.get("config") or {}
    limits = {"memory": int(config.get("max_memory") or 0), "storage": int(config.get("max_storage") or 0)}
    extra = (page.limits if page else None) or js.get("limits") or {}
    if extra.get("max_ha_assets"):
        limits["max_ha_assets"] = int(extra["max_ha_assets"])
    stats = js.get("stats") or {}
    usage = dict(page.usage) if page else {"api_level": int((stats.get("api") or {}).get("level") or 0)}
    routes = (sample.routez.get(server) or {}).get("routes") or ()
    sync = config.get("sync_interval")
    status = str(health.get("status") or "")
    error = str(health.get("error") or "")
    return Server(
        peer=peer,
        name=head["name"],
        server_id=head["id"],
        alive=True,
        member=bool(meta and peer in meta.members),
        jetstream=bool(config) and not (page and page.disabled),
        seen=page is not None,
        cluster=head.get("cluster") or "",
        domain=head.get("domain") or "",
        version=head.get("ver") or "",
        api_level=usage.pop("api_level", 0),
        tags=tuple(head.get("tags") or varz.get("tags") or ()),
        unique_tag=str(config.get("unique_tag") or ""),
        limits=limits,
        usage=usage,
        sync_interval=sync / NS if sync else None,
        sync_always=bool(config.get("sync_always")),
        health=status if status == "ok" or not error else error,
        clock_skew=_skew(str(varz.get("now") or ""), sample.at),
        uptime=_seconds(str(varz.get("uptime") or "")),
        streams=page.streams if page else 0,
        consumers=page.consumers if page else 0,
        routes=frozenset(
            ids.get(route.get("remote_id") or "") or peer_id(route["remote_name"])
            for route in routes
            if route.get("remote_name")
        ),
        pending_requests=int((page.meta.get("pending") if page else 0) or 0),
    )


def epoch(text: str) -> float | None:
    """Seconds since the epoch of an RFC 3339 time as Go writes it (UTC); C(None) where it is none."""
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z$", text)
    if not match:
        return None
    whole = datetime.datetime.strptime(match[1] + "+0000", "%Y-%m-%dT%H:%M:%S%z").timestamp()
    return whole + float(match[2] or 0)


def _skew(now: str, at: float) -> float:
    there = epoch(now)
    return 0.0 if there is None else round(there - at, 3)


def _seconds(uptime: str) -> float | None:
    units = {"y": 31536000, "d": 86400, "h": 3600, "m": 60, "s": 1}
    parts = re.findall(r"(\d+)([ydhms])", uptime)
    return float(sum(int(number) * units[unit] for number, unit in parts)) if parts else None


@dataclasses.dataclass(frozen=True)
class _Context:
    usable: frozenset[str]
    members: frozenset[str]
    names: Json
    accounts: dict[str, str]

    def group(self, views: t.Mapping[str, tuple[int, GroupView]], seqs: t.Mapping[str, int]) -> tuple[Group, str]:
        """The group, and the peer whose view it was taken from: a leader with enough votes, else the largest view.

        C(views) has for each peer how many copies it thinks are wanted, and its view.
        """
        leaders = [peer_id(view.leader) for _wanted, view in views.values() if view.leader]
        claims = [peer for peer in views if peer in leaders and peer_id(views[peer][1].leader) == peer]
        claimant = max(claims, key=lambda peer: (leaders.count(peer), seqs.get(peer, 0)), default="")
        source = claimant or max(views, key=lambda peer: (len(views[peer][1].others), seqs.get(peer, 0), peer))
        wanted, view = views[source]
        # Without a leader, 2.15 lists a server among its own peers: nobody may be counted twice.
        others = {other.peer: other for other in view.others if other.peer != source}
        replicas = [self._replica(source, None, views, seqs)]
        replicas.extend(self._replica(peer, other, views, seqs) for peer, other in others.items())
        replicas.sort(key=lambda one: one.name or one.peer)
        votes = sum(one.alive for one in replicas if not one.pending)
        leads = claimant and votes >= majority(sum(not one.pending for one in replicas))
        if not leads:
            wanted = max(wanted for wanted, _view in views.values())
        claim = claimant or (leaders[0] if leaders else "")
        return Group(wanted, tuple(replicas), claimant if leads else "", claim, view.desired), source

    def _replica(self, peer: str, seen: t.Any, views: t.Container[str], seqs: t.Mapping[str, int]) -> Replica:
        return Replica(
            peer=peer,
            name=self.names.get(peer) or (seen.name if seen else ""),
            alive=peer in self.usable,
            present=peer in views,
            current=seen.current if seen else True,
            offline=bool(seen and seen.offline),
            lag=seen.lag if seen else 0,
            last_seq=seqs.get(peer),
            pending=bool(seen and seen.pending),
            ghost=peer not in self.members,
        )

    def stream(self, views: t.Mapping[str, StreamView]) -> Stream:
        seqs = {peer: view.last_seq for peer, view in views.items()}
        any_view = next(iter(views.values()))
        group, source = self.group({peer: (view.replicas, view.group) for peer, view in views.items()}, seqs)
        best = views[source] if group.leader else views[max(seqs, key=lambda peer: (seqs[peer], peer))]
        account = self.accounts.get(any_view.account, any_view.account)
        consumers: dict[str, dict[str, ConsumerView]] = {}
        for peer, view in views.items():
            for consumer in view.consumers:
                consumers.setdefault(consumer.name, {})[peer] = consumer
        return Stream(
            account=account,
            name=best.name,
            group=group,
            cluster=best.group.cluster,
            storage=best.storage,
            placement=best.placement,
            max_bytes=best.max_bytes,
            limits=best.limits,
            messages=best.messages,
            bytes=best.bytes,
            first_seq=best.first_seq,
            last_seq=best.last_seq,
            first_ts=best.first_ts,
            last_ts=best.last_ts,
            origin=best.origin,
            consumers=tuple(self._consumer(account, best.name, consumers[name]) for name in sorted(consumers)),
            copies={peer: Copy(view.first_seq, view.last_seq, view.messages) for peer, view in views.items()},
            ordered=best.ordered,
        )

    def _consumer(self, account: str, stream: str, views: t.Mapping[str, ConsumerView]) -> Consumer:
        delivered = {peer: view.delivered for peer, view in views.items()}
        group, source = self.group({peer: (view.replicas, view.group) for peer, view in views.items()}, delivered)
        best = views[source]
        return Consumer(account, stream, best.name, best.durable, group, best.delivered, best.ack_floor)
