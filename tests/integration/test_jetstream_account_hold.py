# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""jetstream_account_hold: publishers are kept off what no server answers for, and off nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from integration.cluster import kit
from servers.ansible import run_module
from servers.fixtures import MakeServer


def test_what_answers_is_not_touched(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server()
    app = kit.App(server)
    app.stream("ONE", 1)
    app.fill("ONE", 3)
    own = {**server.connection(), "path": str(tmp_path / "APP")}
    assert run_module("jetstream_account_backup", own)["changed"] is True
    result = run_module("jetstream_account_hold", own)
    assert (result["changed"], result["streams"]) == (False, [])
    app.fill("ONE", 1)
    app.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", ["2.15.3", "2.12.15"])
def test_lost_streams_take_nothing_until_they_are_restored(make_cluster: Any, tmp_path: Path, version: str) -> None:
    cluster = make_cluster(size=4, version=version)
    app = kit.App(cluster)
    app.stream("A", 3)
    app.stream("ONE", 1)
    app.fill("ONE", 30)
    home = app.api("STREAM.INFO.ONE")["cluster"]["leader"]
    kit.not_leader(cluster, home)
    path = str(tmp_path / "APP")
    assert kit.run("account_backup", cluster, "app", path=path)["changed"] is True
    app.publish_to("A", "ONE")
    cluster.node(home).kill()
    acknowledged = len(app.acknowledged["ONE"])
    held = kit.run("account_hold", cluster, "app", path=path)
    assert {one["stream"]: one["status"] for one in held["streams"]} == {"ONE": "held"}
    removed = kit.run("peer_remove", cluster, peer=home, accept_data_loss=True, accounts=kit.accounts(cluster))
    assert removed["changed"] is True, removed
    kit.until_placed(cluster, "ONE", 1)
    assert app.api("STREAM.INFO.ONE")["state"]["last_seq"] == 0
    recovered = kit.run("account_recover", cluster, "app", path=path)
    assert {one["stream"]: one["status"] for one in recovered["streams"]} == {"ONE": "restored"}, recovered
    app.stop_publishing()
    app.fill("ONE", 1)
    # What was in the backup is there, and what came after the restore.
    assert [number for number in app.lost("ONE") if number < 30 or number > acknowledged + 1] == []
    assert app.lost("A") == []
    app.close()
