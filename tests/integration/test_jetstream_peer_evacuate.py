# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""jetstream_peer_evacuate on real clusters; judged by the servers' monitoring and a plain consumer."""

from __future__ import annotations

from typing import Any

import pytest

from integration.cluster import kit
from servers import wait_for


@pytest.mark.lines
def test_older_lines_say_how_it_is_done_there(make_cluster: Any, server_version: str) -> None:
    cluster = make_cluster(size=3)
    kit.not_leader(cluster, "n2")
    result = kit.run("peer_evacuate", cluster, peer="n2")
    if server_version.startswith("2.15"):
        assert result["changed"] is False
        return
    assert result["error"] == "unsupported_by_server"
    assert "there is no evacuation" in result["msg"]
    assert "scale it to 3 replicas" in result["msg"]


def test_a_live_server_is_emptied_then_removed(make_cluster: Any, apps: list[kit.App]) -> None:
    cluster = make_cluster(size=4, tags=kit.tags(4))
    app = kit.client(apps, cluster)
    for name in ("A", "B"):
        app.stream(name, 3)
    app.stream("ONE", 1, on="n2")
    app.stream("PIN", 1, on="n2")
    app.consumer("A", "three")
    for name in ("A", "B"):
        kit.until_placed(cluster, name, 3)
    for name in ("A", "B", "ONE"):
        app.fill(name, 40)
    kit.not_leader(cluster, "n2")
    # ONE may go elsewhere later; PIN may not.
    pinned = kit.run("peer_evacuate", cluster, peer="n2")
    kit.refused(pinned, "no_suitable_peers")
    assert "APP > PIN" in pinned["msg"]
    assert "error" not in app.api("STREAM.DELETE.PIN")
    config = app.api("STREAM.INFO.ONE")["config"]
    config.pop("placement")
    assert "error" not in app.api("STREAM.UPDATE.ONE", config)
    kit.until_placed(cluster, "ONE", 1)
    app.publish_to("A", "B", "ONE")
    check = kit.run("peer_evacuate", cluster, peer="n2", check=True)
    assert check["changed"] is True
    assert cluster.node("n2").monitor("/jsz")["streams"] > 0
    result = kit.run("peer_evacuate", cluster, peer="n2", wait_timeout=60)
    assert not result.get("failed"), result
    assert result["changed"] is True
    assert result["left"] == 0
    assert cluster.node("n2").monitor("/jsz")["streams"] == 0
    assert cluster.node("n2").monitor("/jsz")["consumers"] == 0
    again = kit.run("peer_evacuate", cluster, peer="n2")
    assert again["changed"] is False
    assert kit.run("peer_evacuate", cluster, peer="n9")["changed"] is False
    removed = kit.run("peer_remove", cluster, peer="n2", allow_online=True)
    assert removed["changed"] is True, removed
    assert removed["lost"] == []
    app.stop_publishing()
    cluster.node("n2").stop()
    assert kit.members(cluster) == ["n1", "n3", "n4"]
    for name in ("A", "B", "ONE"):
        assert len(app.acknowledged[name]) > 40
        assert app.lost(name) == []


def test_a_dead_server_is_emptied_when_it_returns(make_cluster: Any, apps: list[kit.App]) -> None:
    cluster = make_cluster(size=4, tags={"n2": ["first"]})
    app = kit.client(apps, cluster)
    app.stream("A", 3)
    app.stream("ONE", 1, placement={"tags": ["first"]})
    app.consumer("ONE", "reader")
    kit.until_placed(cluster, "A", 3)
    app.fill("A", 40)
    app.fill("ONE", 40)
    config = app.api("STREAM.INFO.ONE")["config"]
    config.pop("placement")
    assert "error" not in app.api("STREAM.UPDATE.ONE", config)
    wait_for(lambda: kit.server_of(cluster, "ONE"), 10, "ONE")
    (home,) = kit.server_of(cluster, "ONE")
    kit.not_leader(cluster, home)
    cluster.node(home).kill()
    named = {"peer": home, "accounts": kit.accounts(cluster)}
    refused = kit.run("peer_remove", cluster, **named)
    kit.refused(refused, "data_loss")
    assert "jetstream_peer_evacuate of the dead server keeps them" in refused["msg"]
    result = kit.run("peer_evacuate", cluster, wait_timeout=60, **named)
    assert not result.get("failed"), result
    assert result["changed"] is True
    assert "APP > ONE" in kit.warned(result)
    alive = sorted({"n1", "n2", "n3", "n4"} - {home})
    assert kit.server_of(cluster, "A") == alive
    assert len(kit.members(cluster)) == 4
    cluster.node(home).start(wait=False)
    wait_for(lambda: kit.server_of(cluster, "ONE") not in ([], [home]), 60, "ONE to be moved off")
    wait_for(lambda: not cluster.node(home).monitor("/jsz").get("streams", 1), 30, "the server to be empty")
    app.fill("ONE", 2)
    assert app.lost("ONE") == []
    assert app.lost("A") == []


def test_no_spare_is_refused(make_cluster: Any, apps: list[kit.App]) -> None:
    cluster = make_cluster(size=3)
    app = kit.client(apps, cluster)
    app.stream("A", 3)
    kit.until_placed(cluster, "A", 3)
    kit.not_leader(cluster, "n2")
    result = kit.run("peer_evacuate", cluster, peer="n2")
    kit.refused(result, "no_spare", "no_suitable_peers")
    assert "2 live servers besides n2 are fewer than 3 replicas" in result["msg"]
    assert len(cluster.stream("A")["cluster"]["replicas"]) == 2
