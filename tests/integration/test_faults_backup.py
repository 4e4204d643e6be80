# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Something breaks under a backup: the good one stays, and the next run passes and leaves no debris."""

from __future__ import annotations

import resource
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from integration.harm import (
    MIB,
    assert_valid,
    fill,
    free,
    hidden,
    publish,
    small_disk,
    start_and_stall,
    through,
    tree,
    within,
)
from servers import Options, Server
from servers.ansible import ModuleProcess, run_module
from servers.proxy import Proxy

V1_LINE = "2.12.15"
BOTH = pytest.mark.parametrize("prepared", ["V1", "V2"], indirect=True)
NEWEST = pytest.mark.parametrize("prepared", [pytest.param("V1", marks=pytest.mark.slow), "V2"], indirect=True)
BACKUP = "jetstream_stream_backup"
ACCOUNT = "jetstream_account_backup"


class Scene:
    """A server with a stream BIG, a good backup of it that is out of date, and a proxy before the server."""

    def __init__(self, server: Server, proxy: Proxy, root: Path, template: Path) -> None:
        self.server = server
        self.proxy = proxy
        self.root = root
        self.path = root / "BIG"
        shutil.copytree(template, self.path)
        self.before = tree(self.path)

    def args(self, **more: Any) -> dict[str, Any]:
        """Straight to the server."""
        return {**self.server.connection(), "stream": "BIG", "path": str(self.path), **more}

    def slow(self, **more: Any) -> dict[str, Any]:
        """Through the proxy, in small pieces, so that there is a middle."""
        sizes = {"chunk_size": 32 * 1024, "window_size": 256 * 1024}
        return through(self.server, self.proxy, stream="BIG", path=str(self.path), **{**sizes, **more})

    def middle(self, **more: Any) -> ModuleProcess:
        """A backup under way, stalled after a third of the data."""
        return start_and_stall(BACKUP, self.slow(**more), self.proxy, 2 * MIB, "down")

    def assert_failed(self, result: dict[str, Any], error: str, *words: str) -> None:
        """The run failed for this reason, tells it, and has left everything as it was."""
        assert result["failed"], result
        assert result["error"] == error, (result["error"], result["msg"])
        assert "BIG" in result["msg"]
        assert all(word in result["msg"] for word in words), result["msg"]
        assert hidden(self.root) == []
        assert tree(self.path) == self.before

    def assert_next_run_clears(self, server: Server | None = None) -> None:
        """The earlier backup is as it was; the next run makes a new one, which verifies, and leaves nothing else."""
        assert tree(self.path) == self.before
        args = {**self.args(), **(server or self.server).connection()}
        result = run_module(BACKUP, args)
        assert not result.get("failed"), result
        assert result["changed"], result
        assert [each.name for each in self.root.iterdir()] == ["BIG"]
        assert_valid(self.path)


@dataclass(frozen=True)
class Prepared:
    """A server with the stream BIG, and a backup made before its last message came."""

    server: Server
    template: Path


@pytest.fixture(scope="module")
def prepared(
    request: pytest.FixtureRequest, server_version: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prepared]:
    with Server(Options(version=V1_LINE if request.param == "V1" else server_version)) as server:
        fill(server, "BIG", 6 * MIB)
        template = tmp_path_factory.mktemp("template") / "BIG"
        result = run_module(BACKUP, {**server.connection(), "stream": "BIG", "path": str(template)})
        assert result["format"] == request.param, result
        publish(server, "BIG", 1, 1000)
        yield Prepared(server, template)


@pytest.fixture
def scene(prepared: Prepared, tmp_path: Path) -> Iterator[Scene]:
    with Proxy(prepared.server.port) as proxy:
        yield Scene(prepared.server, proxy, tmp_path, prepared.template)


@BOTH
def test_module_killed_in_the_middle(scene: Scene) -> None:
    scene.middle().kill()
    assert hidden(scene.root), "nothing was under way"
    scene.assert_next_run_clears()


@NEWEST
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_module_terminated_in_the_middle(scene: Scene, number: signal.Signals) -> None:
    process = scene.middle()
    process.process.send_signal(number)
    with within(20):
        result = process.wait(25)
    assert result["failed"], result
    assert result["error"] == "interrupted"
    assert number.name in result["msg"]
    assert hidden(scene.root) == []
    scene.assert_next_run_clears()


@NEWEST
def test_link_stalls(scene: Scene) -> None:
    process = scene.middle(stall_timeout=2)
    with within(30):
        scene.assert_failed(process.wait(40), "stalled")
    scene.assert_next_run_clears()


@NEWEST
def test_link_cut(scene: Scene) -> None:
    scene.proxy.cut_after(2 * MIB)
    with within(30):
        scene.assert_failed(run_module(BACKUP, scene.slow()), "connection_lost")
    scene.assert_next_run_clears()


@NEWEST
@pytest.mark.parametrize("megabytes", [2, 0])
def test_disk_full_by_limit(scene: Scene, megabytes: int) -> None:
    def limit() -> None:
        # With none at all it is the small files that find no room.
        size = megabytes * MIB or 100
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    with within(60):
        result = run_module(BACKUP, scene.args(), preexec=limit)
    scene.assert_failed(result, "no_space", str(scene.path))
    scene.assert_next_run_clears()


@NEWEST
@pytest.mark.parametrize("missing", [4 * MIB, 16 * 1024, -4096], ids=["middle", "last block", "small files"])
def test_disk_full(prepared: Prepared, tmp_path: Path, missing: int) -> None:
    root = tmp_path / "disk"
    with small_disk(root, 16 * MIB), Proxy(prepared.server.port) as proxy:
        scene = Scene(prepared.server, proxy, root / "backups", prepared.template)
        archive = max(each.stat().st_size for each in scene.path.iterdir())
        filler = root / "filler"
        filler.write_bytes(bytes(free(root) - (archive - missing) // 4096 * 4096))
        with within(60):
            result = run_module(BACKUP, scene.args())
        scene.assert_failed(result, "no_space", str(scene.path))
        filler.unlink()
        scene.assert_next_run_clears()


@NEWEST
def test_two_at_once(scene: Scene) -> None:
    first = scene.middle()
    with within(20):
        second = run_module(BACKUP, scene.args())
    assert second["failed"], second
    assert second["error"] == "locked"
    assert str(first.process.pid) in second["msg"]
    scene.proxy.resume()
    result = first.wait()
    assert result["changed"], result
    assert hidden(scene.root) == []
    assert run_module(BACKUP, scene.args())["changed"] is False


@pytest.mark.slow
@NEWEST
def test_total_timeout(scene: Scene) -> None:
    scene.proxy.set_delay(0.1)
    with within(30):
        result = run_module(BACKUP, scene.slow(chunk_size=4096, window_size=8192, timeout=2))
    scene.assert_failed(result, "stalled", "timeout")
    scene.assert_next_run_clears()
