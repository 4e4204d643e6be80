# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions and reports of the runbooks about backups, from made-up results of modules."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._report import (
    assessment,
    backups,
    cluster_loss,
    restores,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._report.inputs import InputError
from ansible_collections.natsops.jetstream.plugins.module_utils._report.report import make_report

SET = "20261122T020000Z"


def server(name: str, **more: Any) -> dict[str, Any]:
    room = {"limits": {"storage": 1 << 30, "memory": 1 << 20}, "usage": {"storage": 0, "memory": 0}}
    base = {"name": name, "alive": True, "jetstream": True, "cluster": "C1", "version": "2.15.2", "tags": []}
    return {**base, **room, **more}


def picture(**more: Any) -> dict[str, Any]:
    """Three healthy servers with nothing on them."""
    names = ["n1", "n2", "n3"]
    meta = {"size": 3, "needed": 2, "live_voters": 3, "has_quorum": True, "leader": "n1"}
    meta["members"] = [{"name": name, "peer": name, "alive": True, "voter": True} for name in names]
    base = {"scope": "cluster", "servers": [server(name) for name in names], "meta": meta, "streams": []}
    return {**base, "findings": [], "only_on_dead": [], "missing": [], **more}


def stored(stream: str = "ORDERS", **more: Any) -> dict[str, Any]:
    """A backup as jetstream_backup_info lists it."""
    return {
        "path": f"/r/APP/{SET}/{stream}",
        "stream": stream,
        "set": SET,
        "account_directory": "APP",
        "valid": True,
        "problems": [],
        "status": "current",
        "age": 100.0,
        "current_at": "2026-11-22T02:00:00Z",
        "messages": 50,
        "bytes": 1000,
        "last_seq": 50,
        "consumers": ["a"],
        "manifest": True,
        "verified": "quick",
        "config": {"num_replicas": 3},
        **more,
    }


def listing(*found: dict[str, Any]) -> dict[str, Any]:
    about = {"account": "APP", "set": SET, "newest": True, "complete": True, "age": 100.0, "streams": {}}
    return {"path": "/r/APP", "backups": list(found), "sets": [about], "valid": True}


def asking(**more: Any) -> dict[str, Any]:
    """What cluster_loss knows before it looks at the sets."""
    base = {"accounts": ["APP"], "stored": ["APP"], "repository": "/r", "cluster": picture(), "streams": ["*"]}
    return {**base, **more}


def looked(*found: dict[str, Any], **more: Any) -> dict[str, Any]:
    sources = [{"account": "APP", "into": "APP", "stream_name": ""}]
    return asking(sources=sources, infos={"results": [listing(*found)]}, **more)


def preview(*streams: dict[str, Any], **more: Any) -> dict[str, Any]:
    source = {"account": "APP", "into": "APP", "set": SET, "stream_name": ""}
    return {"source": source, "result": {"changed": True, "streams": list(streams), **more}}


def would(status: str, stream: str = "ORDERS", **more: Any) -> dict[str, Any]:
    path = f"/r/APP/{SET}/{stream}"
    return {"stream": stream, "status": status, "path": path, "messages": 50, "last_seq": 50, "consumers": 1, **more}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"options": {"replica": 1}}, "it takes config, replicas"),
        ({"set": "x", "before": "y"}, "exclude each other"),
        ({"accounts": ["AP"]}, "must be one of: APP. Did you mean APP"),
        ({"stored": []}, "There are no backups in /r"),
        ({"cluster": {"failed": True, "msg": "No server answered."}}, "No server answered"),
        ({"cluster": picture(scope="account")}, "not credentials of the system account"),
        ({"cluster": picture(servers=[server("n1", alive=False)])}, "No server with JetStream answers"),
    ],
)
def test_cluster_loss_refuses_wrong_variables(more: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        cluster_loss.decide(asking(**more))


NO_QUORUM = picture()
NO_QUORUM["meta"] = {**NO_QUORUM["meta"], "has_quorum": False, "live_voters": 1}


@pytest.mark.parametrize(
    ("found", "more", "words"),
    [
        (stored(config={"num_replicas": 5}), {}, "3 servers answer, and APP > ORDERS need 5"),
        (stored(config={"placement": {"tags": ["az:1"]}}), {}, "tags az:1, and 0 of the target's have them"),
        (stored(bytes=2 << 30), {}, "need 6144 MiB of storage, and the servers' limits are 3072 MiB"),
        (stored(config={"storage": "memory"}, bytes=4 << 20), {}, "of memory"),
        (stored(), {"cluster": NO_QUORUM}, "no quorum"),
        (stored(), {"streams": ["ORDER"]}, "must be one of: ORDERS"),
    ],
)
def test_cluster_loss_refuses_a_target_that_cannot_hold_it(
    found: dict[str, Any], more: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        cluster_loss.decide(looked(found, **more))


def test_options_change_what_the_target_must_have() -> None:
    found = stored(config={"num_replicas": 5, "placement": {"tags": ["az:1"]}}, bytes=1 << 29)
    decision = cluster_loss.decide(looked(found, options={"replicas": 1, "placement": {"tags": []}}))
    assert decision["sources"] == [{"account": "APP", "into": "APP", "stream_name": "", "set": SET, "path": "/r/APP"}]


def test_cluster_loss_plans_confirms_and_counts_what_is_lost() -> None:
    seen = picture(streams=[{"account": "APP", "stream": "ORDERS", "messages": 57, "last_seq": 57}])
    seen["streams"].append({"account": "APP", "stream": "NEW", "messages": 4, "last_seq": 4})
    facts = looked(stored(), previews=[preview(would("would_create"))], picture=seen, stored=["APP", "OLD"])
    decision = cluster_loss.decide(facts)
    assert (decision["confirmed"], decision["target"]) == (False, "C1")
    assert decision["plan"][0]["effect"] == "50 messages, 1 consumers"
    assert "There are backups of OLD" in decision["warnings"][0]
    planned = make_report(
        {**cluster_loss.conclude({**facts, "decision": decision}), "started_at": "2026-11-22T10:00:00Z"}
    )
    assert planned["outcome"] == "planned"
    assert planned["sentence"].endswith("-e cluster_loss_confirm=C1")
    with pytest.raises(InputError, match="to confirm it must be 'C1'"):
        cluster_loss.decide({**facts, "confirm": "C2"})
    decision = cluster_loss.decide({**facts, "confirm": "C1"})
    assert decision["confirmed"]
    done = {**facts, "decision": decision, "runs": [preview(would("created"))]}
    report = make_report({**cluster_loss.conclude(done), "started_at": "2026-11-22T10:00:00Z"})
    assert report["outcome"] == "done"
    assert [(one["stream"], one["messages"]) for one in report["lost"]] == [("ORDERS", 7), ("NEW", 4)]
    assert report["details"]["rpo_seconds"] == 100.0


def test_one_stream_that_cannot_come_back_does_not_keep_the_others() -> None:
    runs = [preview(would("would_create"), would("failed", "B", reason="It is damaged."), failed=True, error="x")]
    facts = looked(stored(), stored("B"), previews=runs, confirm="C1")
    decision = cluster_loss.decide(facts)
    assert decision["warnings"] == ["APP > B cannot be restored: It is damaged."]
    assert [step["object"] for step in decision["plan"]] == ["APP > ORDERS"]
    after = [preview(would("created"), would("failed", "B", reason="It is damaged."), failed=True, error="x")]
    report = make_report(
        {**cluster_loss.conclude({**facts, "decision": decision, "runs": after}), "started_at": "2026-11-22T10:00:00Z"}
    )
    assert report["outcome"] == "failed"
    assert report["sentence"].startswith("1 of 2 streams not restored")
    only = [preview(would("failed", reason="No room."), failed=True, error="x")]
    with pytest.raises(InputError, match="Nothing was touched"):
        cluster_loss.decide({**facts, "previews": only})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"account": "AP"}, "restore_account is 'AP'; it must be one of: APP"),
        ({"into": "APP"}, "restore_into needs restore_account"),
        ({"stream_name": "X"}, "needs restore_account and the one stream"),
        ({"account": "APP", "stream_name": "X", "streams": ["A*"]}, "without a glob"),
    ],
)
def test_restore_refuses_what_cannot_be_meant(more: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        restores.decide(asking(**more))


def test_restore_wants_every_replaced_stream_confirmed() -> None:
    lost = {"messages": 60, "last_seq": 60, "consumers": 1}
    facts = looked(
        stored(), stored("B"), previews=[preview(would("would_replace", lost=lost), would("unchanged", "B"))]
    )
    decision = restores.decide(facts)
    assert (decision["confirmed"], decision["missing"]) == (False, ["APP > ORDERS"])
    assert decision["plan"][0]["effect"].endswith("60 messages that are there now are deleted")
    assert restores.decide({**facts, "replace_confirm": ["APP > ORDERS", "APP > B"]})["confirmed"]
    with pytest.raises(InputError, match="Did you mean APP > ORDERS"):
        restores.decide({**facts, "replace_confirm": ["APP > ORDER"]})


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        ({"lst": 1}, "no field lst"),
        ({"last": 0}, "1 or more"),
        ({"days": "x"}, "0 or more"),
        ({"last": True}, "number"),
    ],
)
def test_backup_refuses_an_odd_retention(keep: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        backups.decide({"accounts": ["APP"], "repository": "/r", "keep": keep})


def test_backup_tells_of_each_account_and_fails_for_one() -> None:
    good = {"changed": True, "summary": {"transferred": 1}, "bytes": 5, "set": SET, "streams": [], "duration": 1.0}
    bad = {"failed": False, "error": "locked", "msg": "Another run is working on /r/B (process 1 on h since t)."}
    runs = [{"account": "A", "backup": good, "pruned": {}}, {"account": "B", "backup": bad, "pruned": {}}]
    report = make_report({**backups.conclude({"runs": runs}), "started_at": "2026-11-22T10:00:00Z"})
    assert report["outcome"] == "failed"
    assert report["sentence"].startswith("1 account of 2 not backed up as asked. B: Another run")
    assert [(one["object"], one["status"]) for one in report["results"]] == [("A", "done"), ("B", "failed")]


def assessed(found: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    cluster = picture(**more.pop("cluster", {}))
    return {"cluster": cluster, "backups": listing(*found), "max_age": 1000, "losses": {"results": []}, **more}


LIVE = {"account": "APP", "stream": "ORDERS", "messages": 50, "last_seq": 50, "num_replicas": 3, "whole": True}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([stored()], []),
        ([], ["backup_missing"]),
        ([stored(age=2000.0)], ["backup_old"]),
        ([stored(status="carried", reason="no server answers")], ["backup_carried"]),
        ([stored(valid=False, problems=[{"message": "cut off"}])], ["backup_damaged"]),
    ],
)
def test_assess_looks_at_every_streams_backup(found: list[dict[str, Any]], words: list[str]) -> None:
    facts = assessed(found, cluster={"streams": [LIVE]})
    decision = assessment.decide(facts)
    assert [one["id"] for one in decision["findings"]] == words
    report = make_report({**assessment.conclude({**facts, "decision": decision}), "started_at": "2026-11-22T10:00:00Z"})
    assert report["outcome"] == ("done" if words else "nothing_to_do")
    assert report["next"] == (["ansible-playbook natsops.jetstream.backup"] if words else [])


def test_assess_fails_when_told_to_and_keeps_no_picture_with_a_hole() -> None:
    dead = {"id": "member_dead", "severity": "critical", "objects": ["n2"], "detail": "It is dead.", "remedy": ""}
    cluster = picture(findings=[dead], streams=[LIVE])
    cluster = copy.deepcopy(cluster)
    cluster["meta"]["members"][1]["alive"] = False
    cluster["only_on_dead"] = [
        {"account": "APP", "stream": "ALONE", "consumer": "", "name": "APP > ALONE", "servers": ["n2"], "last_seq": 57}
    ]
    facts = assessed([stored(), stored("ALONE")], cluster=cluster, fail_on="warning", reports="/l")
    decision = assessment.decide(facts)
    assert decision["why_not_kept"]
    assert not assessment.decide(assessed([stored()]))["why_not_kept"]
    report = make_report({**assessment.conclude({**facts, "decision": decision}), "started_at": "2026-11-22T10:00:00Z"})
    assert report["outcome"] == "failed"
    assert report["next"] == ["ansible-playbook natsops.jetstream.node_loss -e node_loss_server=n2"]
    assert any("7 messages that the last picture saw came after it" in fact for fact in report["evidence"])
    assert any("latest-picture.json is of before" in warning for warning in report["warnings"])
