# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No runbook ends green while a stream that backups or the last picture know lacks messages; a failure stays one."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import Any

import nats
import pytest

from integration import rounds
from integration.cluster import kit
from integration.runbook import Ran, Runbooks
from integration.test_losses import follow
from integration.test_role_node_loss import stocked
from integration.test_role_quorum_loss import stocked as on_three
from servers import oracle, wait_for
from servers.fixtures import MakeServer
from servers.samples import make_streams


def held_red(ran: Ran, *labels: str, outcome: str = "failed") -> None:
    """The run failed, its last word names the streams, and no line of it says that all is whole."""
    assert (ran.code, ran.report["outcome"]) == (2, outcome), ran.output
    assert set(ran.report["details"]["missing"]) == set(labels), ran.output
    assert all(label in ran.report["sentence"] for label in labels), ran.report["sentence"]
    words = ran.report["sentence"].lower().replace("not every stream is whole", "")
    assert not any(claim in words for claim in ("every stream is whole", "nothing was lost", "nothing is left")), words


def restores(ran: Ran) -> list[str]:
    """The commands of a report that restore something; all of its commands can be pasted."""
    for one in ran.report["next"]:
        assert one.startswith("# ") or shlex.split(one)[0] == "ansible-playbook", one
    return [one for one in ran.report["next"] if "natsops.jetstream.restore " in one]


def gone(app: kit.App, *names: str) -> None:
    """Delete streams, however long a cluster that has just lost a server takes to answer."""

    def deleted(name: str) -> bool:
        with contextlib.suppress(nats.errors.Error):
            app.api(f"STREAM.DELETE.{name}")
        with contextlib.suppress(nats.errors.Error):
            return bool(app.api(f"STREAM.INFO.{name}").get("error", {}).get("err_code") == 10059)
        return False

    for name in names:
        wait_for(lambda name=name: deleted(name), 60, f"{name} to be gone")  # type: ignore[misc]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_recovery_that_could_not_bring_a_stream_back(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    cluster = make_cluster(size=3, version="2.15.3", tags=kit.tags(3))
    app = on_three(cluster, apps, "n2")
    runbooks = Runbooks(cluster, tmp_path, jetstream_save_path=str(tmp_path / "saved"), assess_sample_interval=0.1)
    assert runbooks.run("backup").code == 0
    assert runbooks.run("assess").report["outcome"] != "failed"
    for name in ("n2", "n3"):
        cluster.node(name).kill()
    dead = ["n2", "n3"]
    own = {"quorum_loss_dead": dead, "quorum_loss_confirm_dead": dead}
    # The backups are not to be had in this run: the picture alone knows what ONE had.
    first = runbooks.run("quorum_loss", **own, quorum_loss_repository=str(tmp_path / "elsewhere"))
    held_red(first, "APP > ONE")
    assert restores(first) == []
    held_red(runbooks.run("quorum_loss", **own, quorum_loss_repository=str(tmp_path / "elsewhere")), "APP > ONE")
    # An application makes the stream anew and writes, so that no run may put the backup in its place any more.
    gone(app, "ONE")
    app.stream("ONE", 1)
    app.fill("ONE", 5)
    for _time in range(2):
        again = runbooks.run("quorum_loss", **own)
        held_red(again, "APP > ONE")
        assert len(restores(again)) == 1, again.report["next"]
        assert "Lost: 30 messages" in str(again.report["results"]), again.report
    # By the backups alone, too.
    (runbooks.reports / "latest-picture.json").unlink()
    held_red(runbooks.run("quorum_loss", **own), "APP > ONE")
    assert follow(runbooks, again, "restore").code == 0
    assert app.api("STREAM.INFO.ONE")["state"]["messages"] == 30
    healed = runbooks.run("quorum_loss", **own)
    assert (healed.code, healed.report["outcome"]) == (0, "nothing_to_do"), healed.output
    assert not any("compared" in one or "nobody knows" in one for one in healed.report["warnings"]), healed.report


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_stream_that_was_emptied_beside_the_dead_server(
    make_cluster: Any, apps: list[kit.App], tmp_path: Path
) -> None:
    cluster = make_cluster(size=4)
    app, home = stocked(cluster, apps)
    runbooks = Runbooks(cluster, tmp_path)
    assert runbooks.run("backup").code == 0
    cluster.node(home).kill()
    gone(app, "A", "B")
    app.stream("A", 3)
    own = {"node_loss_server": home, "node_loss_disk": "lost"}
    planned = runbooks.run("node_loss", **own)
    assert (planned.code, planned.report["outcome"]) == (0, "planned"), planned.output
    assert {one.split(":")[0] for one in planned.report["warnings"]} >= {"APP > A", "APP > B"}, planned.report
    own["node_loss_confirm_dead"] = home
    wrong = runbooks.run("node_loss", **own, node_loss_given_up=["A"])
    assert (wrong.code, wrong.report["outcome"]) == (2, "refused"), wrong.output
    assert "given_up: 'A' does not name a stream" in wrong.report["sentence"]
    assert home in kit.members(cluster)
    # What the runbook is for is done and restored; the run is red for what it is not for.
    for _time in range(2):
        ran = runbooks.run("node_loss", **own)
        held_red(ran, "APP > A", "APP > B")
    assert app.api("STREAM.INFO.ONE")["state"]["messages"] == 30
    given_up = runbooks.run("node_loss", **own, node_loss_given_up=["APP > B"])
    held_red(given_up, "APP > A")
    assert follow(runbooks, given_up, "restore").code == 0
    assert app.lost("A") == []
    healed = runbooks.run("node_loss", **own, node_loss_given_up=["APP > B"])
    assert (healed.code, healed.report["outcome"]) == (0, "nothing_to_do"), healed.output
    held_red(runbooks.run("node_loss", **own), "APP > B")


@pytest.mark.timeout(1200)
def test_a_server_is_emptied_while_a_stream_is_missing(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    cluster = make_cluster(size=4)
    app, home = stocked(cluster, apps)
    runbooks = Runbooks(cluster, tmp_path)
    own = {"evacuate_server": home, "evacuate_confirm": home}
    assert runbooks.run("backup").code == 0
    assert app.api("STREAM.DELETE.B")["success"]
    for _time in range(2):
        ran = runbooks.run("evacuate", **own)
        held_red(ran, "APP > B")
        assert f"{home} is empty" in ran.report["sentence"]
    assert follow(runbooks, ran, "restore").code == 0
    # The stream that came back may have a copy on the emptied server, which is still a member.
    healed = runbooks.run("evacuate", **own)
    assert healed.code == 0, healed.output
    assert healed.report["sentence"].startswith(f"{home} is empty"), healed.report["sentence"]
    assert cluster.node(home).monitor("/jsz")["streams"] == 0
    assert app.lost("B") == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_streams_that_a_restore_of_the_cluster_left_out(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server()
    make_streams(server, ["PLAIN", "EMPTY"])
    runbooks = Runbooks(server, tmp_path)
    assert runbooks.run("backup").code == 0
    rounds.delete_all(server)
    own = {"cluster_loss_confirm": "n1", "cluster_loss_streams": ["EMPTY"]}
    for _time in range(2):
        held_red(runbooks.run("cluster_loss", **own), "APP > PLAIN")
    assert oracle.stream_names(server) == ["EMPTY"]
    meant = runbooks.run("cluster_loss", **own, cluster_loss_given_up=["APP > PLAIN"])
    assert (meant.code, meant.report["outcome"]) == (0, "nothing_to_do"), meant.output
    whole = runbooks.run("cluster_loss", cluster_loss_confirm="n1")
    assert (whole.code, whole.report["outcome"]) == (0, "done"), whole.output
    assert sorted(oracle.stream_names(server)) == ["EMPTY", "PLAIN"]
