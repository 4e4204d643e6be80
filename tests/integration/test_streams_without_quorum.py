# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams that lost their quorum while the meta group kept its own: said, never proposed to be deleted, and healed."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from integration.cluster import kit

# The waits are real: for 10 to 25 seconds after a loss no server can be believed.
pytestmark = pytest.mark.timeout(600)


@pytest.mark.lines
def test_two_of_five_dead_and_streams_without_quorum(
    make_cluster: Any, apps: list[kit.App], server_version: str
) -> None:
    cluster = make_cluster(size=5)
    app = kit.client(apps, cluster)
    names = [f"S{number}" for number in range(8)]
    for name in names:
        app.stream(name, 3)
    app.consumer("S0", "three")
    for name in names:
        kit.until_placed(cluster, name, 3)
        app.fill(name, 30)
    copies = {name: set(kit.server_of(cluster, name)) for name in names}
    # The two servers that most streams share.
    pairs = itertools.combinations(("n1", "n2", "n3", "n4", "n5"), 2)
    dead = max(pairs, key=lambda pair: sum(set(pair) <= servers for servers in copies.values()))
    alive = sorted({"n1", "n2", "n3", "n4", "n5"} - set(dead))
    kit.not_leader(cluster, *dead)
    for name in dead:
        cluster.node(name).kill()
    looking = kit.start("cluster_info", cluster)
    evacuating = kit.start("peer_evacuate", cluster, peer=alive[0])
    info = kit.finish(looking)
    headless = {name for name, servers in copies.items() if set(dead) <= servers}
    assert headless
    quorum_lost = {one["objects"][0] for one in info["findings"] if one["id"] == "stream_quorum_lost"}
    assert {f"APP > {name}" for name in headless} <= quorum_lost
    assert info["trusted"]
    # What is proposed must not delete the only copy.
    remedies = " ".join(one["remedy"] for one in info["findings"] if one["id"] == "stream_quorum_lost")
    assert not any(word in remedies.lower() for word in ("scale", "delete", "evacuate", "r1"))
    evacuation = kit.finish(evacuating)
    assert evacuation["failed"]
    if server_version.startswith("2.15"):
        words = {one["word"] for one in evacuation["refusals"]}
        on_it = [name for name in headless if alive[0] in copies[name]]
        assert bool(on_it) == ("stream_without_quorum" in words)
        assert evacuation["error"] in words
    else:
        assert evacuation["error"] == "unsupported_by_server"

    for peer in dead:
        result = kit.run("peer_remove", cluster, peer=peer, accounts=kit.accounts(cluster))
        assert not result.get("failed"), result
        assert result["changed"] is True
    assert kit.members(cluster) == alive
    for name in names:
        assert kit.server_of(cluster, name) == alive
        app.fill(name, 5)
        assert app.lost(name) == []
    after = kit.run("cluster_info", cluster)
    assert after["status"] == "ok", after["findings"]
