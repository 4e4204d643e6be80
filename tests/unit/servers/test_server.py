# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers start, suffer what they are told to, and are gone afterwards."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from servers import Cluster, Options, Server, ServerError, User, oracle, process
from servers.config import merge
from servers.fixtures import MakeCluster, MakeServer

TESTS = Path(__file__).resolve().parents[2]


def gone(pid: int, within: float = 5.0) -> bool:
    """Tell whether the process ends in time."""
    deadline = time.monotonic() + within
    while process.alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not process.alive(pid)


def test_ports_are_free_and_never_given_twice() -> None:
    first, second = process.free_ports(20), process.free_ports(20)
    assert len({*first, *second}) == 40
    assert all(process.is_free(port) for port in first)


def test_a_listening_port_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert not process.is_free(taken.getsockname()[1])


def test_stopped_when_the_block_ends() -> None:
    with Server() as server:
        pid, root = server.pid, server.root
        assert pid
        assert process.alive(pid)
        assert server.store.is_dir()
    assert gone(pid)
    assert not root.exists()


def test_stopped_when_a_test_fails() -> None:
    pids: list[int] = []

    def fail() -> None:
        with Server() as server:
            pids.append(server.pid or 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert gone(pids[0])


def test_a_frozen_server_does_not_answer_and_is_killed(make_server: MakeServer) -> None:
    server = make_server()
    server.freeze()
    assert server.running
    assert server.monitor("/healthz", timeout=0.3) == {}
    server.thaw()
    server.wait_ready()
    server.freeze()
    pid = server.pid
    server.close()
    assert pid
    assert gone(pid)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_servers_die_with_the_process_that_started_them(how: signal.Signals, tmp_path: Path) -> None:
    """Started from a thread that has ended, frozen, and the parent dies without a chance to clean up."""
    script = (
        "import threading, time\n"
        "from servers import Server\n"
        "servers = [Server(), Server()]\n"
        "for each in servers:\n"
        "    thread = threading.Thread(target=each.start)\n"
        "    thread.start()\n"
        "    thread.join()\n"
        "servers[1].freeze()\n"
        "print(*[each.pid for each in servers if each.running], flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(process.alive(pid) for pid in pids)
        parent.send_signal(how)
        parent.wait(10)
    assert all(gone(pid) for pid in pids)


def test_store_survives_a_kill_and_not_a_wipe(make_server: MakeServer) -> None:
    server = make_server()
    port = server.port
    oracle.request(server, "STREAM.CREATE.KEPT", {"name": "KEPT", "subjects": ["kept"]})
    server.kill()
    server.start()
    assert server.port == port
    assert oracle.stream_names(server) == ["KEPT"]
    server.restart()
    assert oracle.stream_names(server) == ["KEPT"]
    server.stop()
    server.wipe()
    server.start()
    assert oracle.stream_names(server) == []


def test_a_taken_port_is_given_up(make_server: MakeServer) -> None:
    server = make_server(start=False)
    server.choose_ports()
    taken = server.port
    with socket.create_server(("127.0.0.1", taken)):
        server.start()
        assert server.port != taken
        assert oracle.stream_names(server) == []


def test_a_refused_configuration_shows_the_log(make_server: MakeServer) -> None:
    server = make_server(start=False, extra={"no_such_field": 1})
    with pytest.raises(ServerError, match="no_such_field"):
        server.start()
    assert not server.running


def test_accounts(make_server: MakeServer) -> None:
    server = make_server(nkey=True, users=(User("reader", "APP", {"publish": {"deny": ["secret.>"]}}),))
    oracle.request(server, "STREAM.CREATE.MINE", {"name": "MINE", "subjects": ["mine"]})
    for user in ("app", "app-nkey", "reader"):
        assert oracle.stream_names(server, user) == ["MINE"]
    assert oracle.stream_names(server, "other") == []
    for user in ("nojs", "sys"):
        with pytest.raises(oracle.OracleError):
            oracle.stream_names(server, user, timeout=1.0)
    answer = oracle.request(server, "$SYS.REQ.SERVER.PING", user="sys")
    assert answer["server"]["name"] == "n1"
    with pytest.raises(KeyError, match="there are"):
        server.auth("nobody")


@pytest.mark.parametrize(
    "options",
    [
        {"auth": "token"},
        {"auth": "jwt"},
        {"tls": "server"},
        {"tls": "mutual", "tls_first": True},
        {"domain": "hub", "encryption": "chacha", "max_payload": 4 << 20, "tags": {"n1": ["az:1"]}},
    ],
    ids=["token", "jwt", "tls", "mutual-first", "domain-encrypted"],
)
def test_variants_work_for_clients_and_the_cli(options: dict, make_server: MakeServer, nats_cli: oracle.Cli) -> None:
    server = make_server(**options)
    created = oracle.request(server, "STREAM.CREATE.S", {"name": "S", "subjects": ["s"]})
    assert created["config"]["name"] == "S"
    assert nats_cli.json(server, "stream", "info", "S", "--json")["config"]["name"] == "S"
    if options.get("auth") == "jwt":
        assert oracle.request(server, "$SYS.REQ.SERVER.PING", user="sys")["server"]["name"] == "n1"
        with pytest.raises(oracle.OracleError):
            oracle.stream_names(server, "nojs", timeout=1.0)
    if options.get("domain"):
        varz = server.monitor("/varz")
        assert (varz["max_payload"], varz["tags"]) == (4 << 20, ["az:1"])
        assert varz["jetstream"]["config"]["domain"] == "hub"


def test_merge_lays_one_mapping_over_the_other() -> None:
    below = {"a": {"x": 1, "y": 2}, "b": 3, "c": [1]}
    assert merge(below, {"a": {"y": None, "z": 4}, "b": None, "c": [2]}) == {"a": {"x": 1, "z": 4}, "c": [2]}
    assert below["b"] == 3


def test_cluster_loses_and_gains_nodes(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    created = oracle.request(cluster, "STREAM.CREATE.R", {"name": "R", "subjects": ["r"], "num_replicas": 3})
    assert len(created["cluster"]["replicas"]) == 2
    leader = cluster.stream_leader("R")
    leader.kill()
    assert leader.url not in cluster.urls
    assert cluster.stream_leader("R") is not leader
    leader.start(wait=False)
    cluster.wait_ready(members=3)
    assert cluster.wait_stream_current("R")["config"]["num_replicas"] == 3
    added = cluster.add_node()
    assert (added.name, len(cluster.running)) == ("n4", 4)
    assert all(process.alive(node.pid or 0) for node in cluster.nodes)
    with pytest.raises(ServerError, match="running already"):
        cluster.add_node("n4")


def test_cluster_is_gone_afterwards() -> None:
    with Cluster(Options()) as cluster:
        pids = [node.pid or 0 for node in cluster.nodes]
        cluster.nodes[0].freeze()
        root = cluster.root
    assert all(gone(pid) for pid in pids)
    assert not root.exists()


def test_a_cluster_without_quorum_is_not_ready(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    cluster.node("n1").kill()
    cluster.node("n2").kill()
    with pytest.raises(ServerError, match="last lines of the log"):
        cluster.wait_ready(0.5, members=2)
