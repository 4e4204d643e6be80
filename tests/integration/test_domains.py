# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains over leaf nodes: whose meta group is looked at, and whose is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.api import JetStream
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.connect import connect
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.options import make_options

from integration.cluster import kit
from servers import PASSWORD, Cluster, Options, Server, wait_for
from servers.process import free_ports


def remotes(port: int) -> dict[str, Any]:
    """What joins a server to the leaf node port of another, in the system account and in APP."""
    users = (("sys", "SYS"), ("app", "APP"))
    listed = [{"url": f"nats-leaf://{user}:{PASSWORD}@127.0.0.1:{port}", "account": name} for user, name in users]
    return {"leafnodes": {"remotes": listed}}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def test_a_change_is_never_made_in_another_domain(stack: ExitStack, server_version: str) -> None:
    (port,) = free_ports(1)
    listen = {"leafnodes": {"listen": f"127.0.0.1:{port}"}}
    hub = stack.enter_context(Server(Options(version=server_version, domain="hub", extra=listen)))
    stack.enter_context(Server(Options(version=server_version, domain="leaf", extra=remotes(port)), name="far"))
    other = kit.run("cluster_info", hub, domain="leaf")
    assert (other["domain"], [one["name"] for one in other["servers"]]) == ("leaf", ["far"])
    unknown = kit.run("cluster_info", hub, domain="nope")
    assert unknown["error"] == "unknown_domain"
    assert "'hub', 'leaf'" in unknown["msg"]
    for module, words in (("peer_remove", {"peer": "far"}), ("meta_rescue", {"confirmed_dead": ["far"]})):
        refused = kit.run(module, hub, domain="leaf", check=True, **words)
        assert refused["error"] == "wrong_domain", refused
        assert "Give addresses of servers of that domain" in refused["msg"]


def test_whose_user_it_is_tells_the_own_server(stack: ExitStack, server_version: str) -> None:
    """Each server behind the link answers that question too, some of them first, with the permissions of the link."""
    (port,) = free_ports(1)
    listen = {"leafnodes": {"listen": f"127.0.0.1:{port}"}}
    hub = stack.enter_context(Server(Options(version=server_version, domain="hub", extra=listen)))
    leaf = stack.enter_context(Server(Options(version=server_version, domain="leaf", extra=remotes(port)), name="far"))
    wait_for(lambda: len(hub.monitor("/leafz").get("leafs") or []) == 2, 15, "both links")

    async def permissions(server: Server) -> list[Any]:
        connection = await connect(make_options(server.connection()))
        try:
            api = JetStream(connection)
            told = [await api.user_info() for _time in range(40)]
        finally:
            await connection.close()
        assert {one["account"] for one in told} == {"APP"}
        return [one["permissions"] for one in told if one.get("permissions")]

    for server in (hub, leaf):
        assert asyncio.run(permissions(server)) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_same_names_in_two_domains(stack: ExitStack, server_version: str) -> None:
    """Two clusters n1 to n3, whose servers have the same ids in raft groups, joined by leaf nodes."""
    (port,) = free_ports(1)
    node = {"n1": {"leafnodes": {"listen": f"127.0.0.1:{port}"}}}
    hub = stack.enter_context(Cluster(Options(version=server_version, domain="hub", node_extra=node)))
    leaf = stack.enter_context(
        Cluster(Options(version=server_version, domain="leaf", extra={**remotes(port), "cluster": {"name": "LEAF"}}))
    )
    for cluster, name in ((hub, "H"), (leaf, "L")):
        app = kit.App(cluster)
        stack.callback(app.close)
        app.stream(name, 3)
        kit.until_placed(cluster, name, 3)
    for domain, name in (("hub", "H"), ("leaf", "L")):
        result = kit.run("cluster_info", hub, domain=domain)
        assert (result["status"], result["looks"]) == ("ok", 1), result["findings"]
        assert [one["stream"] for one in result["streams"]] == [name]
        assert result["meta"]["size"] == 3
    hubs = hub.wait_meta_leader().name
    assert kit.run("leader_stepdown", hub, domain="leaf")["error"] == "wrong_domain"
    kit.not_leader(leaf, "n3")
    leaf.node("n3").kill()
    # Not said which: refused. Said, over a server of that domain: the one that is meant, and no other.
    vague = kit.run("peer_remove", leaf, peer="n3", domain=None, accept_data_loss=True)
    kit.refused(vague, "several_meta_groups")
    removed = kit.run("peer_remove", leaf, peer="n3", accept_data_loss=True)
    assert removed["changed"] is True, removed
    assert kit.members(leaf) == ["n1", "n2"]
    assert kit.members(hub) == ["n1", "n2", "n3"]
    assert hub.wait_meta_leader().name == hubs
