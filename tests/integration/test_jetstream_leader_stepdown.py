# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""jetstream_leader_stepdown on a real cluster; the servers' monitoring says who leads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from integration.cluster import kit


@pytest.fixture
def app(cluster: Any) -> Iterator[kit.App]:
    """A client, and streams of this file's own that are deleted afterwards."""
    client = kit.App(cluster)
    client.stream("STEP3", 3)
    client.stream("STEP1", 1)
    client.consumer("STEP3", "reader")
    kit.until_placed(cluster, "STEP3", 3)
    yield client
    for name in ("STEP3", "STEP1"):
        client.api(f"STREAM.DELETE.{name}")
    client.close()


def takes_placement(version: str) -> bool:
    return not version.startswith("2.10")


@pytest.mark.lines
def test_meta_leader(cluster: Any, server_version: str) -> None:
    before = cluster.wait_meta_leader().name
    check = kit.run("leader_stepdown", cluster, check=True)
    assert check["changed"] is True
    assert cluster.wait_meta_leader().name == before
    result = kit.run("leader_stepdown", cluster)
    assert result["changed"] is True, result
    assert result["previous_leader"] == before
    assert result["leader"] == cluster.wait_meta_leader().name != before
    other = next(node.name for node in cluster.nodes if node.name != result["leader"])
    wanted = kit.run("leader_stepdown", cluster, preferred=other)
    if not takes_placement(server_version):
        assert wanted["error"] == "unsupported_by_server"
        assert "before 2.11" in wanted["msg"]
        return
    assert wanted["changed"] is True
    assert wanted["leader"] == other == cluster.wait_meta_leader().name
    assert kit.run("leader_stepdown", cluster, preferred=other)["changed"] is False
    unknown = kit.run("leader_stepdown", cluster, preferred="n9")
    assert unknown["error"] == "unknown_server"
    assert "Live members: n1, n2, n3" in unknown["msg"]


@pytest.mark.lines
def test_stream_and_consumer_leaders(cluster: Any, app: kit.App, server_version: str) -> None:
    before = cluster.stream_leader("STEP3").name
    assert kit.run("leader_stepdown", cluster, "app", check=True, stream="STEP3")["changed"] is True
    assert cluster.stream_leader("STEP3").name == before
    result = kit.run("leader_stepdown", cluster, "app", stream="STEP3")
    assert result["changed"] is True, result
    assert result["leader"] == cluster.stream_leader("STEP3").name != before
    consumer = kit.run("leader_stepdown", cluster, "app", stream="STEP3", consumer="reader")
    assert consumer["changed"] is True, consumer
    single = kit.run("leader_stepdown", cluster, "app", stream="STEP1")
    assert single["changed"] is False
    assert "one replica" in kit.warned(single)
    other = next(node.name for node in cluster.nodes if node.name != result["leader"])
    wanted = kit.run("leader_stepdown", cluster, "app", stream="STEP3", preferred=other)
    if takes_placement(server_version):
        assert wanted["leader"] == other == cluster.stream_leader("STEP3").name
        assert kit.run("leader_stepdown", cluster, "app", stream="STEP3", preferred=other)["changed"] is False
    else:
        assert wanted["error"] == "unsupported_by_server"


def test_what_does_not_exist(cluster: Any, app: kit.App, server: Any) -> None:
    assert kit.run("leader_stepdown", cluster, "app", stream="NOPE")["error"] == "stream_not_found"
    unknown = kit.run("leader_stepdown", cluster, "app", stream="STEP3", consumer="nope")
    assert unknown["failed"]
    assert unknown["err_code"] == 10014
    assert kit.run("leader_stepdown", cluster, "app")["error"] == "not_system_account"
    assert kit.run("leader_stepdown", server)["error"] == "not_clustered"
