# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring while applications go on: publishers retry, consumers consume, messages expire, origins are copied."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration import rounds
from integration.traffic import Publisher, Worker
from servers import Cluster, Options, Server, oracle
from servers.fixtures import MakeCluster
from servers.server import Endpoint

BOTH = ["newest", pytest.param("2.12.15", marks=pytest.mark.slow)]
SECOND = 10**9


@pytest.fixture(scope="module", params=BOTH)
def home(request: pytest.FixtureRequest, server_version: str) -> Iterator[Server]:
    with Server(Options(version=server_version if request.param == "newest" else request.param)) as server:
        yield server


@pytest.fixture
def server(home: Server) -> Iterator[Server]:
    """The server of this module, emptied afterwards."""
    yield home
    rounds.delete_all(home)


def create(endpoint: Endpoint, name: str, **config: Any) -> None:
    whole = {"name": name, **config}
    if not {"sources", "mirror"} & config.keys():
        whole.setdefault("subjects", [f"{name}.>"])
    rounds.ask(endpoint, f"STREAM.CREATE.{name}", whole)


def numbered(prefix: bytes, count: int) -> list[bytes]:
    return [b"%s %d" % (prefix, number) for number in range(count)]


def part(endpoint: Endpoint, stream: str, last: int) -> list[oracle.Message]:
    """What a stream holds up to a sequence, read by a plain client."""
    return [message for message in oracle.dump(endpoint, stream) if message.seq <= last]


def note_of(result: rounds.Result, stream: str) -> str:
    found = [
        line for line in rounds.warnings(result) if line.startswith(f"stream {stream}: ") and "came behind" in line
    ]
    assert len(found) == 1, rounds.warnings(result)
    return found[0]


def restored_while_published(
    endpoint: Endpoint, path: Path, stream: str, publisher: Publisher, before: list[oracle.Message], **options: Any
) -> rounds.Result:
    """Lose a stream and restore it while `publisher` retries; then once more, and once more in check mode."""
    last = rounds.manifest(path)["state"]["last_seq"]
    with publisher:
        rounds.delete(endpoint, [stream])
        result = rounds.restore_stream(endpoint, path, **options)
        assert result["status"] == "created"
        publisher.wait(20)
        again = rounds.restore_stream(endpoint, path, **options)
        check = rounds.restore_stream(endpoint, path, check=True, **options)
    assert [again["status"], check["status"]] == ["unchanged", "unchanged"], (again, check)
    assert not again["changed"]
    assert "came behind" in note_of(again, stream)
    assert oracle.compare(before, part(endpoint, stream, last)) == []
    live = {message.seq for message in oracle.dump(endpoint, stream)}
    assert {seq for seq in publisher.acknowledged if seq > last} <= live
    return result


def test_publishers_that_retry(server: Server, tmp_path: Path) -> None:
    create(server, "LIVE")
    rounds.publish(server, "LIVE.x", *numbered(b"old", 300))
    before = oracle.dump(server, "LIVE")
    rounds.backup_stream(server, tmp_path / "LIVE", "LIVE")
    result = restored_while_published(server, tmp_path / "LIVE", "LIVE", Publisher(server, "LIVE.x", pause=0), before)
    assert result["messages"] >= 300
    if result["messages"] > 300:
        assert "sequence 300" in note_of(result, "LIVE")


def test_deleted_messages_and_publishers(server: Server, tmp_path: Path) -> None:
    create(server, "GAPS")
    rounds.publish(server, "GAPS.x", *numbered(b"old", 40))
    for sequence in (1, 7, 8, 40):
        rounds.ask(server, "STREAM.MSG.DELETE.GAPS", {"seq": sequence})
    before = oracle.dump(server, "GAPS")
    rounds.backup_stream(server, tmp_path / "GAPS", "GAPS")
    restored_while_published(server, tmp_path / "GAPS", "GAPS", Publisher(server, "GAPS.x"), before)
    # A message of the backup that somebody deletes is a difference, whatever came after it.
    rounds.ask(server, "STREAM.MSG.DELETE.GAPS", {"seq": 20})
    lost = rounds.restore_stream(server, tmp_path / "GAPS", ok=False)
    assert lost["error"] == "stream_exists"
    assert "messages: " in lost["msg"]


@pytest.mark.parametrize(
    "limits",
    [
        {"max_msgs": 50},
        pytest.param({"max_bytes": 4096}, marks=pytest.mark.slow),
        pytest.param({"max_msgs_per_subject": 3}, marks=pytest.mark.slow),
        pytest.param({"max_msgs": 50, "discard": "new"}, marks=pytest.mark.slow),
    ],
    ids="-".join,
)
def test_new_messages_push_out_old_ones(server: Server, tmp_path: Path, limits: dict[str, Any]) -> None:
    create(server, "FULL", **limits)
    for number in range(50):
        rounds.publish(server, f"FULL.{number % 10}", b"old %d" % number)
    rounds.backup_stream(server, tmp_path / "FULL", "FULL")
    before = {message.seq: message for message in oracle.dump(server, "FULL")}
    with Publisher(server, lambda number: f"FULL.{number % 10}") as publisher:
        rounds.delete(server, ["FULL"])
        assert rounds.restore_stream(server, tmp_path / "FULL")["status"] == "created"
        if limits.get("discard") != "new":
            publisher.wait(20)
        assert rounds.restore_stream(server, tmp_path / "FULL")["status"] == "unchanged"
    for message in part(server, "FULL", 50):
        assert before[message.seq] == message
    # Emptied by hand: that is none of its configuration's doing.
    rounds.ask(server, "STREAM.PURGE.FULL")
    purged = rounds.restore_stream(server, tmp_path / "FULL", ok=False)
    assert purged["error"] == "stream_exists"


@pytest.mark.parametrize("retention", ["workqueue", pytest.param("interest", marks=pytest.mark.slow)])
def test_consumers_that_go_on(server: Server, tmp_path: Path, retention: str) -> None:
    create(server, "WORK", retention=retention)
    rounds.create_consumers(server, "WORK", ["worker"])
    rounds.publish(server, "WORK.x", *numbered(b"old", 100))
    assert len(rounds.take(server, "WORK", "worker", 10)) == 10
    rounds.backup_stream(server, tmp_path / "WORK", "WORK")
    with Publisher(server, "WORK.x") as publisher, Worker(server, "WORK", "worker") as worker:
        rounds.delete(server, ["WORK"])
        worker.taken.clear()
        assert rounds.restore_stream(server, tmp_path / "WORK")["status"] == "created"
        publisher.wait(20)
        assert rounds.restore_stream(server, tmp_path / "WORK")["status"] == "unchanged"
        published = set(publisher.acknowledged)
        time.sleep(1)
    rest = {sequence for sequence, _count in rounds.take(server, "WORK", "worker", 10_000)}
    got = {*worker.taken, *rest}
    assert set(range(11, 101)) <= got
    assert {sequence for sequence in published if sequence > 100} <= got


def test_a_bucket_with_history_and_purges(server: Server, tmp_path: Path) -> None:
    """What the key-value clients make: history, roll-ups by purge, deletes; new values take the place of old ones."""
    create(
        server, "KV_cfg", subjects=["$KV.cfg.>"], max_msgs_per_subject=3, allow_rollup_hdrs=True, deny_delete=True,
        discard="new", allow_direct=True,
    )  # fmt: skip
    for number in range(30):
        rounds.publish(server, f"$KV.cfg.k{number % 10}", b"old %d" % number)
    rounds.backup_stream(server, tmp_path / "KV", "KV_cfg")
    before = {message.seq: message for message in oracle.dump(server, "KV_cfg")}

    def headers(number: int) -> dict[str, str]:
        return {"KV-Operation": "PURGE", "Nats-Rollup": "sub"} if number % 7 == 0 else {}

    with Publisher(server, lambda number: f"$KV.cfg.k{number % 5}", headers=headers) as publisher:
        rounds.delete(server, ["KV_cfg"])
        assert rounds.restore_stream(server, tmp_path / "KV")["status"] == "created"
        publisher.wait(30)
        assert rounds.restore_stream(server, tmp_path / "KV")["status"] == "unchanged"
    left = part(server, "KV_cfg", 30)
    assert {message.subject for message in left} >= {f"$KV.cfg.k{number}" for number in range(5, 10)}
    assert all(before[message.seq] == message for message in left)


@pytest.mark.slow
def test_messages_that_expire_and_their_markers(server: Server, tmp_path: Path) -> None:
    create(
        server, "TTL", allow_msg_ttl=True, allow_rollup_hdrs=True, subject_delete_marker_ttl=60 * SECOND,
        max_age=6 * SECOND, duplicate_window=SECOND,
    )  # fmt: skip
    rounds.publish(server, "TTL.stays", *numbered(b"stays", 5), headers={"Nats-TTL": "never"})
    for number in range(5):
        rounds.publish(server, f"TTL.aged.{number}", b"aged")
        rounds.publish(server, f"TTL.short.{number}", b"short", headers={"Nats-TTL": "4s"})
    rounds.backup_stream(server, tmp_path / "TTL", "TTL")
    rounds.delete(server, ["TTL"])
    assert rounds.restore_stream(server, tmp_path / "TTL")["status"] == "created"
    time.sleep(8)
    state = oracle.stream_info(server, "TTL")["state"]
    assert state["last_seq"] > 15, "the server writes markers"
    assert rounds.restore_stream(server, tmp_path / "TTL")["status"] == "unchanged"
    rounds.delete(server, ["TTL"])
    # All but the first are over when it is restored.
    assert rounds.restore_stream(server, tmp_path / "TTL")["status"] == "created"
    assert rounds.restore_stream(server, tmp_path / "TTL", check=True)["status"] == "unchanged"
    assert [message.seq for message in part(server, "TTL", 5)] == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_all_that_aged(server: Server, tmp_path: Path) -> None:
    create(server, "AGED", max_age=5 * SECOND, duplicate_window=SECOND)
    rounds.publish(server, "AGED.x", *numbered(b"old", 20))
    rounds.backup_stream(server, tmp_path / "AGED", "AGED")
    with Publisher(server, "AGED.x") as publisher:
        rounds.delete(server, ["AGED"])
        time.sleep(3.5)
        assert rounds.restore_stream(server, tmp_path / "AGED")["status"] == "created"
        publisher.wait(10)
        time.sleep(4)
        assert rounds.restore_stream(server, tmp_path / "AGED")["status"] == "unchanged"


@pytest.mark.slow
def test_schedules_and_counters(server: Server, tmp_path: Path) -> None:
    create(server, "PLANS", subjects=["PLANS.>", "due.>"], allow_msg_schedules=True, allow_msg_ttl=True)
    create(server, "COUNTS", allow_msg_counter=True, allow_direct=True)
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 5))
    for number in range(3):
        headers = {"Nats-Schedule": f"@at {at}", "Nats-Schedule-Target": f"due.{number}"}
        rounds.publish(server, f"PLANS.{number}", b"later", headers=headers)
    for _number in range(5):
        rounds.publish(server, "COUNTS.a", b"", headers={"Nats-Incr": "+1"})
    rounds.backup_account(server, tmp_path / "APP")

    def increment(number: int) -> dict[str, str]:
        return {"Nats-Incr": "+1"}

    with Publisher(server, "COUNTS.a", headers=increment, payload=lambda number: b"") as publisher:
        rounds.delete(server, ["PLANS", "COUNTS"])
        assert set(rounds.statuses(rounds.restore_account(server, tmp_path / "APP")).values()) == {"created"}
        publisher.wait(10)
        rounds.wait_messages(server, "PLANS", 3)
        time.sleep(max(0.0, 7 - 2))
        assert oracle.stream_info(server, "PLANS")["state"]["last_seq"] > 3
        again = rounds.restore_account(server, tmp_path / "APP")
    assert set(rounds.statuses(again).values()) == {"unchanged"}
    assert not again["changed"]


def test_copies_from_origins_that_live(server: Server, tmp_path: Path) -> None:
    create(server, "ORIGIN")
    create(server, "COPY", sources=[{"name": "ORIGIN"}])
    create(server, "MIRROR", mirror={"name": "ORIGIN"})
    rounds.publish(server, "ORIGIN.x", *numbered(b"old", 50))
    for name in ("COPY", "MIRROR"):
        rounds.wait_messages(server, name, 50)
    before = oracle.picture(server)
    rounds.backup_account(server, tmp_path / "APP")
    with Publisher(server, "ORIGIN.x") as publisher:
        rounds.delete(server, ["COPY", "MIRROR", "ORIGIN"])
        result = rounds.restore_account(server, tmp_path / "APP")
        assert set(rounds.statuses(result).values()) == {"created"}
        publisher.wait(20)
        again = rounds.restore_account(server, tmp_path / "APP")
    assert set(rounds.statuses(again).values()) == {"unchanged"}, again
    for name in ("COPY", "MIRROR", "ORIGIN"):
        rounds.wait_messages(server, name, 50 + len([seq for seq in publisher.acknowledged if seq > 50]))
        assert oracle.compare(before[name]["messages"], part(server, name, 50)) == []


@pytest.mark.slow
@pytest.mark.parametrize("version", ["newest", "2.12.15"])
def test_a_cluster_with_publishers(
    make_cluster: MakeCluster, server_version: str, version: str, tmp_path: Path
) -> None:
    cluster: Cluster = make_cluster(version=server_version if version == "newest" else version)
    create(cluster, "LIVE", num_replicas=3)
    create(cluster, "WORK", num_replicas=3, retention="workqueue")
    rounds.create_consumers(cluster, "WORK", ["worker"])
    for stream in ("LIVE", "WORK"):
        rounds.publish(cluster, f"{stream}.x", *numbered(b"old", 100))
    before = oracle.dump(cluster, "LIVE")
    rounds.backup_account(cluster, tmp_path / "APP")
    with Publisher(cluster, "LIVE.x") as one, Publisher(cluster, "WORK.x"), Worker(cluster, "WORK", "worker"):
        rounds.delete(cluster, ["LIVE", "WORK"])
        result = rounds.restore_account(cluster, tmp_path / "APP")
        assert set(rounds.statuses(result).values()) == {"created"}
        one.wait(20)
        again = rounds.restore_account(cluster, tmp_path / "APP")
        replace = rounds.restore_account(cluster, tmp_path / "APP", on_conflict="replace", check=True)
    assert set(rounds.statuses(again).values()) == {"unchanged"}, again
    assert set(rounds.statuses(replace).values()) == {"would_replace"}, replace
    assert oracle.compare(before, part(cluster, "LIVE", 100)) == []


def test_a_stream_that_lost_its_end_is_another(server: Server, tmp_path: Path) -> None:
    """As many messages as the backup has, with the same first one: but not the same."""
    create(server, "CUT")
    rounds.publish(server, "CUT.x", *numbered(b"old", 20))
    rounds.backup_stream(server, tmp_path / "EARLY", "CUT")
    rounds.publish(server, "CUT.x", *numbered(b"lost", 20))
    rounds.backup_stream(server, tmp_path / "LATE", "CUT")
    rounds.delete(server, ["CUT"])
    rounds.restore_stream(server, tmp_path / "EARLY")
    rounds.publish(server, "CUT.x", *numbered(b"other", 30))
    result = rounds.restore_stream(server, tmp_path / "LATE", ok=False)
    assert result["error"] == "stream_exists"
    assert "message 40" in result["msg"]
