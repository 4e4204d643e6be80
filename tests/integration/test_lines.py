# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every odd stream in a cluster, from an older line to the newest, and what a line refuses; run on every line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import rounds
from integration.rounds import Round
from servers import Cluster, Options, Server, oracle, wait_for
from servers.fixtures import MakeServer
from servers.samples import make_streams

pytestmark = [pytest.mark.lines, pytest.mark.slow]
NEWEST = "2.15.3"


@pytest.fixture(scope="module", params=[1, 3], ids=["R1", "R3"])
def turned(
    request: pytest.FixtureRequest, server_version: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Round]:
    """The whole catalogue, once round in a cluster of three, with one replica and with three."""
    with Cluster(Options(version=server_version)) as cluster:
        path = tmp_path_factory.mktemp("cluster") / "APP"
        yield rounds.go_round(cluster, cluster, path, replicas=request.param)


def test_everything_is_as_it_was_in_a_cluster(turned: Round) -> None:
    assert sorted(turned.after) == sorted(turned.kept)
    assert turned.differences() == []


def test_check_mode_and_second_runs_in_a_cluster(turned: Round) -> None:
    assert turned.wrote == ["backup", "restore"]
    for step in ("backup", "restore"):
        assert turned.said[step]["changed"]
        assert turned.said[f"check {step}"]["summary"] == turned.said[step]["summary"]
        for again in (f"{step} again", f"check {step} again"):
            assert not turned.said[again]["changed"], again
    assert not turned.said["restore onto the living"]["changed"]


def test_left_out_consumers_are_named_and_come_back(turned: Round) -> None:
    """A V1 snapshot leaves out what has no replica on the stream's leader (which ones, changes from run to run)."""
    records = rounds.manifest(turned.path / "REPLICATED")["consumers"]
    left_out = {record["name"] for record in records if not record["in_archive"]}
    v2 = turned.endpoint.line >= (2, 15)
    assert {"memory"} <= left_out <= {"memory", "one", "ephemeral"} if not v2 else not left_out
    assert set(turned.lost["REPLICATED"]["consumers_created"]) == left_out
    for name in left_out:
        assert any("left" in line and name in line for line in rounds.own_warnings(turned.said["backup"]))
        assert any(f"REPLICATED > {name} " in line for line in rounds.own_warnings(turned.said["restore"]))
    assert sorted(turned.after["REPLICATED"]["consumers"]) == sorted(record["name"] for record in records)


def test_acknowledgements_that_a_clustered_v2_archive_lacks_are_said(turned: Round) -> None:
    told = [line for line in rounds.own_warnings(turned.said["restore"]) if "waiting for acknowledgement" in line]
    if not turned.v2_cluster:
        assert told == []
        return
    assert any("REPLICATED_QUEUE > workers: 10 messages" in line and "after sequence 8" in line for line in told)
    # Only consumers that had delivered something are named.
    assert not [line for line in told if "by-seq" in line or "CONSUMERS > new" in line]


def test_every_replica_holds_the_same(turned: Round) -> None:
    """By each server's own word: a client only sees the leader's copy."""
    cluster = turned.endpoint
    assert isinstance(cluster, Cluster)

    def copies() -> dict[str, set[tuple[int, ...]]]:
        found: dict[str, set[tuple[int, ...]]] = {}
        for node in cluster.nodes:
            for account in node.monitor("/jsz?accounts=true&streams=true").get("account_details") or []:
                for stream in account.get("stream_detail") or []:
                    state = tuple(int(stream["state"][key]) for key in ("messages", "first_seq", "last_seq"))
                    found.setdefault(f"{account['name']} {stream['name']}", set()).add(state)
        return found

    assert copies()
    wait_for(lambda: all(len(states) == 1 for states in copies().values()), 20, "equal copies on all servers")


def test_a_restored_replica_survives_the_loss_of_the_leader(turned: Round) -> None:
    """What the restore reports done is on the others as well."""
    cluster = turned.endpoint
    assert isinstance(cluster, Cluster)
    leader = cluster.stream_leader("REPLICATED")
    leader.kill()
    cluster.stream_leader("REPLICATED", timeout=60)
    left = oracle.fetch(cluster, "REPLICATED", timeout=30.0)
    assert oracle.compare(turned.before["REPLICATED"]["messages"], left) == []


@pytest.fixture(scope="module")
def upgraded(server_version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Round]:
    """Backed up on this line, restored on the newest."""
    with Server(Options(version=server_version)) as old, Server(Options(version=NEWEST)) as new:
        yield rounds.go_round(old, new, tmp_path_factory.mktemp("upgrade") / "APP")


def test_the_newest_line_takes_the_archives_of_this_one(upgraded: Round) -> None:
    assert sorted(upgraded.after) == sorted(upgraded.kept)
    assert upgraded.differences() == []


def test_sourced_messages_are_not_copied_twice_after_an_upgrade(upgraded: Round) -> None:
    server = upgraded.said["restore"]
    assert rounds.of(server, "SOURCED")["messages"] == len(upgraded.before["SOURCED"]["messages"])


def test_what_this_line_does_not_know_is_refused_or_dropped(
    server_version: str, make_server: MakeServer, tmp_path: Path
) -> None:
    """Streams of 2.14, the last line that writes V1, on this one."""
    source = make_server(version="2.14.10")
    make_streams(source, ["TTL", "COUNTER", "BATCHED", "PAUSED", "PRIORITY", "PLAIN"])
    before = oracle.picture(source)
    rounds.backup_account(source, tmp_path / "APP")
    target = make_server(version=server_version)
    since = {"TTL": (2, 11), "PAUSED": (2, 11), "PRIORITY": (2, 11), "COUNTER": (2, 12), "BATCHED": (2, 14)}
    refused = {name for name, line in since.items() if target.line < line}
    check = rounds.restore_account(target, tmp_path / "APP", check=True, ok=not refused)
    result = rounds.restore_account(target, tmp_path / "APP", ok=not refused)
    assert rounds.statuses(result) == {name: "failed" if name in refused else "created" for name in before}
    assert check["summary"] == result["summary"]
    assert oracle.stream_names(target) == sorted(set(before) - refused)
    for name in refused:
        one = rounds.of(result, name)
        assert one["error"] == "unsupported_by_server"
        field = {"TTL": "allow_msg_ttl", "COUNTER": "allow_msg_counter", "BATCHED": "allow_batched"}.get(name)
        assert (field or {"PAUSED": "pause_until", "PRIORITY": "priority_groups"}[name]) in one["reason"]
    dropped = rounds.restore_account(target, tmp_path / "APP", drop_unsupported=True)
    assert rounds.statuses(dropped) == {name: "created" if name in refused else "unchanged" for name in before}
    for name in refused:
        assert any(f"stream {name}: left out" in line for line in rounds.warnings(dropped))
        assert oracle.compare(before[name]["messages"], oracle.dump(target, name)) == []
    assert not rounds.restore_account(target, tmp_path / "APP", drop_unsupported=True)["changed"]


def test_a_v2_archive_is_refused_before_anything_is_touched(
    server_version: str, make_server: MakeServer, tmp_path: Path
) -> None:
    source, target = make_server(version=NEWEST), make_server(version=server_version)
    make_streams(source, ["EMPTY"])
    rounds.backup_stream(source, tmp_path / "EMPTY", "EMPTY")
    old = target.line < (2, 15)
    result = rounds.restore_stream(target, tmp_path / "EMPTY", ok=not old)
    if old:
        assert result["error"] == "format_unsupported"
        assert server_version in result["msg"]
        assert oracle.stream_names(target) == []
    else:
        assert result["status"] == "created"


def test_more_than_a_page_of_streams_and_consumers(
    server_version: str, make_server: MakeServer, tmp_path: Path
) -> None:
    server = make_server()
    streams = [f"S{number:03}" for number in range(300)]
    rounds.create_streams(server, streams)
    rounds.create_consumers(server, "S000", [f"c{number:03}" for number in range(300)])
    rounds.publish(server, "S299.x", b"last")
    first = rounds.backup_account(server, tmp_path / "APP")
    assert first["summary"]["transferred"] == 300
    assert not rounds.backup_account(server, tmp_path / "APP")["changed"]
    assert len(rounds.info(tmp_path / "APP/S000")["backups"][0]["consumers"]) == 300
    rounds.delete_all(server)
    result = rounds.restore_account(server, tmp_path / "APP")
    assert result["summary"]["created"] == 300
    assert oracle.stream_names(server) == streams
    assert len(oracle.consumers(server, "S000")) == 300
    assert rounds.messages(server, "S299") == 1
    assert not rounds.restore_account(server, tmp_path / "APP")["changed"]
