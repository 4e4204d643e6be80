# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of a run after the loss of the meta group's quorum."""

from __future__ import annotations

import typing as t

from . import cluster as look
from . import loss, truth
from .report import Json

_PLAYBOOK = "ansible-playbook natsops.jetstream.quorum_loss"


def conclude(facts: t.Mapping[str, t.Any]) -> Json:
    """The report, from the facts of the decision, C(decision), and C(saved), C(started), C(rescued), C(held),
    C(removed), C(recovered), C(after), C(compared), C(failure), C(acted)."""
    decision = look.given(facts, "decision")
    action = decision.get("action") or "none"
    dead = [str(one) for one in decision.get("dead") or facts.get("dead") or ()]
    recovered = loss.recoveries(facts, "recovered")
    names = '", "'.join(dead)
    again = f"""{_PLAYBOOK} -e '{{"quorum_loss_dead": ["{names}"]}}'"""
    confirmed = f"""{_PLAYBOOK} -e '{{"quorum_loss_dead": ["{names}"], "quorum_loss_confirm_dead": ["{names}"]}}'"""
    report: Json = {
        "verb": "quorum_loss",
        "details": {"restored": loss.restored(recovered), "dead": dead, "action": action},
        **{key: decision.get(key) or [] for key in ("plan", "evidence", "warnings")},
        "results": [*_results(facts), *loss.results(facts, recovered)],
    }
    report["changed"] = loss.changed(report["results"])
    held = [one for item in loss.recoveries(facts, "removed") for one in item.get("lost") or ()]
    if held or recovered:
        report["lost"] = loss.losses({one["name"]: one for one in held}.values(), recovered)
    if facts.get("failure"):
        report.update(failure=facts["failure"], acted=bool(facts.get("acted")), next=[again])
    elif action == "none":
        nothing = "" if truth.missing(facts) else ", and nothing is left to do"
        report.update(
            outcome="nothing_to_do",
            sentence=f"There is a leader{nothing}. {look.arithmetic(facts['cluster'])}",
        )
    elif action == "manual":
        report.update(
            outcome="refused" if decision["confirmed"] else "planned",
            sentence=f"This is for a person to do, nothing was touched: {' '.join(decision['manual'])}",
            next=[f"# {line}" for line in decision["manual"]] + [again],
        )
    elif not decision["confirmed"]:
        report.update(
            outcome="planned",
            sentence=f"{look.count(len(report['plan']), 'step')}, nothing done yet. A server that is only cut off would"
            f" lose its data: make sure that {', '.join(dead)} {'is' if len(dead) == 1 else 'are'} off for good,"
            " then run the command in next.",
            next=[confirmed],
        )
        if action == "start":
            report["sentence"] = (
                f"{look.count(len(report['plan']), 'step')}, nothing done yet: {', '.join(dead)} will be started under"
                " the old names. To go on run the command in next."
            )
    elif facts.get("check_mode"):
        report.update(outcome="planned", changed=True, sentence=f"{look.count(len(report['plan']), 'step')} to do.")
    else:
        stopped = _stopped(facts)
        report.update(outcome="failed" if stopped else "done", sentence=_done(facts, report))
        if stopped:
            report["next"] = [again]
    return truth.hold_to(facts, report, {"quorum_loss_dead": dead})


def _stopped(facts: t.Mapping[str, t.Any]) -> list[str]:
    """Streams that still have no quorum."""
    streams = look.given(facts, "after").get("streams") or ()
    return [f"{one['account']} > {one['stream']}" for one in streams if not one["has_quorum"]]


def _results(facts: t.Mapping[str, t.Any]) -> list[Json]:
    found = []
    for item in look.given(facts, "saved").get("results") or ():
        target = item.get("__quorum_loss_stream") or {}
        status = "failed" if look.failed(item) else str(item.get("status") or look.status(item))
        detail = str(item.get("msg") or item.get("path") or "")
        found.append(look.step("save", f"{target.get('account')} > {target.get('stream')}", status, detail, item))
    for item in look.given(facts, "started").get("results") or ():
        bad = item.get("rc", 1) != 0
        detail = str(item.get("stderr") or item.get("msg") or "")[:200] if bad else ""
        found.append(look.step("start", str(item.get("item")), "failed" if bad else "done", detail))
    rescued = look.given(facts, "rescued")
    if rescued:
        detail = str(rescued.get("msg")) if look.failed(rescued) else f"leader {rescued.get('leader')}"
        found.append(look.step("rescue", "meta group", look.status(rescued), detail, rescued))
    for item in look.given(facts, "removed").get("results") or ():
        detail = str(item.get("msg")) if look.failed(item) else f"members {', '.join(item.get('members') or ())}"
        found.append(look.step("remove", str(item.get("item")), look.status(item), detail, item))
    return found


def _done(facts: t.Mapping[str, t.Any], report: Json) -> str:
    after = look.given(facts, "after")
    short = look.unwhole(after)
    stopped = _stopped(facts)
    text = f"There is a leader again. {look.arithmetic(after)}" if after.get("meta") else "There is a leader again."
    if stopped:
        text += (
            f" But {look.listing(stopped)} have no quorum: servers with empty disks may have elected one of themselves."
            " Do not touch the survivors' disks; stop the others, empty their disks, start them all again, then run"
            " this again."
        )
    elif short:
        text += (
            f" Writable, with fewer copies than asked for: {look.listing(short)}. Add servers: they heal by themselves."
        )
    elif not truth.missing(facts):
        text += " Every stream is whole."
    if report.get("lost"):
        text += f" Lost since the backup: {look.listing(map(loss.name_of, report['lost']))}."
    return text
