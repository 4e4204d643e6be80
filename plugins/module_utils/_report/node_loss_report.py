# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of a run after the loss of a server."""

from __future__ import annotations

import typing as t

from . import cluster as look
from . import loss, truth
from .report import Json

_PLAYBOOK = "ansible-playbook natsops.jetstream.node_loss"


def conclude(facts: t.Mapping[str, t.Any]) -> Json:
    """The report, from the facts of L(decide), C(decision), and the results: C(fenced), C(held), C(removed),
    C(evacuated), C(returned), C(recovered), C(after), C(compared), C(failure), C(acted)."""
    decision = look.given(facts, "decision")
    server, action = str(facts.get("server")), decision.get("action") or "none"
    recovered = loss.recoveries(facts, "recovered")
    report: Json = {
        "verb": "node_loss",
        "details": {
            "restored": loss.restored(recovered),
            "server": server,
            "disk": facts.get("disk"),
            "action": action,
        },
        **{key: decision.get(key) or [] for key in ("plan", "evidence", "warnings")},
    }
    report["results"] = [*_results(facts, server), *loss.results(facts, recovered)]
    report["changed"] = loss.changed(report["results"])
    if look.given(facts, "removed").get("server") or action == "restore":
        report["lost"] = loss.losses(decision.get("held") or [], recovered)
        report["next"] = loss.remedies(report["lost"], recovered, str(facts.get("repository") or ""))
    again = f"{_PLAYBOOK} -e node_loss_server={server} -e node_loss_disk={facts.get('disk')}"
    if facts.get("failure"):
        report.update(failure=facts["failure"], acted=bool(facts.get("acted")))
        report["next"] = [*report.get("next", []), again]
    elif action == "none":
        report.update(outcome="nothing_to_do", sentence=_nothing(facts, server))
    elif not decision["confirmed"]:
        report.update(
            outcome="planned",
            sentence=f"{look.count(len(report['plan']), 'step')}, nothing done yet. Make sure that {server} is off and"
            f" stays off, then add: -e node_loss_confirm_dead={server}",
            next=[f"{again} -e node_loss_confirm_dead={server}"],
        )
        if action == "evacuate":
            report["sentence"] = (
                f"{look.count(len(report['plan']), 'step')}, nothing done yet. Start {server} again with its disk if"
                f" you can; else add: -e node_loss_confirm_dead={server}"
            )
    elif facts.get("check_mode"):
        report.update(outcome="planned", changed=True, sentence=f"{look.count(len(report['plan']), 'step')} to do.")
    else:
        report.update(outcome="done", **_done(facts, server, action, report))
    disk = facts.get("disk")
    return truth.hold_to(facts, report, {"node_loss_server": server, "node_loss_disk": disk})


def _nothing(facts: t.Mapping[str, t.Any], server: str) -> str:
    picture = look.given(facts, "cluster")
    if truth.missing(facts):
        return f"{server}: no step is left for this runbook. {look.arithmetic(picture)}"
    if server in look.members(picture):
        return f"{server} keeps its place and holds nothing that others lack: nothing to do. {look.arithmetic(picture)}"
    return f"{server} is no member any more, and nothing is left to bring back. {look.arithmetic(picture)}"


def _results(facts: t.Mapping[str, t.Any], server: str) -> list[Json]:
    found = [*loss.fencing(facts, server), *loss.removal(facts, server)]
    evacuated = look.given(facts, "evacuated")
    if evacuated:
        whole = f"{evacuated.get('whole', 0)} streams and consumers whole on live servers"
        detail = str(evacuated.get("msg")) if look.failed(evacuated) else whole
        found.append(look.step("evacuate", server, look.status(evacuated), detail, evacuated))
    return found


def _done(facts: t.Mapping[str, t.Any], server: str, action: str, report: Json) -> Json:
    after = look.given(facts, "after")
    short = look.unwhole(after)
    health = f"{look.listing(short)} not whole." if short else "every stream is whole."
    if truth.missing(facts):
        health = "not every stream is whole."
    if action == "evacuate":
        if not look.server_of(after, server).get("alive"):
            waits = look.listing(one["name"] for one in look.given(facts, "decision").get("held") or ())
            return {
                "sentence": f"{server} keeps its place and was not back in time; {health} Only it holds:"
                f" {waits or 'nothing'}. Start it with its disk: it is moved off by itself. Do not remove it.",
                "next": [f"{_PLAYBOOK} -e node_loss_server={server}"],
            }
        return {"sentence": f"{server} is back, and what it held was moved off with its data; {health}"}
    lost = report["lost"]
    if not lost:
        nothing = "" if truth.missing(facts) else " and nothing was lost"
        return {"sentence": f"{server} was removed{nothing}; {health}"}
    counts = [one["messages"] for one in lost if one["messages"]]
    known = f", {sum(counts)} messages as far as known" if counts else ""
    names = look.listing(map(loss.name_of, lost))
    return {"sentence": f"{server} was removed; {health} Lost since the backup{known}: {names}."}
