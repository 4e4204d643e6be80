# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports are held to what the backups and the last picture know."""

from __future__ import annotations

import base64
import json
import shlex
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._report import loss, truth

AGAIN = {"node_loss_server": "n3"}
LOST = {
    "id": "stream_lost",
    "objects": ["APP > S"],
    "detail": "No live server has it.",
    "remedy": "Restore it.",
    "backup": "/r/APP/20261127T000000Z/S",
}
AWAY = {**LOST, "id": "stream_only_on_dead_server", "objects": ["APP > T"], "backup": ""}


def held(outcome: str, *findings: dict[str, Any], sources: bool = True, **look: Any) -> dict[str, Any]:
    report = {"verb": "node_loss", "outcome": outcome, "sentence": "Said."}
    compared = {"sources": sources, "look": {"findings": list(findings), **look}}
    return truth.hold_to({"compared": compared}, report, AGAIN)


@pytest.mark.parametrize("outcome", ["done", "nothing_to_do"])
def test_a_claim_fails_while_messages_are_missing(outcome: str) -> None:
    report = held(outcome, LOST)
    assert (report["outcome"], report["details"]["missing"]) == ("failed", ["APP > S"])
    assert report["sentence"].startswith("Said. But messages are missing in APP > S.")
    restore, again, given_up = report["next"]
    assert "natsops.jetstream.restore -e" in restore
    assert json.loads(shlex.split(again)[3]) == AGAIN
    assert given_up.startswith("# If it is meant: ")
    assert json.loads(shlex.split(given_up)[-1]) == {**AGAIN, "node_loss_given_up": ["APP > S"]}


def test_a_loss_that_outlasted_all_retries_is_a_loss() -> None:
    # Ansible marks such a task as failed although failed_when says that it is not.
    assert held("done", LOST, exception="(traceback unavailable)", msg="")["details"]["missing"] == ["APP > S"]


def test_without_findings_a_claim_stands() -> None:
    assert held("done", {**LOST, "id": "stream_no_leader"})["outcome"] == "done"
    assert truth.hold_to({}, {"verb": "node_loss", "outcome": "done"}, AGAIN)["outcome"] == "done"


def test_a_plan_names_what_is_missing() -> None:
    report = held("planned", LOST, AWAY)
    assert report["outcome"] == "planned"
    told = "No live server has it. Restore it."
    assert report["warnings"] == [f"APP > S: {told}", f"APP > T: {told}"]
    # What the plan is about is not told twice.
    compared = {"sources": True, "look": {"findings": [AWAY]}}
    own = {"verb": "node_loss", "outcome": "planned", "plan": [{"step": "restore", "object": "APP > T"}]}
    assert truth.hold_to({"compared": compared}, own, AGAIN)["warnings"] == []


def test_a_stream_that_only_a_dead_server_has() -> None:
    report = held("done", AWAY, only_on_dead=[{"name": "APP > T", "servers": ["n4"]}])
    assert report["outcome"] == "failed"
    assert any(one.startswith("# Start n4 with its disk.") for one in report["next"])
    assert not any("natsops.jetstream.restore" in one for one in report["next"])


def test_what_cannot_be_compared_is_not_claimed() -> None:
    look = {"error": "invalid_picture", "msg": "last_picture is damaged."}
    report = {"verb": "node_loss", "outcome": "nothing_to_do"}
    report = truth.hold_to({"compared": {"sources": True, "look": look}}, report, AGAIN)
    assert report["outcome"] == "failed"
    assert report["sentence"].endswith("could not be compared: last_picture is damaged.")
    assert held("done", sources=False)["warnings"][0].startswith("No backup and no last picture was found")


def test_what_was_restored_has_the_time_of_its_report() -> None:
    text = json.dumps({"finished_at": "2026-11-22T10:15:00Z", "details": {"restored": ["APP > S @ 7"]}})
    files = [{"content": base64.b64encode(text.encode()).decode()}, {"content": "no report"}, {}]
    recovered = [{"item": "APP", "streams": [{"stream": "T", "status": "restored", "last_seq": 9}]}]
    assert loss.restored_by(files, recovered) == ["APP > T @ 9", "APP > S @ 7 @ 2026-11-22T10:15:00Z"]
