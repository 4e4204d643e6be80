# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""jetstream_salvage on the disk of a server that was killed; what it saved is restored and read by a plain consumer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from integration import rounds
from integration.cluster import kit
from servers.ansible import run_module
from servers.config import ENCRYPTION_KEY
from servers.fixtures import MakeServer


def restored(make_server: MakeServer, backup: Path, version: str, acknowledged: list[int]) -> list[int]:
    """What a plain consumer misses after the backup was restored on another server."""
    other = make_server(version=version)
    result = run_module("jetstream_stream_restore", {**other.connection(), "path": str(backup)})
    assert result["changed"] is True, result
    app = kit.App(other)
    app.acknowledged["ONE"] = acknowledged
    lost = app.lost("ONE")
    app.close()
    return lost


def test_what_is_on_the_disk_is_saved(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(version="2.12.15")
    app = kit.App(server)
    app.stream("ONE", 1)
    app.consumer("ONE", "reader")
    app.fill("ONE", 30)
    app.close()
    server.kill()
    before = sorted((str(path), path.stat().st_mtime_ns) for path in server.store.rglob("*"))
    own: dict[str, Any] = {
        "store_dir": str(server.store),
        "path": str(tmp_path / "saved"),
        "server_binary": str(server.program),
    }
    check = run_module("jetstream_salvage", own, check=True)
    assert check["changed"] is True
    assert [(one["stream"], one["status"], one["consumers"]) for one in check["streams"]] == [
        ("ONE", "would_salvage", 1)
    ]
    assert not (tmp_path / "saved").exists()
    result = run_module("jetstream_salvage", own)
    assert result["changed"] is True, result
    assert [(one["account"], one["stream"], one["messages"]) for one in result["streams"]] == [("APP", "ONE", 30)]
    assert before == sorted((str(path), path.stat().st_mtime_ns) for path in server.store.rglob("*"))
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    assert run_module("jetstream_salvage", own)["changed"] is False
    assert restored(make_server, tmp_path / "saved" / "APP" / "ONE", "2.12.15", app.acknowledged["ONE"]) == []


def test_what_cannot_be_saved_is_told(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server()
    app = kit.App(server)
    app.stream("ONE", 1)
    app.stream("TWO", 1)
    app.fill("ONE", 3)
    app.fill("TWO", 3)
    app.close()
    server.kill()
    stream = server.store / "jetstream" / "APP" / "streams" / "TWO"
    (stream / "meta.sum").write_text("0000000000000000")
    # As a server of a cluster leaves it: this one has other copies.
    replicated = server.store / "jetstream" / "APP" / "streams" / "R3"
    replicated.mkdir()
    (replicated / "meta.inf").write_text(json.dumps({"name": "R3", "num_replicas": 3}))
    own = {"path": str(tmp_path / "saved"), "server_binary": str(server.program)}
    result = run_module("jetstream_salvage", {**own, "store_dir": str(server.store)})
    assert result["error"] == "salvage_incomplete", result
    assert {one["stream"]: one["status"] for one in result["streams"]} == {"ONE": "transferred", "TWO": "failed"}
    assert [(one["stream"], one["replicas"]) for one in result["left_out"]] == [("R3", 3)]
    nowhere = run_module("jetstream_salvage", {**own, "store_dir": str(tmp_path)})
    assert nowhere["error"] == "store_invalid"
    assert run_module("jetstream_salvage", {**own, "store_dir": str(tmp_path / "none")})["error"] == "path_not_found"
    inside = run_module(
        "jetstream_salvage", {**own, "store_dir": str(server.store), "path": str(server.store / "jetstream" / "saved")}
    )
    assert inside["error"] == "invalid_options"
    wrong = run_module("jetstream_salvage", {**own, "store_dir": str(server.store), "server_binary": "/bin/true"})
    assert wrong["error"] == "server_binary"


@pytest.mark.parametrize("version", ["2.15.3", "2.12.15"])
def test_an_encrypted_store_needs_its_key(make_server: MakeServer, tmp_path: Path, version: str) -> None:
    """One sentence, whatever the number of streams."""
    server = make_server(version=version, encryption="chacha")
    app = kit.App(server)
    for name in ("ONE", "TWO", "THREE"):
        app.stream(name, 1)
        app.fill(name, 3)
    app.close()
    server.stop()
    own = {"store_dir": str(server.store), "path": str(tmp_path / "saved"), "server_binary": str(server.program)}
    for check in (True, False):
        missing = run_module("jetstream_salvage", own, check=check)
        assert missing["error"] == "store_encrypted"
        assert missing["msg"].count("encrypted") == 1
        assert "[WRN]" not in missing["msg"]
        assert not (tmp_path / "saved").exists()
    wrong = run_module("jetstream_salvage", {**own, "encryption_key": "wrong"})
    assert wrong["error"] == "store_encrypted"
    assert wrong["msg"].startswith("None of the 3 streams could be saved: encryption_key is not the key of ")
    assert "[WRN]" not in wrong["msg"]
    right = run_module("jetstream_salvage", {**own, "encryption_key": ENCRYPTION_KEY})
    assert {one["stream"]: one["messages"] for one in right["streams"]} == {"ONE": 3, "TWO": 3, "THREE": 3}


@pytest.mark.parametrize("index", [True, False])
def test_what_was_deleted_may_be_back_without_an_index(make_server: MakeServer, tmp_path: Path, index: bool) -> None:
    server = make_server(version="2.12.15")
    app = kit.App(server)
    app.stream("ONE", 1)
    app.fill("ONE", 10)
    app.close()
    rounds.ask(server, "STREAM.CREATE.KV_K", {"name": "KV_K", "subjects": ["$KV.K.>"], "max_msgs_per_subject": 1})
    for number in range(6):
        rounds.publish(server, f"$KV.K.{number % 2}", b"value")
    server.stop()
    found = list(server.store.rglob("index.db"))
    assert len(found) == 2
    for path in found if not index else []:
        path.unlink()
    own = {"store_dir": str(server.store), "path": str(tmp_path / "saved"), "server_binary": str(server.program)}
    result = run_module("jetstream_salvage", own)
    assert result["changed"] is True
    told = [text for text in rounds.warnings(result) if "may be back" in text]
    assert [("KV_K" in text, "max_msgs_per_subject" in text) for text in told] == ([] if index else [(True, True)])
