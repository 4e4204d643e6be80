# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of a repository, against a server: made, linked, chosen, restored, and removed by jetstream_backup_prune."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration import rounds
from integration.harm import MIB, fill, start_and_stall, through, within
from servers import Options, Server, oracle
from servers.ansible import run_module
from servers.config import User
from servers.oracle import Cli
from servers.proxy import Proxy
from servers.samples import make_streams

NO_SNAPSHOT = {"publish": {"allow": [">"], "deny": ["$JS.API.STREAM.SNAPSHOT.EMPTY"]}}
USERS = (User("half", "APP", NO_SNAPSHOT),)


@pytest.fixture(scope="module")
def home(server_version: str) -> Iterator[Server]:
    with Server(Options(version=server_version, users=USERS)) as server:
        yield server


@pytest.fixture
def server(home: Server) -> Iterator[Server]:
    """The server of this module, emptied afterwards."""
    yield home
    rounds.delete_all(home)


def backup(server: Server, path: Path, **options: Any) -> dict[str, Any]:
    return rounds.backup_account(server, path, sets=True, **options)


def prune(path: Path, check: bool = False, **options: Any) -> dict[str, Any]:
    return run_module("jetstream_backup_prune", {"path": str(path), **options}, check=check)


def sets(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.is_symlink())


def about(path: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / f"{name}.json").read_text(encoding="utf-8"))
    return found


def test_sets_from_the_first_to_the_last(server: Server, tmp_path: Path, nats_cli: Cli) -> None:
    make_streams(server, ["PLAIN", "EMPTY", "GAPS"])
    path = tmp_path / "repo" / "APP"
    assert backup(server, path, check=True)["changed"]
    assert not path.exists()
    first = backup(server, path)
    assert first["changed"]
    assert sets(path) == [first["set"]]
    assert os.readlink(path / "latest") == first["set"]
    assert about(path, first["set"])["complete"]

    # Nothing changed: no set, but it is known when that was.
    seen = about(path, first["set"])["checked"]
    again = backup(server, path)
    assert (again["changed"], again["set"], again["bytes"]) == (False, first["set"], 0)
    assert about(path, first["set"])["checked"] > seen
    assert about(path, first["set"])["streams"]["PLAIN"]["current_at"] > seen

    # One changed, one was deleted.
    rounds.publish(server, "plain.a", b"one more")
    rounds.delete(server, ["GAPS"])
    check = backup(server, path, check=True)
    second = backup(server, path)
    assert check["summary"] == second["summary"] == {"transferred": 1, "unchanged": 1, "skipped": 0, "failed": 0}
    assert any("GAPS is no more" in text for text in rounds.warnings(second))
    one, two = path / first["set"], path / second["set"]
    assert sorted(entry.name for entry in two.iterdir()) == ["EMPTY", "PLAIN"]
    assert (one / "EMPTY" / "manifest.json").stat().st_ino == (two / "EMPTY" / "manifest.json").stat().st_ino
    assert (one / "PLAIN" / "manifest.json").stat().st_ino != (two / "PLAIN" / "manifest.json").stat().st_ino
    assert os.readlink(path / "latest") == second["set"]

    # What holds sets is told as such.
    listed = rounds.info(path.parent)
    assert [(each["account"], each["set"], each["newest"]) for each in listed["sets"]] == [
        ("APP", first["set"], False),
        ("APP", second["set"], True),
    ]
    newest = run_module("jetstream_backup_info", {"path": str(path.parent), "set": "latest"})
    assert {each["stream"]: (each["set"], each["status"]) for each in newest["backups"]} == {
        "EMPTY": (second["set"], "current"),
        "PLAIN": (second["set"], "current"),
    }
    assert all(0 <= each["age"] < 100 for each in newest["backups"])

    # The first set brings back what the second does not have.
    picture = oracle.picture(server)
    rounds.delete_all(server)
    refused = rounds.restore_account(server, path, ok=False)
    assert refused["error"] == "path_not_backup"
    missing = rounds.restore_account(server, path, ok=False, set="20200101T000000Z")
    assert missing["error"] == "set_not_found"
    assert first["set"] in missing["msg"]
    back = rounds.restore_account(server, path, set="latest")
    assert back["set"] == second["set"]
    assert oracle.compare(picture, oracle.picture(server)) == []
    rounds.delete_all(server)
    moment = about(path, first["set"])["finished_at"]
    assert rounds.restore_account(server, path, before=moment)["set"] == first["set"]
    assert sorted(oracle.stream_names(server)) == ["EMPTY", "GAPS", "PLAIN"]
    rounds.delete_all(server)
    nats_cli.run(server, "backup", "restore", "account", path / "latest")
    assert sorted(oracle.stream_names(server)) == ["EMPTY", "PLAIN"]

    # The oldest goes; what the others share with it stays.
    assert prune(path, check=True, keep_last=1)["removed"] == [first["set"]]
    assert sets(path) == [first["set"], second["set"]]
    assert prune(path, keep_last=1)["changed"]
    assert not prune(path, keep_last=1)["changed"]
    assert sets(path) == [second["set"]]
    assert rounds.info(path)["valid"]


def test_what_fails_is_carried_on_and_told(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["PLAIN", "EMPTY"])
    path = tmp_path / "APP"
    first = backup(server, path)
    rounds.publish(server, "plain.a", b"one more")
    rounds.ask(server, "STREAM.UPDATE.EMPTY", {**rounds.ask(server, "STREAM.INFO.EMPTY")["config"], "description": "x"})
    failed = backup(server, path, ok=False, as_user="half", stall_timeout=2)
    assert rounds.statuses(failed) == {"PLAIN": "transferred", "EMPTY": "failed"}
    assert sets(path) == [first["set"], failed["set"]]
    members = about(path, failed["set"])["streams"]
    assert (members["EMPTY"]["status"], members["PLAIN"]["status"]) == ("carried", "current")
    assert members["EMPTY"]["current_at"] < members["PLAIN"]["current_at"]
    assert not about(path, failed["set"])["complete"]
    assert os.readlink(path / "latest") == failed["set"]
    # The newest complete one stays whatever retention says.
    assert prune(path, keep_last=1)["removed"] == []
    rounds.delete_all(server)
    back = rounds.restore_account(server, path, set="latest")
    assert rounds.statuses(back) == {"EMPTY": "created", "PLAIN": "created"}
    assert any("EMPTY: its backup is of " in text for text in rounds.warnings(back))


def test_some_streams_only_are_a_whole_set_all_the_same(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["PLAIN", "EMPTY"])
    path = tmp_path / "APP"
    backup(server, path)
    rounds.publish(server, "plain.a", b"one more")
    second = backup(server, path, streams=["PLAIN"])
    assert sorted(entry.name for entry in (path / second["set"]).iterdir()) == ["EMPTY", "PLAIN"]
    assert about(path, second["set"])["complete"]


def test_a_wrong_directory_or_account_is_refused(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["PLAIN"])
    rounds.backup_account(server, tmp_path / "plain")
    assert backup(server, tmp_path / "plain", ok=False)["error"] == "path_not_backup"
    backup(server, tmp_path / "APP")
    assert backup(server, tmp_path / "APP", ok=False, as_user="other")["error"] == "path_other_account"
    assert backup(server, tmp_path / "APP", ok=False, prune=True)["error"] == "invalid_options"
    assert prune(tmp_path, keep_last=1)["msg"].endswith(f"Give {tmp_path / 'APP'}.")
    assert prune(tmp_path / "APP", keep_last=0)["error"] == "invalid_options"
    rounds.delete_all(server)
    emptied = backup(server, tmp_path / "APP", ok=False)
    assert emptied["error"] == "account_emptied"
    assert len(sets(tmp_path / "APP")) == 1
    assert backup(server, tmp_path / "APP", allow_empty=True)["changed"]


def test_locked_while_another_runs_and_cleared_when_it_was_killed(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["PLAIN"])
    path = tmp_path / "APP"
    first = backup(server, path)
    fill(server, "BIG", 6 * MIB)
    with Proxy(server.port) as proxy:
        slow = {"chunk_size": 32 * 1024, "window_size": 256 * 1024, "sets": True}
        running = start_and_stall(
            "jetstream_account_backup", through(server, proxy, path=str(path), **slow), proxy, 2 * MIB, "down"
        )
        with within(20):
            second = backup(server, path, ok=False)
            also = prune(path, keep_last=1)
        assert (second["error"], also["error"]) == ("locked", "locked")
        assert f"process {running.process.pid} on " in second["msg"]
        assert " since 20" in second["msg"]
        running.kill()
    assert sets(path) == [first["set"]]
    done = backup(server, path)
    assert rounds.statuses(done) == {"BIG": "transferred", "PLAIN": "unchanged"}
    assert sets(path) == [first["set"], done["set"]]
    assert [entry.name for entry in path.parent.iterdir()] == ["APP"]
    assert rounds.info(path)["valid"]
