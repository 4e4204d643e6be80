# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look works when it is needed most: a part that fails is named, the rest is used, and the decision is still made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from integration.cluster import kit
from integration.runbook import Runbooks


@pytest.mark.lines
@pytest.mark.timeout(600)
def test_accounts_cannot_answer_without_a_meta_leader(make_cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    cluster = make_cluster(size=3, tags=kit.tags(3))
    app = kit.client(apps, cluster)
    app.stream("ALL", 3)
    app.stream("HERE", 1, on="n1")
    app.stream("AWAY", 1, on="n3")
    for name in ("ALL", "HERE", "AWAY"):
        app.fill(name, 5)
    for name in ("n2", "n3"):
        cluster.node(name).kill()
    given = {"accounts": kit.accounts(cluster)}
    seen = kit.run("cluster_info", cluster, **given)
    assert not seen.get("failed"), seen
    assert "meta_quorum_lost" in kit.findings(seen)
    assert [one["stream"] for one in seen["streams"]] == ["ALL", "HERE"]
    for name in ("APP", "OTHER"):
        told = f"accounts, {name}: its streams could not be listed. The meta group has no leader that could answer."
        assert told in seen["missing"], seen["missing"]
    unknown = next(one for one in seen["findings"] if one["id"] == "dead_server_holdings_unknown")
    assert {"APP", "OTHER"} <= set(unknown["objects"])
    refused = kit.run("peer_remove", cluster, peer="n3", check=True, **given)
    assert refused["error"] == "no_quorum", refused
    assert "1 live voters are fewer than the 2 that the meta group needs" in refused["msg"]
    assert refused["duration"] < 45
    # The page of the runbook promises this sentence.
    runbooks = Runbooks(cluster, tmp_path)
    command = """ansible-playbook natsops.jetstream.quorum_loss -e '{"quorum_loss_dead": ["n2", "n3"]}'"""
    for verb, own in (("node_loss", {"node_loss_server": "n3"}), ("evacuate", {"evacuate_server": "n1"})):
        ran = runbooks.run(verb, **own)
        assert ran.report["outcome"] == "refused", ran.output
        assert "The quorum is lost." in ran.report["sentence"]
        assert command in ran.report["sentence"]
        assert "Add a server" not in ran.output
    assert runbooks.run("assess", assess_sample_interval=1.0).report["next"] == [command]


@pytest.mark.timeout(300)
def test_an_account_that_cannot_log_in_is_named(cluster: Any) -> None:
    wrong = [{"name": "APP", **cluster.setup.module_options("app"), "password": "not-this-one"}]
    seen = kit.run("cluster_info", cluster, accounts=wrong)
    assert not seen.get("failed"), seen


@pytest.mark.timeout(300)
def test_assess_without_the_system_account(cluster: Any, apps: list[kit.App], tmp_path: Path) -> None:
    app = kit.client(apps, cluster)
    app.stream("PLAIN", 3)
    app.fill("PLAIN", 3)
    ran = Runbooks(cluster, tmp_path, jetstream_system=cluster.connection("app"), assess_sample_interval=1.0).run(
        "assess"
    )
    app.api("STREAM.DELETE.PLAIN")
    assert "filter" not in ran.output, ran.output
    assert [one["account"] for one in ran.report["streams"] if one["stream"] == "PLAIN"] == ["APP"], ran.report
    assert any("system account" in text for text in ran.report["evidence"]), ran.report
