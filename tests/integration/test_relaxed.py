# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is relaxed for a restore is put back, or told; no failure leaves a mark in a stream's metadata."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration import rounds
from integration.harm import MARKER
from servers import Options, Server, oracle
from servers.config import User

VERSIONS = ["2.10.29", "2.12.15", "newest"]


@pytest.fixture(params=VERSIONS)
def server(request: pytest.FixtureRequest, server_version: str) -> Iterator[Server]:
    version = server_version if request.param == "newest" else request.param
    with Server(Options(version=version)) as running:
        yield running


def config_of(server: Server, name: str) -> dict[str, Any]:
    return dict(oracle.stream_info(server, name)["config"])


def assert_unmarked(server: Server) -> None:
    for name in oracle.stream_names(server):
        assert MARKER not in (config_of(server, name).get("metadata") or {}), name


def test_mirror_whose_origin_was_raised(server: Server, tmp_path: Path) -> None:
    """Servers refuse such a mirror, and every update of it (10030): it gets its origin's limit, which is told."""
    rounds.ask(server, "STREAM.CREATE.O", {"name": "O", "subjects": ["o.>"], "max_msg_size": 1000})
    rounds.ask(server, "STREAM.CREATE.M", {"name": "M", "mirror": {"name": "O"}, "max_msg_size": 1000})
    rounds.publish(server, "o.x", *[b"%d" % number for number in range(50)])
    rounds.wait_messages(server, "M", 50)
    rounds.backup_stream(server, tmp_path / "M", "M")
    rounds.ask(server, "STREAM.UPDATE.O", {"name": "O", "subjects": ["o.>"], "max_msg_size": 2000})
    before = oracle.dump(server, "M")
    rounds.delete(server, ["M"])
    expected = {"field": "max_msg_size", "backup": 1000, "stream": 2000}
    for check in (True, False):
        result = rounds.restore_stream(server, tmp_path / "M", check=check)
        assert result["status"] == ("would_create" if check else "created"), result
        (told,) = result["relaxed"]
        assert {key: told[key] for key in expected} == expected
        assert any("max_msg_size stays 2000" in line for line in rounds.warnings(result)), result
    assert oracle.dump(server, "M") == before
    assert config_of(server, "M")["max_msg_size"] == 2000
    assert_unmarked(server)
    again = rounds.restore_stream(server, tmp_path / "M")
    assert (again["status"], again["relaxed"][0]["stream"]) == ("unchanged", 2000)
    # It works, and a server takes updates of it.
    rounds.publish(server, "o.x", b"x" * 1500)
    rounds.wait_messages(server, "M", 51)


def test_fewer_consumers_than_there_are(server: Server, tmp_path: Path) -> None:
    """Lines before 2.12 cannot change max_consumers, and do not mind; the others get it back."""
    rounds.create_streams(server, ["S"])
    rounds.create_consumers(server, "S", ["a", "b", "c"])
    rounds.publish(server, "S.x", b"1", b"2")
    rounds.backup_stream(server, tmp_path / "S", "S")
    rounds.delete_all(server)
    options: dict[str, Any] = {"config": {"max_consumers": 2}}
    result = rounds.restore_stream(server, tmp_path / "S", **options)
    limit = config_of(server, "S")["max_consumers"]
    assert limit == 2 or [field["field"] for field in result["relaxed"]] == ["max_consumers"], result
    assert set(oracle.consumers(server, "S")) == {"a", "b", "c"}
    assert_unmarked(server)


def test_subjects_that_form_a_cycle_by_now(server: Server, tmp_path: Path) -> None:
    """A push consumer delivers into its own stream's subjects: restored with others, which are put back."""
    rounds.create_streams(server, ["S"])
    push = {"durable_name": "p", "deliver_subject": "d.x", "ack_policy": "explicit"}
    rounds.ask(server, "CONSUMER.DURABLE.CREATE.S.p", {"stream_name": "S", "config": push})
    rounds.publish(server, "S.x", b"1", b"2")
    rounds.ask(server, "STREAM.UPDATE.S", {**config_of(server, "S"), "subjects": ["S.>", "d.>"]})
    rounds.backup_stream(server, tmp_path / "S", "S")
    rounds.delete_all(server)
    result = rounds.restore_stream(server, tmp_path / "S")
    assert config_of(server, "S")["subjects"] == ["S.>", "d.>"], result
    assert set(oracle.consumers(server, "S")) == {"p"}
    assert_unmarked(server)
    assert rounds.restore_stream(server, tmp_path / "S")["changed"] is False


def test_sealed(server: Server, tmp_path: Path) -> None:
    rounds.create_streams(server, ["S"])
    rounds.publish(server, "S.x", b"1", b"2")
    rounds.ask(server, "STREAM.UPDATE.S", {**config_of(server, "S"), "sealed": True})
    rounds.backup_stream(server, tmp_path / "S", "S")
    rounds.delete_all(server)
    rounds.restore_stream(server, tmp_path / "S")
    assert config_of(server, "S")["sealed"] is True
    assert_unmarked(server)


def test_update_is_refused_by_a_permission(server_version: str, tmp_path: Path) -> None:
    """The last step is forbidden: this is known before the first, so that nothing with a mark is left."""
    deny = User("nomark", permissions={"publish": {"deny": ["$JS.API.STREAM.UPDATE.>"]}})
    with Server(Options(version=server_version, users=(deny,))) as server:
        rounds.create_streams(server, ["S"])
        rounds.publish(server, "S.x", b"1", b"2")
        rounds.backup_stream(server, tmp_path / "S", "S")
        rounds.delete_all(server)
        result = rounds.restore_stream(server, tmp_path / "S", as_user="nomark", ok=False)
        assert (result["error"], result["changed"]) == ("permission_denied", False), result
        assert "$JS.API.STREAM.UPDATE.S" in result["msg"]
        assert oracle.stream_names(server) == []
        assert rounds.restore_stream(server, tmp_path / "S")["status"] == "created"
        assert_unmarked(server)
