# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one server tells of its streams and consumers, reduced to what decisions need; pure parsing."""

from __future__ import annotations

import typing as t

Json = dict[str, t.Any]


class PeerView(t.NamedTuple):
    """Another member of a raft group, as one server sees it."""

    peer: str
    name: str
    current: bool
    offline: bool
    lag: int
    # Assigned, but not (or no longer) a voter of the raft group.
    pending: bool


class GroupView(t.NamedTuple):
    """A raft group as one of its members sees it. C(leader) is a server name; C(desired) a move that is under way."""

    cluster: str
    leader: str
    others: tuple[PeerView, ...]
    desired: Json | None


class ConsumerView(t.NamedTuple):
    """A consumer as one server has it; C(replicas) is how many its configuration asks for."""

    name: str
    replicas: int
    durable: bool
    group: GroupView
    delivered: int
    ack_floor: int


class StreamView(t.NamedTuple):
    """A stream as one server has it: its own copy's sequences, not the leader's. Sizes in bytes.

    C(ordered): only limits take messages away, and from its front, so that copies that end alike hold the same.
    """

    account: str
    name: str
    replicas: int
    storage: str
    placement: Json
    max_bytes: int
    limits: Json
    created: str
    messages: int
    bytes: int
    first_seq: int
    last_seq: int
    first_ts: str
    last_ts: str
    origin: str
    group: GroupView
    consumers: tuple[ConsumerView, ...]
    ordered: bool = False


class Page(t.NamedTuple):
    """One JSZ page of one server."""

    config: Json
    limits: Json
    usage: Json
    meta: Json
    disabled: bool
    streams: int
    consumers: int
    accounts: dict[str, str]
    stream_views: tuple[StreamView, ...]


_NO_GROUP = GroupView("", "", (), None)
_UNKNOWN_NAME = "Server name unknown"


def known_name(name: str) -> str:
    """The server name, or nothing where a server wrote that it knows none."""
    return "" if name.startswith(_UNKNOWN_NAME) else name


def group_view(cluster: Json | None) -> GroupView:
    """Parse C(cluster) of a stream or consumer."""
    if not cluster:
        return _NO_GROUP
    others = tuple(
        PeerView(
            peer.get("peer") or "",
            known_name(peer.get("name") or ""),
            bool(peer.get("current")),
            bool(peer.get("offline")),
            int(peer.get("lag") or 0),
            bool(peer.get("pending")),
        )
        for peer in cluster.get("replicas") or ()
    )
    return GroupView(cluster.get("name") or "", cluster.get("leader") or "", others, cluster.get("desired"))


def _consumer_view(raw: Json, stream: Json) -> ConsumerView:
    config = raw.get("config") or {}
    durable = bool(config.get("durable_name"))
    replicas, most = int(config.get("num_replicas") or 0), int(stream.get("num_replicas") or 1)
    if replicas == 0 or replicas > most:
        # As the server counts: an ephemeral of a limits stream that asks for nothing has one copy.
        alone = replicas == 0 and not durable and stream.get("retention", "limits") == "limits"
        replicas = 1 if alone else most
    return ConsumerView(
        raw["name"],
        replicas,
        durable,
        group_view(raw.get("cluster")),
        int((raw.get("delivered") or {}).get("stream_seq") or 0),
        int((raw.get("ack_floor") or {}).get("stream_seq") or 0),
    )


# A value of more than 0 takes messages away at each server's own time, or from the middle.
_THINNING = ("max_age", "max_msgs_per_subject", "allow_msg_ttl", "subject_delete_marker_ttl")


def stream_view(account: str, raw: Json) -> StreamView:
    """Parse one stream of JSZ, or of STREAM.LIST."""
    config, state = raw.get("config") or {}, raw.get("state") or {}
    limits = {name: config[name] for name in ("max_msgs", "max_bytes", "max_consumers") if config.get(name, -1) > 0}
    origin = "mirror" if config.get("mirror") else "sources" if config.get("sources") else ""
    return StreamView(
        account,
        raw.get("name") or config["name"],
        int(config.get("num_replicas") or 1),
        config.get("storage") or "file",
        config.get("placement") or {},
        max(int(config.get("max_bytes") or 0), 0),
        limits,
        raw.get("created") or "",
        int(state.get("messages") or 0),
        int(state.get("bytes") or 0),
        int(state.get("first_seq") or 0),
        int(state.get("last_seq") or 0),
        str(state.get("first_ts") or ""),
        str(state.get("last_ts") or ""),
        origin,
        group_view(raw.get("cluster")),
        tuple(_consumer_view(consumer, config) for consumer in raw.get("consumer_detail") or ()),
        config.get("retention", "limits") == "limits" and not any(config.get(name, 0) > 0 for name in _THINNING),
    )


def reduce_jsz(data: Json) -> Page:
    """One JSZ answer, reduced; what C(System.sample) takes."""
    accounts: dict[str, str] = {}
    views: list[StreamView] = []
    for detail in data.get("account_details") or ():
        account = detail.get("id") or detail["name"]
        accounts[account] = detail.get("name") or account
        views.extend(stream_view(account, raw) for raw in detail.get("stream_detail") or ())
    usage_fields = ("memory", "storage", "reserved_memory", "reserved_storage", "ha_assets")
    usage = {name: int(data.get(name) or 0) for name in usage_fields}
    usage["api_level"] = int((data.get("api") or {}).get("level") or 0)
    return Page(
        data.get("config") or {},
        data.get("limits") or {},
        usage,
        data.get("meta_cluster") or {},
        bool(data.get("disabled")),
        int(data.get("streams") or 0),
        int(data.get("consumers") or 0),
        accounts,
        tuple(views),
    )
