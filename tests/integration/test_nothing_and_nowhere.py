# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that do nothing are not green, and a path one level off names the right directory."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from integration import rounds
from servers import Options, Server, oracle

from .evidence import make_stream, run_here


@dataclass
class Place:
    server: Server
    root: Path

    @property
    def repository(self) -> Path:
        return self.root / "backups"

    @property
    def account(self) -> Path:
        return self.repository / "APP"

    @property
    def set(self) -> Path:
        return Path(os.path.realpath(self.account / "latest"))


@pytest.fixture(scope="module")
def place(server_version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Server(Options(version=server_version)) as server:
        made = Place(server, tmp_path_factory.mktemp("root"))
        for name in ("ONE", "TWO"):
            make_stream(server, name)
        for account in ("APP", "SHOP"):
            rounds.backup_account(server, made.repository / account, sets=True)
        yield made


def failing(place: Place, name: str, path: Path, error: str, *said: str, **options: Any) -> dict[str, Any]:
    """Run a module, in check mode and for real: both have to fail with the word and the texts."""
    found: dict[str, Any] = {}
    connection = {} if name.startswith("backup_") else place.server.connection()
    for check in (True, False):
        found = run_here(f"jetstream_{name}", {**connection, "path": str(path), **options}, check=check)
        assert (found.get("failed"), found.get("error")) == (True, error), found
        assert all(text in found["msg"] for text in said), (found["msg"], said)
        assert "exception" not in found
    return found


def test_a_directory_too_high_or_too_low(place: Place) -> None:
    repository, account, one = place.repository, str(place.account), str(place.set / "ONE")
    restore = "account_restore"
    failing(
        place,
        restore,
        repository,
        "path_not_backup",
        "repository of several accounts",
        f"Give {account} or",
        "with set",
    )
    failing(place, restore, repository, "path_not_backup", f"Give {account} or", set="latest")
    failing(place, restore, place.root, "path_not_backup", "above a repository", account)
    failing(place, restore, place.account, "path_not_backup", "Say which one by set")
    failing(
        place, restore, place.set, "path_not_backup", "the backup of an account, not", f"Give {account}.", set="latest"
    )
    failing(place, restore, place.set / "ONE", "path_not_backup", "one stream", "jetstream_stream_restore")
    failing(place, restore, repository / "APPP", "path_not_found", "is not a directory", account)
    stream = "stream_restore"
    failing(place, stream, place.set, "path_not_backup", "backup of an account", "jetstream_account_restore")
    failing(place, stream, place.account, "path_not_backup", "account's sets", one)
    failing(place, stream, repository, "path_not_backup", "repository", one)
    failing(place, stream, place.set / "OEN", "path_not_found", one)
    prune = {"keep_last": 1}
    failing(place, "backup_prune", repository, "path_not_backup", "repository of several accounts", account, **prune)
    failing(place, "backup_prune", place.root, "path_not_backup", account, **prune)
    failing(place, "backup_prune", place.set, "path_not_backup", f"Give {account}.", **prune)
    failing(place, "backup_prune", place.set / "ONE", "path_not_backup", f"Give {account}.", **prune)
    failing(place, "backup_info", place.root, "path_not_backup", str(repository), set="latest")
    failing(place, "backup_info", place.set, "path_not_backup", account, set="latest")
    failing(place, "backup_drill", place.root, "path_not_backup", str(repository))
    failing(place, "backup_drill", repository / "none", "path_not_found", account)
    failing(place, "backup_report", place.root, "path_not_backup", str(repository), dest=str(place.root / "x.html"))
    for module in ("account_hold", "account_recover"):
        failing(place, module, repository, "path_not_backup", "repository of several accounts", account)
        failing(place, module, place.root, "path_not_backup", account)
    for sets in (True, False):
        failing(place, "account_backup", repository, "path_not_backup", "several accounts", account, sets=sets)
        failing(
            place, "account_backup", place.account / "latest", "path_not_backup", "a set that is finished", sets=sets
        )
    failing(place, "account_backup", place.account, "path_not_backup", "Set sets")
    assert sorted(os.listdir(repository)) == ["APP", "SHOP"]


def test_latest_is_missing(place: Place, tmp_path: Path) -> None:
    shutil.copytree(place.repository, tmp_path / "copy", symlinks=True)
    account = tmp_path / "copy" / "APP"
    (account / "latest").unlink()
    failing(place, "account_restore", account / "latest", "path_not_found", "leads to no set", str(account), "with set")
    (account / "latest").symlink_to("20200101T000000Z")
    failing(place, "account_restore", account / "latest", "path_not_found", "leads to no set", str(account))


def test_an_empty_directory_is_not_valid(place: Place, tmp_path: Path) -> None:
    result = rounds.info(tmp_path)
    assert result["valid"] is False
    assert "There is no backup" in rounds.warnings(result)[0]
    failing(place, "account_restore", tmp_path, "path_not_backup", "holds no backup")
    failing(place, "backup_drill", tmp_path, "path_not_backup", "holds no backup")


def edited(place: Place, tmp_path: Path, **statuses: str) -> Path:
    """A copy of the set in which streams are not backed up, as their file says."""
    copy = tmp_path / place.set.name
    shutil.copytree(place.set, copy)
    about = json.loads(Path(f"{place.set}.json").read_text())
    for name, status in statuses.items():
        shutil.rmtree(copy / name)
        about["streams"][name] = {"status": status, "digest": "", "reason": f"stream {name}: the disk broke."}
    Path(f"{copy}.json").write_text(json.dumps(about))
    return copy


@pytest.mark.parametrize("status", ["failed", "skipped"])
def test_only_streams_without_a_backup(place: Place, tmp_path: Path, status: str) -> None:
    copy = edited(place, tmp_path, ONE=status, TWO=status)
    before = oracle.picture(place.server)
    failing(place, "account_restore", copy, "nothing_restored", "none of the 2", "the disk broke", "earlier set")
    failing(place, "account_restore", copy, "nothing_restored", "stream ONE", streams=["ONE"])
    assert oracle.picture(place.server) == before


def test_one_stream_without_a_backup(place: Place, tmp_path: Path) -> None:
    """With others it is a warning; asked for by its name it is a failure."""
    copy = edited(place, tmp_path, TWO="failed")
    result = rounds.restore_account(place.server, copy)
    assert rounds.statuses(result) == {"ONE": "unchanged", "TWO": "skipped"}
    assert any("TWO" in text and "the disk broke" in text for text in rounds.warnings(result))
    asked = failing(place, "account_restore", copy, "nothing_restored", "stream TWO", streams=["ONE", "TWO"])
    assert rounds.statuses(asked) == {"ONE": "unchanged", "TWO": "failed"}
    failing(place, "account_restore", copy, "nothing_restored", streams=["T*"])


def test_patterns_and_sets_of_nothing(place: Place, tmp_path: Path) -> None:
    failing(
        place, "account_restore", place.set, "path_not_backup", "selected stream", "It holds ONE, TWO", streams=["X*"]
    )
    about = json.loads(Path(f"{place.set}.json").read_text())
    nothing = tmp_path / "20261122T101500Z"
    nothing.mkdir()
    Path(f"{nothing}.json").write_text(json.dumps({**about, "streams": {}}))
    failing(place, "account_restore", nothing, "nothing_restored", "had no streams", "earlier set")


def test_skipped_because_it_is_there_is_no_failure(place: Place) -> None:
    rounds.publish(place.server, "one.more", b"more")
    try:
        result = rounds.restore_account(place.server, place.set, streams=["ONE"], on_conflict="skip")
        assert rounds.statuses(result) == {"ONE": "skipped"}
    finally:
        rounds.ask(place.server, "STREAM.MSG.DELETE.ONE", {"seq": 4})
        rounds.ask(place.server, "STREAM.DELETE.ONE")
        rounds.restore_account(place.server, place.set, streams=["ONE"])


def test_a_selection_of_no_message(place: Place, server_version: str) -> None:
    if place.server.line < (2, 15):
        failing(place, "stream_restore", place.set / "ONE", "selection_unsupported", stream="PART", subjects=["oen.>"])
        return
    before = oracle.picture(place.server)
    for options in ({"subjects": ["oen.>"]}, {"exclude_subjects": [">"]}, {"since": "2090-01-01T00:00:00Z"}):
        failing(place, "stream_restore", place.set / "ONE", "nothing_selected", "3 messages", stream="PART", **options)
    assert oracle.picture(place.server) == before
    result = rounds.restore_stream(
        place.server, place.set / "ONE", stream="PART", until="2001-01-01T00:00:00Z", config={"subjects": ["part"]}
    )
    assert (result["status"], result["messages"]) == ("created", 0)
    rounds.delete(place.server, ["PART"])
