# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of real servers read as a plain consumer reads the streams; damage found before anything is uploaded."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._archive import reader

from integration import rounds
from servers import Options, Server, oracle
from servers.ansible import play, run_module
from servers.binaries import nats_server
from servers.catalogue import SAMPLES
from servers.oracle import Message
from servers.samples import choose, make_streams

LINES = ["2.10.29", "2.12.15", "2.14.10", "2.15.3"]


def read(path: Path) -> tuple[list[Message], dict]:
    (data,) = path.glob("stream.*")
    archive = reader.open_archive(data)
    messages = [
        Message(
            m.sequence,
            m.time_ns,
            m.subject,
            m.header,
            m.payload_size,
            hashlib.sha256(m.payload or b"").hexdigest(),
        )
        for m in archive.messages()
    ]
    return messages, {consumer.name: consumer for consumer in archive.consumers}


def backup(server, path, **options):
    done = run_module("jetstream_account_backup", {**server.connection("app"), "path": str(path), **options})
    assert not done.get("failed"), done
    return done


def info(path, **options):
    return run_module("jetstream_backup_info", {"path": str(path), "verify": "full", **options})


# Encrypted stores and plain ones, of every line; one of the two of each line in every run.
STORES = [
    ("2.10.29", "aes"),
    ("2.14.10", None),
    ("2.15.3", "chacha"),
    *(pytest.param(*pair, marks=pytest.mark.slow) for pair in zip(LINES, [None, "chacha", "aes", None], strict=True)),
    pytest.param("2.12.15", None, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("version", "encryption"), STORES)
def test_archives_read_as_a_client_sees_the_streams(version, encryption, nats_cli, tmp_path):
    with Server(Options(version=version, encryption=encryption)) as server:
        keys = [sample.key for sample in choose(server, "standard") if not sample.memory or server.line >= (2, 15)]
        assert len(keys) > 8
        assert keys[0] in SAMPLES
        make_streams(server, keys)
        backup(server, tmp_path / "set", verify="full")
        before = oracle.picture(server)
        nats_cli.run(server, "backup", "account", tmp_path / "cli", "--consumers", "--force", timeout=240)
        by_cli = {name for name in before if any((tmp_path / "cli" / name).glob("stream.*"))}
        # It leaves out, and hides, what it could not back up: a stream in memory, on the older lines.
        assert len(before) - len(by_cli) <= 1
        for name in by_cli:
            assert oracle.compare(before[name]["messages"], read(tmp_path / "cli" / name)[0]) == [], name
        found = {each["stream"]: each for each in info(tmp_path / "set")["backups"]}
        for name, seen in before.items():
            messages, consumers = read(tmp_path / "set" / name)
            assert oracle.compare(seen["messages"], messages) == [], name
            for consumer in consumers.values():
                there = seen["consumers"][consumer.name]
                for key in ("delivered", "ack_floor"):
                    assert consumer.state[key] == there[key], (name, consumer.name)
            checked = found[name]
            assert checked["valid"], checked["problems"]
            assert checked["level"] == checked["verified"] == "full"
            assert checked["content"]["messages"] == len(seen["messages"])
            subjects = {message.subject for message in seen["messages"]}
            assert checked["content"]["subjects"] == len(subjects)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("version", ["2.10.29", "2.15.3"])
def test_ten_thousand_consumers(version, tmp_path):
    with Server(Options(version=version)) as server:
        # Without it servers of 2.15 allow 1000.
        rounds.create_streams(server, ["MANY"], max_consumers=12_000)
        rounds.publish(server, "MANY.x", *(b"%d" % number for number in range(20)))
        rounds.create_consumers(server, "MANY", (f"c{number:05}" for number in range(10_000)))
        rounds.take(server, "MANY", "c00007", 5)
        rounds.backup_stream(server, tmp_path / "MANY", "MANY", verify="full")
        seen = oracle.consumers(server, "MANY")
    assert len(seen) == 10_000
    messages, consumers = read(tmp_path / "MANY")
    assert len(messages) == 20
    assert sorted(consumers) == sorted(seen)
    for name, consumer in consumers.items():
        assert {key: consumer.state[key] for key in ("delivered", "ack_floor")} == {
            key: seen[name][key] for key in ("delivered", "ack_floor")
        }
    drilled = run_module(
        "jetstream_backup_drill",
        {"path": str(tmp_path / "MANY"), "server_binary": str(nats_server(version))},
        timeout=600,
    )
    assert drilled["passed"], drilled
    assert drilled["streams"][0]["consumers"] == 10_000


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A stream large enough for worker processes, in both formats."""
    root = tmp_path_factory.mktemp("large")
    for version in ("2.14.10", "2.15.3"):
        with Server(Options(version=version)) as server:
            oracle.request(server, "STREAM.CREATE.BIG", {"name": "BIG", "subjects": ["big.>"], "num_replicas": 1})

            async def fill(server=server):
                client = await oracle.connect(server)
                chance = random.Random(3)
                rows = [b'{"id": %d, "text": "%s"}' % (n, chance.randbytes(900).hex().encode()) for n in range(50)]
                for number in range(9000):
                    await client.publish(f"big.{number % 7}", rows[chance.randrange(50)])
                    if number % 100 == 0:
                        await client.flush()
                await client.flush()
                await client.close()

            oracle.run(fill())
            done = run_module(
                "jetstream_stream_backup",
                {**server.connection("app"), "stream": "BIG", "path": str(root / version)},
            )
            assert done["messages"] == 9000, done
    return root


def test_through_ansible_with_worker_processes(large):
    """Where the module runs from the archive that Ansible makes of it."""
    played = play([{"natsops.jetstream.jetstream_backup_info": {"path": str(large), "verify": "full"}}])
    (result,) = played.results
    assert result["valid"], result
    assert result["checked"] == 2
    python = "python, 2 processes" if len(os.sched_getaffinity(0)) == 2 else "python"
    for found in result["backups"]:
        # The checksums of a V1 archive of this size are worth compiling.
        assert found["engine"].startswith("numba" if found["format"] == "V1" else python)
        assert (found["content"]["messages"], found["content"]["subjects"]) == (9000, 7)
        assert found["last_full_check"]["valid"]


@pytest.mark.parametrize("version", ["2.14.10", "2.15.3"])
def test_damage_that_a_quick_look_does_not_see_is_not_uploaded(large, version, tmp_path):
    """One bit in the middle of a compressed block, under a manifest that was made to fit."""
    (data,) = (large / version).glob("stream.*")
    path = tmp_path / "BIG"
    path.mkdir()
    (path / "backup.json").write_bytes((large / version / "backup.json").read_bytes())
    # Where a quick look decodes it sees the bit: find a place where it does not.
    for part in range(1, 10):
        content = bytearray(data.read_bytes())
        place = len(content) * part // 10
        content[place] ^= 16
        (path / data.name).write_bytes(content)
        if info(path, verify="quick")["valid"]:
            break
    else:
        pytest.fail("a quick look saw every bit")
    found = info(path)
    assert not found["valid"]
    (problem, *_more) = found["backups"][0]["problems"]
    assert problem["id"].startswith("s2_")
    offset = int(problem["place"].split()[1])
    assert offset <= place <= offset + (1 << 20)
    assert problem["meaning"]
    with Server(Options(version="2.15.3")) as server:
        done = run_module("jetstream_stream_restore", {**server.connection("app"), "path": str(path), "verify": "full"})
        assert done["failed"]
        assert done["error"] == "backup_invalid"
        assert oracle.stream_names(server) == []
        account = run_module(
            "jetstream_account_restore", {**server.connection("app"), "path": str(tmp_path), "verify": "full"}
        )
        assert account["failed"]
        assert oracle.stream_names(server) == []


def test_an_unchanged_backup_is_checked_in_full_once(tmp_path):
    with Server(Options(version="2.15.3")) as server:
        make_streams(server, ["PLAIN"])
        path = tmp_path / "set"
        backup(server, path)
        assert info(path, verify="none")["backups"][0]["last_full_check"] is None
        assert not backup(server, path, verify="full")["changed"]
        first = info(path, verify="none")["backups"][0]["last_full_check"]
        assert first["valid"]
        assert not backup(server, path, verify="full")["changed"]
        assert info(path, verify="none")["backups"][0]["last_full_check"] == first


def test_check_mode_writes_nothing(large):
    before = sorted(str(each) for each in large.rglob("*"))
    result = run_module("jetstream_backup_info", {"path": str(large / "2.15.3"), "verify": "full"}, check=True)
    assert result["valid"]
    assert not result["changed"]
    assert sorted(str(each) for each in large.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"verify": "quick", "fraction": 0.5}, "need verify set to full"),
        ({"fraction": 0.0}, "fraction"),
        ({"fraction": 1.5}, "fraction"),
        ({"max_duration": 0}, "max_duration"),
    ],
)
def test_bad_options(large, options, text):
    done = info(large, **options)
    assert done["failed"]
    assert text in done["msg"]
