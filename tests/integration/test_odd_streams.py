# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every odd stream of the catalogue, backed up, lost and restored by the account modules, on one server.

What came back is read message by message and consumer by consumer with plain nats-py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import rounds
from integration.rounds import Round
from servers import Options, Server, oracle

pytestmark = pytest.mark.lines


@pytest.fixture(scope="module")
def turned(server_version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Round]:
    """The whole catalogue, once round."""
    with Server(Options(version=server_version)) as server:
        yield rounds.go_round(server, server, tmp_path_factory.mktemp("odd") / "APP")


def test_everything_is_as_it_was(turned: Round) -> None:
    assert sorted(turned.after) == sorted(turned.kept)
    assert turned.differences() == []


def test_every_stream_was_transferred_and_created(turned: Round) -> None:
    skipped = set(turned.names) - turned.kept
    for step, done in (("backup", "transferred"), ("restore", "created")):
        assert turned.said[step]["changed"]
        wanted = {name: "skipped" if name in skipped else done for name in turned.names}
        assert rounds.statuses(turned.said[step]) == wanted


def test_check_mode_says_what_is_done(turned: Round) -> None:
    for step, would in (("backup", "would_transfer"), ("restore", "would_create")):
        check = rounds.statuses(turned.said[f"check {step}"])
        real = rounds.statuses(turned.said[step])
        assert check == {name: would if status != "skipped" else status for name, status in real.items()}
        assert turned.said[f"check {step}"]["changed"] == turned.said[step]["changed"]
        assert turned.said[f"check {step}"]["summary"] == turned.said[step]["summary"]


def test_a_second_run_changes_nothing(turned: Round) -> None:
    for step in ("backup again", "check backup again", "restore again", "check restore again"):
        assert not turned.said[step]["changed"], step
        assert set(rounds.statuses(turned.said[step]).values()) <= {"unchanged", "skipped"}, step
    assert not turned.said["restore onto the living"]["changed"]


def test_only_the_real_runs_wrote(turned: Round) -> None:
    assert turned.wrote == ["backup", "restore"]


def test_streams_in_memory_are_skipped_where_the_line_cannot_back_them_up(turned: Round) -> None:
    assert "MEMORY" in turned.names
    if turned.endpoint.line >= (2, 15):
        assert turned.after["MEMORY"]["config"]["storage"] == "memory"
        return
    for step in ("backup", "restore"):
        memory = rounds.of(turned.said[step], "MEMORY")
        assert memory["status"] == "skipped"
        assert "kept in memory" in memory["reason"]
        assert any("MEMORY" in line for line in rounds.warnings(turned.said[step]))
    assert not (turned.path / "MEMORY").exists()


def test_consumers_that_an_archive_leaves_out_come_from_the_manifest(turned: Round) -> None:
    """V1 archives lack consumers in memory; a V2 archive has all."""
    in_memory = {"memory", "memory-ephemeral"}
    created = set(turned.lost["CONSUMERS"]["consumers_created"])
    assert created == (set() if turned.endpoint.line >= (2, 15) else in_memory)
    told = [line for line in rounds.own_warnings(turned.said["restore"]) if "created from the manifest" in line]
    assert len(told) == len(created)
    assert all("CONSUMERS > memory" in line and "delivers from its own start" in line for line in told)


def test_tightened_limits_are_put_back(turned: Round) -> None:
    assert turned.after["TIGHT_SIZE"]["config"]["max_msg_size"] == 1000
    assert max(message.size for message in turned.after["TIGHT_SIZE"]["messages"]) == 5000
    assert turned.after["TIGHT_CONSUMERS"]["config"]["max_consumers"] == 3
    assert len(turned.after["TIGHT_CONSUMERS"]["consumers"]) == 3


def test_a_sealed_stream_is_sealed_again(turned: Round) -> None:
    assert turned.after["SEALED"]["config"]["sealed"] is True
    assert list(turned.after["SEALED"]["consumers"]) == ["reader"]


def test_nothing_of_a_restore_stays_in_a_configuration(turned: Round) -> None:
    assert not [name for name, one in turned.after.items() if "natsops" in json.dumps(one["config"])]
    assert not [name for name in turned.after if name.startswith("natsops_")]


def test_info_finds_them_valid_with_and_without_manifests(turned: Round) -> None:
    with_manifests = rounds.info(turned.path)
    assert with_manifests["valid"]
    assert {each["stream"] for each in with_manifests["backups"]} == turned.kept
    assert not [each["problems"] for each in with_manifests["backups"] if each["problems"]]
    for each in with_manifests["backups"]:
        before = turned.before[each["stream"]]
        assert each["messages"] == len(before["messages"])
        assert sorted(each["consumers"]) == sorted(before["consumers"])


@pytest.mark.usefixtures("turned")
def test_without_manifests_they_count_as_restored_too(turned: Round, tmp_path: Path) -> None:
    copy = tmp_path / "APP"
    for each in sorted(turned.path.rglob("*")):
        target = copy / each.relative_to(turned.path)
        if each.is_dir():
            target.mkdir(parents=True)
        elif each.name != "manifest.json":
            target.write_bytes(each.read_bytes())
    found = rounds.info(copy)
    assert found["valid"]
    # V1: one stores subjects that its configuration no longer takes in, one lacks consumers.
    told = {each["stream"]: {p["id"] for p in each["problems"]} for each in found["backups"] if each["problems"]}
    v1 = turned.endpoint.line < (2, 15)
    assert told == ({"SUBJECTS_CHANGED": {"subject_differs"}, "CONSUMERS": {"consumers_missing"}} if v1 else {})
    again = rounds.restore_account(turned.endpoint, copy)
    assert not again["changed"]
    assert set(rounds.statuses(again)) == turned.kept


def test_sources_go_on_without_a_second_copy(turned: Round) -> None:
    """What is published into the origins after the restore arrives once, and nothing of before arrives again."""
    server = turned.endpoint
    count = {name: len(turned.after[name]["messages"]) for name in ("SOURCED", "SOURCED_AGAIN", "MIRROR")}
    for subject in ("origin_a.a", "origin_b.z", "plain.a"):
        rounds.publish(server, subject, b"after the restore")
    more = {"SOURCED": 2, "SOURCED_AGAIN": 2, "MIRROR": 1}
    for name, added in more.items():
        rounds.wait_messages(server, name, count[name] + added)
    for name, added in more.items():
        messages = oracle.dump(server, name)
        assert oracle.compare(turned.after[name]["messages"], messages[: count[name]]) == []
        assert len(messages) == count[name] + added
