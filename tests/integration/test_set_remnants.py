# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories of which a part is gone, or that were copied with links followed: told, repaired, never destroyed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration import rounds
from servers import Options, Server
from servers.ansible import run_module

from .evidence import make_stream, tree


@pytest.fixture(scope="module")
def server(server_version: str) -> Iterator[Server]:
    with Server(Options(version=server_version)) as running:
        make_stream(running, "ONE")
        yield running


def backup(server: Server, path: Path, **options: Any) -> rounds.Result:
    return rounds.backup_account(server, path, sets=True, **options)


def test_latest_as_a_directory(server: Server, tmp_path: Path) -> None:
    backup(server, tmp_path / "from" / "APP")
    subprocess.run(["cp", "-rL", str(tmp_path / "from"), str(tmp_path / "copy")], check=True)
    account = tmp_path / "copy" / "APP"
    (copied,) = [name for name in os.listdir(account) if name.endswith("Z")]
    assert (account / "latest").is_dir()
    assert not (account / "latest").is_symlink()
    assert len(rounds.info(account)["backups"]) == 1
    content = {name: entry[-1] for name, entry in tree(account / "latest").items() if len(entry) == 3}
    before = tree(account)
    foreseen = backup(server, account, check=True)
    assert any("would be moved" in text for text in rounds.warnings(foreseen))
    assert tree(account) == before
    rounds.publish(server, "one.more", b"more")
    made = backup(server, account)
    assert made["changed"] is True
    assert any("was moved" in text and "links followed" in text for text in rounds.warnings(made))
    assert os.readlink(account / "latest") == made["set"] != copied
    (aside,) = [name for name in os.listdir(account) if name.startswith(".latest-copied-")]
    assert {name: entry[-1] for name, entry in tree(account / aside).items() if len(entry) == 3} == content
    assert not any("links followed" in text for text in rounds.warnings(backup(server, account)))


def test_a_set_of_which_only_the_file_is_left(server: Server, tmp_path: Path) -> None:
    account = tmp_path / "APP"
    first = backup(server, account)["set"]
    rounds.publish(server, "one.more", b"more")
    second = backup(server, account)["set"]
    shutil.rmtree(account / first)
    looked = rounds.info(account)
    (gone,) = [one for one in looked["sets"] if one["set"] == first]
    assert (gone["whole"], gone["trouble"]) == (False, "its directory is gone")
    assert looked["valid"] is False
    assert any(first in text and "only its file is left" in text for text in rounds.warnings(looked))
    again = backup(server, account)
    assert again["changed"] is False
    assert any(first in text and "only its file is left" in text for text in rounds.warnings(again))
    report = run_module("jetstream_backup_report", {"path": str(account), "dest": str(tmp_path / "page.html")})
    assert not report.get("failed"), report
    assert "its directory is gone" in (tmp_path / "page.json").read_text()
    arguments = {"path": str(account), "keep_last": 5}
    assert run_module("jetstream_backup_prune", arguments, check=True)["removed"] == [first]
    assert (account / f"{first}.json").exists()
    assert run_module("jetstream_backup_prune", arguments)["removed"] == [first]
    assert sorted(name for name in os.listdir(account) if not name.startswith(".")) == [
        second,
        f"{second}.json",
        "latest",
    ]
    assert rounds.info(account)["valid"] is True


def test_the_only_set_of_which_only_the_file_is_left(server: Server, tmp_path: Path) -> None:
    """Nothing is removed while nothing better is there, and the next backup is whole again."""
    account = tmp_path / "APP"
    first = backup(server, account)["set"]
    shutil.rmtree(account / first)
    arguments = {"path": str(account), "keep_last": 1}
    assert run_module("jetstream_backup_prune", arguments)["removed"] == []
    made = backup(server, account)
    assert made["set"] > first
    assert made["summary"]["transferred"] == 1
    assert run_module("jetstream_backup_prune", arguments)["removed"] == [first]


def test_a_stream_of_a_set_is_gone(server: Server, tmp_path: Path) -> None:
    account = tmp_path / "APP"
    name = backup(server, account)["set"]
    shutil.rmtree(account / name / "ONE")
    looked = rounds.info(account)
    assert looked["valid"] is False
    assert any("has lost the backups of ONE" in text for text in rounds.warnings(looked))
