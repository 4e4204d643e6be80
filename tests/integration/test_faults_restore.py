# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Something breaks under a restore: the next run finishes it, and clears what the first left and nothing else."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.harm import (
    MARKER,
    MIB,
    api,
    fill,
    publish,
    start_and_stall,
    through,
    tree,
    wait_until,
    within,
)
from servers import Cluster, Endpoint, Options, Server, oracle
from servers.ansible import ModuleProcess, run_module
from servers.proxy import Proxy

V1_LINE = "2.12.15"
BOTH = pytest.mark.parametrize("prepared", ["V1", "V2"], indirect=True)
NEWEST = pytest.mark.parametrize("prepared", [pytest.param("V1", marks=pytest.mark.slow), "V2"], indirect=True)
RESTORE = "jetstream_stream_restore"
ACCOUNT = "jetstream_account_restore"
SMALL = {"chunk_size": 32 * 1024, "in_flight": 4}


class Scene:
    """A server that has lost the stream BIG, its backup, what it was, and a proxy before the server."""

    def __init__(self, server: Server, backup: Path, before: dict[str, Any]) -> None:
        self.server = server
        self.backup = backup
        self.before = before
        self.proxy = Proxy(server.port).start()
        self.files = tree(backup)

    def args(self, **more: Any) -> dict[str, Any]:
        return {**self.server.connection(), "path": str(self.backup), **more}

    def slow(self, **more: Any) -> dict[str, Any]:
        return through(self.server, self.proxy, path=str(self.backup), **{**SMALL, **more})

    def middle(self, **more: Any) -> ModuleProcess:
        """A restore under way, stalled after a third of the data."""
        return start_and_stall(RESTORE, self.slow(**more), self.proxy, 2 * MIB, "up")

    def assert_restored(self, result: dict[str, Any], status: str = "created") -> None:
        """The run has restored the stream, as it was, and nothing else is there; the next changes nothing."""
        assert not result.get("failed"), result["msg"]
        assert result["status"] == status, result
        assert_as_before(self.server, self.before)
        again = run_module(RESTORE, self.args())
        assert again["changed"] is False, again
        assert tree(self.backup) == self.files


def assert_as_before(endpoint: Endpoint, before: dict[str, Any]) -> None:
    """Every stream of the account is what it was, message by message, with its consumers, and there is no other."""
    after = oracle.picture(endpoint)
    for picture in (before, after):
        for stream in picture.values():
            stream["config"].get("metadata", {}).clear()
    assert oracle.compare(before, after) == []


@pytest.fixture(scope="module")
def prepared(
    request: pytest.FixtureRequest, server_version: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Path, dict[str, Any]]]:
    """A server of each format, the backup of its stream BIG, and what that holds."""
    with Server(Options(version=V1_LINE if request.param == "V1" else server_version)) as server:
        fill(server, "BIG", 6 * MIB)
        backup = tmp_path_factory.mktemp("backup") / "BIG"
        result = run_module("jetstream_stream_backup", {**server.connection(), "stream": "BIG", "path": str(backup)})
        assert result["format"] == request.param, result
        yield server, backup, oracle.picture(server)


@pytest.fixture
def scene(prepared: tuple[Server, Path, dict[str, Any]]) -> Iterator[Scene]:
    server, backup, before = prepared
    for name in oracle.stream_names(server):
        api(server, f"STREAM.DELETE.{name}")
    made = Scene(server, backup, before)
    yield made
    made.proxy.close()
    if not server.running:
        server.start()
    server.thaw()


@NEWEST
def test_module_killed_in_the_middle(scene: Scene) -> None:
    scene.middle().kill()
    with within(60):
        scene.assert_restored(run_module(RESTORE, scene.args()))


@pytest.mark.slow
@NEWEST
def test_module_killed_a_while_ago(scene: Scene) -> None:
    """The server has dropped the restore: of the V2 format a part of the stream is there."""
    scene.middle().kill()
    scene.proxy.cut()
    time.sleep(6)
    if scene.server.line >= (2, 15):
        info = oracle.stream_info(scene.server, "BIG")
        assert MARKER in info["config"]["metadata"]
        assert 0 < info["state"]["messages"] < len(scene.before["BIG"]["messages"])
        predicted = run_module(RESTORE, scene.args(), check=True)
        assert predicted["changed"], predicted
    with within(60):
        scene.assert_restored(run_module(RESTORE, scene.args()))


@NEWEST
def test_module_terminated_in_the_middle(scene: Scene) -> None:
    process = scene.middle()
    process.process.send_signal(signal.SIGTERM)
    scene.proxy.resume()
    with within(30):
        result = process.wait(40)
    assert result["error"] == "interrupted", result
    assert "SIGTERM" in result["msg"]
    wait_until(lambda: oracle.stream_names(scene.server) == [], "the part of the stream is gone")
    scene.assert_restored(run_module(RESTORE, scene.args()))


@pytest.mark.slow
@NEWEST
def test_link_stalls(scene: Scene) -> None:
    process = scene.middle(stall_timeout=2)
    with within(40):
        result = process.wait(50)
    assert result["error"] == "stalled", result
    assert "BIG" in result["msg"]
    scene.assert_restored(run_module(RESTORE, scene.args()))


@NEWEST
def test_link_cut(scene: Scene) -> None:
    scene.proxy.cut_after(2 * MIB, "up")
    with within(30):
        result = run_module(RESTORE, scene.slow())
    assert result["error"] == "connection_lost", result
    scene.assert_restored(run_module(RESTORE, scene.args()))


@NEWEST
def test_server_killed_in_the_middle(scene: Scene) -> None:
    process = scene.middle()
    scene.server.kill()
    scene.proxy.resume()
    with within(30):
        result = process.wait(40)
    assert result["error"] == "connection_lost", result
    scene.server.start()
    scene.assert_restored(run_module(RESTORE, scene.args()))


@pytest.mark.slow
@NEWEST
def test_server_frozen_in_the_middle(scene: Scene) -> None:
    process = scene.middle(stall_timeout=3)
    scene.server.freeze()
    scene.proxy.resume()
    with within(60):
        result = process.wait(70)
    assert result["error"] == "stalled", result
    scene.server.thaw()
    scene.assert_restored(run_module(RESTORE, scene.args()))


@pytest.mark.slow
@NEWEST
def test_server_killed_before_the_first_chunk(scene: Scene) -> None:
    """The server takes the request, and is another one when the data comes."""
    begun = scene.server.log().count("Starting restore")
    scene.proxy.set_delay(0.1)
    process = ModuleProcess(RESTORE, scene.slow())
    try:
        wait_until(lambda: scene.server.log().count("Starting restore") > begun, "the restore")
        scene.proxy.stall()
        scene.server.kill()
        scene.server.start()
    finally:
        scene.proxy.resume()
    with within(60):
        result = process.wait(70)
    if result.get("failed"):
        assert result["error"] in ("connection_lost", "restore_dropped"), result
        result = run_module(RESTORE, scene.args())
    if result["changed"]:
        scene.assert_restored(result, result["status"])


@BOTH
def test_two_at_once(scene: Scene) -> None:
    """The second does not touch what the first is making."""
    scene.proxy.set_delay(0.1)
    first = ModuleProcess(RESTORE, scene.slow())
    begun = scene.server.log().count("Starting restore")
    wait_until(lambda: scene.server.log().count("Starting restore") > begun, "the first restore", 60)
    with within(30):
        result = run_module(RESTORE, scene.args())
    assert result["error"] == "locked", result
    assert "BIG" in result["msg"]
    assert first.process.poll() is None, "the first was to be under way all the while"
    scene.proxy.set_delay(0)
    scene.assert_restored(first.wait(60))


@pytest.mark.slow
@BOTH
def test_second_takes_over_from_one_that_was_cut_off(scene: Scene) -> None:
    """The first wakes up when its stream has been restored by another: it fails, and leaves that alone."""
    first = scene.middle()
    with within(60):
        result = run_module(RESTORE, scene.args())
    scene.assert_restored(result)
    scene.proxy.resume()
    late = first.wait(60)
    assert late.get("error") in ("restore_dropped", "stream_exists", "restore_failed") or not late["changed"], late
    assert_as_before(scene.server, scene.before)


@NEWEST
def test_stream_made_by_somebody_else_meanwhile(scene: Scene) -> None:
    """A stream of the name that is not the killed run's is nobody's to delete."""
    scene.middle().kill()
    scene.proxy.cut()
    time.sleep(6)
    if "BIG" in oracle.stream_names(scene.server):
        api(scene.server, "STREAM.DELETE.BIG")
    fill(scene.server, "BIG", 100_000, message=1000)
    theirs = oracle.picture(scene.server)
    for conflict in ("fail", "skip"):
        result = run_module(RESTORE, scene.args(on_conflict=conflict))
        assert result.get("error") == "stream_exists" or result["status"] == "skipped", result
        assert oracle.compare(theirs, oracle.picture(scene.server)) == []


@pytest.mark.slow
@BOTH
def test_half_a_stream_that_is_in_use(scene: Scene) -> None:
    """Somebody publishes into what a killed restore left: that is not cleared away as debris."""
    scene.middle().kill()
    scene.proxy.cut()
    time.sleep(6)
    if "BIG" not in oracle.stream_names(scene.server):
        assert scene.server.line < (2, 15)
        return
    publish(scene.server, "BIG", 3, 500, "in use")
    used = oracle.picture(scene.server)
    for check in (True, False):
        result = run_module(RESTORE, scene.args(), check=check)
        assert result["error"] == "stream_exists", result
        assert oracle.compare(used, oracle.picture(scene.server)) == []
    scene.assert_restored(run_module(RESTORE, scene.args(on_conflict="replace")), "replaced")


@pytest.mark.slow
@NEWEST
def test_whole_stream_that_went_on(scene: Scene) -> None:
    """Killed when everything was there but the last touch, and in use since: it is finished, and keeps what came."""
    scene.assert_restored(run_module(RESTORE, scene.args()))
    config = oracle.stream_info(scene.server, "BIG")["config"]
    marked = {**config, "metadata": {MARKER: "_INBOX.nobody.listens"}}
    api(scene.server, "STREAM.UPDATE.BIG", marked)
    api(scene.server, "CONSUMER.DELETE.BIG.two")
    publish(scene.server, "BIG", 3, 500, "later")
    messages = oracle.dump(scene.server, "BIG")
    result = run_module(RESTORE, scene.args())
    assert result["status"] == "finished", result
    assert oracle.dump(scene.server, "BIG") == messages
    assert MARKER not in oracle.stream_info(scene.server, "BIG")["config"].get("metadata", {})
    assert set(oracle.consumers(scene.server, "BIG")) == {"one", "two"}


@pytest.mark.slow
@BOTH
def test_probe_of_a_killed_replacement(scene: Scene) -> None:
    """The stream that proves that another can be created is cleared by the next run; one that looks like it is not."""
    scene.assert_restored(run_module(RESTORE, scene.args()))
    publish(scene.server, "BIG", 1, 100)
    # Killed with the answer to the creation of the probe on its way.
    scene.proxy.set_delay(0.2)
    process = ModuleProcess(RESTORE, scene.slow(on_conflict="replace"))
    wait_until(lambda: any("natsops_probe" in name for name in oracle.stream_names(scene.server)), "the probe", 60)
    process.kill()
    probes = [name for name in oracle.stream_names(scene.server) if name.startswith("natsops_probe")]
    assert len(probes) == 1
    api(scene.server, "STREAM.CREATE.natsops_probe_mine", {"name": "natsops_probe_mine", "subjects": ["mine"]})
    result = run_module(RESTORE, scene.args(on_conflict="replace"))
    assert result["status"] == "replaced", result
    assert oracle.stream_names(scene.server) == ["BIG", "natsops_probe_mine"]


@pytest.mark.slow
@NEWEST
def test_exchanged_under_the_restore(scene: Scene, tmp_path: Path) -> None:
    """A new backup is put in the place of the one that is being restored: the old one is restored to its end."""
    place = tmp_path / "BIG"
    shutil.copytree(scene.backup, place)
    process = start_and_stall(RESTORE, {**scene.slow(), "path": str(place)}, scene.proxy, 2 * MIB, "up")
    shutil.move(place, tmp_path / "old")
    shutil.rmtree(tmp_path / "old")
    scene.proxy.resume()
    scene.assert_restored(process.wait(60))


@NEWEST
def test_store_full(scene: Scene, make_server: Any) -> None:
    """The server runs out of room in the middle: nothing is left of the stream, and what was there stays."""
    small = make_server(version=scene.server.version, max_file=4 * MIB)
    fill(small, "OTHER", 1 * MIB)
    theirs = oracle.picture(small)
    with within(60):
        result = run_module(RESTORE, {**small.connection(), "path": str(scene.backup)})
    assert result["error"] in ("insufficient_resources", "restore_failed"), result
    assert "BIG" in result["msg"]
    assert oracle.compare(theirs, oracle.picture(small)) == []


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_account_restore_killed_again_and_again(seed: int, make_server: Any, tmp_path: Path) -> None:
    server = make_server()
    kill_account_restore(server, tmp_path / "account", seed, replicas=1)


def kill_account_restore(endpoint: Server | Cluster, path: Path, seed: int, replicas: int) -> None:
    """40 streams lost; kill -9 at random moments of their restore until one ends: everything there, no debris."""
    chance = random.Random(seed)
    for number in range(40):
        fill(endpoint, f"S{number:02}", chance.choice([2000, 50_000, 900_000]), message=2000, num_replicas=replicas)
    saved = run_module("jetstream_account_backup", {**endpoint.connection(), "path": str(path)})
    assert not saved.get("failed"), saved
    before = oracle.picture(endpoint)
    for name in before:
        api(endpoint, f"STREAM.DELETE.{name}")
    files = tree(path)
    args = {**endpoint.connection(), "path": str(path)}
    nodes = endpoint.nodes if isinstance(endpoint, Cluster) else [endpoint]

    def count() -> int:
        return sum(int(node.monitor("/jsz").get("streams") or 0) for node in nodes) // replicas

    killed = present = 0
    while True:
        process = ModuleProcess(ACCOUNT, args)
        wanted, pause = present + chance.randint(1, 8), chance.uniform(0, 0.05)
        while process.process.poll() is None and (present := count()) < wanted:
            time.sleep(0.005)
        time.sleep(pause)
        if process.process.poll() is not None or killed == 6:
            result = process.wait(180)
            break
        process.kill()
        killed += 1
    assert killed >= 3
    assert not result.get("failed"), result["msg"]
    assert_as_before(endpoint, before)
    again = run_module(ACCOUNT, args)
    assert again["changed"] is False, again
    for name in before:
        assert MARKER not in oracle.stream_info(endpoint, name)["config"].get("metadata", {})
    assert tree(path) == files
