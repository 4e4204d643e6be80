# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings, placement and results."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.findings import find
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.groups import Consumer, Group, Replica
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.held import LastPicture
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.lines import stalled_by_leader
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.model import Picture
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.placement import replacements, why_not
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.refusals import quorum_refusals
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.result import (
    finding_values,
    picture_values,
    simulation_values,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.simulation import simulate
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.answers import peer_id
from hypothesis import given

from unit.cluster import pictures as make

THREE = ("n1", "n2", "n3")
ALIVE = frozenset(THREE)


def found(picture: Picture) -> dict[str, str]:
    return {one.id: one.detail for one in find(picture)}


def with_servers(picture: Picture, **changes: dict[str, Any]) -> Picture:
    servers = tuple(dataclasses.replace(one, **changes.get(one.name, {})) for one in picture.servers)
    return dataclasses.replace(picture, servers=servers)


def test_nothing_is_wrong_with_a_healthy_cluster() -> None:
    assert found(make.picture(THREE, ALIVE, (make.stream("S", make.group(3, *THREE, alive=ALIVE)),))) == {}


def test_meta_group() -> None:
    lost = found(make.picture(THREE, frozenset({"n1"}), leader=""))
    assert lost["meta_quorum_lost"] == "1 of 3 members answer and 2 are needed; 1 of 1 live servers know no leader."
    edge = found(make.picture(THREE, frozenset({"n1", "n3"})))
    assert {"meta_quorum_at_edge", "member_dead"} <= edge.keys()
    assert {"meta_even_size", "meta_quorum_at_edge"} <= found(
        make.picture(("n1", "n2"), frozenset({"n1", "n2"}))
    ).keys()
    assert "meta_rescue_in_force" in found(make.picture(THREE, frozenset({"n1"}), rescue=1))
    healthy = make.picture(THREE, ALIVE)
    assert healthy.meta is not None
    differ = dataclasses.replace(healthy, meta=dataclasses.replace(healthy.meta, claims=make.ids("n1", "n2")))
    assert "meta_leaders_differ" in found(differ)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"member": False}, "zombie_server"),
        ({"jetstream": False}, "jetstream_disabled"),
        ({"health": "JetStream is not current"}, "server_unhealthy"),
        ({"version": "2.14.9"}, "mixed_lines"),
        ({"version": "2.12.15"}, "line_with_data_loss_bugs"),
        ({"clock_skew": 4.0}, "clock_skew"),
        ({"limits": {"storage": 100}, "usage": {"storage": 95}}, "store_nearly_full"),
        ({"usage": {"ha_assets": 2000}}, "many_ha_assets"),
        ({"pending_requests": 500}, "api_requests_pending"),
        ({"cluster": "my cluster"}, "white_space_in_name"),
    ],
)
def test_servers(changes: dict[str, Any], word: str) -> None:
    assert word in found(with_servers(make.picture(THREE, ALIVE), n2=changes))


def test_several_domains_and_names() -> None:
    picture = dataclasses.replace(make.picture(THREE, ALIVE), other_domains=("leaf",), duplicates=("n1",))
    assert {"several_meta_groups", "duplicate_server_name"} <= found(picture).keys()
    # One that was asked for is not ambiguous: servers of others answer for ever where leaf nodes join them.
    asked = dataclasses.replace(picture, domain_asked=True, duplicates=())
    assert [one.severity for one in find(asked) if one.id == "several_meta_groups"] == ["info"]
    assert quorum_refusals(asked) == []
    assert [one.word for one in quorum_refusals(dataclasses.replace(asked, domain_asked=False))] == [
        "several_meta_groups"
    ]


def test_streams() -> None:
    alive = frozenset({"n1", "n4", "n5"})
    headless = make.stream("S", make.group(3, *THREE, alive=alive), make.group(1, "n1", alive=alive))
    told = found(make.picture(make.NAMES, alive, (headless,)))
    assert "1 of 3 replicas are on live members and 2 are needed; dead: n2, n3" in told["stream_quorum_lost"]
    assert "1 with their only copy on n1" in told["consumer_single_copy"]
    two = frozenset({"n1", "n3"})
    edge = found(make.picture(THREE, two, (make.stream("S", make.group(3, *THREE, alive=two)),)))
    assert {"stream_quorum_at_edge", "placement_cannot_be_met"} <= edge.keys()
    short = found(make.picture(THREE, ALIVE, (make.stream("S", make.group(3, "n1", "n2", alive=ALIVE)),)))
    assert short["stream_missing_replicas"].startswith("2 of 3 replicas (all of them current)")


def test_copies() -> None:
    def stream(*replicas: Replica, desired: Any = None) -> Any:
        return make.stream("S", Group(3, replicas, peer_id("n1"), peer_id("n1"), desired))

    base = [Replica(peer_id(name), name, True, True, True, last_seq=100) for name in THREE]
    ghost = Replica(peer_id("n9"), "n9", ghost=True)
    assert "stream_ghost_peer" in found(make.picture(THREE, ALIVE, (stream(*base[:2], ghost),)))
    behind = dataclasses.replace(base[2], last_seq=50)
    assert "n3 is at 50" in found(make.picture(THREE, ALIVE, (stream(*base[:2], behind),)))["stream_replica_behind"]
    absent = dataclasses.replace(base[2], present=False, last_seq=None)
    assert "stream_replica_absent" in found(make.picture(THREE, ALIVE, (stream(*base[:2], absent),)))
    moving = stream(*base, desired={"status": {"description": "catching up"}})
    assert "catching up" in found(make.picture(THREE, ALIVE, (moving,)))["stream_moving"]


def test_consumers_ahead_and_limits() -> None:
    on = make.group(3, *THREE, alive=ALIVE)
    stream = make.stream("S", on, limits={"max_msgs": 10})
    ahead = dataclasses.replace(stream, consumers=(Consumer("APP", "S", "c", True, on, delivered=12),))
    told = found(make.picture(THREE, ALIVE, (ahead,)))
    assert "sequence 12 of a stream that ends at 10" in told["consumer_ahead_of_stream"]
    assert "stream_near_limit" in told


def test_placement() -> None:
    names = ("n1", "n2", "n3", "n4", "n5")
    alive = frozenset(names)
    picture = with_servers(
        make.picture(names, alive),
        n1={"tags": ("az:1", "ssd")},
        n2={"tags": ("az:1",)},
        n3={"tags": ("az:2", "ssd")},
        n4={"tags": ("az:3",), "limits": {"storage": 10}},
        n5={"tags": ("!jetstream",)},
    )

    def can(gone: str, **fields: Any) -> tuple[list[str], int]:
        stream = make.stream("S", make.group(1, "n1", alive=alive), **fields)
        servers, lacking = replacements(picture, stream, make.ids(gone))
        return [server.name for server in servers], lacking

    assert can("n1") == (["n2", "n3", "n4"], 1)
    assert can("n2") == (["n3", "n4"], 0)
    assert can("n1", placement={"tags": ["ssd"]}) == (["n3"], 1)
    assert can("n1", placement={"tags": ["!ssd"]}) == (["n2", "n4"], 1)
    assert can("n1", placement={"cluster": "C2"}) == ([], 1)
    assert can("n1", max_bytes=100) == (["n2", "n3"], 1)
    unique = {name: {"unique_tag": "az:"} for name in names}
    picture = with_servers(picture, **unique)
    three = make.stream("S", make.group(3, "n1", "n3", "n4", alive=alive))
    assert [one.name for one in replacements(picture, three, make.ids("n3"))[0]] == []
    assert [one.name for one in replacements(picture, three, make.ids("n1"))[0]] == ["n2"]
    assert "every other live server has a copy" in why_not(
        make.picture(THREE, ALIVE), make.stream("S", make.group(3, *THREE, alive=ALIVE)), frozenset()
    )


@given(make.pictures())
def test_results_are_json_and_serve_as_last_picture(picture: Picture) -> None:
    values = {**picture_values(picture), **finding_values(find(picture))}
    values["simulation"] = simulation_values(picture, simulate(picture, frozenset()))
    last = LastPicture.parse(json.dumps(values), "/p")
    assert last.alive == picture.alive
    assert len(last.copies) == sum(1 for _item in picture.groups())
    for item in picture.groups():
        stream = item.stream if isinstance(item, Consumer) else item.name
        name = item.name if isinstance(item, Consumer) else ""
        assert last.copies[item.account, stream, name][0] == item.group.peers


def test_an_older_meta_leader_holds_up_new_replicas() -> None:
    picture = make.picture(THREE, ALIVE, leader="n1")
    assert stalled_by_leader(picture) == ""
    mixed = dataclasses.replace(
        picture,
        servers=tuple(
            dataclasses.replace(one, version="2.14.9" if one.name == "n1" else "2.15.2") for one in picture.servers
        ),
    )
    assert "n1 (2.14.9) leads the meta group while n2, n3 are 2.15" in stalled_by_leader(mixed)
    remedy = next(one.remedy for one in find(mixed) if one.id == "mixed_lines")
    assert "jetstream_leader_stepdown with preferred n2" in remedy
    newer = dataclasses.replace(mixed, meta=make.meta_of(THREE, ALIVE, "n2"))
    assert stalled_by_leader(newer) == ""
