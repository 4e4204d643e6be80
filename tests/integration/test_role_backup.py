# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runbooks backup, restore and cluster_loss on one server, as an operator runs them; judged by a plain consumer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from integration import rounds
from integration.runbook import Ran, Runbooks
from servers import oracle
from servers.ansible import CHECKOUT
from servers.fixtures import MakeServer
from servers.samples import make_streams

SCHEMA = json.loads((CHECKOUT / "docs" / "report.schema.json").read_text(encoding="utf-8"))


def held(ran: Ran, outcome: str, changed: int | None = None) -> dict[str, Any]:
    """Hold how a run ended, by its exit code, its recap and its report; return the report."""
    jsonschema.validate(ran.report, SCHEMA)
    assert ran.report["outcome"] == outcome, ran.output
    assert (ran.code == 0) == (outcome in ("done", "planned", "nothing_to_do")), ran.output
    if changed is not None:
        assert ran.recap["changed"] == changed, ran.output
    # The sentence is the last thing that is told.
    shown = ran.output.rsplit("Show what matters", 1)[1]
    assert ran.report["sentence"] in shown
    assert len(shown.partition('"msg": [')[2].partition("\n    ]")[0].splitlines()) <= 26
    return ran.report


@pytest.mark.timeout(600)
def test_backup_loss_and_return(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server()
    make_streams(server, ["PLAIN", "EMPTY", "ADVANCED"])
    before = oracle.picture(server)
    runbooks = Runbooks(server, tmp_path)
    first = held(runbooks.run("backup", "-vvvv"), "done", changed=2)
    assert {(one["stream"], one["messages"]) for one in first["streams"]} >= {("PLAIN", 250), ("EMPTY", 0)}
    again = held(runbooks.run("backup", backup_keep={"last": 1}), "nothing_to_do", changed=0)
    assert again["sentence"].startswith("Nothing has changed: 3 streams of 2 accounts")

    # One stream is lost: restored by its name, and only that one.
    rounds.delete(server, ["PLAIN"])
    one = held(runbooks.run("restore", "-vvvv", restore_account="APP", restore_streams=["PLAIN"]), "done", changed=1)
    assert [(row["stream"], row["status"], row["messages"]) for row in one["streams"]] == [("PLAIN", "created", 250)]
    assert oracle.compare(before, oracle.picture(server)) == []

    # Everything is lost: the plan, and with the server's name the return.
    rounds.delete_all(server)
    planned = held(runbooks.run("cluster_loss"), "planned", changed=0)
    assert oracle.stream_names(server) == []
    assert len(planned["plan"]) == 3
    assert planned["next"] == ["ansible-playbook natsops.jetstream.cluster_loss -e cluster_loss_confirm=n1"]
    done = held(runbooks.run("cluster_loss", "-vvvv", cluster_loss_confirm="n1"), "done", changed=1)
    assert done["details"]["rpo_seconds"] < 600
    assert oracle.compare(before, oracle.picture(server)) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_restore_replaces_only_what_is_confirmed(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server()
    make_streams(server, ["PLAIN", "EMPTY"])
    runbooks = Runbooks(server, tmp_path)
    held(runbooks.run("backup"), "done")
    held(runbooks.run("restore"), "nothing_to_do", changed=0)
    rounds.publish(server, "plain.a", b"x")
    refused = held(runbooks.run("restore"), "refused", changed=0)
    assert "restore_on_conflict" in refused["sentence"]
    given: dict[str, Any] = {"restore_on_conflict": "replace"}
    planned = held(runbooks.run("restore", **given), "planned", changed=0)
    assert rounds.messages(server, "PLAIN") == 251
    assert "251 messages that are there now are deleted" in planned["plan"][0]["effect"]
    misspelt = held(runbooks.run("restore", restore_replace_confirm=["APP > PLAI"], **given), "refused")
    assert "must be one of: APP > EMPTY, APP > PLAIN" in misspelt["sentence"]
    check = runbooks.run("restore", "--check", restore_replace_confirm=["APP > PLAIN"], **given)
    assert (check.code, check.recap["changed"]) == (0, 1), check.output
    assert rounds.messages(server, "PLAIN") == 251
    held(runbooks.run("restore", restore_replace_confirm=["APP > PLAIN"], **given), "done", changed=1)
    assert len(oracle.dump(server, "PLAIN")) == 250
    held(runbooks.run("restore", restore_replace_confirm=["APP > PLAIN"], **given), "nothing_to_do", changed=0)
    copy: dict[str, Any] = {"restore_account": "APP", "restore_streams": ["PLAIN"]}
    held(
        runbooks.run(
            "restore", restore_stream_name="COPY", restore_options={"config": {"subjects": ["copy.>"]}}, **copy
        ),
        "done",
    )
    held(runbooks.run("restore", restore_into="OTHER", **copy), "done")
    assert len(oracle.dump(server, "COPY")) == len(oracle.dump(server, "PLAIN", "other")) == 250


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("backup", {"backup_verify": "some"}, "must be one of: quick, full"),
    ("backup", {"backup_keep": {"lst": 3}}, "it has last (a number of sets) and days"),
    ("backup", {"backup_emptied": ["AP"]}, "the accounts are APP, OTHER"),
    ("backup", {"jetstream_accounts": []}, "backup_accounts is empty"),
    ("backup", {"backup_accounts": [{"name": "APP", "pasword": "x"}]}, "no option pasword; it takes servers, context"),
    ("restore", {"restore_account": "AP"}, "must be one of: APP, OTHER"),
    ("restore", {"restore_account": "APP", "restore_into": "X"}, "must be one of: APP, OTHER"),
    ("restore", {"restore_streams": ["PLAN"]}, "must be one of: EMPTY, PLAIN"),
    ("restore", {"restore_before": "2020-01-01T00:00:00Z"}, "there are: 20"),
    ("restore", {"restore_before": "yesterday"}, "is not a moment"),
    ("restore", {"restore_set": "20200101T000000Z"}, "there are: 20"),
    ("restore", {"restore_options": {"replica": 1}}, "it takes config, replicas"),
    ("restore", {"jetstream_repository": "/nowhere/at/all"}, "There are no backups in /nowhere/at/all"),
    ("cluster_loss", {"cluster_loss_confirm": "n2"}, "to confirm it must be 'n1'"),
    ("cluster_loss", {"cluster_loss_streams": ["PLAN"]}, "must be one of: EMPTY, PLAIN"),
    ("cluster_loss", {"cluster_loss_options": {"replicas": 3}}, "1 server answer"),
    ("cluster_loss", {"jetstream_system": {"servers": ["nats://127.0.0.1:1"]}}, "127.0.0.1:1"),
    ("assess", {"assess_fail_on": "all"}, "must be one of: none, warning, critical"),
    ("assess", {"assess_simulate_loss": ["n7"]}, "n1"),
]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_wrong_variable_is_refused_with_what_is_right(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server()
    make_streams(server, ["PLAIN", "EMPTY"])
    runbooks = Runbooks(server, tmp_path)
    held(runbooks.run("backup"), "done")
    rounds.delete(server, ["EMPTY"])
    for verb, given, words in WRONG:
        report = held(runbooks.run(verb, **given), "refused", changed=0)
        assert words in report["sentence"], (verb, given, report["sentence"])
    assert oracle.stream_names(server) == ["PLAIN"]
