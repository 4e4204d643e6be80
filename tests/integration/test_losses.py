# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Losses that servers do not tell: a disk that came back empty, a stream made anew, a stream that is gone."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from integration.cluster import kit
from integration.runbook import Ran, Runbooks
from servers import wait_for

LOSSES = {"stream_lost", "stream_recreated", "stream_behind"}


def lost(ran: Ran) -> dict[str, str]:
    """The losses in a report of assess: the stream and the word."""
    found = ran.report["details"]["findings"]
    return {one["objects"][0]: one["id"] for one in found if one["id"] in LOSSES}


def follow(runbooks: Runbooks, ran: Ran, verb: str) -> Ran:
    """Run the command for this verb that a report says to run next, as it is printed."""
    (command,) = [one for one in ran.report["next"] if f"natsops.jetstream.{verb} " in one]
    words = shlex.split(command)
    assert words[:3] == ["ansible-playbook", f"natsops.jetstream.{verb}", "-e"], command
    return runbooks.run(verb, **json.loads(words[3]))


@pytest.mark.timeout(600)
def test_a_disk_that_came_back_empty(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    cluster = make_cluster(size=3, tags=kit.tags(3))
    app = kit.client(apps, cluster)
    app.stream("ONE", 1, on="n3")
    app.stream("KEPT", 3)
    app.stream("GONE", 3)
    app.consumer("KEPT", "reader")
    app.fill("ONE", 50)
    app.fill("KEPT", 20)
    app.fill("GONE", 5)
    runbooks = Runbooks(cluster, tmp_path, assess_sample_interval=1.0)
    assert runbooks.run("backup").code == 0
    app.fill("ONE", 7)
    whole = runbooks.run("assess")
    assert whole.report["sentence"].startswith("All is well"), whole.output
    picture = (runbooks.reports / "latest-picture.json").read_text(encoding="utf-8")

    # The server returns under its old name with an empty disk before anyone looks; a stream is deleted.
    cluster.node("n3").kill()
    cluster.node("n3").wipe()
    cluster.node("n3").start()
    cluster.wait_ready()
    wait_for(lambda: app.api("STREAM.INFO.ONE").get("state"), 30, "ONE to answer")
    assert app.api("STREAM.INFO.ONE")["state"]["messages"] == 0
    assert app.api("STREAM.DELETE.GONE")["success"]
    assert app.api("CONSUMER.DELETE.KEPT.reader")["success"]

    seen = runbooks.run("assess")
    assert lost(seen) == {"APP > ONE": "stream_behind", "APP > GONE": "stream_lost"}, seen.output
    assert seen.report["details"]["status"] == "critical"
    one = next(one for one in seen.report["details"]["findings"] if one["objects"] == ["APP > ONE"])
    assert "It ends at sequence 0. It ended at 57. Lost: 57 messages" in one["detail"]
    assert "No backup has sequences 51 to 57, which came after it." in one["detail"]
    assert re.search(r"/repository/APP/\d{8}T\d{6}Z/ONE$", one["backup"])
    assert any(one["id"] == "consumer_position_lost" for one in seen.report["details"]["findings"])
    assert (runbooks.reports / "latest-picture.json").read_text(encoding="utf-8") == picture
    module = kit.run("cluster_info", cluster, backups=[str(runbooks.repository)], sample_interval=0)
    assert LOSSES & kit.findings(module) == {"stream_behind", "stream_lost"}
    account = kit.run("cluster_info", cluster, "app", backups=[str(runbooks.repository)])
    assert LOSSES & kit.findings(account) == {"stream_behind", "stream_lost"}

    # Used again: the new messages do not hide the loss, nor does a backup that was taken after it.
    app.fill("ONE", 60)
    assert runbooks.run("backup").code == 0
    used = runbooks.run("assess")
    assert lost(used) == {"APP > ONE": "stream_recreated", "APP > GONE": "stream_lost"}, used.output

    # What it says to run brings back what the older set has.
    follow(runbooks, used, "restore")
    state = app.api("STREAM.INFO.ONE")["state"]
    assert (state["messages"], state["last_seq"]) == (50, 50)
    assert app.api("STREAM.INFO.GONE")["state"]["messages"] == 5
    # The report of the restore said what the backup could not bring back: all is well again, and this is remembered.
    after = runbooks.run("assess")
    assert lost(after) == {}, after.output
    runbooks.run("backup")
    assert runbooks.run("assess").report["sentence"].startswith("All is well")

    # The same again, and this time a person confirms that the stream may be gone.
    assert app.api("STREAM.DELETE.GONE")["success"]
    assert lost(runbooks.run("assess")) == {"APP > GONE": "stream_lost"}
    confirmed = runbooks.run("assess", assess_given_up=["APP > GONE"])
    assert lost(confirmed) == {}, confirmed.output
    assert "GONE" not in (runbooks.reports / "latest-picture.json").read_text(encoding="utf-8")
    assert runbooks.run("assess", assess_given_up=["ONE"]).code != 0
