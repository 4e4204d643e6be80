# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""jetstream_backup_info: what it says of good and of damaged backups, without a server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from integration import rounds
from servers import Options, Server
from servers.ansible import play, run_module
from servers.samples import make_streams

MODULE = "natsops.jetstream.jetstream_backup_info"


@pytest.fixture(scope="module", params=["2.14.10", "2.15.3"], ids=["V1", "V2"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The backup of an account; its server is gone."""
    path = tmp_path_factory.mktemp("made") / "APP"
    with Server(Options(version=request.param)) as server:
        make_streams(server, ["EMPTY", "GAPS", "PLAIN", "WORK_QUEUE"])
        rounds.backup_account(server, path)
    return path


def data_of(path: Path) -> Path:
    return next(path.glob("stream.*.s2"))


def _flip(path: Path, at: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(len(content) * at)] ^= 1
    path.write_bytes(content)


def _older_data(path: Path) -> None:
    """A newer backup.json over older data."""
    body = json.loads((path / "backup.json").read_text())
    body["state"]["last_seq"] += 1
    body["state"]["messages"] += 1
    (path / "backup.json").write_text(json.dumps(body))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: data_of(path).write_bytes(data_of(path).read_bytes()[:-5]),
    "flipped": lambda path: _flip(data_of(path), 0.4),
    "data missing": lambda path: data_of(path).unlink(),
    "both names": lambda path: shutil.copy(
        data_of(path), path / ("stream.tar.s2" if data_of(path).name == "stream.arc.s2" else "stream.arc.s2")
    ),
    "backup.json empty": lambda path: (path / "backup.json").write_text(""),
    "backup.json not JSON": lambda path: (path / "backup.json").write_text("{"),
    "older data": _older_data,
    "exchanged": lambda path: data_of(path).write_bytes(data_of(path.parent / "PLAIN").read_bytes()),
}


def test_through_a_playbook(made: Path) -> None:
    played = play([{MODULE: {"path": str(made), "verify": level}} for level in ("none", "quick")])
    assert played.code == 0, played.output
    for result in played.results:
        assert not result["changed"]
        assert result["valid"]
        assert [each["stream"] for each in result["backups"]] == ["EMPTY", "GAPS", "PLAIN", "WORK_QUEUE"]
    plain = played.results[1]["backups"][2]
    assert plain["path"] == str(made / "PLAIN")
    assert (plain["messages"], plain["first_seq"], plain["last_seq"]) == (250, 1, 250)
    assert plain["consumers"] == ["reader", "untouched"]
    assert plain["format"] == ("V2" if data_of(made / "PLAIN").name == "stream.arc.s2" else "V1")
    assert plain["archive_size"] == data_of(made / "PLAIN").stat().st_size
    assert plain["account"] == "APP"
    assert plain["started_at"] < plain["finished_at"]
    assert plain["problems"] == []


@pytest.mark.parametrize("manifest", [True, False], ids=["manifest", "no-manifest"])
def test_damage_is_found_and_is_no_failure(made: Path, tmp_path: Path, manifest: bool) -> None:
    for number, harm in enumerate(DAMAGE):
        path = tmp_path / str(number) / "APP"
        shutil.copytree(made, path)
        if not manifest:
            rounds.without_manifests(path)
        DAMAGE[harm](path / "GAPS")
    result = rounds.info(tmp_path)
    assert not result["valid"]
    assert len(result["backups"]) == 4 * len(DAMAGE)
    broken = {each["path"]: each for each in result["backups"] if not each["valid"]}
    for number, harm in enumerate(DAMAGE):
        one = broken.pop(str(tmp_path / str(number) / "APP/GAPS"), None)
        assert one, harm
        assert all(problem["meaning"] and problem["message"] for problem in one["problems"])
        assert any(problem["severity"] == "error" for problem in one["problems"])
    assert broken == {}


def test_without_manifests(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "APP"
    shutil.copytree(made, path)
    rounds.without_manifests(path)
    result = rounds.info(path)
    assert result["valid"]
    assert [each["manifest"] for each in result["backups"]] == [False] * 4
    assert result["backups"][2]["consumers"] == ["reader", "untouched"]


def test_a_directory_of_sets(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "repository/APP/20261122T101500Z")
    (tmp_path / "repository/APP/latest").symlink_to("20261122T101500Z")
    assert len(rounds.info(tmp_path / "repository")["backups"]) == 4
    assert len(rounds.info(tmp_path / "repository/APP/latest")["backups"]) == 4


def test_an_empty_directory_and_none(tmp_path: Path) -> None:
    assert rounds.info(tmp_path)["backups"] == []
    result = run_module("jetstream_backup_info", {"path": str(tmp_path / "nowhere")})
    assert result["failed"]
    assert result["error"] == "path_not_found"
