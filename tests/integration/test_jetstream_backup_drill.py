# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""jetstream_backup_drill: what comes back is compared, what is wrong is named, and nothing is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.codec.s2 import decode_frame
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.reader import frames_of

from integration import rounds
from integration.rounds import Result
from servers import Options, Server
from servers.ansible import ModuleProcess, play, run_module
from servers.binaries import nats_server
from servers.oracle import Cli
from servers.samples import make_streams
from servers.server import wait_for
from unit.archive.writers import compressed_stream


def drill(path: Path, version: str, *, check: bool = False, **options: Any) -> Result:
    arguments = {"path": str(path), "server_binary": str(nats_server(version)), **options}
    done = run_module("jetstream_backup_drill", arguments, check=check)
    assert not done["changed"]
    return done


def by_name(done: Result) -> dict[str, Result]:
    return {one["stream"]: one for one in done["streams"]}


class Home:
    """An account's backup, and a place for the private servers' files."""

    def __init__(self, version: str, root: Path) -> None:
        self.version, self.path, self.temp = version, root / "APP", root / "temp"
        self.temp.mkdir()
        with Server(Options(version=version)) as server:
            known = ["PLAIN", "GAPS", "HEADERS", "CONSUMERS", "EMPTY", "WORK_QUEUE", "INTEREST", "KV", "MIRROR"]
            self.names = make_streams(server, [*known, "SOURCED", "ADVANCED", "LIMITED"])
            rounds.backup_account(server, self.path)

    def copy(self, place: Path, *names: str) -> Path:
        place.mkdir()
        for name in names:
            shutil.copytree(self.path / name, place / name)
        return place


@pytest.fixture(scope="module")
def home(server_version: str, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(server_version, tmp_path_factory.mktemp("drill"))


@pytest.mark.lines
def test_every_stream_comes_back_as_it_was(home: Home) -> None:
    done = drill(home.path, home.version, temp_path=str(home.temp))
    assert {name: one["differences"] for name, one in by_name(done).items() if not one["identical"]} == {}
    assert sorted(by_name(done)) == sorted(home.names)
    assert done["passed"] is True
    assert done["schema"] == "natsops.drill/1"
    assert done["server_version"] == home.version
    assert list(home.temp.iterdir()) == []
    one = by_name(done)["PLAIN"]
    assert one["messages"] == rounds.manifest(home.path / "PLAIN")["state"]["messages"] == 250
    assert one["consumers"] == 2
    assert 0 < one["age"] < 600
    assert one["rate"] > 0
    assert one["restore_seconds"] >= one["seconds"]["restore"] > 0
    summary = done["summary"]
    assert summary["identical"] == len(home.names)
    assert summary["messages"] == sum(each["messages"] for each in done["streams"])
    assert summary["rpo"] == max(each["age"] for each in done["streams"])
    noted = json.loads((home.path / "PLAIN" / "drill.json").read_text())
    assert (noted["status"], noted["messages"], noted["server"]) == ("identical", 250, home.version)
    # The note is no part of the backup, which is as whole as before.
    assert rounds.info(home.path)["valid"]


def test_check_mode_notes_nothing(home: Home, tmp_path: Path) -> None:
    path = home.copy(tmp_path / "APP", "PLAIN")
    before = rounds.tree(path)
    assert drill(path, home.version, check=True)["passed"]
    assert rounds.tree(path) == before


def test_a_backup_of_the_command_line(server: Server, nats_cli: Cli, server_version: str, tmp_path: Path) -> None:
    (name,) = make_streams(server, ["GAPS"], prefix="CLI_")
    path = tmp_path / name
    nats_cli.run(server, "backup", "stream", name, path, "--consumers", "--no-progress")
    rounds.delete(server, [name])
    (one,) = drill(path, server_version)["streams"]
    assert (one["status"], one["age"], one["account"]) == ("identical", None, "")
    assert one["messages"] > 0


def test_damage_is_found_before_the_restore_and_the_others_go_on(home: Home, tmp_path: Path) -> None:
    path = home.copy(tmp_path / "APP", "PLAIN", "HEADERS", "GAPS")
    (data,) = (path / "HEADERS").glob("stream.*")
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    done = drill(path, home.version)
    found = by_name(done)
    assert {name: one["status"] for name, one in found.items()} == {
        "PLAIN": "identical",
        "HEADERS": "invalid",
        "GAPS": "identical",
    }
    assert done["passed"] is False
    assert found["HEADERS"]["problems"][0]["id"] in ("digest_differs", "s2_checksum")
    assert found["HEADERS"]["restored"] is False
    assert json.loads((path / "HEADERS" / "drill.json").read_text())["status"] == "invalid"


def test_what_only_a_restore_shows(tmp_path: Path) -> None:
    """V1 records that do not match their own hash: checks take them, and servers count them, but cannot read them."""
    with Server(Options(version="2.14.10")) as server:
        rounds.create_streams(server, ["A", "B", "C"])
        for name in "ABC":
            rounds.publish(server, f"{name}.x", *(b"message %d of many" % number for number in range(50)))
        rounds.backup_account(server, tmp_path / "APP")
    rounds.without_manifests(tmp_path / "APP")
    data = tmp_path / "APP" / "A" / "stream.tar.s2"
    raw = b"".join(decode_frame(frame) for frame in frames_of(data))
    assert raw.count(b"message 20 of many") == 1
    data.write_bytes(compressed_stream(raw.replace(b"message 20 of many", b"message 2O of many")))
    data = tmp_path / "APP" / "C" / "stream.tar.s2"
    raw = b"".join(decode_frame(frame) for frame in frames_of(data))
    data.write_bytes(compressed_stream(raw.replace(b"message 49 of many", b"message 4O of many")))
    assert rounds.info(tmp_path / "APP", "full")["valid"]
    for version in ("2.14.10", "2.15.3"):
        done = drill(tmp_path / "APP", version)
        found = by_name(done)
        assert (found["A"]["status"], found["B"]["status"]) == ("different", "identical")
        assert found["A"]["differences"] == ["message 21: not restored"]
        assert (found["A"]["difference_count"], found["A"]["messages"]) == (1, 49)
        assert found["C"]["differences"] == ["message 50: not restored"]
        assert done["passed"] is False


def test_a_server_older_than_the_format_is_refused(tmp_path: Path) -> None:
    with Server(Options(version="2.15.3")) as server:
        rounds.create_streams(server, ["A"])
        rounds.backup_account(server, tmp_path / "APP")
    done = drill(tmp_path / "APP", "2.14.10", temp_path=str(tmp_path))
    assert (done["failed"], done["error"]) == (True, "format_unsupported")
    assert "2.15 or newer" in done["msg"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["APP", "APP.json"]


def test_a_sample_takes_turns(home: Home, tmp_path: Path) -> None:
    path = home.copy(tmp_path / "APP", "PLAIN", "GAPS", "HEADERS", "KV_settings")
    for note in path.glob("*/drill.json"):
        note.unlink()
    turns = [sorted(by_name(drill(path, home.version, sample=wanted))) for wanted in ("1", "50%", "0.25", "2")]
    first = sorted(path.name for path in path.iterdir())
    assert turns[0] + turns[1] + turns[2] == sorted(first)
    assert turns[3] == sorted(turns[0] + turns[1][:1])


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"sample": "some"}, "invalid_options", "sample must be a number"),
        ({"sample": "0"}, "invalid_options", "sample"),
        ({"sample": "150%"}, "invalid_options", "sample"),
        ({"streams": ["ABSENT"]}, "stream_not_found", "ABSENT"),
        ({"streams": []}, "invalid_options", "streams is empty"),
        ({"exclude": ["*"]}, "path_not_backup", "no backup of a selected stream"),
        ({"path": "/absent/place"}, "path_not_found", "/absent/place"),
        ({"server_binary": "/absent/nats-server"}, "server_binary", "/absent/nats-server"),
        ({"temp_path": "/absent/place"}, "server_directory", "/absent/place"),
        ({"stall_timeout": 0}, "invalid_options", "stall_timeout"),
    ],
)
def test_bad_options(home: Home, options: dict[str, Any], error: str, text: str) -> None:
    done = run_module(
        "jetstream_backup_drill",
        {"path": str(home.path), "server_binary": str(nats_server(home.version)), **options},
    )
    assert (done["failed"], done["error"]) == (True, error)
    assert text in done["msg"]


def private(temp: Path) -> Path | None:
    """The private server's directory, once a stream is in its store."""
    found = next(iter(temp.glob("*/store/jetstream/DRILL/streams/*")), None)
    return found.parents[4] if found else None


def running(directory: Path) -> bool:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                words = Path(entry.path, "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(directory) in words:
                return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_drill_that_is_killed_leaves_nothing_or_the_next_run_clears(
    home: Home, tmp_path: Path, number: signal.Signals
) -> None:
    options = {"server_binary": str(nats_server(home.version)), "temp_path": str(tmp_path)}
    module = ModuleProcess("jetstream_backup_drill", {"path": str(home.path), **options})
    directory = wait_for(lambda: private(tmp_path), 20, "a stream is in the private server", 0.002)
    assert running(directory)
    if number == signal.SIGTERM:
        module.process.send_signal(number)
        assert module.wait()["error"] == "interrupted"
        assert not directory.exists()
    else:
        module.kill()
        assert directory.exists()
    wait_for(lambda: not running(directory), 5, "the private server is gone", 0.01)
    done = drill(home.path, home.version, temp_path=str(tmp_path), streams=["PLAIN"])
    assert done["passed"]
    assert done["cleared"] == ([str(directory)] if number == signal.SIGKILL else [])
    assert list(tmp_path.iterdir()) == []


def test_the_others_go_on_after_the_server_died(home: Home, tmp_path: Path) -> None:
    options = {"server_binary": str(nats_server(home.version)), "temp_path": str(tmp_path)}
    module = ModuleProcess("jetstream_backup_drill", {"path": str(home.path), **options})
    directory = wait_for(lambda: private(tmp_path), 20, "a stream is in the private server", 0.002)
    os.kill(int((directory / "pid").read_text()), signal.SIGKILL)
    done = module.wait()
    failed = [one for one in done["streams"] if one["status"] != "identical"]
    assert len(failed) <= 1
    assert done["summary"]["identical"] >= len(home.names) - 1
    for one in failed:
        assert "ended by itself (-9)" in one["reason"]
    assert list(tmp_path.iterdir()) == []


def test_through_ansible(home: Home) -> None:
    arguments = {"path": str(home.path), "server_binary": str(nats_server(home.version)), "streams": ["PLAIN", "K*"]}
    (done,) = play([{"natsops.jetstream.jetstream_backup_drill": arguments}]).results
    assert sorted(by_name(done)) == ["KV_settings", "PLAIN"]
    assert done["passed"]


def test_the_newest_set_of_a_repository(tmp_path: Path, server_version: str) -> None:
    repository = tmp_path / "backups"
    with Server(Options(version=server_version)) as server:
        rounds.create_streams(server, ["A", "B"])
        sets = []
        for number in range(2):
            rounds.publish(server, "A.x", b"message %d" % number)
            sets.append(rounds.backup_account(server, repository / "APP", sets=True)["set"])
    newest = by_name(drill(repository, server_version))
    assert {name: (one["set"], one["messages"]) for name, one in newest.items()} == {
        "A": (sets[1], 2),
        "B": (sets[1], 0),
    }
    first = by_name(drill(repository, server_version, set=sets[0]))
    assert {name: (one["set"], one["messages"]) for name, one in first.items()} == {
        "A": (sets[0], 1),
        "B": (sets[0], 0),
    }
    absent = drill(repository / "APP", server_version, set="20200101T000000Z")
    assert (absent["error"], sets[1] in absent["msg"]) == ("set_not_found", True)
