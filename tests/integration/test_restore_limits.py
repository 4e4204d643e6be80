# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of accounts and servers: what a restore predicts is what the server does, in both directions.

Each case is judged by the `nats` command line, which restores the same backup with the same configuration once the
stream to be replaced is gone.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from integration.harm import api, fill, publish
from servers import Endpoint, Options, Server, oracle
from servers.ansible import run_module
from servers.fixtures import MakeServer
from servers.oracle import Cli

BACKUP, RESTORE = "jetstream_stream_backup", "jetstream_stream_restore"
MESSAGES, SIZE = 20, 1000
DATA = MESSAGES * SIZE
KB = 1000


@dataclass(frozen=True)
class Case:
    """Limits, what is there before, what is wanted, and the error code for which it is refused (None: it is not).

    account: of APP's jetstream. live: the configuration of the stream to be replaced, None for none. others: streams
    beside it. config: laid over the backup's.
    """

    name: str
    refused: int | None
    account: dict[str, Any] = field(default_factory=dict)
    server: dict[str, Any] = field(default_factory=dict)
    live: dict[str, Any] | None = field(default_factory=dict)
    others: tuple[dict[str, Any], ...] = ()
    config: dict[str, Any] = field(default_factory=dict)


def limits(**values: Any) -> dict[str, Any]:
    return {"extra": {"jetstream": {"limits": values}}}


CASES = (
    Case("no limit", None),
    Case("the data is larger than the account", 10047, account={"max_file": 10 * KB}),
    Case("the data fits the account", None, account={"max_file": 100 * KB}),
    Case("it fits without the old stream", None, account={"max_file": 60 * KB}, live={"fill": 2 * DATA}),
    Case("the reservation does not fit", 10047, account={"max_file": 100 * KB}, config={"max_bytes": 200 * KB}),
    Case(
        "the reservation does not fit beside another",
        10047,
        account={"max_file": 300 * KB},
        others=({"max_bytes": 200 * KB},),
        config={"max_bytes": 150 * KB},
    ),
    Case(
        "it fits where the old one was",
        None,
        account={"max_file": 300 * KB},
        live={"max_bytes": 250 * KB},
        config={"max_bytes": 250 * KB},
    ),
    Case(
        "the old one leaves too little",
        10047,
        account={"max_file": 300 * KB},
        live={"max_bytes": 100 * KB},
        others=({"max_bytes": 150 * KB},),
        config={"max_bytes": 200 * KB},
    ),
    Case(
        "another's reservation in memory is no matter",
        None,
        account={"max_file": 300 * KB, "max_mem": 300 * KB},
        others=({"max_bytes": 250 * KB, "storage": "memory"},),
        config={"max_bytes": 100 * KB},
    ),
    Case("max_bytes is demanded", 10113, account={"max_bytes_required": True}, live={"max_bytes": 50 * KB}),
    Case(
        "max_bytes is demanded and given",
        None,
        account={"max_bytes_required": True},
        live={"max_bytes": 50 * KB},
        config={"max_bytes": 90 * KB},
    ),
    Case(
        "a stream may not be that large",
        10122,
        account={"disk_max_stream_bytes": 50 * KB},
        config={"max_bytes": 60 * KB},
    ),
    Case("a stream may be that large", None, account={"disk_max_stream_bytes": 90 * KB}, config={"max_bytes": 60 * KB}),
    Case("no place for another stream", 10027, account={"max_streams": 1}, live=None, others=({},)),
    Case("the place of the old stream", None, account={"max_streams": 2}, others=({},)),
    Case("too many consumers", 10026, account={"max_consumers": 1}),
    Case("as many consumers as may be", None, account={"max_consumers": 2}),
    Case("max_consumers above the account's", 10026, account={"max_consumers": 3}, config={"max_consumers": 9}),
    Case("the account's max_ack_pending", 10121, account={"max_ack_pending": 500}),
    Case("below the account's max_ack_pending", None, account={"max_ack_pending": 5000}),
    Case("the server's max_ack_pending", 10121, server=limits(max_ack_pending=500)),
    Case(
        "the server's max_ack_pending, no stream there",
        10121,
        server=limits(max_ack_pending=500),
        live=None,
        others=({},),
    ),
    Case("below the server's max_ack_pending", None, server=limits(max_ack_pending=5000)),
    Case("the server's max_request_batch", 10125, server=limits(max_request_batch=50)),
    Case("below the server's max_request_batch", None, server=limits(max_request_batch=500)),
    Case("the server's duplicate window", 10052, server=limits(duplicate_window="10s")),
    Case("the server is full", 10047, server={"max_file": 500 * KB}, config={"max_bytes": 600 * KB}),
    Case(
        "the server is full of the old stream",
        None,
        server={"max_file": 500 * KB},
        live={"max_bytes": 400 * KB},
        config={"max_bytes": 450 * KB},
    ),
    Case("the consumer limits of the stream", 10121, config={"consumer_limits": {"max_ack_pending": 100}}),
)


@pytest.fixture(scope="module")
def backup(server_version: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The backup of a stream with two consumers, made where nothing is limited."""
    path = tmp_path_factory.mktemp("limits") / "S"
    with Server(Options(version=server_version)) as server:
        fill(server, "S", DATA, message=SIZE)
        body = {"durable_name": "one", "ack_policy": "explicit", "max_deliver": 5, "max_batch": 100}
        api(server, "CONSUMER.DURABLE.CREATE.S.one", {"stream_name": "S", "config": body})
        saved = run_module(BACKUP, {**server.connection(), "stream": "S", "path": str(path)})
        assert saved["status"] == "transferred", saved
    return path


def make_live(server: Endpoint, case: Case) -> None:
    """The streams that are there before. The live one holds something else than the backup."""
    for number, other in enumerate(case.others):
        config = {"name": f"O{number}", "subjects": [f"o{number}"], "storage": "file", **other}
        api(server, f"STREAM.CREATE.O{number}", config)
    if case.live is not None:
        config = {key: value for key, value in case.live.items() if key != "fill"}
        api(server, "STREAM.CREATE.S", {"name": "S", "subjects": ["S.>"], "duplicate_window": 10**9, **config})
        if case.live.get("fill"):
            publish(server, "S", case.live["fill"] // SIZE, SIZE, "other")


def command_line(cli: Cli, server: Endpoint, backup: Path, config: dict[str, Any], place: Path) -> str:
    """What the command line says to a restore of the backup with a changed configuration; empty where it worked."""
    shutil.copytree(backup, place)
    described = json.loads((place / "backup.json").read_text())
    described["config"].update(config)
    (place / "backup.json").write_text(json.dumps(described))
    (place / "manifest.json").unlink(missing_ok=True)
    done = cli.run(server, "stream", "restore", str(place), "--no-progress", check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_prediction_is_what_the_server_does(
    case: Case, backup: Path, make_server: MakeServer, nats_cli: Cli, tmp_path: Path
) -> None:
    account: dict[str, Any] = {"accounts": {"APP": {"jetstream": case.account}}} if case.account else {}
    server = make_server(**account, **case.server)
    make_live(server, case)
    before = oracle.picture(server)
    wanted = {**server.connection(), "path": str(backup), "on_conflict": "replace", "config": case.config}
    for check in (True, False):
        result = run_module(RESTORE, wanted, check=check)
        if case.refused is None:
            assert not result.get("failed"), result["msg"]
            assert result["changed"] is True
        else:
            assert result.get("failed") is True, result
            assert result["err_code"] == case.refused, result["msg"]
            assert "untouched" in result["msg"] or "stream S:" in result["msg"]
        if check or case.refused is not None:
            assert oracle.compare(before, oracle.picture(server)) == [], "something was touched"
    if "S" in oracle.stream_names(server):
        api(server, "STREAM.DELETE.S")
    said = command_line(nats_cli, server, backup, case.config, tmp_path / "copy")
    assert bool(said) == (case.refused is not None), said or "the command line restored it"
