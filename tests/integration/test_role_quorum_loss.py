# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runbook quorum_loss: two of three servers are gone; judged by the servers' monitoring and a plain consumer."""

from __future__ import annotations

import http.server
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from integration.cluster import kit
from integration.runbook import Runbooks


class Starter:
    """Stands in for systemd: `commands` are command lines that have this process start a server of the cluster."""

    def __init__(self, cluster: Any) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                cluster.node(self.path.strip("/")).start(wait=False)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_words: Any) -> None:
                """Nothing on the terminal."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{self._server.server_port}"
        code = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1])"
        self.commands = {
            node.name: {"start": [sys.executable, "-c", code, f"{url}/{node.name}"]} for node in cluster.nodes
        }

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def stocked(cluster: Any, apps: list[kit.App], alone: str) -> kit.App:
    """A replicated stream, and one with its only copy on a server that will die, and one on the survivor."""
    app = kit.client(apps, cluster)
    app.stream("A", 3)
    app.stream("ONE", 1, on=alone)
    app.stream("MINE", 1, on="n1")
    kit.until_placed(cluster, "A", 3)
    for name in ("A", "ONE", "MINE"):
        app.fill(name, 30)
    config = app.api("STREAM.INFO.ONE")["config"]
    config.pop("placement")
    assert "error" not in app.api("STREAM.UPDATE.ONE", config)
    kit.until_placed(cluster, "ONE", 1)
    assert kit.server_of(cluster, "ONE") == [alone]
    return app


def back_up(cluster: Any, runbooks: Runbooks) -> None:
    """Back up the account APP as the role backup lays it out."""
    runbooks.repository.mkdir()
    result = kit.run("account_backup", cluster, "app", path=str(runbooks.repository / "APP"))
    assert result["changed"] is True, result


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_of_three_are_gone(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    cluster = make_cluster(size=3, version="2.15.3", tags=kit.tags(3))
    app = stocked(cluster, apps, "n2")
    runbooks = Runbooks(cluster, tmp_path, jetstream_save_path=str(tmp_path / "saved"))
    back_up(cluster, runbooks)
    for name in ("n2", "n3"):
        cluster.node(name).kill()
    planned = runbooks.run("quorum_loss", quorum_loss_dead=["n2", "n3"])
    assert (planned.code, planned.report["outcome"], planned.recap["changed"]) == (0, "planned", 0), planned.output
    assert [one["step"] for one in planned.report["plan"]] == ["save", "rescue", "remove", "remove", "restore"]
    assert cluster.meta_leader() is None
    dead = ["n3", "n2"]
    began = time.monotonic()
    done = runbooks.run("quorum_loss", quorum_loss_dead=dead, quorum_loss_confirm_dead=dead)
    seconds = time.monotonic() - began
    assert (done.code, done.report["outcome"]) == (0, "done"), done.output
    # A machine that is busy with other things proves nothing about time.
    assert seconds < 180 or os.getloadavg()[0] > 2 * (os.cpu_count() or 1)
    for name in ("A", "ONE"):
        app.fill(name, 5)
    assert kit.members(cluster) == ["n1"]
    assert app.lost("A") == app.lost("MINE") == app.lost("ONE") == []
    assert (tmp_path / "saved" / "APP" / "MINE" / "backup.json").exists()
    assert {one["stream"] for one in done.report["lost"]} == {"ONE"}
    again = runbooks.run("quorum_loss", quorum_loss_dead=dead, quorum_loss_confirm_dead=dead)
    assert (again.report["outcome"], again.recap["changed"]) == ("nothing_to_do", 0), again.output


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_stale_survivor_is_refused(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    cluster = make_cluster(size=3, version="2.15.3")
    app = kit.client(apps, cluster)
    app.stream("A", 3)
    app.fill("A", 10)
    kit.not_leader(cluster, "n1")
    cluster.node("n1").kill()
    app.fill("A", 10)
    picture = tmp_path / "picture.json"
    picture.write_text(json.dumps(kit.run("cluster_info", cluster, sample_interval=0)))
    for name in ("n2", "n3"):
        cluster.node(name).kill()
    cluster.node("n1").start(wait=False)
    cluster.node("n1").wait_listening()
    runbooks = Runbooks(cluster, tmp_path)
    dead = ["n2", "n3"]
    refused = runbooks.run(
        "quorum_loss",
        quorum_loss_dead=dead,
        quorum_loss_confirm_dead=dead,
        quorum_loss_last_picture=str(picture),
    )
    assert (refused.code, refused.report["outcome"]) == (2, "refused"), refused.output
    assert refused.report["sentence"].startswith("STALE SURVIVOR"), refused.report["sentence"]
    assert cluster.meta_leader() is None


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("version", ["2.10.29", "2.11.17", "2.12.15", "2.14.10"])
def test_an_older_line_starts_the_old_names(
    version: str, make_cluster: Any, apps: list[kit.App], tmp_path: Path
) -> None:
    cluster = make_cluster(size=3, version=version, tags=kit.tags(3))
    kit.not_leader(cluster, "n2", "n3")
    app = stocked(cluster, apps, "n2")
    starter = Starter(cluster)
    dead = ["n2", "n3"]
    runbooks = Runbooks(cluster, tmp_path, jetstream_save_path=str(tmp_path / "saved"))
    back_up(cluster, runbooks)
    # Made just before the loss: nobody has them in a snapshot of the meta group yet.
    young = [f"YOUNG{number}" for number in range(6)]
    for name in young:
        app.stream(name, 3)
        kit.until_placed(cluster, name, 3)
        app.fill(name, 10)
    for name in dead:
        cluster.node(name).kill()
        cluster.node(name).wipe()
    own = {"quorum_loss_dead": dead, "quorum_loss_confirm_dead": dead}
    by_hand = runbooks.run("quorum_loss", **own)
    assert (by_hand.code, by_hand.report["outcome"]) == (2, "refused")
    assert "Start n2 under its OLD name" in by_hand.report["sentence"]
    done = runbooks.run("quorum_loss", **own, quorum_loss_commands=starter.commands)
    starter.close()
    assert (done.code, done.report["outcome"]) == (0, "done"), done.output
    cluster.wait_ready(60)
    for name in ("A", "ONE", *young):
        app.fill(name, 5)
    assert [name for name in ("A", "MINE", "ONE", *young) if app.lost(name)] == []
    assert {one["stream"] for one in done.report["lost"]} == {"ONE"}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_stream_that_only_the_dead_fit(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    cluster = make_cluster(size=3, version="2.15.3", tags=kit.tags(3))
    app = stocked(cluster, apps, "n2")
    app.stream("ZONE", 1, on="n3")
    app.consumer("ZONE", "reader")
    app.fill("ZONE", 50)
    runbooks = Runbooks(cluster, tmp_path, jetstream_save_path=str(tmp_path / "saved"))
    back_up(cluster, runbooks)
    dead = ["n2", "n3"]
    for name in dead:
        cluster.node(name).kill()
    own: dict[str, Any] = {"quorum_loss_dead": dead, "quorum_loss_confirm_dead": dead}
    failed = runbooks.run("quorum_loss", **own)
    assert failed.report["outcome"] == "failed", failed.output
    assert "ZONE" in failed.report["sentence"]
    assert "tag only:n3" in failed.report["sentence"]
    (entry,) = [one for one in failed.report["lost"] if one["stream"] == "ZONE" and not one["consumer"]]
    assert entry["messages"] == 50, failed.report["lost"]
    assert app.lost("ONE") == []
    # It stays failed until it is healed.
    again = runbooks.run("quorum_loss", **own)
    assert again.report["outcome"] in ("refused", "failed"), again.output
    done = runbooks.run("quorum_loss", **own, quorum_loss_placement={"tags": ["only:n1"]})
    assert (done.code, done.report["outcome"]) == (0, "done"), done.output
    assert app.lost("ZONE") == []
    assert app.api("CONSUMER.INFO.ZONE.reader")["name"] == "reader"
    app.fill("ZONE", 1)
    last = runbooks.run("quorum_loss", **own)
    assert (last.report["outcome"], last.recap["changed"]) == ("nothing_to_do", 0), last.output
