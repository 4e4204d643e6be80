# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `nats` command line restores what the modules wrote, and the modules restore what it wrote; V1 and V2.

What came back is compared message by message and consumer by consumer with what was there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import rounds
from integration.rounds import Picture
from servers import Options, Server, oracle
from servers.oracle import Cli
from servers.samples import make_streams

# One of each kind that either side could get wrong; sourcing streams are another matter, see test_jetstream_*.
KEYS = "PLAIN GAPS HEADERS EMPTY ADVANCED FIRST_SEQ WORK_QUEUE INTEREST KV SUBJECTS MIRROR".split()
# A process each way for every one of these.
SOME = ["PLAIN", "WORK_QUEUE"]
DATA = {"V1": "stream.tar.s2", "V2": "stream.arc.s2"}


class Home:
    """A server with streams, what they hold, and where each side may put its backups."""

    def __init__(self, server: Server, cli: Cli, root: Path) -> None:
        self.server, self.cli, self.root = server, cli, root
        self.format = "V2" if server.line >= (2, 15) else "V1"
        make_streams(server, KEYS)
        self.before: Picture = oracle.picture(server)

    def back(self) -> list[str]:
        """How what is there differs from what was."""
        return rounds.differences(self.before, oracle.picture(self.server))

    def lose(self) -> None:
        """Delete all streams."""
        rounds.delete_all(self.server)


@pytest.fixture(scope="module", params=["2.14.10", "2.15.3"], ids=["V1", "V2"])
def home(request: pytest.FixtureRequest, nats_cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with Server(Options(version=request.param)) as server:
        yield Home(server, nats_cli, tmp_path_factory.mktemp("interop"))


def test_the_command_line_restores_an_account_that_the_module_wrote(home: Home) -> None:
    path = home.root / "module"
    rounds.backup_account(home.server, path)
    assert sorted(each.name for each in path.iterdir()) == sorted(home.before)
    home.lose()
    home.cli.run(home.server, "backup", "restore", "account", path, timeout=240)
    assert home.back() == []
    # What it restored is, to the module, the very backup.
    assert not rounds.restore_account(home.server, path)["changed"]


def test_the_command_line_restores_streams_that_the_module_wrote(home: Home) -> None:
    for name in SOME:
        path = home.root / "streams" / name
        written = rounds.backup_stream(home.server, path, name)
        assert written["format"] == home.format
        assert sorted(each.name for each in path.iterdir()) == ["backup.json", "manifest.json", DATA[home.format]]
    rounds.delete(home.server, SOME)
    for name in SOME:
        home.cli.run(home.server, "backup", "restore", "stream", home.root / "streams" / name)
    assert home.back() == []


def test_the_module_restores_an_account_that_the_command_line_wrote(home: Home) -> None:
    path = home.root / "cli"
    home.cli.run(home.server, "backup", "account", path, "--consumers", "--force", timeout=240)
    found = rounds.info(path)
    assert found["valid"], found
    assert {each["stream"] for each in found["backups"]} == set(home.before)
    assert {each["format"] for each in found["backups"]} == {home.format}
    assert not any(each["manifest"] for each in found["backups"])
    assert not rounds.restore_account(home.server, path)["changed"]
    home.lose()
    check = rounds.restore_account(home.server, path, check=True)
    result = rounds.restore_account(home.server, path)
    assert set(rounds.statuses(check).values()) == {"would_create"}
    assert set(rounds.statuses(result).values()) == {"created"}
    assert home.back() == []
    assert not rounds.restore_account(home.server, path)["changed"]


def test_the_module_restores_streams_that_the_command_line_wrote(home: Home) -> None:
    root = home.root / "cli-streams"
    for name in SOME:
        home.cli.run(home.server, "backup", "stream", name, root / name, "--consumers")
    rounds.delete(home.server, SOME)
    for name in SOME:
        assert rounds.restore_stream(home.server, root / name)["status"] == "created"
    assert home.back() == []
    for name in SOME:
        assert not rounds.restore_stream(home.server, root / name)["changed"]


def test_a_backup_of_the_command_line_is_taken_over(home: Home) -> None:
    """The module writes over it, once: there was no manifest to compare with."""
    path = home.root / "taken-over"
    home.cli.run(home.server, "backup", "stream", "PLAIN", path, "--consumers")
    first = rounds.backup_stream(home.server, path, "PLAIN")
    assert first["status"] == "transferred"
    assert "no manifest" in first["reason"]
    assert rounds.backup_stream(home.server, path, "PLAIN")["status"] == "unchanged"
    assert rounds.info(path)["valid"]


def test_the_command_line_finds_v2_backups_of_the_module_good(home: Home) -> None:
    path = home.root / "validated"
    rounds.backup_stream(home.server, path, "PLAIN")
    said = home.cli.run(home.server, "backup", "validate", path, check=False)
    # It reads V2 only.
    assert (said.returncode == 0) == (home.format == "V2"), said.stdout + said.stderr


def test_an_old_name_for_v2_data_is_read(home: Home) -> None:
    """Tools of before the format had its own name wrote V2 under the name of V1."""
    path = home.root / "old-name"
    home.cli.run(home.server, "backup", "stream", "PLAIN", path, "--consumers")
    data = path / DATA[home.format]
    data.rename(path / DATA["V1"])
    assert rounds.info(path)["backups"][0]["format"] == home.format
    rounds.delete(home.server, ["MIRROR", "PLAIN"])
    rounds.restore_stream(home.server, path)
    after = oracle.picture(home.server, ["PLAIN"])
    assert rounds.differences({"PLAIN": home.before["PLAIN"]}, after) == []


def test_an_empty_directory_that_the_command_line_left_is_passed_over(nats_cli: Cli, tmp_path: Path) -> None:
    """Before 2.15 a stream in memory cannot be backed up; the command line leaves an empty directory of its name."""
    with Server(Options(version="2.14.10")) as server:
        make_streams(server, ["EMPTY", "MEMORY", "PLAIN"])
        before = oracle.picture(server, ["EMPTY", "PLAIN"])
        said = nats_cli.run(server, "backup", "account", tmp_path / "APP", "--consumers", "--force", check=False)
        left = tmp_path / "APP/MEMORY"
        assert left.is_dir(), said.stdout + said.stderr
        assert not list(left.iterdir())
        rounds.delete_all(server)
        result = rounds.restore_account(server, tmp_path / "APP")
        assert rounds.statuses(result) == {"EMPTY": "created", "MEMORY": "skipped", "PLAIN": "created"}
        assert any("MEMORY" in line and "empty" in line for line in rounds.warnings(result))
        assert rounds.differences(before, oracle.picture(server)) == []
        found = rounds.info(tmp_path / "APP")
        (empty,) = [each for each in found["backups"] if each["problems"]]
        assert empty["path"].endswith("/MEMORY")
        assert [(one["id"], one["severity"]) for one in empty["problems"]] == [("empty_directory", "warning")]
        assert found["valid"] is True, "the restore accepts it"
        for file in (tmp_path / "APP/PLAIN").iterdir():
            file.unlink()
        (tmp_path / "APP/EMPTY/backup.json").unlink()
        assert rounds.info(tmp_path / "APP")["valid"] is False


def test_the_command_line_restores_what_the_module_wrote_beside_a_memory_stream(nats_cli: Cli, tmp_path: Path) -> None:
    with Server(Options(version="2.14.10")) as server:
        make_streams(server, ["EMPTY", "MEMORY"])
        rounds.backup_account(server, tmp_path / "APP")
        rounds.delete_all(server)
        nats_cli.run(server, "backup", "restore", "account", tmp_path / "APP")
        assert oracle.stream_names(server) == ["EMPTY"]
