# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""jetstream_stream_restore: names, storage, overrides, replacement, positions of consumers, limits that went on."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.api import JetStream
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.errors import MisdirectedError
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.options import make_options
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.session import Session
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.inspect import inspect
from ansible_collections.natsops.jetstream.plugins.module_utils._restore.plan import RestoreOptions, look_at_target
from ansible_collections.natsops.jetstream.plugins.module_utils._restore.stream import restore_stream

from integration import rounds
from servers import Cluster, Options, Server, oracle
from servers.ansible import play
from servers.fixtures import MakeCluster, MakeServer
from servers.samples import make_streams

MODULE = "natsops.jetstream.jetstream_stream_restore"


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
    rounds.ask(endpoint, f"STREAM.CREATE.{name}", {"name": name, "subjects": [f"{name}.>"], **config})


def config_of(endpoint: Any, name: str) -> dict[str, Any]:
    return dict(rounds.ask(endpoint, f"STREAM.INFO.{name}")["config"])


def test_through_a_playbook(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["PLAIN"])
    before = oracle.picture(server)
    rounds.backup_stream(server, tmp_path / "PLAIN", "PLAIN")
    rounds.publish(server, "plain.more", b"more")
    task = {MODULE: {"path": str(tmp_path / "PLAIN")}}
    replace = {MODULE: {"path": str(tmp_path / "PLAIN"), "on_conflict": "replace"}}
    played = play([task, {**replace, "check_mode": True}, replace, task], "--diff", defaults=server.connection())
    assert played.code == 0, played.output
    conflict, check, real, again = played.results
    assert conflict["failed"]
    assert conflict["error"] == "stream_exists"
    assert conflict["differences"] == ["last_seq: backup 250, stream 251", "messages: backup 250, stream 251"]
    assert [check["status"], real["status"], again["status"]] == ["would_replace", "replaced", "unchanged"]
    assert [check["changed"], real["changed"], again["changed"]] == [True, True, False]
    assert check["lost"] == real["lost"] == {"messages": 251, "last_seq": 251, "consumers": ["reader", "untouched"]}
    assert real["diff"][0]["before"]["name"] == real["diff"][0]["after"]["name"] == "PLAIN"
    assert rounds.differences(before, oracle.picture(server)) == []


def test_under_another_name_beside_the_original(server: Server, tmp_path: Path) -> None:
    """V2 only: every message keeps its subject, the new stream takes in others."""
    make_streams(server, ["PLAIN"])
    before = oracle.picture(server)["PLAIN"]
    rounds.backup_stream(server, tmp_path / "PLAIN", "PLAIN")
    taken = rounds.restore_stream(server, tmp_path / "PLAIN", stream="COPY", ok=False)
    assert taken["error"] == "subject_overlap"
    options: dict[str, Any] = {"stream": "COPY", "config": {"subjects": ["copy.>"]}}
    assert rounds.restore_stream(server, tmp_path / "PLAIN", check=True, **options)["status"] == "would_create"
    assert rounds.restore_stream(server, tmp_path / "PLAIN", **options)["status"] == "created"
    assert rounds.restore_stream(server, tmp_path / "PLAIN", **options)["status"] == "unchanged"
    after = oracle.picture(server)
    assert oracle.compare(before, after["PLAIN"]) == []
    assert oracle.compare(before["messages"], after["COPY"]["messages"]) == []
    assert oracle.compare(before["consumers"], after["COPY"]["consumers"]) == []
    assert after["COPY"]["config"]["subjects"] == ["copy.>"]


@pytest.mark.slow
def test_between_file_and_memory(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["PLAIN"])
    before = oracle.picture(server)["PLAIN"]
    path = tmp_path / "PLAIN"
    rounds.backup_stream(server, path, "PLAIN")
    for storage in ("memory", "file"):
        rounds.delete_all(server)
        assert rounds.restore_stream(server, path, storage=storage)["status"] == "created"
        assert not rounds.restore_stream(server, path, storage=storage)["changed"]
        after = oracle.picture(server)["PLAIN"]
        assert after["config"]["storage"] == storage
        assert oracle.compare(before["messages"], after["messages"]) == []
        assert oracle.compare(before["consumers"], after["consumers"]) == []
        rounds.backup_stream(server, path, "PLAIN")


def test_before_2_15_v1_keeps_its_name_and_its_storage(make_server: MakeServer, tmp_path: Path) -> None:
    old = make_server(version="2.14.10")
    make_streams(old, ["PLAIN"])
    rounds.backup_stream(old, tmp_path / "PLAIN", "PLAIN")
    rounds.delete_all(old)
    for option, word in (({"stream": "COPY"}, "rename_unsupported"), ({"storage": "memory"}, "storage_unsupported")):
        for check in (True, False):
            result = rounds.restore_stream(old, tmp_path / "PLAIN", check=check, ok=False, **option)
            assert result["error"] == word
    assert oracle.stream_names(old) == []


def test_the_configuration_can_be_overlaid(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["DESCRIBED"])
    path = tmp_path / "DESCRIBED"
    rounds.backup_stream(server, path, "DESCRIBED")
    rounds.delete_all(server)
    options = {"config": {"description": "restored", "max_msgs": 1000, "consumer_limits": None}}
    assert rounds.restore_stream(server, path, **options)["status"] == "created"
    config = config_of(server, "DESCRIBED")
    assert (config["description"], config["max_msgs"]) == ("restored", 1000)
    assert not {key: value for key, value in (config.get("consumer_limits") or {}).items() if value}
    assert rounds.restore_stream(server, path, **options)["status"] == "unchanged"
    plain = rounds.restore_stream(server, path, ok=False)
    assert plain["error"] == "stream_exists"
    assert any(line.startswith("description:") for line in plain["differences"])


def test_the_old_stream_is_untouched_when_the_new_one_cannot_be(make_cluster: MakeCluster, tmp_path: Path) -> None:
    """Placement that no server fits is known to the servers only: they are asked before anything is deleted."""
    cluster = make_cluster()
    make_streams(cluster, ["PLAIN"])
    rounds.backup_stream(cluster, tmp_path / "PLAIN", "PLAIN")
    rounds.publish(cluster, "plain.more", b"more")
    before = oracle.picture(cluster)
    options = {"on_conflict": "replace", "placement": {"tags": ["nowhere"]}}
    result = rounds.restore_stream(cluster, tmp_path / "PLAIN", ok=False, **options)
    assert result["error"] == "no_suitable_peers"
    assert "untouched" in result["msg"]
    assert oracle.compare(before, oracle.picture(cluster)) == []
    too_many = rounds.restore_stream(cluster, tmp_path / "PLAIN", on_conflict="replace", replicas=5, ok=False)
    assert too_many["error"] == "replicas_unsupported"
    assert oracle.compare(before, oracle.picture(cluster)) == []


@pytest.mark.slow
def test_replace_clears_the_old_and_says_what_goes(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["PLAIN"])
    rounds.backup_stream(server, tmp_path / "PLAIN", "PLAIN")
    rounds.delete_all(server)
    create(server, "PLAIN", max_msgs=5)
    rounds.publish(server, "PLAIN.x", b"another stream of that name")
    skipped = rounds.restore_stream(server, tmp_path / "PLAIN", on_conflict="skip")
    assert (skipped["status"], skipped["changed"]) == ("skipped", False)
    check = rounds.restore_stream(server, tmp_path / "PLAIN", on_conflict="replace", check=True)
    assert check["lost"] == {"messages": 1, "last_seq": 1, "consumers": []}
    assert rounds.messages(server, "PLAIN") == 1
    assert rounds.restore_stream(server, tmp_path / "PLAIN", on_conflict="replace")["status"] == "replaced"
    assert rounds.messages(server, "PLAIN") == 250
    assert oracle.stream_names(server) == ["PLAIN"]


@pytest.mark.lines
def test_consumers_go_on_exactly_where_they_were(make_server: MakeServer, tmp_path: Path) -> None:
    """With messages that wait for acknowledgement and some acknowledged beyond them, read by a plain client."""
    server = make_server()
    create(server, "S")
    rounds.publish(server, "S.x", *[b"%d" % number for number in range(30)])
    for storage in (False, True):
        name = "memory" if storage else "file"
        rounds.create_consumers(server, "S", [name], ack_wait=2 * 10**9, mem_storage=storage)
        assert [seq for seq, _n in rounds.take(server, "S", name, 10)] == list(range(1, 11))
        assert [seq for seq, _n in rounds.take(server, "S", name, 4, ack=False)] == [11, 12, 13, 14]
    rounds.backup_stream(server, tmp_path / "S", "S")
    rounds.delete_all(server)
    result = rounds.restore_stream(server, tmp_path / "S")
    time.sleep(2.5)
    found = [seq for _round in range(2) for seq, _n in rounds.take(server, "S", "file", 30)]
    assert sorted(found) == list(range(11, 31))
    in_memory = [seq for _round in range(2) for seq, _n in rounds.take(server, "S", "memory", 30)]
    assert sorted(in_memory) == list(range(11, 31))
    told = [line for line in rounds.warnings(result) if "S > memory" in line]
    if server.line >= (2, 15):
        assert told == []
    else:
        assert len(told) == 1
        assert "from sequence 11" in told[0]
        assert "4 pending acknowledgements are lost" in told[0]
    assert not rounds.restore_stream(server, tmp_path / "S")["changed"]


@pytest.mark.slow
@pytest.mark.lines
def test_consumers_in_a_cluster_deliver_what_was_not_acknowledged(make_cluster: MakeCluster, tmp_path: Path) -> None:
    cluster: Cluster = make_cluster()
    create(cluster, "S", num_replicas=3)
    rounds.publish(cluster, "S.x", *[b"%d" % number for number in range(30)])
    late = {"deliver_policy": "by_start_sequence", "opt_start_seq": 20}
    for name, more in (("three", {}), ("one", {"num_replicas": 1}), ("late", late), ("new", {"deliver_policy": "new"})):
        rounds.create_consumers(cluster, "S", [name], ack_wait=2 * 10**9, **more)
    for name in ("three", "one"):
        rounds.take(cluster, "S", name, 10)
        rounds.take(cluster, "S", name, 4, ack=False)
    rounds.backup_stream(cluster, tmp_path / "S", "S")
    rounds.delete_all(cluster)
    result = rounds.restore_stream(cluster, tmp_path / "S")
    time.sleep(2.5)
    starts = {"three": 11, "one": 11, "late": 20, "new": 31}
    for name, start in starts.items():
        found = [seq for _round in range(2) for seq, _n in rounds.take(cluster, "S", name, 30)]
        assert sorted(found) == list(range(start, 31)), name
    if cluster.line >= (2, 15):
        told = [line for line in rounds.warnings(result) if "waiting for acknowledgement" in line]
        assert len(told) == 1
        assert told[0].startswith("2 consumers (S > one, S > three): 4 messages")
    assert not rounds.restore_stream(cluster, tmp_path / "S")["changed"]


@pytest.mark.lines
def test_a_push_consumer_whose_subject_the_stream_takes_in_by_now(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server()
    create(server, "S", subjects=["s.>"])
    rounds.publish(server, "s.x", b"one", b"two")
    rounds.create_consumers(server, "S", ["push"], deliver_subject="loop.push", ack_policy="none")
    config = config_of(server, "S")
    changed = oracle.request(server, "STREAM.UPDATE.S", {**config, "subjects": ["s.>", "loop.>"]})
    before = oracle.picture(server)
    rounds.backup_stream(server, tmp_path / "S", "S")
    rounds.delete_all(server)
    assert rounds.restore_stream(server, tmp_path / "S")["status"] == "created"
    if "error" not in changed:
        assert config_of(server, "S")["subjects"] == ["s.>", "loop.>"]
    assert rounds.differences(before, oracle.picture(server)) == []
    assert not rounds.restore_stream(server, tmp_path / "S")["changed"]


@pytest.mark.slow
@pytest.mark.lines
def test_what_expired_meanwhile_is_no_difference(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server()
    create(server, "AGED", max_age=4 * 10**9, duplicate_window=10**9)
    rounds.publish(server, "AGED.x", b"old", b"older")
    time.sleep(2)
    rounds.publish(server, "AGED.x", b"young")
    rounds.backup_stream(server, tmp_path / "AGED", "AGED")
    rounds.delete_all(server)
    time.sleep(5)
    first = rounds.restore_stream(server, tmp_path / "AGED")
    assert first["status"] == "created"
    time.sleep(1)
    assert rounds.messages(server, "AGED") == 0
    assert rounds.restore_stream(server, tmp_path / "AGED")["status"] == "unchanged"


@pytest.mark.slow
def test_messages_that_expire_on_their_own(server: Server, tmp_path: Path) -> None:
    create(server, "TTL", allow_msg_ttl=True)
    rounds.publish(server, "TTL.x", b"short", headers={"Nats-TTL": "2s"})
    rounds.publish(server, "TTL.x", b"stays")
    rounds.backup_stream(server, tmp_path / "TTL", "TTL")
    rounds.delete_all(server)
    time.sleep(3)
    assert rounds.restore_stream(server, tmp_path / "TTL")["status"] == "created"
    assert rounds.restore_stream(server, tmp_path / "TTL")["status"] == "unchanged"
    assert [message.seq for message in oracle.dump(server, "TTL")][-1:] == [2]


def test_a_live_stream_that_sources_from_what_is_restored(server: Server, tmp_path: Path) -> None:
    """Only the origin is restored, in place: what sources from it is not to copy anything again."""
    create(server, "ORIGIN")
    create(server, "LIVE", sources=[{"name": "ORIGIN"}])
    rounds.publish(server, "ORIGIN.x", *[b"%d" % number for number in range(20)])
    rounds.wait_messages(server, "LIVE", 20)
    rounds.backup_stream(server, tmp_path / "ORIGIN", "ORIGIN")
    rounds.delete(server, ["ORIGIN"])
    result = rounds.restore_stream(server, tmp_path / "ORIGIN")
    rounds.publish(server, "ORIGIN.x", b"new")
    rounds.wait_messages(server, "LIVE", 21)
    server.restart()
    rounds.publish(server, "ORIGIN.x", b"newer")
    rounds.wait_messages(server, "LIVE", 22)
    assert rounds.messages(server, "LIVE") == 22
    assert any("LIVE" in line and "opt_start_seq" in line for line in rounds.warnings(result))
    assert "natsops" not in json.dumps(config_of(server, "LIVE"))


@pytest.mark.lines
@pytest.mark.parametrize("retention", ["interest", pytest.param("workqueue", marks=pytest.mark.slow)])
def test_streams_that_keep_messages_for_their_consumers(
    make_server: MakeServer, tmp_path: Path, retention: str
) -> None:
    server = make_server()
    create(server, "S", retention=retention)
    rounds.create_consumers(server, "S", ["c"], ack_wait=2 * 10**9)
    rounds.publish(server, "S.x", *[b"%d" % number for number in range(20)])
    rounds.take(server, "S", "c", 5)
    rounds.take(server, "S", "c", 3, ack=False)
    refused = rounds.backup_stream(server, tmp_path / "none", "S", consumers=False, ok=False)
    assert refused["error"] == "consumers_required"
    rounds.backup_stream(server, tmp_path / "S", "S")
    rounds.delete_all(server)
    assert rounds.restore_stream(server, tmp_path / "S")["status"] == "created"
    assert not rounds.restore_stream(server, tmp_path / "S")["changed"]
    time.sleep(2.5)
    found = [seq for _round in range(2) for seq, _n in rounds.take(server, "S", "c", 30)]
    assert sorted(found) == list(range(6, 21))
    # Consumed since: no reason to put it all back.
    assert rounds.restore_stream(server, tmp_path / "S")["status"] == "unchanged"


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 3])
def test_a_cluster_that_makes_an_empty_stream_instead(
    make_cluster: MakeCluster, tmp_path: Path, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rare, and more often on busy machines: it is sent again, in the end with one replica, and scaled up."""
    cluster = make_cluster()
    make_streams(cluster, ["PLAIN"], replicas=3)
    before = oracle.picture(cluster)
    rounds.backup_stream(cluster, tmp_path / "PLAIN", "PLAIN")
    rounds.delete_all(cluster)
    real, asked = JetStream.restore, []

    async def misdirected(js: JetStream, stream: str, request: dict[str, Any], *, timeout: float) -> str:
        asked.append(request["config"]["num_replicas"])
        if len(asked) > times:
            return await real(js, stream, request, timeout=timeout)
        await js.create_stream(request["config"])
        raise MisdirectedError("an empty stream", err_code=10130, code=500, description="an empty stream")

    async def work() -> Any:
        async with Session(make_options(cluster.connection())) as session:
            target = await look_at_target(session.js)
            backup = inspect(str(tmp_path / "PLAIN"))
            return await restore_stream(session.js, backup, RestoreOptions(), target, asyncio.Lock(), check=False)

    monkeypatch.setattr(JetStream, "restore", misdirected)
    result = oracle.run(work())
    assert result.status == "created"
    assert asked == [3, 3] if times == 1 else [3, 3, 3, 1]
    after = oracle.picture(cluster)
    assert after["PLAIN"]["config"]["num_replicas"] == 3
    assert rounds.differences(before, after, v2_cluster=cluster.line >= (2, 15)) == []
