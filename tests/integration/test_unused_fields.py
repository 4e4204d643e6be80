# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A field with a value that says nothing is no feature in use: older servers restore such a backup."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.harm import api, publish
from servers import Options, Server, oracle
from servers.ansible import run_module

BACKUP, RESTORE = "jetstream_stream_backup", "jetstream_stream_restore"
NEWER, OLDER = "2.14.10", "2.10.29"
ZERO_TIME = "0001-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The backup of a 2.14 stream with a consumer that was paused never, and with fields that 2.10 does not know."""
    path = tmp_path_factory.mktemp("unused") / "S"
    with Server(Options(version=NEWER)) as server:
        zeros = {
            "allow_msg_ttl": False,
            "subject_delete_marker_ttl": 0,
            "allow_batched": False,
            "persist_mode": "default",
        }
        api(server, "STREAM.CREATE.S", {"name": "S", "subjects": ["S.>"], **zeros})
        body = {"durable_name": "never", "ack_policy": "explicit", "pause_until": ZERO_TIME, "priority_groups": []}
        api(server, "CONSUMER.DURABLE.CREATE.S.never", {"stream_name": "S", "config": body})
        publish(server, "S", 20, 100)
        assert oracle.consumers(server, "S")["never"]["config"]["pause_until"] == ZERO_TIME
        result = run_module(BACKUP, {**server.connection(), "stream": "S", "path": str(path)})
        assert result["status"] == "transferred", result
    return path


@pytest.mark.parametrize("line", [OLDER, "2.11.17", "2.12.15"])
def test_zero_values_are_no_features(saved: Path, line: str) -> None:
    with Server(Options(version=line)) as server:
        wanted = {**server.connection(), "path": str(saved)}
        for check in (True, False):
            result = run_module(RESTORE, wanted, check=check)
            assert result.get("changed") is True, result["msg"]
        assert oracle.stream_info(server, "S")["state"]["messages"] == 20
        assert list(oracle.consumers(server, "S")) == ["never"]
        assert run_module(RESTORE, wanted)["status"] == "unchanged"
        # A configuration that says such fields in so many words.
        config = {"allow_msg_counter": False, "allow_msg_schedules": False, "subject_delete_marker_ttl": 0}
        api(server, "STREAM.DELETE.S")
        result = run_module(RESTORE, {**wanted, "config": config})
        assert result.get("status") == "created", result["msg"]


def test_a_feature_in_use_is_still_refused(saved: Path) -> None:
    with Server(Options(version=OLDER)) as server:
        result = run_module(RESTORE, {**server.connection(), "path": str(saved), "config": {"allow_msg_ttl": True}})
        assert result["error"] == "unsupported_by_server"
        assert "allow_msg_ttl" in result["msg"]
        assert oracle.stream_names(server) == []
