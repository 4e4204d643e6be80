# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the runbook drill makes of what its modules tell."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._report import drills
from ansible_collections.natsops.jetstream.plugins.module_utils._report.inputs import InputError
from ansible_collections.natsops.jetstream.plugins.module_utils._report.report import make_report
from ansible_collections.natsops.jetstream.plugins.module_utils._report.words import MOST, terminal

ROOT = "/backups"


def facts(**changes: Any) -> dict[str, Any]:
    paths = [f"{ROOT}/APP/{name}/{stream}" for name in ("S1", "S2") for stream in ("A", "B", "C")]
    sets = [{"path": f"{ROOT}/APP/{name}", "newest": name == "S2"} for name in ("S1", "S2")]
    info = {"backups": [{"path": path} for path in paths], "sets": sets}
    return {"repository": ROOT, "info": info, "streams": ["*"], "exclude": [], "sample": "", **changes}


@pytest.mark.parametrize(
    ("changes", "effect"),
    [
        ({}, "3 backups, in a private server"),
        ({"sample": "10%"}, "a sample of 10% of 3 backups, in a private server"),
        ({"exclude": ["B"], "streams": ["A", "B"]}, "1 backup, in a private server"),
        ({"one_set": "S1"}, "6 backups, in a private server"),
    ],
)
def test_the_plan_is_about_the_newest_sets(changes: dict[str, Any], effect: str) -> None:
    (step,) = drills.decide(facts(**changes))["plan"]
    assert (step["object"], step["effect"]) == (ROOT, effect)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"streams": ["X"]}, "no backup of X in /backups; there are A, B, C"),
        ({"rto": -1}, "drill_rto"),
        ({"rpo": "-5"}, "drill_rpo"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        drills.decide(facts(**changes))


def stream(name: str, status: str = "identical", **changes: Any) -> dict[str, Any]:
    return {
        "stream": name,
        "path": f"{ROOT}/APP/S2/{name}",
        "account": "real",
        "set": "S2",
        "status": status,
        "identical": status == "identical",
        "messages": 5,
        "consumers": 1,
        "restore_seconds": 0.5,
        "age": 7300.0,
        "differences": ["message 3: not restored"] if status == "different" else [],
        "difference_count": 7 if status == "different" else 0,
        "problems": [{"id": "digest_differs", "place": "x", "message": "it was exchanged"}],
        "notes": [],
        **changes,
    }


def done(*streams: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": "natsops.drill/1",
        "passed": all(one["identical"] for one in streams),
        "path": ROOT,
        "started_at": "",
        "finished_at": "",
        "server_version": "2.15.2",
        "cleared": [],
        "summary": {"messages": 10, "rto": 1.25, "rpo": 7300.0},
        "streams": list(streams),
    }


def concluded(**changes: Any) -> dict[str, Any]:
    given = {"decision": {"plan": [], "backups": 2}, **changes}
    return make_report({"started_at": "2026-11-22T10:00:00Z", "check_mode": False, **drills.conclude(given)})


def test_all_is_well() -> None:
    report = concluded(done=done(stream("A"), stream("B")), page="/p.html")
    assert report["outcome"] == "done"
    assert report["sentence"] == (
        "2 backups came back identical: 10 messages, recovery time 1.2 s, recovery point 2 h."
    )
    assert [one["object"] for one in report["results"]] == ["APP > A", "APP > B"]
    assert report["changed"] is False
    assert report["details"]["drill"]["passed"] is True
    assert "/p.html" in report["evidence"][-1]


def test_the_worst_comes_first_and_the_run_fails() -> None:
    rows = [stream("A"), stream("B", "invalid"), stream("C", "different"), stream("D", "failed", reason="No room.")]
    report = concluded(done=done(*rows))
    assert report["outcome"] == "failed"
    assert report["sentence"] == (
        "3 of 4 backups did not come back as they were. APP > C came back with differences: message 3: not restored"
        " (and 6 more) APP > D could not be restored: No room. APP > B is damaged: digest_differs (x): it was exchanged"
    )
    assert [one["status"] for one in report["results"]] == ["different", "failed", "invalid", "identical"]
    assert report["next"] == ["ansible-playbook natsops.jetstream.backup   # a fresh backup of APP > D, APP > B"]
    many = concluded(done=done(*(stream(f"S{number}", "invalid") for number in range(400))))
    assert len(terminal(many, "/r.md")) <= MOST


@pytest.mark.parametrize(("limit", "outcome"), [({"rto": 1}, "failed"), ({"rpo": 60}, "failed"), ({"rto": 2}, "done")])
def test_goals(limit: dict[str, Any], outcome: str) -> None:
    report = concluded(done=done(stream("A")), **limit)
    assert report["outcome"] == outcome
    assert ("drill_" in report["sentence"]) == (outcome == "failed")


def test_without_a_drill() -> None:
    assert concluded(done={})["outcome"] == "planned"
    refused = concluded(failure="There is no program.", done={})
    assert (refused["outcome"], refused["sentence"]) == ("refused", "There is no program.")


def test_names() -> None:
    assert drills.label(stream("A"), f"{ROOT}/APP") == "APP > A"
    assert drills.label({"stream": "A", "path": "/x/A", "account": "real", "set": ""}, "/x") == "real > A"
