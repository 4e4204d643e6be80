# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runbook salvage: a dead server's disk, on a line that cannot evacuate it; judged by a plain consumer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from integration.cluster import kit
from integration.runbook import Runbooks


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("version", ["2.12.15"])
def test_nothing_is_lost_with_the_disk(make_cluster: Any, apps: list[kit.App], tmp_path: Path, version: str) -> None:
    cluster = make_cluster(size=4, version=version)
    app = kit.client(apps, cluster)
    app.stream("A", 3)
    app.stream("ONE", 1)
    app.consumer("ONE", "reader")
    for name in ("A", "ONE"):
        app.fill(name, 30)
    home = app.api("STREAM.INFO.ONE")["cluster"]["leader"]
    kit.not_leader(cluster, home)
    app.publish_to("A", "ONE")
    time.sleep(1)
    cluster.node(home).kill()
    node = cluster.node(home)
    own = {
        "salvage_server": home,
        "salvage_store": str(node.store),
        "salvage_path": str(tmp_path / "salvaged"),
        "salvage_server_binary": str(node.program),
    }
    runbooks = Runbooks(cluster, tmp_path)
    refused = runbooks.run("node_loss", node_loss_server=home, node_loss_disk="intact", node_loss_confirm_dead=home)
    assert refused.report["outcome"] == "refused"
    assert "natsops.jetstream.salvage" in refused.report["sentence"]
    before = sorted((str(path), path.stat().st_mtime_ns) for path in node.store.rglob("*"))
    planned = runbooks.run("salvage", **own)
    assert (planned.code, planned.report["outcome"], planned.recap["changed"]) == (0, "planned", 0), planned.output
    assert f"DO NOT START {home} AGAIN" in planned.output
    assert not (tmp_path / "salvaged").exists()
    done = runbooks.run("salvage", **own, salvage_confirm_dead=home)
    assert (done.code, done.report["outcome"]) == (0, "done"), done.output
    app.stop_publishing()
    assert before == sorted((str(path), path.stat().st_mtime_ns) for path in node.store.rglob("*"))
    assert home not in kit.members(cluster)
    assert done.report["lost"] == []
    assert app.lost("A") == app.lost("ONE") == []
    assert app.api("STREAM.INFO.ONE")["config"]["subjects"] == ["ONE.>"]
    assert app.api("CONSUMER.INFO.ONE.reader")["name"] == "reader"
    again = runbooks.run("salvage", **own, salvage_confirm_dead=home)
    assert (again.report["outcome"], again.recap["changed"]) == ("nothing_to_do", 0), again.output
    assert app.lost("ONE") == []
