# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""jetstream_peer_remove on real clusters that lose servers; judged by the servers' monitoring and a plain consumer."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from integration.cluster import kit
from servers import wait_for

# The waits are real: for 10 to 25 seconds after a loss no server can be believed.
pytestmark = pytest.mark.timeout(600)


@pytest.mark.lines
def test_a_dead_server_is_removed_and_all_is_whole_again(
    make_cluster: Any, apps: list[kit.App], tmp_path: Path, server_version: str
) -> None:
    cluster = make_cluster(size=4, tags=kit.tags(4))
    app = kit.client(apps, cluster)
    for name in ("A", "B", "C"):
        app.stream(name, 3)
    app.consumer("A", "three")
    app.stream("ONLY", 1, on="n2")
    app.fill("ONLY", 10)
    for name in ("A", "B", "C"):
        kit.until_placed(cluster, name, 3)
    # One copy of a consumer each, until one of them sits on n2.
    for number in range(40):
        app.consumer("ABC"[number % 3], f"one{number}", 1)
    kit.not_leader(cluster, "n2")
    earlier = kit.run("cluster_info", cluster)
    assert earlier["meta"]["live_voters"] == 4
    held = {
        f"APP > {stream['stream']} > {consumer['consumer']}"
        for stream in earlier["streams"]
        for consumer in stream["consumers"]
        if [one["name"] for one in consumer["replicas"]] == ["n2"]
    } | {"APP > ONLY"}
    assert len(held) > 1
    (tmp_path / "last.json").write_text(json.dumps(earlier), encoding="utf-8")
    repository = tmp_path / "repository"
    saved = kit.run("account_backup", cluster, "app", path=str(repository / "APP" / "set1"))
    assert not saved.get("failed"), saved
    (repository / "APP" / "latest").symlink_to("set1")

    nobody = kit.run("peer_remove", cluster, peer="n9")
    assert nobody["changed"] is False
    assert "Members: n1, n2, n3, n4" in kit.warned(nobody)
    kit.refused(kit.run("peer_remove", cluster, peer="n2"), "server_online", "data_loss")
    leader = cluster.wait_meta_leader().name
    steps = kit.run("peer_remove", cluster, peer=leader, allow_online=True, accept_data_loss=True)
    kit.refused(steps, "is_meta_leader")

    app.publish_to("A", "B", "C")
    cluster.node("n2").kill()
    wanted = {"peer": "44jzkV9D", "accounts": kit.accounts(cluster), "accept_data_loss": True}
    check = kit.start("peer_remove", cluster, check=True, **wanted)
    looks = kit.start("cluster_info", cluster, accounts=kit.accounts(cluster), backups=[str(repository)])
    by_accounts = kit.start("peer_remove", cluster, peer="n2", accounts=kit.accounts(cluster))
    by_picture = kit.start("peer_remove", cluster, peer="n2", last_picture=str(tmp_path / "last.json"))
    by_backups = kit.start("peer_remove", cluster, peer="n2", backups=[str(repository)])
    some = kit.start("peer_remove", cluster, peer="n2", accounts=kit.accounts(cluster, "APP"), accept_data_loss=False)
    kit.refused(kit.run("peer_remove", cluster, peer="n2"), "unknown_holdings")
    kit.refused(kit.finish(some), "data_loss", "unknown_holdings")
    for process in (by_accounts, by_picture):
        result = kit.finish(process)
        kit.refused(result, "data_loss")
        assert {one["name"] for one in result["lost"]} == held
        assert "3 of them answer (n1, n3, n4), 3 are needed" in result["arithmetic"]
    saved_ones = kit.finish(by_backups)
    kit.refused(saved_ones, "data_loss", "unknown_holdings")
    assert {one["name"] for one in saved_ones["lost"]} == held
    assert {one["source"] for one in saved_ones["lost"]} == {"backup"}
    seen = kit.finish(looks)
    assert {one["backup"].rsplit("/", 2)[1] for one in seen["only_on_dead"]} == {"set1"}
    assert {"member_dead", "meta_quorum_at_edge", "stream_only_on_dead_server"} <= kit.findings(seen)
    assert {one["name"] for one in seen["only_on_dead"]} == held
    assert kit.members(cluster) == ["n1", "n2", "n3", "n4"]

    assert kit.finish(check)["changed"] is True
    # Two runs at once: one of them removes it, both see it removed.
    first, second = kit.start("peer_remove", cluster, **wanted), kit.start("peer_remove", cluster, **wanted)
    both = [kit.finish(first), kit.finish(second)]
    assert [one.get("failed") for one in both] == [None, None], both
    assert any(one["changed"] for one in both)
    assert kit.members(cluster) == ["n1", "n3", "n4"]
    assert {one["name"] for one in both[0]["lost"]} == held
    app.stop_publishing()
    for name in ("A", "B", "C"):
        assert kit.server_of(cluster, name) == ["n1", "n3", "n4"]
        assert len(app.acknowledged[name]) > 100
        assert app.lost(name) == []
    again = kit.run("peer_remove", cluster, peer="n2")
    assert again["changed"] is False
    assert "Members: n1, n3, n4" in kit.warned(again)
    when = {"2.15": "5 minutes", "2.14": "3 seconds", "2.12": "3 seconds"}.get(server_version[:4], "soon after")
    assert any(when in kit.warned(one) for one in both)


@pytest.mark.slow
@pytest.mark.lines
def test_no_spare_is_a_warning_and_a_fourth_server_heals(make_cluster: Any, apps: list[kit.App]) -> None:
    cluster = make_cluster(size=3)
    app = kit.client(apps, cluster)
    app.stream("A", 3)
    kit.until_placed(cluster, "A", 3)
    app.fill("A", 50)
    kit.not_leader(cluster, "n3")
    cluster.node("n3").kill()
    wanted = {"peer": "n3", "accounts": kit.accounts(cluster)}
    strict = kit.start("peer_remove", cluster, require_spare=True, **wanted)
    # Killed between the request and its read-back.
    process = kit.start("peer_remove", cluster, **wanted)
    wait_for(lambda: kit.members(cluster) == ["n1", "n2"], 60, "the removal", interval=0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kit.refused(kit.finish(strict), "no_spare")
    again = kit.run("peer_remove", cluster, **wanted)
    assert again["changed"] is False
    assert "Members: n1, n2" in kit.warned(again)
    info = kit.run("cluster_info", cluster, sample_interval=0)
    assert {"stream_missing_replicas", "meta_even_size"} <= kit.findings(info)
    cluster.add_node("n4")
    wait_for(lambda: kit.server_of(cluster, "A") == ["n1", "n2", "n4"], 20, "a third copy")
    whole = kit.run("cluster_info", cluster)
    assert "stream_missing_replicas" not in kit.findings(whole)
    app.fill("A", 5)
    assert app.lost("A") == []


@pytest.mark.lines
def test_a_removal_without_quorum_is_refused_and_the_dead_return_unharmed(
    make_cluster: Any, apps: list[kit.App]
) -> None:
    cluster = make_cluster(size=3)
    app = kit.client(apps, cluster)
    app.stream("A", 3)
    kit.until_placed(cluster, "A", 3)
    app.fill("A", 50)
    survivor = cluster.wait_meta_leader().name
    dead = [node.name for node in cluster.nodes if node.name != survivor]
    for name in dead:
        cluster.node(name).kill()
    time.sleep(4)
    # It still says that it leads, and that all is well.
    assert cluster.node(survivor).monitor("/jsz")["meta_cluster"].get("leader") == survivor
    result = kit.run("peer_remove", cluster, peer=dead[0], accept_data_loss=True, allow_online=True)
    assert result["failed"] is True
    assert result["changed"] is False
    assert result["error"] == "no_quorum"
    assert "1 live voters are fewer than the 2" in result["msg"]
    assert cluster.node(survivor).monitor("/jsz")["meta_cluster"]["cluster_size"] == 3
    for name in dead:
        cluster.node(name).start(wait=False)
    cluster.wait_ready(60)
    assert kit.members(cluster) == ["n1", "n2", "n3"]
    kit.until_placed(cluster, "A", 3)
    app.fill("A", 5)
    assert app.lost("A") == []
    for node in cluster.nodes:
        assert not node.monitor("/jsz").get("disabled")


@pytest.mark.slow
def test_a_frozen_server_is_not_taken_for_dead(make_cluster: Any, apps: list[kit.App]) -> None:
    cluster = make_cluster(size=4)
    app = kit.client(apps, cluster)
    app.stream("A", 3)
    kit.until_placed(cluster, "A", 3)
    kit.not_leader(cluster, "n4")
    cluster.node("n4").freeze()
    result = kit.run("peer_remove", cluster, peer="n4", accounts=kit.accounts(cluster))
    kit.refused(result, "server_frozen")
    assert "say fenced" in result["msg"]
    # As a host without power looks. Who says that it is off is believed; else the connections close in the end.
    off = {"peer": "n4", "accounts": kit.accounts(cluster), "check": True}
    patient = kit.start("peer_remove", cluster, frozen_timeout=130, **off)
    assert kit.run("peer_remove", cluster, fenced=True, **off)["changed"] is True
    assert kit.finish(patient)["changed"] is True
    cluster.node("n4").thaw()
    cluster.wait_ready(30, members=4)


@pytest.mark.slow
def test_the_leader_dies_in_mid_removal(make_cluster: Any, apps: list[kit.App]) -> None:
    cluster = make_cluster(size=5)
    app = kit.client(apps, cluster)
    app.stream("A", 5)
    kit.until_placed(cluster, "A", 5)
    app.fill("A", 50)
    kit.not_leader(cluster, "n5")
    cluster.node("n5").kill()
    leader = cluster.node(cluster.wait_meta_leader().name)
    process = kit.start("peer_remove", cluster, peer="n5", accounts=kit.accounts(cluster), wait_timeout=30)
    # The leader stops hearing anything while the module counts, and dies with the request unanswered.
    time.sleep(12.5)
    leader.freeze()
    time.sleep(3)
    leader.kill()
    result = kit.finish(process)
    # It may be carried out or not, and it may have been too early or too late; what it says has to be true.
    if not result.get("failed"):
        assert "n5" not in kit.members(cluster)
    else:
        assert result["error"] in {"not_confirmed", "no_quorum", "no_meta_leader", "not_whole"}, result["msg"]
    cluster.wait_meta_leader()
    again = kit.run("peer_remove", cluster, peer="n5", accounts=kit.accounts(cluster))
    assert not again.get("failed"), again
    assert "n5" not in kit.members(cluster)
    app.fill("A", 5)
    assert app.lost("A") == []


@pytest.mark.lines
def test_a_server_is_removed_from_one_stream(make_cluster: Any, apps: list[kit.App], server_version: str) -> None:
    cluster = make_cluster(size=4)
    app = kit.client(apps, cluster)
    app.stream("A", 3)
    kit.until_placed(cluster, "A", 3)
    app.fill("A", 20)
    (outside,) = {"n1", "n2", "n3", "n4"} - set(kit.server_of(cluster, "A"))
    victim = kit.server_of(cluster, "A")[0]
    if server_version[:4] != "2.10":
        # Who leads the meta group does not matter here.
        kit.run("leader_stepdown", cluster, preferred=victim)
    mine = {"stream": "A", "accounts": kit.accounts(cluster, "APP")}
    unknown = kit.run("peer_remove", cluster, peer=victim, stream="NOPE", accounts=kit.accounts(cluster, "APP"))
    assert unknown["error"] == "stream_not_found"
    no_account = kit.run("peer_remove", cluster, peer=victim, stream="A")
    assert no_account["error"] == "invalid_options"
    unchanged = kit.run("peer_remove", cluster, peer=outside, **mine)
    assert unchanged["changed"] is False
    assert "no peer of APP > A" in kit.warned(unchanged)
    kit.refused(kit.run("peer_remove", cluster, peer=victim, **mine), "server_online")
    wanted = {"peer": victim, "allow_online": True, **mine}
    # A consumer with its only copy there would start anew, without a word.
    names = [f"one{number}" for number in range(20)]
    for name in names:
        app.consumer("A", name, 1)
    kit.refused(kit.run("peer_remove", cluster, **wanted), "data_loss")
    wanted["accept_data_loss"] = True
    assert kit.run("peer_remove", cluster, check=True, **wanted)["changed"] is True
    assert victim in kit.server_of(cluster, "A")
    result = kit.run("peer_remove", cluster, **wanted)
    assert result.get("failed") is None, result
    assert result["changed"] is True
    assert {one["consumer"] for one in result["lost"]} <= {*names}
    assert result["lost"]
    wait_for(lambda: victim not in kit.server_of(cluster, "A"), 10, "the copy to be gone")
    assert outside in kit.server_of(cluster, "A")
    assert len(kit.members(cluster)) == 4
    assert app.lost("A") == []
