# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings and refusals of the cluster side fire on real clusters, whichever live server the module is connected to.

docs/words.md lists them all, each with the test in which it fires.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from integration.cluster import kit
from servers import wait_for

# The waits are real: for 10 to 25 seconds after a loss no server can be believed.
pytestmark = pytest.mark.timeout(900)

MIB = 1 << 20
# One look: what it is not sure of is still said.
ONCE = {"sample_interval": 0}


def test_before_a_loss(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    cluster = make_cluster(size=3, tags=kit.tags(3), max_file=100 * MIB)
    app = kit.client(apps, cluster)
    app.stream("FULL", 3, max_msgs=10)
    app.stream("BIG", 3, max_bytes=91 * MIB)
    app.stream("ONLY", 1, on="n2")
    app.consumer("FULL", "one", 1)
    app.fill("FULL", 10)
    kit.until_placed(cluster, "FULL", 3)
    kit.until_placed(cluster, "BIG", 3)
    kit.found_by_each(cluster, "stream_near_limit", "store_nearly_full", "stream_single_copy", "consumer_single_copy")
    kit.not_leader(cluster, "n2")
    leader = cluster.wait_meta_leader().name
    other = next(name for name in ("n1", "n3") if name != leader)
    kit.refused_by_each(cluster, "peer_remove", "is_meta_leader", peer=leader, accept_data_loss=True)
    kit.refused_by_each(cluster, "peer_remove", "server_online", peer=other, accept_data_loss=True)
    kit.refused_by_each(cluster, "peer_remove", "data_loss", peer="n2", allow_online=True)
    spare = {"allow_online": True, "accept_data_loss": True, "require_spare": True}
    kit.refused_by_each(cluster, "peer_remove", "no_spare", peer="n2", **spare)
    for result in kit.through_each(cluster, "cluster_info", simulate_loss=["n9"]).values():
        assert result["error"] == "unknown_server"
    (tmp_path / "empty").mkdir()
    for path, word in ((tmp_path / "none", "path_not_found"), (tmp_path / "empty", "path_not_backup")):
        for result in kit.through_each(cluster, "cluster_info", backups=[str(path)]).values():
            assert result["error"] == word
    # Servers take a tab in their name, and a fourth member adds no safety.
    cluster.add_node("n\t4")
    kit.found_by_each(cluster, "white_space_in_name", "meta_even_size")


def test_the_clock_of_the_host_that_asks_is_wrong(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All servers of a test share a clock, so that of the module goes wrong.
    shifted = "import time\nreal = time.time\ntime.time = lambda: real() + 60\n"
    (tmp_path / "sitecustomize.py").write_text(shifted, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    kit.found_by_each(cluster, "clock_skew")


@pytest.mark.slow
def test_a_removed_server_runs_again(make_cluster: Any) -> None:
    cluster = make_cluster(size=4)
    kit.not_leader(cluster, "n4")
    cluster.node("n4").kill()
    removed = kit.run("peer_remove", cluster, peer="n4", accept_data_loss=True)
    assert removed["changed"] is True, removed
    cluster.node("n4").start(wait=False)
    cluster.node("n4").wait_listening()
    kit.found_by_each(cluster, "zombie_server", **ONCE)


@pytest.mark.slow
def test_one_of_three_is_dead(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    cluster = make_cluster(size=3, tags=kit.tags(3))
    app = kit.client(apps, cluster)
    app.stream("A", 3)
    app.consumer("A", "three")
    app.stream("ONLY", 1, on="n3")
    app.consumer("ONLY", "held")
    app.fill("A", 10)
    app.fill("ONLY", 10)
    kit.until_placed(cluster, "A", 3)
    kit.not_leader(cluster, "n3")
    earlier = tmp_path / "last.json"
    earlier.write_text(json.dumps(kit.run("cluster_info", cluster)), encoding="utf-8")
    cluster.node("n3").kill()

    ids = ("member_dead", "meta_quorum_at_edge", "stream_quorum_at_edge", "consumer_quorum_at_edge")
    kit.found_by_each(cluster, *ids, "placement_cannot_be_met", "dead_server_holdings_unknown")
    held = ("stream_only_on_dead_server", "consumer_only_on_dead_server")
    kit.found_by_each(cluster, *held, last_picture=str(earlier))
    # An account's user sees what the leaders say.
    own = ("only_one_account_seen", "stream_missing", "stream_replica_behind", "consumer_replica_behind")
    kit.found_by_each(cluster, *own, user="app")
    kit.refused_by_each(cluster, "peer_remove", "unknown_holdings", peer="n3")
    kit.refused_by_each(cluster, "peer_remove", "data_loss", peer="n3", last_picture=str(earlier))
    live = next(node.name for node in cluster.running if node.name != cluster.wait_meta_leader().name)
    kit.refused_by_each(cluster, "peer_remove", "quorum_after", peer=live, allow_online=True, accept_data_loss=True)

    removed = kit.run("peer_remove", cluster, peer="n3", accept_data_loss=True)
    assert removed["changed"] is True, removed
    kit.found_by_each(cluster, "stream_missing_replicas", "consumer_missing_replicas")


def test_until_a_leader_is_elected(make_cluster: Any, apps: list[kit.App]) -> None:
    cluster = make_cluster(size=3)
    app = kit.client(apps, cluster)
    app.stream("A", 3)
    app.consumer("A", "three")
    kit.until_placed(cluster, "A", 3)

    def one_leads_all() -> bool:
        found = cluster.stream("A")
        leader = cluster.wait_meta_leader().name
        if not found or found["cluster"]["leader"] != leader:
            app.api("STREAM.LEADER.STEPDOWN.A")
            return False
        if (found.get("consumer_detail") or [{}])[0].get("cluster", {}).get("leader") != leader:
            app.api("CONSUMER.LEADER.STEPDOWN.A.three")
            return False
        return True

    wait_for(one_leads_all, 120, "one server that leads the meta group, the stream and the consumer", 1.5)
    leader = cluster.wait_meta_leader()
    ids = {"meta_no_leader", "stream_no_leader", "consumer_no_leader"}
    leader.kill()

    # An election takes 4 to 9 s: the looks and the refusals of that time start at once.
    looks = {node.name: kit.start("cluster_info", cluster, servers=[node.url], **ONCE) for node in cluster.running}
    for name, process in looks.items():
        found = kit.findings(kit.finish(process))
        assert ids <= found, f"{name}: {found}"


@pytest.mark.slow
def test_three_of_five_are_dead(make_cluster: Any, apps: list[kit.App]) -> None:
    cluster = make_cluster(size=5, tags=kit.tags(5))
    app = kit.client(apps, cluster)
    app.stream("A", 5)
    app.consumer("A", "five")
    app.fill("A", 50)
    kit.until_placed(cluster, "A", 5)
    cluster.node("n5").freeze()
    kit.not_leader(cluster, "n3", "n4", "n5")
    kit.refused_by_each(cluster, "peer_remove", "server_frozen", peer="n5", accept_data_loss=True)
    cluster.node("n5").kill()
    cluster.node("n3").kill()
    cluster.node("n4").kill()
    dead = ["n3", "n4", "n5"]
    known = {"APP": {"A": 50}}
    kit.found_by_each(cluster, "meta_quorum_lost", "stream_quorum_lost", "consumer_quorum_lost", "server_unhealthy")
    for result in kit.through_each(cluster, "peer_remove", peer="n3", accept_data_loss=True).values():
        # It did not wait to see that n3 is dead: without a quorum that changes nothing.
        assert (result["error"], result["changed"]) == ("no_quorum", False), result
    kit.refused_by_each(cluster, "meta_rescue", "not_confirmed_dead", confirmed_dead=["n3", "n4"], known_states=known)
    every = {"confirmed_dead": dead, "known_states": known}
    kit.refused_by_each(cluster, "meta_rescue", "quorum_too_low", quorum_needed=1, **every)
    kit.refused_by_each(cluster, "meta_rescue", "quorum_too_high", quorum_needed=3, **every)
    newer = {"APP": {"A": 51}}
    kit.refused_by_each(cluster, "meta_rescue", "stale_survivor", confirmed_dead=dead, known_states=newer)
    kit.refused_by_each(cluster, "meta_rescue", "unknown_server", confirmed_dead=[*dead, "n9"], known_states=known)
    rescued = kit.run("meta_rescue", cluster, **every)
    assert rescued["changed"] is True, rescued
    kit.found_by_each(cluster, "meta_rescue_in_force", **ONCE)


@pytest.mark.slow
def test_two_of_six_have_one_name(make_cluster: Any) -> None:
    cluster = make_cluster(size=5)
    kit.not_leader(cluster, "n5")
    twin = cluster._make_node("n3")  # the cluster's own way in refuses a name that runs already
    twin.start(wait=False)
    twin.wait_listening()

    def named_n3(node: Any) -> int:
        routes = node.monitor("/routez").get("routes") or []
        return len({route["remote_id"] for route in routes if route["remote_name"] == "n3"})

    others = [node for node in cluster.nodes if node.name != "n3"]
    wait_for(lambda: all(named_n3(node) == 2 for node in others), 30, "routes to both servers named n3")

    def untrusted() -> None:
        for node in cluster.running:
            look = kit.run("cluster_info", cluster, servers=[node.url], **ONCE)
            assert "duplicate_server_name" in kit.findings(look), (node, look["findings"])
            assert look["trusted"] is False

    untrusted()
    accept = {"allow_online": True, "accept_data_loss": True}
    for node in cluster.running:
        through = {"servers": [node.url]}
        evacuating = kit.start("peer_evacuate", cluster, peer="n1", **through)
        kit.refused(kit.run("peer_remove", cluster, peer="n5", **accept, **through), "ambiguous_server")
        kit.refused(kit.finish(evacuating), "ambiguous_server")
        stepdown = kit.run("leader_stepdown", cluster, **through)
        assert (stepdown["error"], stepdown["changed"]) == ("ambiguous_server", False), stepdown
    assert cluster.node("n1").monitor("/jsz")["meta_cluster"]["cluster_size"] == 5
    # Without a quorum: nobody may be made to lead with a vote that two servers have.
    dead = ["n1", "n2", "n4"]
    for name in dead:
        cluster.node(name).kill()
    untrusted()
    for node in cluster.running:
        kit.refused(kit.run("meta_rescue", cluster, confirmed_dead=dead, servers=[node.url]), "ambiguous_server")
