# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server is called empty only with proof: one whose JetStream is off holds what it was last seen to hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from integration.cluster import kit
from integration.runbook import Runbooks
from servers import wait_for


def without_jetstream(cluster: Any, name: str) -> None:
    """Start a server again with its JetStream off, and its disk as it was."""
    cluster.node(name).stop()
    cluster.setup.options.node_extra[name] = {"jetstream": None}
    cluster.node(name).start(wait=False)
    cluster.node(name).wait_listening()
    wait_for(lambda: kit.findings(kit.run("cluster_info", cluster)) >= {"jetstream_disabled"}, 30, "it to be seen")


@pytest.mark.timeout(400)
def test_jetstream_is_off_where_the_only_copy_is(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    cluster = make_cluster(size=4, node_extra={})
    app = kit.client(apps, cluster)
    app.stream("ONE", 1)
    app.fill("ONE", 50)
    kit.until_placed(cluster, "ONE", 1)
    (home,) = kit.server_of(cluster, "ONE")
    kit.not_leader(cluster, home)
    without_jetstream(cluster, home)

    blind = kit.run("cluster_info", cluster, simulate_loss=[home])["simulation"]
    assert blind["safe"] is False
    assert "nobody can say what that is" in blind["unproven"][0]
    known = kit.run("cluster_info", cluster, simulate_loss=[home], accounts=kit.accounts(cluster))["simulation"]
    assert known["safe"] is False
    assert "only it has APP > ONE" in known["unproven"][0]

    guess = kit.run("peer_evacuate", cluster, peer=home, wait_timeout=20)
    assert (guess["error"], guess["left"]) == ("not_whole", None), guess
    assert "what nobody can say" in guess["msg"]
    counted = kit.run("peer_evacuate", cluster, peer=home, wait_timeout=20, accounts=kit.accounts(cluster))
    assert (counted["error"], counted["left"]) == ("not_whole", 1), counted
    assert "last known to hold APP > ONE" in counted["msg"]

    runbooks = Runbooks(cluster, tmp_path, assess_sample_interval=1.0)
    ran = runbooks.run("evacuate", evacuate_server=home, evacuate_confirm=home)
    assert ran.code != 0, ran.output
    assert "safe to stop." not in ran.output
    assert f"It is not proven that {home} is empty" in ran.output, ran.output
    # Its disk has all that was acknowledged: with JetStream on again it is moved off, and this is seen.
    cluster.node(home).stop()
    del cluster.setup.options.node_extra[home]
    cluster.node(home).start(wait=False)
    cluster.wait_ready(60, members=4)
    wait_for(lambda: app.lost("ONE") == [], 60, "the messages")
    done = runbooks.run("evacuate", evacuate_server=home, evacuate_confirm=home)
    assert done.code == 0, done.output
    assert f"{home} is empty" in done.output
    assert cluster.node(home).monitor("/jsz")["streams"] == 0
    assert app.lost("ONE") == []


@pytest.mark.timeout(300)
def test_before_evacuation_was_known(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    """2.14 moves nothing by itself. A server whose JetStream is off shows nothing, which is no proof of emptiness."""
    cluster = make_cluster(size=3, version="2.14.10", node_extra={})
    app = kit.client(apps, cluster)
    app.stream("ONE", 1)
    app.fill("ONE", 20)
    (home,) = kit.server_of(cluster, "ONE")
    kit.not_leader(cluster, home)
    without_jetstream(cluster, home)
    runbooks = Runbooks(cluster, tmp_path)
    for confirm in ("", home):
        ran = runbooks.run("evacuate", evacuate_server=home, evacuate_confirm=confirm)
        assert ran.code != 0, ran.output
        assert f"JetStream does not run on {home}" in ran.output
        assert "safe to stop" not in ran.output
