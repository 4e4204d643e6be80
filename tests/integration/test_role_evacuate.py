# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runbook evacuate on real clusters; judged by the servers' monitoring and a plain consumer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from integration.cluster import kit
from integration.runbook import Runbooks


def stocked(cluster: Any, apps: list[kit.App]) -> kit.App:
    """A replicated stream with a copy on n2, and one with its only copy there."""
    app = kit.client(apps, cluster)
    for _attempt in range(30):
        app.stream("A", 3)
        kit.until_placed(cluster, "A", 3)
        if "n2" in kit.server_of(cluster, "A"):
            break
        app.api("STREAM.DELETE.A")
    app.stream("ONE", 1, on="n2")
    app.consumer("A", "three")
    for name in ("A", "ONE"):
        app.fill(name, 20)
    config = app.api("STREAM.INFO.ONE")["config"]
    config.pop("placement")
    assert "error" not in app.api("STREAM.UPDATE.ONE", config)
    kit.until_placed(cluster, "ONE", 1)
    return app


def test_a_server_is_emptied_under_load(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    cluster = make_cluster(size=4, tags=kit.tags(4))
    app = stocked(cluster, apps)
    runbooks = Runbooks(cluster, tmp_path)
    planned = runbooks.run("evacuate", "-vvvv", evacuate_server="n2")
    assert (planned.code, planned.recap["changed"]) == (0, 0), planned.output
    assert planned.report["outcome"] == "planned"
    assert "-e evacuate_confirm=n2" in planned.report["sentence"]
    assert {one["object"] for one in planned.report["plan"]} >= {"APP > A", "APP > ONE"}
    app.publish_to("A", "ONE")
    done = runbooks.run("evacuate", evacuate_server="n2", evacuate_confirm="n2")
    assert done.code == 0, done.output
    assert (done.report["outcome"], done.report["changed"]) == ("done", True)
    assert "safe to stop" in done.report["sentence"]
    assert cluster.node("n2").monitor("/jsz")["streams"] == 0
    assert cluster.node("n2").monitor("/jsz")["consumers"] == 0
    cluster.node("n2").stop()
    app.stop_publishing()
    cluster.node("n2").start(wait=False)
    assert app.lost("A") == app.lost("ONE") == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("version", ["2.15.3", "2.12.15"])
def test_names_check_mode_and_a_second_run(
    make_cluster: Any, apps: list[kit.App], tmp_path: Path, version: str
) -> None:
    cluster = make_cluster(size=4, version=version, tags=kit.tags(4))
    app = stocked(cluster, apps)
    runbooks = Runbooks(cluster, tmp_path)
    wrong = runbooks.run("evacuate", evacuate_server="n7")
    assert (wrong.code, wrong.report["outcome"]) == (2, "refused")
    assert "evacuate_server is 'n7'; it must be one of: n1, n2, n3, n4." in wrong.report["sentence"]
    misspelt = runbooks.run("evacuate", evacuate_server="n2", evacuate_confirm="n3")
    assert "evacuate_confirm is 'n3'; to confirm it must be 'n2'" in misspelt.report["sentence"]
    if version == "2.12.15":
        alone = runbooks.run("evacuate", evacuate_server="n2", evacuate_confirm="n2")
        assert "cannot evacuate, and only n2 has APP > ONE" in alone.report["sentence"]
        config = app.api("STREAM.INFO.ONE")["config"]
        assert "error" not in app.api("STREAM.UPDATE.ONE", {**config, "num_replicas": 3})
        kit.until_placed(cluster, "ONE", 3)
    check = runbooks.run("evacuate", "--check", evacuate_server="n2", evacuate_confirm="n2")
    assert check.code == 0, check.output
    assert cluster.node("n2").monitor("/jsz")["streams"] > 0
    app.publish_to("A", "ONE")
    done = runbooks.run("evacuate", evacuate_server="n2", evacuate_confirm="n2")
    assert done.code == 0, done.output
    assert "safe to stop" in done.report["sentence"]
    again = runbooks.run("evacuate", evacuate_server="n2", evacuate_confirm="n2")
    assert (again.code, again.report["outcome"], again.recap["changed"]) == (0, "nothing_to_do", 0), again.output
    cluster.node("n2").kill()
    app.stop_publishing()
    assert app.lost("A") == app.lost("ONE") == []
