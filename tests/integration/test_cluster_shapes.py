# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters of other shapes: joined by gateways, of two lines, most servers dead, a server that is told to leave."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integration.cluster import kit
from servers import Cluster, Server, wait_for
from servers.binaries import nats_server
from servers.process import free_ports

# Real waits of many minutes in all; what they have in common with others is in `make test`.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def joined_by_gateways(make_cluster: Any) -> Cluster:
    """Clusters C1 (n1 to n3) and C2 (n4 to n6) with one meta group."""
    ports = free_ports(6)
    urls = [[f"nats://127.0.0.1:{port}" for port in half] for half in (ports[:3], ports[3:])]
    gateways = [{"name": f"C{number + 1}", "urls": urls[number]} for number in range(2)]
    extra = {
        f"n{number + 1}": {
            "gateway": {"name": f"C{number // 3 + 1}", "listen": f"127.0.0.1:{ports[number]}", "gateways": gateways}
        }
        for number in range(6)
    }
    cluster: Cluster = make_cluster(size=6, start=False, node_extra=extra)

    def routes(node: Server, half: list[Server]) -> Callable[[], list[str]]:
        return lambda: [f"nats-route://127.0.0.1:{one.cluster_port}" for one in half if one is not node]

    for number, node in enumerate(cluster.nodes):
        half = cluster.nodes[:3] if number < 3 else cluster.nodes[3:]
        node.cluster_name = f"C{number // 3 + 1}"
        node.routes = routes(node, half)
    return cluster.start()


def test_two_clusters_joined_by_gateways(make_cluster: Any, apps: list[kit.App]) -> None:
    cluster = joined_by_gateways(make_cluster)
    app = kit.client(apps, cluster)
    for name, home in (("A", "C1"), ("B", "C2")):
        app.stream(name, 3, placement={"cluster": home})
        kit.until_placed(cluster, name, 3)
        app.fill(name, 20)
    result = kit.run("cluster_info", cluster, simulate_loss=["n4", "n5"])
    assert result["status"] == "ok", result["findings"]
    assert (result["meta"]["size"], result["meta"]["needed"]) == (6, 4)
    fates = {one["name"]: one for one in result["simulation"]["effects"]}
    assert (fates["APP > A"]["effect"], fates["APP > B"]["effect"]) == ("survives", "loses_quorum")
    assert not fates["APP > B"]["onto"], "servers of the other cluster do not take its copies"
    kit.not_leader(cluster, "n5")
    cluster.node("n5").kill()
    removed = kit.run("peer_remove", cluster, peer="n5", accounts=kit.accounts(cluster))
    assert removed["changed"] is True, removed
    assert removed["degraded"] == ["APP > B"]
    assert "cluster C2" in kit.warned(removed)
    assert kit.members(cluster) == ["n1", "n2", "n3", "n4", "n6"]
    for name in ("A", "B"):
        app.fill(name, 5)
        assert app.lost(name) == []


def test_an_older_meta_leader_among_newer_servers(make_cluster: Any, apps: list[kit.App]) -> None:
    """2.14 does not tell the stream leaders of 2.15 which replicas they are to have: a newer leader heals it."""
    cluster: Cluster = make_cluster(size=4, start=False, version="2.14.10")
    for node in cluster.nodes[:2]:
        node._program = nats_server("2.15.3")
    cluster.start()
    app = kit.client(apps, cluster)
    names = [f"S{number}" for number in range(6)]
    for name in names:
        app.stream(name, 3)
        kit.until_placed(cluster, name, 3)
        app.fill(name, 5)
    kit.run("leader_stepdown", cluster, preferred="n3")
    cluster.node("n4").kill()
    wait_for(lambda: cluster.wait_meta_leader().name == "n3", 20, "n3 to lead")
    info = kit.run("cluster_info", cluster, sample_interval=0)
    (mixed,) = [one for one in info["findings"] if one["id"] == "mixed_lines"]
    assert "jetstream_leader_stepdown with preferred n1" in mixed["remedy"]
    kit.found_by_each(cluster, "mixed_lines", "line_with_data_loss_bugs", sample_interval=0)
    removed = kit.run("peer_remove", cluster, peer="n4", accounts=kit.accounts(cluster), wait_timeout=15)
    assert "no new replicas until one of those leads it" in kit.warned(removed) + removed.get("msg", "")
    assert kit.run("leader_stepdown", cluster, preferred="n1")["leader"] == "n1"
    whole = kit.run("peer_remove", cluster, peer="n4", accounts=kit.accounts(cluster), wait_timeout=60)
    assert not whole.get("failed"), whole
    for name in names:
        assert kit.server_of(cluster, name) == ["n1", "n2", "n3"]
        assert app.lost(name) == []


def test_three_of_five_dead(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    """The two survivors elect one of them together, never one alone; what only the dead held is listed as lost."""
    cluster = make_cluster(size=5, tags=kit.tags(5))
    app = kit.client(apps, cluster)
    app.stream("A", 3)
    app.stream("B", 5)
    app.stream("ONE", 1, on="n4")
    for name, copies in (("A", 3), ("B", 5), ("ONE", 1)):
        kit.until_placed(cluster, name, copies)
        app.fill(name, 20)
    earlier = kit.run("cluster_info", cluster)
    last = tmp_path / "last.json"
    last.write_text(json.dumps(earlier), encoding="utf-8")
    dead = ["n3", "n4", "n5"]
    for name in dead:
        cluster.node(name).kill()
    every = {"confirmed_dead": dead, "last_picture": str(last)}
    low = kit.start("meta_rescue", cluster, quorum_needed="1", **every)
    refused = kit.finish(low)
    kit.refused(refused, "quorum_too_low")
    rescued = kit.run("meta_rescue", cluster, **every)
    assert not rescued.get("failed"), rescued
    assert (rescued["quorum_needed"], len(rescued["to_remove"])) == (2, 3)
    for name in dead:
        result = kit.run("peer_remove", cluster, peer=name, last_picture=str(last), accept_data_loss=True)
        assert result["changed"] is True, result
        assert [one["name"] for one in result["lost"]] == (["APP > ONE"] if name == "n4" else [])
    assert kit.members(cluster) == ["n1", "n2"]
    for name in ("A", "B"):
        app.fill(name, 5)
        assert app.lost(name) == []


def test_a_server_in_lame_duck_mode(make_cluster: Any, apps: list[kit.App]) -> None:
    """It goes on with its clients, without JetStream: it counts as dead, and what it alone has is not thrown away."""
    cluster = make_cluster(size=4, extra={"lame_duck_duration": "60s", "lame_duck_grace_period": "30s"})
    app = kit.client(apps, cluster)
    app.stream("ONE", 1)
    kit.until_placed(cluster, "ONE", 1)
    (home,) = kit.server_of(cluster, "ONE")
    kit.not_leader(cluster, home)
    pid = cluster.node(home).pid
    assert pid
    os.kill(pid, signal.SIGUSR2)
    time.sleep(2)
    info = kit.run("cluster_info", cluster, accounts=kit.accounts(cluster))
    assert {"member_dead", "stream_only_on_dead_server"} <= kit.findings(info)
    kit.refused(kit.run("peer_remove", cluster, peer=home, accounts=kit.accounts(cluster)), "data_loss")


def test_consumers_of_a_dead_server_hold_up_its_evacuation(make_cluster: Any, apps: list[kit.App]) -> None:
    """The move of a replicated stream waits for a consumer that only the dead server has: said, and not waited for."""
    cluster = make_cluster(size=4)
    app = kit.client(apps, cluster)
    app.stream("A", 3)
    kit.until_placed(cluster, "A", 3)
    app.fill("A", 20)
    home = kit.server_of(cluster, "A")[0]
    names = [f"one{number}" for number in range(20)]
    for name in names:
        app.consumer("A", name, 1)
    kit.not_leader(cluster, home)
    time.sleep(6)
    cluster.node(home).kill()
    wanted = {"peer": home, "accounts": kit.accounts(cluster), "wait_timeout": 60}
    first = kit.run("peer_evacuate", cluster, **wanted)
    assert not first.get("failed"), first
    assert first["changed"] is True
    assert first["degraded"] == ["APP > A"]
    assert "has the only copy of its consumer" in first["reasons"]["APP > A"]
    assert kit.run("peer_evacuate", cluster, check=True, **wanted)["changed"] is False
    assert kit.run("peer_evacuate", cluster, **wanted)["changed"] is False
    kit.refused(kit.run("peer_remove", cluster, peer=home, accounts=kit.accounts(cluster)), "data_loss")
    kit.found_by_each(cluster, "stream_moving")
    kit.found_by_each(cluster, "consumer_missing", user="app")
    cluster.node(home).start(wait=False)
    alive = sorted({"n1", "n2", "n3", "n4"} - {home})
    wait_for(lambda: kit.server_of(cluster, "A") == alive, 60, "the stream to be moved off")
    assert app.lost("A") == []


def test_a_server_that_runs_without_jetstream(make_cluster: Any, apps: list[kit.App]) -> None:
    """Off by mistake, and its disk is there: it does not vote, and what it alone has is not thrown away."""
    cluster = make_cluster(size=4, node_extra={})
    app = kit.client(apps, cluster)
    app.stream("ONE", 1)
    kit.until_placed(cluster, "ONE", 1)
    (home,) = kit.server_of(cluster, "ONE")
    kit.not_leader(cluster, home)
    cluster.node(home).stop()
    cluster.setup.options.node_extra[home] = {"jetstream": None}
    cluster.node(home).start(wait=False)
    cluster.node(home).wait_listening()
    wanted = {"accounts": kit.accounts(cluster)}
    kit.found_by_each(cluster, "jetstream_disabled")
    info = kit.run("cluster_info", cluster, **wanted)
    assert (info["meta"]["live_voters"], info["status"]) == (3, "critical")
    assert [one["name"] for one in info["only_on_dead"]] == ["APP > ONE"]
    kit.refused(kit.run("peer_remove", cluster, peer=home, **wanted), "server_online", "data_loss")
    kit.refused(kit.run("peer_remove", cluster, peer=home, allow_online=True, **wanted), "data_loss")
    cluster.node(home).stop()
    del cluster.setup.options.node_extra[home]
    cluster.node(home).start(wait=False)
    cluster.wait_ready(40, members=4)
    assert kit.server_of(cluster, "ONE") == [home]
