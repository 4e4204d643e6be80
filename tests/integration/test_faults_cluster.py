# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup and restore in a cluster whose leaders die, freeze and change in the middle."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.errors import ConnectionLostError
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.options import make_options
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.session import Session
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.errors import RestoreError
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.inspect import inspect
from ansible_collections.natsops.jetstream.plugins.module_utils._restore import sender
from ansible_collections.natsops.jetstream.plugins.module_utils._restore.plan import RestoreOptions, look_at_target
from ansible_collections.natsops.jetstream.plugins.module_utils._restore.stream import restore_stream

from integration.harm import (
    MARKER,
    MIB,
    api,
    assert_valid,
    fill,
    hidden,
    publish,
    start_and_stall,
    through,
    tree,
    wait_until,
    within,
)
from integration.test_faults_restore import assert_as_before, kill_account_restore
from servers import Cluster, Server, oracle
from servers.ansible import ModuleProcess, run_module
from servers.fixtures import MakeCluster
from servers.proxy import Proxy

BACKUP = "jetstream_stream_backup"
RESTORE = "jetstream_stream_restore"
SMALL_BACKUP = {"chunk_size": 32 * 1024, "window_size": 256 * 1024}
SMALL_RESTORE = {"chunk_size": 32 * 1024, "in_flight": 4}
# The oldest line that is not known to lose servers when leaders move in a restore, beside the newest.
LINES = ["2.15.3", pytest.param("2.12.15", marks=pytest.mark.slow)]


@pytest.fixture(params=LINES)
def trio(request: pytest.FixtureRequest, make_cluster: MakeCluster) -> Cluster:
    return make_cluster(version=request.param)


def another(cluster: Cluster, *others: Server) -> Server:
    """A running node that is none of these."""
    return next(node for node in cluster.running if node not in others)


def only(cluster: Cluster, *nodes: Server, **more: Any) -> dict[str, Any]:
    """The connection options with these servers."""
    return {**cluster.connection(), "servers": [node.url for node in nodes], **more}


def taker(cluster: Cluster) -> Server:
    """The node that takes in the data of the restore that is under way."""
    return next(node for node in cluster.nodes if "Starting restore" in node.log())


def lost(cluster: Cluster, path: Path, replicas: int = 3) -> dict[str, Any]:
    """Make the stream BIG, back it up, delete it; returns what it was."""
    fill(cluster, "BIG", 6 * MIB, num_replicas=replicas)
    result = run_module(BACKUP, {**cluster.connection(), "stream": "BIG", "path": str(path)})
    assert not result.get("failed"), result["msg"]
    before = oracle.picture(cluster)
    api(cluster, "STREAM.DELETE.BIG")
    return before


def restore_until_done(cluster: Cluster, path: Path, before: dict[str, Any], patience: float = 90) -> None:
    """Run again, as the errors say, until one succeeds; each in bounded time, and in the end nothing is left over."""
    deadline = time.monotonic() + patience
    while True:
        with within(90):
            result = run_module(RESTORE, {**cluster.connection(), "path": str(path)})
        if not result.get("failed"):
            break
        assert result["error"] != "unexpected", result
        assert time.monotonic() < deadline, result["msg"]
    wait_until(lambda: oracle.stream_names(cluster) == ["BIG"], "only the stream is there")
    assert_as_before(cluster, before)
    assert MARKER not in oracle.stream_info(cluster, "BIG")["config"].get("metadata", {})


def test_leader_killed_and_frozen_in_a_backup(trio: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "BIG"
    fill(trio, "BIG", 6 * MIB, num_replicas=3)
    assert run_module(BACKUP, {**trio.connection(), "stream": "BIG", "path": str(path)})["changed"]
    for harm in ("kill", "freeze"):
        publish(trio, "BIG", 1, 100, harm)
        before = tree(path)
        leader = trio.stream_leader("BIG")
        with Proxy(another(trio, leader).port) as proxy:
            slow = through(trio, proxy, stream="BIG", path=str(path), stall_timeout=5, **SMALL_BACKUP)
            process = start_and_stall(BACKUP, slow, proxy, 2 * MIB, "down")
            getattr(leader, harm)()
            proxy.resume()
            with within(60):
                result = process.wait(70)
        assert result["failed"], result
        assert result["error"] in ("stalled", "snapshot_failed"), result
        assert "BIG" in result["msg"]
        assert tree(path) == before
        assert hidden(tmp_path) == []
        trio.wait_meta_leader()
        wait_until(lambda gone=leader: trio.stream_leader("BIG") is not gone, "another leader", 60)
        again = run_module(BACKUP, only(trio, *trio.running, stream="BIG", path=str(path)))
        assert again["changed"], again
        assert_valid(path)
        leader.thaw() if harm == "freeze" else leader.start()
        trio.wait_ready()
        trio.wait_stream_current("BIG")


def test_account_backup_goes_on_over_another_server(trio: Cluster, tmp_path: Path) -> None:
    for number in range(6):
        fill(trio, f"S{number}", 1 * MIB, num_replicas=3)
    path = tmp_path / "account"
    node = trio.nodes[0]
    for number in range(6):
        # The server that dies leads none of the streams: of those the connection alone is lost.
        if trio.stream_leader(f"S{number}") is node:
            api(trio, f"STREAM.LEADER.STEPDOWN.S{number}")
    wait_until(lambda: all(trio.stream_leader(f"S{n}") is not node for n in range(6)), "other leaders")
    with Proxy(node.port) as proxy:
        args = through(trio, proxy, path=str(path), parallel=2, **SMALL_BACKUP)
        process = start_and_stall("jetstream_account_backup", args, proxy, 2 * MIB, "down")
        node.kill()
        proxy.cut()
        with within(60):
            result = process.wait(70)
    assert not result.get("failed"), result["msg"]
    assert result["summary"] == {"transferred": 6, "unchanged": 0, "skipped": 0, "failed": 0}
    assert_valid(path)
    assert hidden(tmp_path) == []


@pytest.mark.parametrize(
    "harm",
    [
        "kill taker",
        pytest.param("freeze taker", marks=pytest.mark.slow),
        pytest.param("kill leader", marks=pytest.mark.slow),
        pytest.param("step down", marks=pytest.mark.slow),
    ],
)
def test_servers_change_in_a_restore(trio: Cluster, tmp_path: Path, harm: str) -> None:
    """The server that takes in the data dies or freezes, or the meta leader changes, in the middle."""
    before = lost(trio, tmp_path / "BIG")
    node = trio.nodes[0]
    with Proxy(node.port) as proxy:
        args = through(trio, proxy, path=str(tmp_path / "BIG"), stall_timeout=8, **SMALL_RESTORE)
        process = start_and_stall(RESTORE, args, proxy, 2 * MIB, "up")
        victim = taker(trio) if "taker" in harm else trio.wait_meta_leader()
        if harm == "step down":
            api(trio, "$JS.API.META.LEADER.STEPDOWN", user="sys")
        else:
            getattr(victim, harm.split(maxsplit=1)[0])()
        proxy.resume()
        with within(120):
            result = process.wait(130)
    if result.get("failed"):
        # The last is where the connection was to the victim, and the run has gone on over another server.
        dropped = {"stalled", "restore_dropped", "restore_failed", "timeout", "locked", "connection_lost"}
        assert result["error"] in dropped | {"stream_exists", "replicas_unsupported"}, result
        assert "BIG" in result["msg"]
    # Three replicas want three servers.
    if harm == "freeze taker":
        victim.thaw()
    elif harm != "step down":
        victim.start(wait=False)
    trio.wait_meta_leader(60)
    restore_until_done(trio, tmp_path / "BIG", before)
    # A server with a restore that came to nothing calls itself unhealthy.
    trio.wait_ready()


@pytest.mark.slow
def test_module_killed_in_a_restore(trio: Cluster, tmp_path: Path) -> None:
    """Before any data was sent and in the middle of it, with one replica and with three."""
    for replicas in (3, 1):
        path = tmp_path / f"R{replicas}" / "BIG"
        before = lost(trio, path, replicas)
        for size in (100, 2 * MIB):
            with Proxy(trio.nodes[0].port) as proxy:
                args = through(trio, proxy, path=str(path), **SMALL_RESTORE)
                if size == 100:
                    proxy.set_delay(0.3, "up")
                    process = ModuleProcess(RESTORE, args)
                    wait_until(lambda: "Starting restore" in trio.log(), "the restore", 40)
                else:
                    process = start_and_stall(RESTORE, args, proxy, size, "up")
                process.kill()
            restore_until_done(trio, path, before)
            api(trio, "STREAM.DELETE.BIG")


@pytest.mark.slow
def test_two_restores_at_once(trio: Cluster, tmp_path: Path) -> None:
    before = lost(trio, tmp_path / "BIG")
    with Proxy(trio.nodes[0].port) as proxy:
        proxy.set_delay(0.02)
        first = ModuleProcess(RESTORE, through(trio, proxy, path=str(tmp_path / "BIG"), **SMALL_RESTORE))
        wait_until(lambda: "Starting restore" in trio.log(), "the restore", 40)
        second = ModuleProcess(RESTORE, {**trio.connection(), "path": str(tmp_path / "BIG")})
        results = [second.wait(90), first.wait(90)]
    done = [result for result in results if not result.get("failed")]
    assert done, results
    assert sum(result["changed"] for result in done) == 1, results
    for result in results:
        assert result in done or result["error"] in ("locked", "stream_exists"), result
    assert_as_before(trio, before)


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, 3])
def test_account_restore_killed_again_and_again(trio: Cluster, tmp_path: Path, replicas: int) -> None:
    kill_account_restore(trio, tmp_path / "account", seed=replicas, replicas=replicas)


@pytest.mark.slow
async def test_server_dies_with_everything_sent(trio: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server that has all the data and owes the last answer dies: that is noticed long before the time-out."""
    path, loop = tmp_path / "BIG", asyncio.get_running_loop()
    before = await loop.run_in_executor(None, lost, trio, path)
    drained = sender.Sender._drained

    async def freeze_then_kill(self: sender.Sender) -> None:
        await drained(self)
        victim = taker(trio)
        victim.freeze()
        loop.call_later(1, victim.kill)

    node = trio.nodes[0]
    async with Session(make_options(only(trio, node))) as session:
        backup = inspect(str(path), "quick")
        target = await look_at_target(session.js)
        monkeypatch.setattr(sender.Sender, "_drained", freeze_then_kill)
        # Where the connection was to that very server, it is lost at once.
        with within(90), pytest.raises((RestoreError, ConnectionLostError)):
            await restore_stream(session.js, backup, RestoreOptions(), target, asyncio.Semaphore(1), check=False)
        monkeypatch.undo()

    def start_again() -> None:
        for each in trio.nodes:
            if not each.running:
                each.start()
        trio.wait_ready()

    await loop.run_in_executor(None, start_again)
    await loop.run_in_executor(None, restore_until_done, trio, path, before)
