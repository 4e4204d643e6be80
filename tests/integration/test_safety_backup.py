# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`replace` never ends with nothing: the live stream is kept first, and put back when its replacement fails."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.harm import MARKER, MIB, api, fill, publish, through, tree
from servers import Options, Server, oracle
from servers.ansible import run_module
from servers.proxy import Proxy

V1_LINE = "2.12.15"
RESTORE = "jetstream_stream_restore"
FENCE = "natsops.replacing"


class Scene:
    """A server whose stream BIG went on since its backup, and a place for safety backups."""

    def __init__(self, server: Server, backup: Path, home: Path) -> None:
        self.server = server
        self.backup = backup
        self.safety = home / "safety"
        self.proxy = Proxy(server.port).start()
        publish(server, "BIG", 20, 3000, "since")
        self.live = picture(server)

    def args(self, **more: Any) -> dict[str, Any]:
        place = {"path": str(self.backup), "safety_path": str(self.safety)}
        return {**self.server.connection(), **place, "on_conflict": "replace", **more}

    def slow(self, **more: Any) -> dict[str, Any]:
        return through(self.server, self.proxy, **{**self.args(), "chunk_size": 32768, "in_flight": 4, **more})

    def run(self, check: bool = False, **more: Any) -> dict[str, Any]:
        return run_module(RESTORE, self.args(**more), check=check, timeout=180)

    def kept(self) -> list[Path]:
        """The safety backups of BIG."""
        return sorted(path for path in self.safety.glob("*/BIG/replaced-*") if path.is_dir())

    def assert_live(self) -> None:
        """The old stream is there, message by message, with its consumers, and bears no mark."""
        assert oracle.compare(self.live, picture(self.server)) == []
        metadata = oracle.stream_info(self.server, "BIG")["config"].get("metadata") or {}
        assert not {MARKER, FENCE} & set(metadata), metadata


def picture(server: Server) -> dict[str, Any]:
    found = oracle.picture(server)
    for stream in found.values():
        stream["config"].pop("metadata", None)
    return found


@pytest.fixture(params=["V1", "V2"])
def scene(request: pytest.FixtureRequest, server_version: str, tmp_path: Path) -> Iterator[Scene]:
    with Server(Options(version=V1_LINE if request.param == "V1" else server_version)) as server:
        fill(server, "BIG", 3 * MIB)
        backup = tmp_path / "backup" / "BIG"
        taken = run_module("jetstream_stream_backup", {**server.connection(), "stream": "BIG", "path": str(backup)})
        assert taken["format"] == request.param, taken
        made = Scene(server, backup, tmp_path)
        yield made
        made.proxy.close()


def test_the_old_stream_is_kept_and_named(scene: Scene, nats_cli: Any) -> None:
    """Check mode says what it costs and writes nothing; the safety backup is whole, private, and restorable."""
    predicted = scene.run(check=True)
    assert predicted["status"] == "would_replace", predicted
    cost = predicted["safety_backup"]
    state = oracle.stream_info(scene.server, "BIG")["state"]
    assert (cost["messages"], cost["bytes"]) == (state["messages"], state["bytes"])
    assert not scene.safety.exists()
    result = scene.run()
    assert result["status"] == "replaced", result
    (kept,) = scene.kept()
    assert result["safety_backup"]["path"] == str(kept)
    assert result["safety_backup"]["last_seq"] == state["last_seq"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in [kept, *kept.parents][:4]} == {0o700}
    assert json.loads((kept / "backup.json").read_text())["config"]["subjects"] == ["BIG.>"]
    assert scene.run()["changed"] is False
    # By the command line, and by ours.
    api(scene.server, "STREAM.DELETE.BIG")
    nats_cli.run(scene.server, "backup", "restore", "stream", str(kept), "--no-progress")
    scene.assert_live()
    api(scene.server, "STREAM.DELETE.BIG")
    assert scene.run(path=str(kept))["status"] == "created"
    scene.assert_live()
    # A second replacement has its own place, and the first stays as it is.
    before = tree(kept)
    again = scene.run()
    assert again["status"] == "replaced"
    assert again["safety_backup"]["path"] != str(kept) or tree(kept) == before
    assert tree(kept) == before
