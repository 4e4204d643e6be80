# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Emptying a live server: what to do, and what was done."""

from __future__ import annotations

import typing as t

from . import cluster as look
from . import truth
from .inputs import InputError
from .report import Json

_MAINTAIN = "natsops.jetstream.evacuate"


def decide(facts: t.Mapping[str, t.Any]) -> Json:
    """The plan. C(facts): C(server), C(confirm), C(cluster), C(preview) (jetstream_peer_evacuate in check mode).

    C(action): C(none); C(evacuate); C(step_down), for lines that cannot evacuate, where nothing is held alone.
    Raises InputError for everything that is refused.
    """
    picture, preview = look.given(facts, "cluster"), look.given(facts, "preview")
    look.need_picture(picture)
    if "no_quorum" in look.words(preview):
        raise InputError(look.quorum_lost(picture))
    server = look.check_name("evacuate_server", facts["server"], picture)
    confirmed = look.check_confirmation("evacuate_confirm", facts.get("confirm"), server)
    if not look.server_of(picture, server).get("alive"):
        raise InputError(
            f"{server} does not answer: a dead server is a matter of natsops.jetstream.node_loss"
            f" (node_loss_server: {server})."
        )
    decision: Json = {
        "action": "none",
        "server": server,
        "confirmed": confirmed,
        "leads_meta": picture["meta"].get("leader") == server,
        "evidence": [str(preview.get("arithmetic") or look.arithmetic(picture))],
        "warnings": [],
        "plan": [],
        "leads": [],
    }
    if look.failed(preview) and not _only_old(preview):
        raise InputError(_refusal(preview, server))
    if look.failed(preview):
        _older(decision, picture, server)
    elif preview.get("needed"):
        decision["action"] = "evacuate"
        for stream in preview.get("streams") or ():
            decision["plan"].append({"step": "move", "object": stream, "reason": f"it has a copy on {server}"})
    if decision["action"] != "none" and decision["leads_meta"]:
        first = {"step": "step_down", "object": "meta leader", "reason": f"{server} leads the meta group"}
        decision["plan"].insert(0, first)
    return decision


def _only_old(preview: t.Mapping[str, t.Any]) -> bool:
    """Whether it is the line alone that stands in the way: where nothing can be moved, room for it does not matter."""
    reasons = look.words(preview)
    return "unsupported_by_server" in reasons and reasons <= {"unsupported_by_server", "no_spare", "no_suitable_peers"}


def _refusal(preview: t.Mapping[str, t.Any], server: str) -> str:
    if "no_spare" not in look.words(preview):
        return str(preview.get("msg"))
    return (
        f"Add a server first: without {server} there are too few for the replicas, and streams would be cut down"
        " silently and stay so. It takes a new name; then run this again. Waiting costs nothing as long as"
        f" {server} runs. {preview.get('arithmetic') or ''}"
    ).strip()


def _older(decision: Json, picture: t.Mapping[str, t.Any], server: str) -> None:
    """Lines without an evacuation: what has other copies may wait for the server; what has none must be moved first."""
    if look.server_of(picture, server).get("jetstream") is False:
        raise InputError(
            f"Nothing was touched: JetStream does not run on {server}, so it does not list what it holds. It may hold"
            " the only copy of streams. Start its JetStream again, and run this again."
        )
    alone, leads = [], []
    for stream in picture.get("streams") or ():
        name = f"{stream['account']} > {stream['stream']}"
        copies = [one["name"] for one in stream["replicas"] if one["alive"]]
        if copies == [server]:
            alone.append(name)
        if server in copies and len(copies) - 1 < stream["needed"] and copies != [server]:
            raise InputError(
                f"Nothing was touched: without {server}, {name} has {len(copies) - 1} of the {stream['needed']} copies"
                " that it needs. Bring its other servers back first."
            )
        if stream.get("leader") == server and len(copies) > 1:
            leads.append({"account": stream["account"], "stream": stream["stream"]})
        alone += [
            f"{name} > {one['consumer']}"
            for one in stream["consumers"]
            if [peer["name"] for peer in one["replicas"] if peer["alive"]] == [server] and copies != [server]
        ]
    version = ".".join(str(part) for part in look.line(picture))
    if alone:
        raise InputError(
            f"Nothing was touched: nats-server {version} cannot evacuate, and only {server} has {look.listing(alone)}."
            " Scale it to 3 replicas (nats stream edit --replicas 3; nats consumer edit --replicas 3), wait until"
            " it is whole, and run this again. When the server is back, scale down again."
        )
    meta = picture["meta"]
    if meta["live_voters"] - 1 < meta["needed"]:
        raise InputError(f"Nothing was touched: without {server} the meta group stops. {look.arithmetic(picture)}")
    decision["leads"] = leads
    if leads or decision["leads_meta"]:
        decision["action"] = "step_down"
    decision["plan"] += [
        {"step": "step_down", "object": f"{one['account']} > {one['stream']}", "reason": f"{server} leads it"}
        for one in leads
    ]
    decision["warnings"].append(
        f"nats-server {version} cannot evacuate: the copies on {server} stay there, and catch up when it is back. Until"
        " then these streams have one copy less, and the next loss may stop them."
    )


def safe_to_stop(after: t.Mapping[str, t.Any], server: str) -> str:
    """Why it is not safe to stop a server, by a picture with its loss simulated; nothing where it is."""
    if "simulation" not in after:
        return f"It is not proven that {server} is safe to stop. {after.get('msg') or 'The cluster was not seen.'}"
    meta = after["simulation"]["meta"]
    if meta["effect"] != "survives":
        return f"{server} is not safe to stop: {meta['arithmetic']}"
    unproven = after["simulation"].get("unproven") or []
    if unproven:
        return f"It is not proven that {server} is safe to stop. {' '.join(unproven)}"
    bad = [
        f"{effect['name']} {effect['effect'].replace('_', ' ')}"
        for effect in after["simulation"]["effects"]
        if effect["effect"] in ("loses_data", "loses_quorum")
    ]
    return f"{server} is not safe to stop: {look.listing(bad)}." if bad else ""


def conclude(facts: t.Mapping[str, t.Any]) -> Json:
    """The report. C(facts): those of L(decide), C(decision), C(results) of what was done, C(after), C(failure)."""
    decision, check = look.given(facts, "decision"), bool(facts.get("check_mode"))
    report: Json = {"verb": "evacuate", "details": {"server": facts.get("server"), "action": decision.get("action")}}
    report.update({key: decision.get(key) or [] for key in ("plan", "evidence", "warnings")})
    results = _results(facts, decision)
    report.update(results=results, changed=any(one["status"] == "done" for one in results))
    if facts.get("failure"):
        report.update(failure=facts["failure"], acted=bool(facts.get("acted")))
        report["next"] = [f"ansible-playbook {_MAINTAIN} -e evacuate_server={facts.get('server')}"]
        return report
    server = decision["server"]
    stays = (
        f"It stays a member ({look.arithmetic(look.given(facts, 'after') or facts['cluster'])}), so the next loss still"
        " counts it, and new streams may be placed on it: give it the server tag !jetstream, or remove it if it does"
        " not come back."
    )
    if decision["action"] == "none":
        safe = f"{server} is empty and safe to stop; nothing was to be done."
        asked = (
            f"{server} is empty: nothing is to be moved. To see whether it is safe to stop add:"
            f" -e evacuate_confirm={server}"
        )
        seen = "simulation" in look.given(facts, "after")
        report.update(outcome="nothing_to_do", sentence=safe if seen else asked)
        report["warnings"] = [*report["warnings"], stays]
    elif not decision["confirmed"]:
        what = look.count(len(report["plan"]), "step")
        report.update(
            outcome="planned",
            sentence=f"{what} to empty {server}, nothing done yet. To go on add: -e evacuate_confirm={server}",
            next=[f"ansible-playbook {_MAINTAIN} -e evacuate_server={server} -e evacuate_confirm={server}"],
        )
    elif check:
        report.update(outcome="planned", changed=True, sentence=f"{look.count(len(report['plan']), 'step')} to do.")
    elif decision["action"] == "step_down":
        report.update(
            outcome="done", sentence=f"{server} leads nothing any more and holds nothing alone: safe to stop."
        )
    else:
        report.update(outcome="done", sentence=f"{server} is empty: safe to stop.")
        report["warnings"] = [*report["warnings"], stays]
    return truth.hold_to(facts, report, {"evacuate_server": server})


def _left(evacuated: t.Mapping[str, t.Any]) -> str:
    left = evacuated.get("left")
    return "an unknown number" if left is None else str(left)


def _results(facts: t.Mapping[str, t.Any], decision: t.Mapping[str, t.Any]) -> list[Json]:
    found: list[Json] = []
    stepped = look.given(facts, "stepped")
    if stepped:
        detail = f"now {stepped.get('leader')}"
        found.append(look.step("step_down", "meta leader", look.status(stepped), detail, stepped))
    for item in look.given(facts, "stepped_streams").get("results") or ():
        target = item.get("__evacuate_stream") or {}
        found.append(
            look.step("step_down", f"{target.get('account')} > {target.get('stream')}", look.status(item), "", item)
        )
    evacuated = look.given(facts, "evacuated")
    if evacuated:
        detail = (
            str(evacuated.get("msg") or "")
            if look.failed(evacuated)
            else f"{look.count(len(evacuated.get('streams') or ()), 'stream')} moved, {_left(evacuated)} left,"
            f" {evacuated.get('whole', 0)} streams and consumers whole"
        )
        found.append(look.step("evacuate", str(decision.get("server")), look.status(evacuated), detail, evacuated))
    return found
