# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Consumers with more replicas than the stream will have: in fewer copies, in a smaller cluster, in a drill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.harm import api, publish
from servers import Cluster, Endpoint, Options, oracle
from servers.ansible import run_module
from servers.fixtures import MakeServer

BACKUP, RESTORE, DRILL = "jetstream_stream_backup", "jetstream_stream_restore", "jetstream_backup_drill"
KINDS = {"L": "limits", "W": "workqueue", "I": "interest"}
# More than a block of either format, so that what is changed is not all there is.
COUNT, SIZE = 40, 64 * 1024


@pytest.fixture(scope="module")
def saved(server_version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Path]]:
    """A cluster with streams of each retention, R3 as their consumers are, and their backups."""
    path = tmp_path_factory.mktemp("replicas")
    with Cluster(Options(version=server_version)) as cluster:
        for name, retention in KINDS.items():
            config = {"name": name, "subjects": [f"{name}.>"], "retention": retention, "num_replicas": 3}
            api(cluster, f"STREAM.CREATE.{name}", config)
            for number in range(5):
                body = {
                    "durable_name": f"c{number}",
                    "ack_policy": "explicit",
                    "filter_subject": f"{name}.{number}",
                    "num_replicas": 0 if number == 4 else 3,
                    "metadata": {"note": 'it says "num_replicas":3 here'},
                }
                api(cluster, f"CONSUMER.DURABLE.CREATE.{name}.c{number}", {"stream_name": name, "config": body})
            publish(cluster, name, COUNT, SIZE)
            result = run_module(BACKUP, {**cluster.connection(), "stream": name, "path": str(path / name)})
            assert result["status"] == "transferred", result
        yield cluster, path


def replicas(endpoint: Endpoint, stream: str) -> dict[str, int]:
    found = oracle.consumers(endpoint, stream)
    assert all(one["config"]["metadata"]["note"] == 'it says "num_replicas":3 here' for one in found.values())
    return {name: one["config"]["num_replicas"] for name, one in found.items()}


def warned(result: dict[str, Any]) -> bool:
    return "replicas of 4 consumers are set to 1" in str(result.get("warnings"))


@pytest.mark.slow
def test_in_a_single_server(saved: tuple[Cluster, Path], make_server: MakeServer) -> None:
    cluster, path = saved
    server = make_server()
    for name in KINDS:
        wanted = {**server.connection(), "path": str(path / name), "replicas": 1}
        for check in (True, False):
            result = run_module(RESTORE, wanted, check=check)
            assert result.get("changed") is True, result["msg"]
            assert warned(result)
        assert run_module(RESTORE, wanted)["status"] == "unchanged"
        assert oracle.dump(server, name) == oracle.dump(cluster, name)
    server.restart()  # what was changed in the archive is what the server keeps
    for name in KINDS:
        assert replicas(server, name) == {"c0": 1, "c1": 1, "c2": 1, "c3": 1, "c4": 0}


@pytest.mark.slow
def test_in_place_with_fewer_replicas(saved: tuple[Cluster, Path]) -> None:
    """The stream is there, so nothing may be lost: check mode says what the run does."""
    cluster, path = saved
    before = oracle.dump(cluster, "L")
    wanted = {**cluster.connection(), "path": str(path / "L"), "replicas": 1, "on_conflict": "replace"}
    assert run_module(RESTORE, wanted, check=True)["status"] == "would_replace"
    result = run_module(RESTORE, wanted)
    assert result.get("status") == "replaced", result["msg"]
    assert warned(result)
    assert oracle.dump(cluster, "L") == before
    assert replicas(cluster, "L") == {"c0": 1, "c1": 1, "c2": 1, "c3": 1, "c4": 0}
    back = run_module(RESTORE, {**wanted, "replicas": 3})
    assert back.get("status") == "replaced", back["msg"]
    assert replicas(cluster, "L") == {"c0": 3, "c1": 3, "c2": 3, "c3": 3, "c4": 0}


@pytest.mark.slow
def test_in_a_drill(saved: tuple[Cluster, Path]) -> None:
    cluster, path = saved
    result = run_module(DRILL, {"path": str(path), "server_binary": str(cluster.node("n1").program)})
    assert not result.get("failed"), result["msg"]
    assert result["summary"]["identical"] == len(KINDS)
    for stream in result["streams"]:
        assert any("replicas of 4 consumers are set to 1" in note for note in stream["notes"])
