# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A survivor that died before the others, and starts alone: it would roll the cluster back without a word."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from integration.cluster import kit

# The waits are real: for 10 to 25 seconds after a loss no server can be believed.
pytestmark = pytest.mark.timeout(600)


def test_a_stale_survivor_is_refused(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    cluster = make_cluster(size=3)
    app = kit.client(apps, cluster)
    app.stream("A", 3)
    kit.until_placed(cluster, "A", 3)
    app.fill("A", 20)
    cluster.node("n1").kill()
    cluster.wait_meta_leader()
    app.fill("A", 20)
    saved = kit.run("account_backup", cluster, "app", path=str(tmp_path / "APP"))
    assert not saved.get("failed"), saved
    cluster.node("n2").kill()
    cluster.node("n3").kill()
    cluster.node("n1").start(wait=False)
    cluster.node("n1").wait_listening()
    refusing = kit.start("meta_rescue", cluster, confirmed_dead=["n2", "n3"], backups=[str(tmp_path / "APP")])
    # The next one starts so much later that this one has its answer before the other lowers the quorum.
    time.sleep(10)
    accepting = kit.start("meta_rescue", cluster, confirmed_dead=["n2", "n3"], known_states={"APP": {"A": 1}})
    result = kit.finish(refusing)
    kit.refused(result, "stale_survivor")
    # A kill may cost the survivor the messages that were not on its disk yet.
    assert re.search(r"APP > A \(at (1?\d|20), was at 40\)", result["msg"])
    # With nothing known the rescue is accepted; alone without a route, nobody leads until one more server starts.
    alone = kit.finish(accepting)
    assert alone["error"] == "no_routes", alone
    assert alone["changed"] is True
    assert "Start one more server" in alone["msg"]
    # What was refused did no harm: the others come back with all that was acknowledged.
    cluster.node("n2").start(wait=False)
    cluster.node("n3").start(wait=False)
    cluster.wait_ready(60)
    kit.until_placed(cluster, "A", 3)
    app.fill("A", 2)
    assert app.lost("A") == []
