# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two live servers with one name: seen and refused through whichever server the module is connected to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from integration.cluster import kit
from integration.runbook import Runbooks
from servers import Server, wait_for


@pytest.fixture
def twins(make_cluster: Any, apps: list[kit.App]) -> Iterator[Any]:
    """Three servers with streams, and a fourth with the name of the third, which was started by mistake."""
    cluster = make_cluster(size=3)
    app = kit.client(apps, cluster)
    app.stream("ONE", 1)
    app.fill("ONE", 20)
    twin = cluster._make_node("n3")  # the cluster's own way in refuses a name that runs already
    twin.start(wait=False)
    twin.wait_listening()
    others = cluster.nodes[:2]
    wait_for(lambda: all(names(node).count("n3") == 2 for node in others), 20, "routes to both servers named n3")
    yield cluster
    twin.kill()


def names(node: Server) -> list[str]:
    """The names behind the routes of a server, each remote server once."""
    routes = node.monitor("/routez").get("routes") or []
    return [name for _server, name in {(route["remote_id"], route["remote_name"]) for route in routes}]


@pytest.mark.timeout(300)
@pytest.mark.lines
def test_a_name_that_two_servers_bear(twins: Any) -> None:
    members = [node.monitor("/jsz")["meta_cluster"]["cluster_size"] for node in twins.nodes[:2]]
    for node in twins.nodes:
        look = kit.run("cluster_info", twins, servers=[node.url], sample_interval=0)
        assert "duplicate_server_name" in kit.findings(look), (node, look["findings"])
        assert (look["status"], look["trusted"]) == ("critical", False)
        assert any("several servers are named n3" in one for one in look["missing"]), look["missing"]
    # Each refusal looks for 12 s first: through one of the twins, where it was not seen, and through another server.
    for node, module, options in (
        (twins.nodes[3], "peer_remove", {"peer": "n2", "allow_online": True}),
        (twins.nodes[2], "peer_evacuate", {"peer": "n1"}),
        (twins.nodes[0], "peer_remove", {"peer": "n3", "allow_online": True}),
    ):
        result = kit.run(module, twins, servers=[node.url], **options)
        assert result.get("failed") is True, (node, module, result)
        assert result["changed"] is False
        assert "ambiguous_server" in {one["word"] for one in result["refusals"]}, result["refusals"]
        assert "Stop the server that was started by mistake" in result["msg"]
    for node in twins.nodes:
        stepdown = kit.run("leader_stepdown", twins, servers=[node.url])
        assert (stepdown["error"], stepdown["changed"]) == ("ambiguous_server", False), stepdown
    assert [node.monitor("/jsz")["meta_cluster"]["cluster_size"] for node in twins.nodes[:2]] == members
    # What the sentence says to do makes it go away.
    twins.nodes[3].kill()
    wait_for(lambda: names(twins.nodes[0]).count("n3") == 1, 20, "one server named n3")
    for node in twins.nodes[:3]:
        after = kit.run("cluster_info", twins, servers=[node.url])
        assert "duplicate_server_name" not in kit.findings(after), after["findings"]
        assert after["trusted"] is True


@pytest.mark.timeout(300)
def test_runbooks_see_it(twins: Any, tmp_path: Any) -> None:
    """The connection that a runbook is given is to one of the twins."""
    through = {**twins.connection("sys"), "servers": [twins.nodes[3].url]}
    runbooks = Runbooks(twins, tmp_path, assess_sample_interval=1.0, jetstream_system=through)
    ran = runbooks.run("assess")
    assert "duplicate_server_name" in {one["id"] for one in ran.report["details"]["findings"]}, ran.output
    assert ran.report["details"]["status"] == "critical"
    refused = runbooks.run("evacuate", evacuate_server="n1", evacuate_confirm="n1")
    assert refused.code != 0
    assert "More than one live server is named n3" in refused.output
    assert twins.nodes[0].monitor("/jsz")["meta_cluster"]["cluster_size"] == 3
