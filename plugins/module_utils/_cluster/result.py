# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pictures, findings and simulations as what modules return."""

from __future__ import annotations

import dataclasses
import typing as t

from .finding import SEVERITIES, Finding
from .groups import Consumer, Group, Stream
from .model import Meta, Picture, Server
from .simulation import SURVIVES, Effect, Simulation
from .views import Json


def _server(server: Server) -> Json:
    return {
        "name": server.name,
        "peer": server.peer,
        "id": server.server_id,
        "alive": server.alive,
        "member": server.member,
        "jetstream": server.jetstream,
        "cluster": server.cluster,
        "domain": server.domain,
        "version": server.version,
        "api_level": server.api_level,
        "tags": list(server.tags),
        "unique_tag": server.unique_tag,
        "limits": server.limits,
        "usage": server.usage,
        "sync_interval": server.sync_interval,
        "sync_always": server.sync_always,
        "health": server.health,
        "clock_skew": server.clock_skew,
        "uptime": server.uptime,
        "streams": server.streams,
        "consumers": server.consumers,
    }


def _meta(picture: Picture, meta: Meta) -> Json:
    return {
        "size": meta.size,
        "needed": meta.needed,
        "live_voters": len(meta.voters),
        "tolerated_failures": meta.tolerated,
        "has_quorum": meta.has_quorum,
        "leader": picture.server(meta.leader).label if meta.leader else None,
        "rescue": meta.rescue,
        "unsnapshotted": max((view.unsnapshotted for view in meta.views if view.peer in meta.voters), default=0),
        "members": [
            {
                "name": picture.server(peer).name,
                "peer": peer,
                "alive": picture.server(peer).alive,
                "voter": peer in meta.voters,
            }
            for peer in sorted(meta.members, key=lambda one: picture.server(one).label)
        ],
    }


def _group(picture: Picture, group: Group) -> Json:
    leader = picture.server(group.leader).label if group.leader else None
    return {
        "num_replicas": group.wanted,
        "leader": leader,
        "live_replicas": group.live,
        "needed": group.needed,
        "has_quorum": group.has_quorum,
        "whole": group.whole,
        "desired": group.desired,
        "replicas": [
            {
                "name": replica.name,
                "peer": replica.peer,
                "alive": replica.alive,
                "present": replica.present,
                "current": replica.current,
                "lag": replica.lag,
                "last_seq": replica.last_seq,
                "pending": replica.pending,
                "member": not replica.ghost,
            }
            for replica in group.replicas
        ],
    }


def _consumer(picture: Picture, consumer: Consumer) -> Json:
    return {
        "consumer": consumer.name,
        "durable": consumer.durable,
        "delivered": consumer.delivered,
        "ack_floor": consumer.ack_floor,
        **_group(picture, consumer.group),
    }


def _with_counts(group: Json, stream: Stream) -> Json:
    """The group of a stream, with the number of messages of each copy; C(None) where it cannot be known."""
    for replica in group["replicas"]:
        copy = stream.copies.get(replica["peer"])
        replica["messages"] = copy.messages if copy else None
    return group


def _stream(picture: Picture, stream: Stream) -> Json:
    return {
        "account": stream.account,
        "stream": stream.name,
        "cluster": stream.cluster,
        "storage": stream.storage,
        "placement": stream.placement,
        "messages": stream.messages,
        "bytes": stream.bytes,
        "first_seq": stream.first_seq,
        "last_seq": stream.last_seq,
        "first_ts": stream.first_ts,
        "last_ts": stream.last_ts,
        **_with_counts(_group(picture, stream.group), stream),
        "consumers": [_consumer(picture, consumer) for consumer in stream.consumers],
    }


def picture_values(picture: Picture, *, streams: bool = True) -> Json:
    """The picture as module results.

    C(accounts) of the result are those whose streams are all in it: what a later C(last_picture) may rely on.
    """
    covered = set(picture.accounts.values()) if streams else set()
    chosen = picture.streams if streams else ()
    return {
        "taken": round(picture.taken, 3),
        "looks": picture.looks,
        "watched": round(picture.watched, 1),
        "trusted": picture.trusted,
        "domain": picture.domain,
        "accounts": sorted(covered),
        "account_ids": dict(sorted(picture.accounts.items())),
        "servers": [_server(server) for server in picture.servers],
        "meta": _meta(picture, picture.meta) if picture.meta else None,
        "streams": [_stream(picture, stream) for stream in chosen],
    }


def finding_values(findings: t.Iterable[Finding]) -> Json:
    """Findings, and the gravest severity among them (C(ok) where there are none that matter)."""
    every = sorted(findings, key=lambda one: SEVERITIES.index(one.severity))
    worst = min((SEVERITIES.index(one.severity) for one in every), default=len(SEVERITIES))
    status = ("critical", "warning", "ok", "ok")[worst]
    return {
        "status": status,
        "findings": [{**dataclasses.asdict(one), "objects": list(one.objects)} for one in every],
    }


def _effect(effect: Effect) -> Json:
    item = effect.item
    return {
        "kind": item.kind,
        "name": item.label,
        "account": item.account,
        "effect": effect.fate,
        "heals": effect.heals,
        "onto": list(effect.onto),
        "needs_backup": effect.needs_backup,
        "why": effect.why,
    }


def simulation_values(picture: Picture, simulation: Simulation) -> Json:
    """What a loss would do: the meta group's arithmetic and every stream's and consumer's fate."""
    size = picture.meta.size if picture.meta else 1
    survives = simulation.meta_survives
    counts = dict.fromkeys(("survives", "loses_redundancy", "loses_quorum", "loses_data"), 0)
    for effect in simulation.effects:
        counts[effect.fate] += 1
    return {
        "lost": sorted(picture.server(peer).label for peer in simulation.lost),
        "safe": simulation.safe,
        "unproven": list(simulation.unproven),
        "meta": {
            "effect": SURVIVES if survives else "loses_quorum",
            "size": size,
            "needed": simulation.needed,
            "live_voters": simulation.voters,
            "arithmetic": f"{simulation.voters} of {size} voters would be left and {simulation.needed} are needed.",
        },
        "counts": counts,
        "effects": [_effect(effect) for effect in simulation.effects],
    }
