# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""jetstream_meta_rescue on real clusters that lost their quorum."""

from __future__ import annotations

from typing import Any

import pytest

from integration.cluster import kit
from servers import wait_for

# The waits are real: for 10 to 25 seconds after a loss no server can be believed.
pytestmark = pytest.mark.timeout(600)


@pytest.mark.lines
def test_two_of_three_dead_are_rescued_removed_and_writable(
    make_cluster: Any, apps: list[kit.App], server_version: str
) -> None:
    cluster = make_cluster(size=3)
    app = kit.client(apps, cluster)
    app.stream("A", 3)
    kit.until_placed(cluster, "A", 3)
    app.fill("A", 50)
    healthy = kit.run("meta_rescue", cluster, confirmed_dead=["n2"])
    assert healthy["changed"] is False
    known = {"APP": {"A": 50}}
    kit.not_leader(cluster, "n2", "n3")
    cluster.node("n2").kill()
    cluster.node("n3").kill()

    every = {"confirmed_dead": ["n2", "n3"], "known_states": known}
    one = kit.start("meta_rescue", cluster, confirmed_dead=["n2"], known_states=known)
    alive = kit.start("meta_rescue", cluster, confirmed_dead=["n1", "n2", "n3"])
    low = kit.start("meta_rescue", cluster, quorum_needed="2", **every)
    ahead = kit.start("meta_rescue", cluster, confirmed_dead=["n2", "n3"], known_states={"APP": {"A": 51, "NEW": 1}})
    check = kit.start("meta_rescue", cluster, check=True, **every)
    looking = kit.start("cluster_info", cluster)
    removing = kit.run("peer_remove", cluster, peer="n2", accept_data_loss=True)
    assert removing["error"] == "no_quorum"
    evacuating = kit.run("peer_evacuate", cluster, peer="n2")
    assert evacuating["failed"]
    assert "no_quorum" in {reason["word"] for reason in evacuating["refusals"]}
    info = kit.finish(looking)
    assert "meta_quorum_lost" in kit.findings(info)
    assert "1 of 3 members answer and 2 are needed; 1 of 1 live servers know no leader" in str(info["findings"])
    results = {name: kit.finish(process) for name, process in (("one", one), ("alive", alive), ("low", low))}
    stale, dry = kit.finish(ahead), kit.finish(check)
    if not server_version.startswith("2.15"):
        for result in (*results.values(), stale, dry):
            assert result["error"] == "unsupported_by_server"
            assert f"On {server_version.rsplit('.', 1)[0]}: start" in result["msg"]
        return
    kit.refused(results["one"], "not_confirmed_dead")
    kit.refused(results["alive"], "server_online")
    kit.refused(results["low"], "quorum_too_high")
    assert stale["error"] == "stale_survivor"
    assert "APP > A (at 50, was at 51)" in stale["msg"]
    assert "APP > NEW (was at 1)" in stale["msg"]
    assert dry["changed"] is True
    assert not cluster.node("n1").monitor("/jsz")["meta_cluster"].get("rescue")

    rescued = kit.run("meta_rescue", cluster, **every)
    assert not rescued.get("failed"), rescued
    assert rescued["changed"] is True
    assert rescued["leader"] == "n1"
    assert {member["name"] for member in rescued["to_remove"]} == {"n2", "n3"}
    again = kit.start("meta_rescue", cluster, **every)
    for peer in ("n2", "n3"):
        removed = kit.run("peer_remove", cluster, peer=peer, accounts=kit.accounts(cluster))
        assert not removed.get("failed"), removed
        assert removed["changed"] is True
    assert kit.finish(again)["changed"] is False
    assert kit.members(cluster) == ["n1"]
    app.fill("A", 10)
    assert app.lost("A") == []
    cluster.add_node("n4", wait=False)
    cluster.add_node("n5", wait=False)
    wait_for(lambda: kit.server_of(cluster, "A") == ["n1", "n4", "n5"], 60, "three copies")
    app.fill("A", 10)
    assert app.lost("A") == []


def test_words_that_make_no_sense_are_refused_at_once(cluster: Any) -> None:
    wrong = kit.run("meta_rescue", cluster, confirmed_dead=["n2"], quorum_needed="some")
    assert wrong["error"] == "invalid_options"
    assert wrong["duration"] < 3
    wrong = kit.run("meta_rescue", cluster, confirmed_dead=["n2"], known_states={"APP": 3})
    assert wrong["error"] == "invalid_options"
    assert wrong["duration"] < 3
