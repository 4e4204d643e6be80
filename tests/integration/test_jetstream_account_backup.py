# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""jetstream_account_backup: only what changed, what belongs to the account, streams that cannot be backed up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import rounds
from servers import Options, Server, oracle
from servers.ansible import play
from servers.fixtures import MakeServer
from servers.samples import make_streams

MODULE = "natsops.jetstream.jetstream_account_backup"


@pytest.fixture(scope="module")
def home(server_version: str) -> Iterator[Server]:
    with Server(Options(version=server_version)) as server:
        yield server


@pytest.fixture
def server(home: Server) -> Iterator[Server]:
    """The server of this module, emptied afterwards."""
    yield home
    rounds.delete_all(home)


def test_through_a_playbook(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["PLAIN", "WORK_QUEUE"])
    task = {MODULE: {"path": str(tmp_path / "APP")}}
    played = play([{**task, "check_mode": True}, task, task], defaults=server.connection())
    assert played.code == 0, played.output
    check, real, again = played.results
    assert [check["changed"], real["changed"], again["changed"]] == [True, True, False]
    assert check["summary"] == real["summary"]
    assert real["account"] == "APP"
    assert [each["messages"] for each in real["streams"]] == [250, 78]
    assert again["summary"] == {"transferred": 0, "unchanged": 2, "skipped": 0, "failed": 0}
    assert again["bytes"] == 0
    assert real["bytes"] > 0


def test_only_what_changed_is_transferred(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["EMPTY", "GAPS", "PLAIN", "WORK_QUEUE"])
    path = tmp_path / "APP"
    rounds.backup_account(server, path)
    before = rounds.tree(path)
    rounds.publish(server, "plain.a", b"one more")
    # A position is state as well.
    rounds.take(server, "EMPTY", "waiting", 1)
    assert rounds.take(server, "GAPS", "reader", 1)
    check = rounds.backup_account(server, path, check=True)
    assert rounds.tree(path) == before
    result = rounds.backup_account(server, path)
    assert {name for name, status in rounds.statuses(result).items() if status == "transferred"} == {"GAPS", "PLAIN"}
    assert check["summary"] == result["summary"]
    for name, content in rounds.tree(path).items():
        if name.startswith(("EMPTY", "WORK_QUEUE")):
            assert before[name] == content
    assert not rounds.backup_account(server, path)["changed"]


def test_a_configuration_is_state(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["PLAIN"])
    rounds.backup_account(server, tmp_path / "APP")
    config = rounds.ask(server, "STREAM.INFO.PLAIN")["config"]
    rounds.ask(server, "STREAM.UPDATE.PLAIN", {**config, "description": "changed"})
    assert rounds.backup_account(server, tmp_path / "APP")["summary"]["transferred"] == 1
    assert json.loads((tmp_path / "APP/PLAIN/backup.json").read_text())["config"]["description"] == "changed"


def test_made_again_with_the_same_content_is_another_stream(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["EMPTY"])
    rounds.backup_account(server, tmp_path / "APP")
    rounds.delete_all(server)
    make_streams(server, ["EMPTY"])
    result = rounds.backup_account(server, tmp_path / "APP")
    assert rounds.statuses(result) == {"EMPTY": "transferred"}
    assert not rounds.backup_account(server, tmp_path / "APP")["changed"]


def test_deleted_streams_leave_with_prune_only(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["EMPTY", "PLAIN"])
    path = tmp_path / "APP"
    rounds.backup_account(server, path)
    rounds.delete(server, ["PLAIN"])
    kept = rounds.backup_account(server, path)
    assert not kept["changed"]
    assert any("PLAIN" in line and "no more" in line for line in rounds.warnings(kept))
    before = rounds.tree(path)
    check = rounds.backup_account(server, path, prune=True, check=True)
    assert rounds.tree(path) == before
    pruned = rounds.backup_account(server, path, prune=True)
    assert check["changed"] is True
    assert pruned["changed"] is True
    assert [each.name for each in path.iterdir()] == ["EMPTY"]
    assert rounds.backup_account(server, path, prune=True)["changed"] is False


def test_memory_streams_of_an_older_line(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(version="2.14.10")
    make_streams(server, ["EMPTY", "MEMORY"])
    check = rounds.backup_account(server, tmp_path / "APP", check=True)
    result = rounds.backup_account(server, tmp_path / "APP")
    assert rounds.statuses(check) == {"EMPTY": "would_transfer", "MEMORY": "skipped"}
    assert rounds.statuses(result) == {"EMPTY": "transferred", "MEMORY": "skipped"}
    assert "2.15" in rounds.of(result, "MEMORY")["reason"]
    assert [each.name for each in (tmp_path / "APP").iterdir()] == ["EMPTY"]
    single = rounds.backup_stream(server, tmp_path / "MEMORY", "MEMORY", ok=False)
    assert single["error"] == "memory_stream_unsupported"
    assert not (tmp_path / "MEMORY").exists()


def test_a_stream_that_fails_blocks_nobody(server: Server, tmp_path: Path) -> None:
    """Its place is taken by another stream's backup, which must not be overwritten."""
    make_streams(server, ["EMPTY", "GAPS", "PLAIN"])
    path = tmp_path / "APP"
    rounds.backup_stream(server, path / "GAPS", "EMPTY")
    foreign = rounds.tree(path / "GAPS")
    check = rounds.backup_account(server, path, check=True, ok=False)
    result = rounds.backup_account(server, path, ok=False)
    assert rounds.statuses(result) == {"EMPTY": "transferred", "GAPS": "failed", "PLAIN": "transferred"}
    assert check["summary"] == result["summary"]
    assert result["error"] == rounds.of(result, "GAPS")["error"] == "path_other_stream"
    assert rounds.tree(path / "GAPS") == foreign
    described = json.loads((tmp_path / "APP.json").read_text())
    assert described["complete"] is False
    rounds.delete_all(server)
    # What the last run could not back up is not restored from what lies there.
    restored = rounds.restore_account(server, path)
    assert rounds.statuses(restored) == {"EMPTY": "created", "GAPS": "skipped", "PLAIN": "created"}


def test_consumers_of_an_interest_stream_are_not_optional(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["INTEREST", "PLAIN"])
    result = rounds.backup_account(server, tmp_path / "APP", consumers=False)
    assert rounds.manifest(tmp_path / "APP/PLAIN")["consumers"] == []
    assert [each["name"] for each in rounds.manifest(tmp_path / "APP/INTEREST")["consumers"]] == ["fast", "slow"]
    assert any("INTEREST" in line for line in rounds.warnings(result))
    assert not rounds.backup_account(server, tmp_path / "APP", consumers=False)["changed"]


@pytest.mark.slow
def test_selection(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["EMPTY", "GAPS", "HEADERS", "PLAIN"])
    result = rounds.backup_account(server, tmp_path / "APP", streams=["*A*"], exclude=["PLAIN"])
    assert sorted(rounds.statuses(result)) == ["GAPS", "HEADERS"]
    missing = rounds.backup_account(server, tmp_path / "APP", streams=["NOWHERE"], ok=False)
    assert missing["error"] == "stream_not_found"


@pytest.mark.slow
def test_an_empty_account(server: Server, tmp_path: Path) -> None:
    assert oracle.stream_names(server) == []
    result = rounds.backup_account(server, tmp_path / "APP")
    assert result["streams"] == []
    assert not rounds.backup_account(server, tmp_path / "APP")["changed"]
