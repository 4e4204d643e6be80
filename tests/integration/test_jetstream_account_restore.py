# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""jetstream_account_restore: order of origins, failures that stop nobody else, what does not belong any more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration import rounds
from servers import Cluster, Options, Server, oracle
from servers.ansible import play
from servers.fixtures import MakeCluster, MakeServer
from servers.samples import make_streams

MODULE = "natsops.jetstream.jetstream_account_restore"


@pytest.fixture(scope="module")
def home(server_version: str) -> Iterator[Server]:
    with Server(Options(version=server_version)) as server:
        yield server


@pytest.fixture
def server(home: Server) -> Iterator[Server]:
    """The server of this module, emptied afterwards."""
    yield home
    rounds.delete_all(home)


def create(endpoint: Any, name: str, **config: Any) -> None:
    rounds.ask(endpoint, f"STREAM.CREATE.{name}", {"name": name, **config})


def chain(endpoint: Any) -> None:
    """A_COPY mirrors B_SUM, which sources C_ONE and D_TWO: every stream's name comes before those of its origins."""
    create(endpoint, "D_TWO", subjects=["two.>"])
    create(endpoint, "C_ONE", subjects=["one.>"])
    create(endpoint, "B_SUM", subjects=["sum.>"], sources=[{"name": "C_ONE"}, {"name": "D_TWO"}])
    create(endpoint, "A_COPY", mirror={"name": "B_SUM"})
    rounds.publish(endpoint, "one.x", *[b"one"] * 20)
    rounds.publish(endpoint, "two.x", *[b"two"] * 20)
    rounds.publish(endpoint, "sum.x", *[b"own"] * 3)
    rounds.wait_messages(endpoint, "A_COPY", 43)


def test_through_a_playbook(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["PLAIN", "WORK_QUEUE"])
    before = oracle.picture(server)
    rounds.backup_account(server, tmp_path / "APP")
    rounds.delete_all(server)
    task = {MODULE: {"path": str(tmp_path / "APP")}}
    played = play([{**task, "check_mode": True}, task, task], "--diff", defaults=server.connection())
    assert played.code == 0, played.output
    check, real, again = played.results
    assert [check["changed"], real["changed"], again["changed"]] == [True, True, False]
    assert check["summary"] == real["summary"] == {**dict.fromkeys(real["summary"], 0), "created": 2}
    assert again["summary"]["unchanged"] == 2
    assert [each["before"] for each in real["diff"]] == [{}, {}]
    assert [each["after"]["name"] for each in real["diff"]] == ["PLAIN", "WORK_QUEUE"]
    assert rounds.differences(before, oracle.picture(server)) == []


def test_origins_come_first_and_nothing_is_copied_twice(server: Server, tmp_path: Path) -> None:
    chain(server)
    before = oracle.picture(server)
    rounds.backup_account(server, tmp_path / "APP")
    rounds.delete(server, ["A_COPY", "B_SUM", "C_ONE", "D_TWO"])
    result = rounds.restore_account(server, tmp_path / "APP")
    created = {name: rounds.ask(server, f"STREAM.INFO.{name}")["created"] for name in before}
    assert max(created["C_ONE"], created["D_TWO"]) < created["B_SUM"] < created["A_COPY"]
    rounds.publish(server, "one.x", b"new one")
    rounds.publish(server, "two.x", b"new two")
    rounds.wait_messages(server, "A_COPY", 45)
    server.restart()
    rounds.publish(server, "one.x", b"newer one")
    rounds.publish(server, "two.x", b"newer two")
    rounds.wait_messages(server, "A_COPY", 47)
    for name, count in (("B_SUM", 47), ("A_COPY", 47), ("C_ONE", 22), ("D_TWO", 22)):
        messages = oracle.dump(server, name)
        assert len(messages) == count
        was = before[name]["messages"]
        assert oracle.compare(was, messages[: len(was)]) == []
    if server.line >= (2, 15):
        assert any("B_SUM" in line and "opt_start_seq" in line for line in rounds.warnings(result))
    assert not rounds.restore_account(server, tmp_path / "APP", streams=["B_SUM"])["changed"]


def test_an_origin_that_keeps_messages_by_interest(server: Server, tmp_path: Path) -> None:
    """From 2.14 on a stream that sources from it has a durable consumer there, which its own server makes anew."""
    create(server, "KEPT", subjects=["kept.>"], retention="interest")
    rounds.create_consumers(server, "KEPT", ["slow"])
    create(server, "COPIED", sources=[{"name": "KEPT"}])
    rounds.publish(server, "kept.x", *[b"%d" % number for number in range(10)])
    rounds.wait_messages(server, "COPIED", 10)
    assert len(rounds.take(server, "KEPT", "slow", 3)) == 3
    before = oracle.picture(server, ["KEPT"])["KEPT"]["messages"]
    assert len(before) == 7
    rounds.backup_account(server, tmp_path / "APP")
    assert not rounds.backup_account(server, tmp_path / "APP")["changed"]
    rounds.delete(server, ["COPIED", "KEPT"])
    rounds.restore_account(server, tmp_path / "APP")
    assert not rounds.restore_account(server, tmp_path / "APP")["changed"]
    assert oracle.compare(before, oracle.fetch(server, "KEPT")) == []
    rounds.publish(server, "kept.x", b"new")
    rounds.wait_messages(server, "COPIED", 11)
    assert len(rounds.take(server, "KEPT", "slow", 20)) == 8


@pytest.mark.slow
@pytest.mark.lines
def test_nothing_is_copied_twice_in_a_cluster(make_cluster: MakeCluster, tmp_path: Path) -> None:
    cluster: Cluster = make_cluster()
    chain(cluster)
    rounds.backup_account(cluster, tmp_path / "APP")
    rounds.delete(cluster, ["A_COPY", "B_SUM", "C_ONE", "D_TWO"])
    result = rounds.restore_account(cluster, tmp_path / "APP", replicas=3)
    assert result["summary"]["created"] == 4
    rounds.publish(cluster, "one.x", b"new one")
    rounds.publish(cluster, "two.x", b"new two")
    rounds.wait_messages(cluster, "A_COPY", 45, timeout=120)
    for name in ("B_SUM", "C_ONE", "A_COPY"):
        cluster.wait_stream_current(name)
        rounds.ask(cluster, f"STREAM.LEADER.STEPDOWN.{name}")
        cluster.stream_leader(name)
    rounds.publish(cluster, "one.x", b"newer one")
    rounds.publish(cluster, "two.x", b"newer two")
    rounds.wait_messages(cluster, "A_COPY", 47, timeout=120)
    assert [rounds.messages(cluster, name) for name in ("B_SUM", "A_COPY")] == [47, 47]
    followers = ["A_COPY", "B_SUM"]
    assert not rounds.restore_account(cluster, tmp_path / "APP", replicas=3, streams=followers)["changed"]


def test_a_failing_stream_does_not_block_the_others(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["EMPTY", "GAPS", "PLAIN"])
    rounds.backup_account(server, tmp_path / "APP")
    rounds.delete_all(server)
    data = next((tmp_path / "APP/GAPS").glob("stream.*.s2"))
    whole = data.read_bytes()
    data.write_bytes(whole[:-20])
    check = rounds.restore_account(server, tmp_path / "APP", check=True, ok=False)
    assert rounds.statuses(check) == {"EMPTY": "would_create", "GAPS": "failed", "PLAIN": "would_create"}
    result = rounds.restore_account(server, tmp_path / "APP", ok=False)
    assert rounds.statuses(result) == {"EMPTY": "created", "GAPS": "failed", "PLAIN": "created"}
    assert result["changed"]
    assert result["error"] == rounds.of(result, "GAPS")["error"] == "backup_invalid"
    assert "GAPS" in result["msg"]
    assert oracle.stream_names(server) == ["EMPTY", "PLAIN"]
    data.write_bytes(whole)
    again = rounds.restore_account(server, tmp_path / "APP")
    assert rounds.statuses(again) == {"EMPTY": "unchanged", "GAPS": "created", "PLAIN": "unchanged"}


@pytest.mark.slow
def test_on_error_stop(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["EMPTY", "GAPS"])
    rounds.backup_account(server, tmp_path / "APP")
    rounds.delete_all(server)
    (tmp_path / "APP/EMPTY/backup.json").write_text("")
    result = rounds.restore_account(server, tmp_path / "APP", on_error="stop", ok=False)
    assert rounds.statuses(result) == {"EMPTY": "failed", "GAPS": "skipped"}
    assert oracle.stream_names(server) == []


def test_streams_deleted_since_are_left_out(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["EMPTY", "GAPS", "PLAIN"])
    rounds.backup_account(server, tmp_path / "APP")
    rounds.delete(server, ["GAPS"])
    second = rounds.backup_account(server, tmp_path / "APP")
    assert not second["changed"]
    assert any("GAPS" in line and "prune" in line for line in rounds.warnings(second))
    rounds.delete_all(server)
    result = rounds.restore_account(server, tmp_path / "APP")
    assert rounds.statuses(result) == {"EMPTY": "created", "GAPS": "skipped", "PLAIN": "created"}
    assert "does not belong" in rounds.of(result, "GAPS")["reason"]
    assert oracle.stream_names(server) == ["EMPTY", "PLAIN"]
    stale = rounds.restore_account(server, tmp_path / "APP", stale=True)
    assert rounds.statuses(stale) == {"EMPTY": "unchanged", "GAPS": "created", "PLAIN": "unchanged"}


@pytest.mark.slow
def test_selection_by_name_and_glob(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["EMPTY", "GAPS", "PLAIN", "HEADERS"])
    rounds.backup_account(server, tmp_path / "APP")
    rounds.delete_all(server)
    result = rounds.restore_account(server, tmp_path / "APP", streams=["*A*", "EMPTY"], exclude=["P*"])
    assert sorted(rounds.statuses(result)) == ["EMPTY", "GAPS", "HEADERS"]
    missing = rounds.restore_account(server, tmp_path / "APP", streams=["NOWHERE"], ok=False)
    assert missing["error"] == "stream_not_found"
    assert "NOWHERE" in missing["msg"]


@pytest.mark.parametrize("conflict", ["fail", "replace", pytest.param("skip", marks=pytest.mark.slow)])
def test_conflicts(server: Server, tmp_path: Path, conflict: str) -> None:
    make_streams(server, ["EMPTY", "PLAIN"])
    before = oracle.picture(server)
    rounds.backup_account(server, tmp_path / "APP")
    rounds.publish(server, "plain.more", b"after the backup")
    options: dict[str, Any] = {"on_conflict": conflict, "ok": conflict != "fail"}
    check = rounds.restore_account(server, tmp_path / "APP", check=True, **options)
    assert rounds.messages(server, "PLAIN") == 251
    result = rounds.restore_account(server, tmp_path / "APP", **options)
    word = {"fail": "failed", "skip": "skipped", "replace": "replaced"}[conflict]
    assert rounds.statuses(result) == {"EMPTY": "unchanged", "PLAIN": word}
    assert check["changed"] == result["changed"] == (conflict == "replace")
    assert check["summary"] == result["summary"]
    for each in (check, result):
        one = rounds.of(each, "PLAIN")
        if conflict == "replace":
            assert one["lost"] == {"messages": 251, "last_seq": 251, "consumers": ["reader", "untouched"]}
        else:
            assert "last_seq: backup 250, stream 251" in one["reason"]
    if conflict == "replace":
        assert rounds.differences(before, oracle.picture(server)) == []
    else:
        assert rounds.messages(server, "PLAIN") == 251


@pytest.mark.slow
def test_a_circle_of_sources(make_server: MakeServer, tmp_path: Path) -> None:
    """Two streams that source from each other (each only what is its own, so that nothing runs round)."""
    server = make_server()
    create(server, "LEFT", subjects=["left.>"])
    create(server, "RIGHT", subjects=["right.>"], sources=[{"name": "LEFT", "filter_subject": "left.>"}])
    sources = [{"name": "RIGHT", "filter_subject": "right.>"}]
    rounds.ask(server, "STREAM.UPDATE.LEFT", {"name": "LEFT", "subjects": ["left.>"], "sources": sources})
    rounds.publish(server, "left.x", *[b"l"] * 5)
    rounds.publish(server, "right.x", *[b"r"] * 5)
    for name in ("LEFT", "RIGHT"):
        rounds.wait_messages(server, name, 10)
    before = oracle.picture(server)
    rounds.backup_account(server, tmp_path / "APP")
    rounds.delete_all(server)
    rounds.restore_account(server, tmp_path / "APP")
    assert rounds.differences(before, oracle.picture(server)) == []
    rounds.publish(server, "left.x", b"new")
    rounds.publish(server, "right.x", b"new")
    for name in ("LEFT", "RIGHT"):
        rounds.wait_messages(server, name, 12)
        assert rounds.messages(server, name) == 12


@pytest.mark.slow
def test_a_member_that_is_gone_is_a_failure(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["EMPTY", "GAPS"])
    rounds.backup_account(server, tmp_path / "APP")
    rounds.delete_all(server)
    (tmp_path / "APP/GAPS").rename(tmp_path / "moved-away")
    result = rounds.restore_account(server, tmp_path / "APP", ok=False)
    assert rounds.statuses(result) == {"EMPTY": "created", "GAPS": "failed"}
    assert json.loads((tmp_path / "APP.json").read_text())["streams"].keys() == {"EMPTY", "GAPS"}
