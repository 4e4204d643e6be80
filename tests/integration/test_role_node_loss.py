# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runbook node_loss on real clusters that lose a server; judged by the servers' monitoring and a plain consumer."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from integration.cluster import kit
from integration.runbook import Runbooks
from integration.test_permissions import DOCUMENT, PREFIX, allowed, looked_at
from servers import User, wait_for


def stocked(cluster: Any, apps: list[kit.App]) -> tuple[kit.App, str]:
    """Replicated streams, one with a single copy, and the server that has it, which leads nothing."""
    app = kit.client(apps, cluster)
    app.stream("A", 3)
    app.stream("B", 3)
    app.stream("ONE", 1)
    app.consumer("ONE", "reader")
    for name in ("A", "B", "ONE"):
        app.fill(name, 30)
    home = app.api("STREAM.INFO.ONE")["cluster"]["leader"]
    kit.not_leader(cluster, home)
    return app, str(home)


def back_up(cluster: Any, runbooks: Runbooks) -> None:
    """Back up the account APP as the role backup lays it out."""
    runbooks.repository.mkdir()
    result = kit.run("account_backup", cluster, "app", path=str(runbooks.repository / "APP"))
    assert result["changed"] is True, result


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_lost_disk_under_load(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    cluster = make_cluster(size=4)
    app, home = stocked(cluster, apps)
    runbooks = Runbooks(cluster, tmp_path)
    back_up(cluster, runbooks)
    app.fill("ONE", 7)
    picture = tmp_path / "picture.json"
    picture.write_text(json.dumps(kit.run("cluster_info", cluster)))
    own = {"node_loss_disk": "lost", "node_loss_last_picture": str(picture), "node_loss_server": home}
    lives = runbooks.run("node_loss", **own, node_loss_confirm_dead=home)
    assert f"{home} answers: it is alive" in lives.report["sentence"]
    app.publish_to("A", "B")
    cluster.node(home).kill()
    wrong = runbooks.run("node_loss", **{**own, "node_loss_server": "n9"})
    assert "node_loss_server is 'n9'; it must be one of: n1, n2, n3, n4" in wrong.report["sentence"]
    misspelt = runbooks.run("node_loss", **own, node_loss_confirm_dead="n9")
    assert f"node_loss_confirm_dead is 'n9'; to confirm it must be '{home}'" in misspelt.report["sentence"]
    planned = runbooks.run("node_loss", **own)
    assert (planned.code, planned.report["outcome"], planned.recap["changed"]) == (0, "planned", 0), planned.output
    assert [one["step"] for one in planned.report["plan"]] == ["hold", "remove", "restore"]
    assert home in kit.members(cluster)
    # Publishers of the lost stream go on trying all the time.
    app.publish_to("ONE")
    acknowledged = len(app.acknowledged["ONE"])
    done = runbooks.run("node_loss", **own, node_loss_confirm_dead=home)
    assert (done.code, done.report["outcome"]) == (0, "done"), done.output
    wait_for(lambda: len(app.acknowledged["ONE"]) > acknowledged, 20, "ONE to take messages again")
    app.stop_publishing()
    assert home not in kit.members(cluster)
    assert app.lost("A") == app.lost("B") == []
    # Numbers that were published are taken again later, by the sequence of the test's own counting.
    lost = [number for number in app.lost("ONE") if number < acknowledged]
    (entry,) = [one for one in done.report["lost"] if not one["consumer"]]
    assert (entry["stream"], entry["messages"]) == ("ONE", 7), done.report["lost"]
    assert lost == list(range(30, 37))
    again = runbooks.run("node_loss", **own, node_loss_confirm_dead=home)
    assert (again.code, again.report["outcome"], again.recap["changed"]) == (0, "nothing_to_do", 0), again.output


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_after_the_removal_it_goes_on(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    cluster = make_cluster(size=4)
    app, home = stocked(cluster, apps)
    runbooks = Runbooks(cluster, tmp_path)
    back_up(cluster, runbooks)
    cluster.node(home).kill()
    own = {"node_loss_disk": "lost", "node_loss_server": home, "node_loss_confirm_dead": home}
    first = runbooks.start("node_loss", **own)
    wait_for(lambda: home not in kit.members(cluster), 240, "the removal")
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    second = runbooks.run("node_loss", **own)
    assert (second.code, second.report["outcome"]) == (0, "done"), second.output
    app.fill("ONE", 3)
    assert app.lost("ONE") == []
    assert app.lost("A") == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_intact_disk_comes_back_whole(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    cluster = make_cluster(size=4)
    app, home = stocked(cluster, apps)
    app.publish_to("A", "ONE")
    time.sleep(1)
    cluster.node(home).kill()
    runbooks = Runbooks(cluster, tmp_path)
    own = {"node_loss_disk": "intact", "node_loss_server": home, "node_loss_confirm_dead": home}
    running = runbooks.start("node_loss", **own)
    others = sorted({"n1", "n2", "n3", "n4"} - {home})
    wait_for(lambda: kit.server_of(cluster, "A") == others, 240, "A to be whole on the others")
    cluster.node(home).start(wait=False)
    done = runbooks.finish(running)
    assert (done.code, done.report["outcome"]) == (0, "done"), done.output
    assert "was moved off with its data" in done.report["sentence"]
    app.stop_publishing()
    assert home in kit.members(cluster)
    assert cluster.node(home).monitor("/jsz")["streams"] == 0
    assert app.lost("A") == app.lost("ONE") == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_without_a_spare_it_says_add_one_first(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    cluster = make_cluster(size=3)
    app = kit.client(apps, cluster)
    app.stream("A", 3)
    app.fill("A", 10)
    kit.not_leader(cluster, "n2")
    cluster.node("n2").kill()
    runbooks = Runbooks(cluster, tmp_path)
    runbooks.repository.mkdir()
    own = {"node_loss_disk": "lost", "node_loss_server": "n2", "node_loss_confirm_dead": "n2"}
    refused = runbooks.run("node_loss", **own)
    assert refused.code == 2
    assert refused.report["sentence"].startswith("Add a server first: none is left for the copies of APP > A.")
    assert "Waiting costs: 2 of 3 servers answer and 2 are needed: the next loss stops" in refused.report["sentence"]
    assert kit.members(cluster) == ["n1", "n2", "n3"]
    cluster.add_node(wait=False)
    wait_for(lambda: "n4" in kit.members(cluster), 30, "n4 to be a member")
    done = runbooks.run("node_loss", **own)
    assert (done.code, done.report["outcome"], done.report["lost"]) == (0, "done", []), done.output
    assert kit.server_of(cluster, "A") == ["n1", "n3", "n4"]
    assert app.lost("A") == []


def permitted() -> tuple[User, ...]:
    """Users who may do just what docs/permissions.md says of node_loss."""
    row = next(line for line in DOCUMENT.splitlines() if line.startswith("| [node_loss]"))
    cells = [re.findall(r"`(\$[^`]+)`", cell) for cell in row.strip("|").split("|")[1:]]
    system = looked_at()["system"] + cells[0]
    account = looked_at()["each"] + allowed("account_restore") + cells[1]
    subscribe = {"allow": [f"{PREFIX}.>"]}
    return (
        User("surgeon", "SYS", {"publish": {"allow": system}, "subscribe": subscribe}),
        User("restorer", "APP", {"publish": {"allow": account}, "subscribe": subscribe}),
    )


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_documented_permissions_are_enough(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    cluster = make_cluster(size=4, users=permitted())
    app, home = stocked(cluster, apps)
    own = {"inbox_prefix": PREFIX}
    runbooks = Runbooks(cluster, tmp_path)
    back_up(cluster, runbooks)
    cluster.node(home).kill()
    done = runbooks.run(
        "node_loss",
        node_loss_server=home,
        node_loss_disk="lost",
        node_loss_confirm_dead=home,
        jetstream_system={**cluster.connection("surgeon"), **own},
        jetstream_accounts=[
            {"name": "APP", **cluster.connection("restorer"), **own},
            {"name": "OTHER", **cluster.connection("other")},
        ],
    )
    assert (done.code, done.report["outcome"]) == (0, "done"), done.output
    app.fill("ONE", 3)
    assert app.lost("ONE") == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_stream_that_only_the_dead_server_fits(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    cluster = make_cluster(size=4, tags=kit.tags(4))
    app = kit.client(apps, cluster)
    app.stream("A", 3)
    app.stream("ONE", 1, on="n4")
    app.consumer("ONE", "reader")
    for name in ("A", "ONE"):
        app.fill(name, 50)
    kit.not_leader(cluster, "n4")
    runbooks = Runbooks(cluster, tmp_path)
    back_up(cluster, runbooks)
    cluster.node("n4").kill()
    own: dict[str, Any] = {"node_loss_disk": "lost", "node_loss_server": "n4", "node_loss_confirm_dead": "n4"}
    own["node_loss_accept_no_spare"] = True
    refused = runbooks.run("node_loss", **own)
    assert refused.report["outcome"] == "refused", refused.output
    assert "APP > ONE would not come back after the removal" in refused.report["sentence"]
    assert "node_loss_placement" in refused.report["sentence"]
    assert "n4" in kit.members(cluster)
    assert "ONE" in app.api("STREAM.NAMES")["streams"]
    there = {"node_loss_placement": {"tags": ["only:n3"]}}
    planned = runbooks.run("node_loss", **{**own, "node_loss_confirm_dead": ""}, **there)
    (hold,) = [one for one in planned.report["plan"] if one["step"] == "hold"]
    assert "deleted and made anew" in hold["effect"]
    done = runbooks.run("node_loss", **own, **there)
    assert (done.code, done.report["outcome"]) == (0, "done"), done.output
    assert kit.server_of(cluster, "ONE") == ["n3"]
    assert app.lost("ONE") == app.lost("A") == []
    assert app.api("CONSUMER.INFO.ONE.reader")["name"] == "reader"
    app.fill("ONE", 1)
    assert "n4" not in kit.members(cluster)
    again = runbooks.run("node_loss", **own, **there)
    assert (again.code, again.report["outcome"]) == (0, "nothing_to_do"), again.output
