# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbook verify: what a check of the newest backups found."""

from __future__ import annotations

import typing as t

from .._files.names import directory_of
from . import cluster as look
from .report import Json, sentence_of


def decide(facts: t.Mapping[str, t.Any]) -> Json:
    """The plan. C(facts): C(accounts) (names), C(repository), C(level)."""
    plan = [
        {
            "step": "check",
            "object": account,
            "reason": "",
            "effect": f"{facts['repository']}/{directory_of(account)}, level {facts['level']}",
        }
        for account in facts["accounts"]
    ]
    return {"plan": plan, "confirmed": True}


def conclude(facts: t.Mapping[str, t.Any]) -> Json:
    """The report. C(facts): those of L(decide), C(decision), C(seen) (a loop over the accounts), C(failure)."""
    report: Json = {"verb": "verify", "plan": look.given(facts, "decision").get("plan") or [], "changed": False}
    results: list[Json] = []
    evidence: list[str] = []
    bad: list[str] = []
    total = left = 0
    seen = look.given(facts, "seen").get("results") or ()
    for account, found in zip(facts.get("accounts") or (), seen):
        if look.failed(found):
            bad.append(f"{account}: {sentence_of(found)}")
            results.append(look.step("check", account, "failed", sentence_of(found), found))
            continue
        newest = [one for one in found.get("sets") or () if one.get("newest")]
        if not newest:
            bad.append(f"{account}: there is no whole set")
            results.append(look.step("check", account, "failed", "there is no whole set", found))
            continue
        missing = sorted(n for n, one in (newest[0].get("streams") or {}).items() if one.get("status") != "current")
        if not newest[0].get("complete"):
            bad.append(f"{account}: the set {newest[0]['set']} is not complete: {look.listing(missing, 5)}")
        for one in found.get("backups") or ():
            total += 1
            left += one.get("level") == "none"
            problems = [p for p in one.get("problems") or () if p.get("severity") == "error"]
            if one.get("valid"):
                continue
            name = f"{account} > {one.get('stream') or one['path']}"
            text = "; ".join(p["message"] for p in problems[:3]) or "it is not valid"
            bad.append(f"{name}: {text}")
            results.append(look.step("check", name, "failed", text))
        results.append(look.step("check", account, "done", f"set {newest[0]['set']}", found))
        evidence.append(f"{account}: the set {newest[0]['set']} was finished {newest[0]['finished_at']}.")
    report.update(results=results, evidence=evidence)
    if left:
        report["warnings"] = [f"{look.count(left, 'backup')} not checked now: the time was up; they come first next."]
    if facts.get("failure") or bad:
        what = f"{look.count(len(bad), 'finding')}. {look.listing(bad, 3)}"
        # Nothing is ever touched, and yet it is no refusal: the backups are what is wrong.
        report.update(failure=facts.get("failure") or what, acted=not facts.get("failure"))
        report["next"] = ["ansible-playbook natsops.jetstream.backup"]
        return report
    accounts = look.count(len(facts.get("accounts") or ()), "account")
    report["sentence"] = (
        f"{look.count(total - left, 'backup')} of {accounts} checked ({facts['level']}): all are as they were made."
    )
    report["outcome"] = "done"
    return report
