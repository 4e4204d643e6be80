# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbook backup: what is asked for, and what became of it."""

from __future__ import annotations

import typing as t

from .._files.names import directory_of
from . import cluster as look
from .inputs import InputError
from .report import Json, sentence_of

_PLAYBOOK = "natsops.jetstream.backup"


def check_keep(keep: t.Mapping[str, t.Any], name: str) -> str:
    """What is kept, in words. Raises InputError for anything but numbers for C(last) and C(days)."""
    odd = sorted(set(keep) - {"last", "days"})
    if odd:
        raise InputError(f"{name} has no field {', '.join(odd)}; it has last (a number of sets) and days.")
    for field, least in (("last", 1), ("days", 0)):
        value = keep.get(field, least)
        if isinstance(value, bool) or not str(value).replace(".", "", 1).isdigit() or float(value) < least:
            raise InputError(f"{name}.{field} is {value!r}; it must be a number, {least} or more.")
    words = [f"the last {keep['last']}"] if "last" in keep else []
    words += [f"those of the last {keep['days']} days"] if "days" in keep else []
    return " and ".join(words) or "all"


def decide(facts: t.Mapping[str, t.Any]) -> Json:
    """The plan. C(facts): C(accounts) (names), C(repository), C(keep), C(emptied). Raises InputError."""
    accounts, repository = facts["accounts"], facts["repository"]
    kept = check_keep(facts.get("keep") or {}, "backup_keep")
    odd = sorted(set(facts.get("emptied") or ()) - set(accounts))
    if odd:
        raise InputError(f"backup_emptied names {', '.join(odd)}; the accounts are {', '.join(accounts)}.")
    plan = [
        {
            "step": "back up",
            "object": one,
            "reason": "",
            "effect": f"{repository}/{directory_of(one)}, sets kept: {kept}",
        }
        for one in accounts
    ]
    return {"plan": plan, "confirmed": True}


def conclude(facts: t.Mapping[str, t.Any]) -> Json:
    """The report. C(facts): those of L(decide), C(decision), C(runs) (an account each), C(seen), C(failure)."""
    check = bool(facts.get("check_mode"))
    report: Json = {"verb": "backup", "plan": look.given(facts, "decision").get("plan") or []}
    results: list[Json] = []
    streams: list[Json] = []
    warnings: list[str] = []
    bad: list[str] = []
    changed = False
    for run in facts.get("runs") or ():
        name, done, pruned = run["account"], run["backup"], look.given(run, "pruned")
        changed |= bool(done.get("changed")) or bool(pruned.get("changed"))
        failed = [one for one in done.get("streams") or () if one["status"] == "failed"]
        results.append(look.step("back up", name, "failed" if look.failed(done) else _status(done), _told(done), done))
        results += [look.step("back up", f"{name} > {one['stream']}", "failed", one["reason"]) for one in failed]
        streams += [_stream(name, one) for one in done.get("streams") or ()]
        warnings += [f"{name}: {text}" for text in texts(done.get("warnings"))]
        if look.failed(done):
            bad.append(f"{name}: {sentence_of(done)}")
        if look.failed(pruned):
            results.append(look.step("remove old sets", name, "failed", sentence_of(pruned), pruned))
            bad.append(f"{name}: old sets could not be removed: {sentence_of(pruned)}")
        elif pruned.get("removed"):
            status = "would remove" if check else "removed"
            results.append(look.step("remove old sets", name, status, ", ".join(pruned["removed"]), pruned))
    evidence = []
    for seen in (facts.get("seen") or {}).get("results") or ():
        for one in (seen.get("sets") or ()) if not seen.get("skipped") else ():
            if one.get("newest"):
                evidence.append(_newest(one))
                report.setdefault("details", {})[one["account"]] = {"set": one["set"], "complete": one["complete"]}
    report.update(results=results, streams=streams, warnings=warnings, evidence=evidence, changed=changed)
    if facts.get("failure") or bad:
        report["failure"] = facts.get("failure") or _failure(bad, len(facts.get("runs") or ()))
        report["acted"] = bool(facts.get("runs")) and (changed or not bad)
        report["next"] = [f"ansible-playbook {_PLAYBOOK}"]
        return report
    report["sentence"] = _sentence(facts.get("runs") or (), check, changed)
    return report


def texts(warnings: t.Any) -> list[str]:
    """The warnings of a module as texts, whatever ansible-core's version makes of them."""
    return [one if isinstance(one, str) else str(one.get("event", {}).get("msg", one)) for one in warnings or ()]


def _status(done: Json) -> str:
    return "done" if done.get("changed") else "unchanged"


def _told(done: Json) -> str:
    if look.failed(done) and not done.get("summary"):
        return sentence_of(done)
    counts = ", ".join(f"{number} {status}" for status, number in (done.get("summary") or {}).items() if number)
    place = f" -> set {done['set']}" if done.get("set") else ""
    return f"{counts or 'no streams'}, {int(done.get('bytes') or 0)} bytes{place}"


def _stream(account: str, one: Json) -> Json:
    keys = ("stream", "status", "messages", "last_seq", "consumers", "bytes", "finished_at", "verified")
    return {"account": account, **{key: one.get(key) for key in keys}}


def _newest(one: Json) -> str:
    whole = "complete" if one["complete"] else "not complete"
    return (
        f"{one['account']}: the newest set {one['set']} is {whole}, finished {one['finished_at']} and found current"
        f" {one['checked']}."
    )


def _failure(bad: t.Sequence[str], total: int) -> str:
    return f"{look.count(len(bad), 'account')} of {total} not backed up as asked. {look.listing(bad, 3)}"


def _sentence(runs: t.Sequence[Json], check: bool, changed: bool) -> str:
    summaries = [run["backup"].get("summary") or {} for run in runs]
    moved = sum(one.get("transferred", 0) for one in summaries)
    total = sum(sum(one.values()) for one in summaries)
    where = f"{look.count(total, 'stream')} of {look.count(len(runs), 'account')}"
    if not changed:
        return f"Nothing has changed: {where} are as in the newest sets."
    removed = sum(len(look.given(run, "pruned").get("removed") or ()) for run in runs)
    old = f", {look.count(removed, 'old set')} {'to go' if check else 'removed'}" if removed else ""
    if check:
        return f"{moved} of {where} would be transferred{old}."
    return f"{where} are backed up and checked; {moved} transferred{old}."
