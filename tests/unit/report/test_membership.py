# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the runbooks about servers decide from what modules told, without any server."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._report import (
    evacuation,
    loss,
    node_loss,
    node_loss_report,
    quorum_loss,
    quorum_loss_report,
    salvage,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._report.inputs import InputError
from ansible_collections.natsops.jetstream.plugins.module_utils._report.report import make_report


def cluster(dead: tuple[str, ...] = (), *, size: int = 4, version: str = "2.15.2", leader: str | None = "n1") -> Any:
    """A picture of n1 to n<size>, some of them dead."""
    names = [f"n{number}" for number in range(1, size + 1)]
    live = size - len(dead)
    return {
        "scope": "cluster",
        "meta": {
            "size": size,
            "needed": size // 2 + 1,
            "live_voters": live,
            "has_quorum": live >= size // 2 + 1,
            "leader": leader if live >= size // 2 + 1 else None,
            "rescue": False,
            "members": [{"name": name, "peer": name * 4, "alive": name not in dead} for name in names],
        },
        "servers": [{"name": name, "alive": name not in dead, "version": version} for name in names],
        "streams": [],
        "findings": [],
    }


def evacuate(**facts: Any) -> Any:
    return {"server": "n2", "cluster": cluster(), "preview": {"needed": True, "streams": ["APP > A"]}, **facts}


def lose(**facts: Any) -> Any:
    held = [{"account": "APP", "stream": "ONE", "consumer": "", "name": "APP > ONE", "last_seq": 37}]
    known = {"results": [{"item": "APP", "streams": [{"stream": "ONE", "status": "would_hold", "reason": ""}]}]}
    return {
        "server": "n2",
        "disk": "lost",
        "cluster": cluster(("n2",)),
        "removal": {"needed": True, "lost": held, "degraded": []},
        "previews_held": known,
        **facts,
    }


def test_evacuation_needs_the_right_names() -> None:
    assert evacuation.decide(evacuate())["action"] == "evacuate"
    assert evacuation.decide(evacuate(confirm="n2"))["confirmed"] is True
    with pytest.raises(InputError, match="must be one of: n1, n2, n3, n4"):
        evacuation.decide(evacuate(server="n7"))
    with pytest.raises(InputError, match="to confirm it must be 'n2'"):
        evacuation.decide(evacuate(confirm="yes"))
    with pytest.raises(InputError, match="node_loss"):
        evacuation.decide(evacuate(cluster=cluster(("n2",))))
    with pytest.raises(InputError, match=r"^Add a server first"):
        evacuation.decide(evacuate(preview={"error": "no_spare", "msg": "no"}))


def test_lines_that_cannot_evacuate_step_down_or_say_what_is_held_alone() -> None:
    replica = {"name": "n2", "alive": True}
    stream = {
        "account": "APP",
        "stream": "A",
        "leader": "n2",
        "needed": 2,
        "replicas": [replica, {"name": "n1", "alive": True}, {"name": "n3", "alive": True}],
        "consumers": [],
    }
    old = cluster(version="2.12.15")
    facts = evacuate(cluster=old, preview={"error": "unsupported_by_server", "msg": "old"})
    old["streams"] = [stream]
    decision = evacuation.decide(facts)
    assert (decision["action"], decision["leads"]) == ("step_down", [{"account": "APP", "stream": "A"}])
    old["streams"] = [{**stream, "replicas": [replica], "needed": 1}]
    with pytest.raises(InputError, match="only n2 has APP > A"):
        evacuation.decide(facts)


def test_a_lost_disk_is_removed_and_restored() -> None:
    decision = node_loss.decide(lose())
    assert decision["action"] == "remove"
    assert [one["step"] for one in decision["plan"]] == ["hold", "remove", "restore"]
    assert decision["streams"] == {"APP": ["ONE"]}
    without = node_loss.decide(lose(previews_held={}))
    assert without["plan"][-1]["effect"].startswith("NO BACKUP")


@pytest.mark.parametrize("disk", ["intact", "unknown"])
def test_a_disk_that_may_return_is_not_given_up(disk: str) -> None:
    newest = node_loss.decide(lose(disk=disk, evacuation={"needed": True, "streams": ["APP > A"]}))
    assert (newest["action"], newest["wait"]) == ("evacuate", True)
    with pytest.raises(InputError, match=r"natsops\.jetstream\.salvage"):
        node_loss.decide(lose(disk=disk, cluster=cluster(("n2",), version="2.12.15")))
    nothing_held = {"needed": True, "lost": [], "degraded": []}
    old = cluster(("n2",), version="2.12.15")
    assert node_loss.decide(lose(disk=disk, cluster=old, removal=nothing_held))["action"] == "remove"


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"removal": {"error": "server_online", "msg": "-"}, "cluster": cluster()}, "it is alive"),
        ({"removal": {"error": "server_online", "msg": "-"}}, "silent for long enough"),
        ({"removal": {"error": "no_quorum", "msg": "-"}}, "quorum_loss"),
        ({"removal": {"needed": False}, "server": "n9"}, "must be one of: n1, n2, n3, n4"),
        ({"confirm": "n3"}, "to confirm it must be 'n2'"),
        ({"removal": {"needed": True, "lost": [], "degraded": ["APP > A"]}}, "Add a server first.*Waiting costs"),
        (
            {
                "cluster": {
                    **cluster(("n2",)),
                    "findings": [{"id": "dead_server_holdings_unknown", "objects": ["OTHER"]}],
                }
            },
            "node_loss_accounts",
        ),
    ],
)
def test_what_is_not_safe_is_refused(facts: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        node_loss.decide(lose(**facts))


def test_a_second_run_goes_on_from_what_is() -> None:
    gone = {"needed": False}
    left = {"results": [{"item": "APP", "streams": [{"stream": "ONE", "status": "would_restore"}]}]}
    assert node_loss.decide(lose(removal=gone, previews=left))["action"] == "restore"
    assert node_loss.decide(lose(removal=gone, earlier=True))["action"] == "none"


def test_losses_are_counted_from_the_last_picture() -> None:
    facts = lose(confirm="n2")
    restored = {"stream": "ONE", "status": "restored", "since": "T", "messages": 30, "last_seq": 30, "reason": ""}
    facts.update(
        decision=node_loss.decide(facts),
        removed={"server": "n2", "changed": True, "members": ["n1"]},
        recovered={"results": [{"item": "APP", "streams": [restored], "consumers": []}]},
        after=cluster(),
    )
    report = make_report({**node_loss_report.conclude(facts), "started_at": "2026-11-22T10:15:00Z"})
    (entry,) = report["lost"]
    assert (entry["stream"], entry["messages"], entry["since"]) == ("ONE", 7, "T")
    assert "7 messages" in report["sentence"]
    without = loss.losses(facts["removal"]["lost"], [])
    assert without[0]["reason"] == "no backup: it is empty now"


@pytest.mark.parametrize("status", ["failed", "unreachable"])
def test_what_is_not_restored_counts_by_its_backup(status: str) -> None:
    one = {"stream": "ONE", "status": status, "since": "T", "messages": 30, "last_seq": 30, "reason": "no server"}
    recovered = [{"account": "APP", "streams": [one], "consumers": []}]
    held = [{"account": "APP", "stream": "ONE", "last_seq": 37, "name": "APP > ONE"}]
    (entry,) = loss.losses(held, recovered)
    assert entry["messages"] == 37
    # The removal itself did not take it: it was deleted before, to be held.
    (entry,) = loss.losses([], recovered)
    assert (entry["stream"], entry["messages"]) == ("ONE", 30)
    assert "no server" in entry["reason"]
    previews = {"results": [{"item": "APP", "streams": [one]}]}
    assert loss.unrestored({"previews": previews}) == [("APP", "ONE")]


def test_a_stream_that_would_not_come_back_stops_the_removal() -> None:
    held = {"stream": "ONE", "status": "failed", "reason": "no server fits its placement.", "deleted": False}
    with pytest.raises(InputError, match="APP > ONE would not come back after the removal: no server fits"):
        node_loss.decide(lose(previews_held={"results": [{"item": "APP", "streams": [held]}]}))
    named = {**held, "status": "would_hold", "reason": "it is deleted", "deleted": True}
    plan = node_loss.decide(lose(previews_held={"results": [{"item": "APP", "streams": [named]}]}))["plan"]
    assert [one["effect"] for one in plan if one["step"] == "hold"] == ["it is deleted"]


def test_salvage_saves_before_it_removes() -> None:
    saved = [{"account": "APP", "stream": "ONE", "bytes": 9, "consumers": 1}]
    facts = lose(store="/mnt", accounts=["APP"], disk={"streams": saved})
    decision = salvage.decide(facts)
    assert [one["step"] for one in decision["plan"]] == ["save", "remove", "restore"]
    assert "DO NOT START n2 AGAIN" in decision["warnings"][0]
    with pytest.raises(InputError, match="salvage_accounts has no entry"):
        salvage.decide({**facts, "accounts": ["OTHER"]})
    with pytest.raises(InputError, match="no store"):
        salvage.decide({**facts, "disk": {"error": "store_invalid", "msg": "no store"}})


def quorum(**facts: Any) -> Any:
    return {
        "dead": ["n2", "n3"],
        "cluster": cluster(("n2", "n3"), size=3),
        "rescue": {"needed": True, "survivors": ["n1"], "quorum_needed": 1},
        **facts,
    }


def test_a_rescue_takes_the_names_of_all_the_dead() -> None:
    decision = quorum_loss.decide(quorum(confirm=["n3", "n2"]))
    assert (decision["action"], decision["confirmed"]) == ("rescue", True)
    assert [one["step"] for one in decision["plan"]] == ["rescue", "remove", "remove", "restore"]
    for dead in (["n2"], ["n2", "n3", "n9"], ["n1", "n2", "n3"]):
        with pytest.raises(InputError, match="all members that do not answer: n2, n3"):
            quorum_loss.decide(quorum(dead=dead))
    with pytest.raises(InputError, match="to confirm it must be n2, n3"):
        quorum_loss.decide(quorum(confirm=["n2"]))
    with pytest.raises(InputError, match=r"^STALE SURVIVOR"):
        quorum_loss.decide(quorum(rescue={"error": "stale_survivor", "msg": "behind"}))


def test_the_dead_may_be_nameless() -> None:
    nameless = cluster(("n2", "n3"), size=3)
    for member in nameless["meta"]["members"][1:]:
        member["name"] = ""
    assert quorum_loss.decide(quorum(cluster=nameless))["action"] == "rescue"
    with pytest.raises(InputError, match="all members that do not answer"):
        quorum_loss.decide(quorum(cluster=nameless, dead=["n1", "n3"]))
    nameless["meta"].update(has_quorum=True, leader="n1", needed=1, rescue=True)
    assert quorum_loss.decide(quorum(cluster=nameless))["dead"] == ["n2", "n3"]


def test_older_lines_start_the_old_names_or_say_how() -> None:
    old = cluster(("n2", "n3"), size=3, version="2.12.15")
    facts = quorum(cluster=old, rescue={"error": "unsupported_by_server", "msg": "old"}, confirm=["n2", "n3"])
    by_hand = quorum_loss.decide(facts)
    assert by_hand["action"] == "manual"
    report = make_report(
        {**quorum_loss_report.conclude({**facts, "decision": by_hand}), "started_at": "2026-11-22T10:15:00Z"}
    )
    assert report["outcome"] == "refused"
    assert "Start n2 under its OLD name" in report["sentence"]
    assert quorum_loss.decide({**facts, "start": ["n2", "n3"]})["action"] == "start"


def test_a_quorum_that_is_not_lost_is_left_alone() -> None:
    with pytest.raises(InputError, match=r"natsops\.jetstream\.node_loss -e node_loss_server=n2"):
        quorum_loss.decide(quorum(cluster=cluster(("n2",)), dead=["n2"]))
    assert quorum_loss.decide(quorum(cluster=cluster(size=3)))["action"] == "none"
    lowered = cluster(("n2", "n3"), size=3)
    lowered["meta"].update(has_quorum=True, leader="n1", needed=1, rescue=True)
    assert quorum_loss.decide(quorum(cluster=lowered))["action"] == "remove"
