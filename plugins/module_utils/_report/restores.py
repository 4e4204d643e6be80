# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbook restore: which streams, from which set, into which account; the plan, and what became of it."""

from __future__ import annotations

import typing as t

from . import cluster as look
from . import restoring
from .inputs import InputError, one_of
from .report import Json

_PLAYBOOK = "natsops.jetstream.restore"


def decide(facts: t.Mapping[str, t.Any]) -> Json:
    """The next decision, from what is known so far. Raises InputError.

    First the C(sources), by C(accounts), C(account), C(into), C(stored) and the like; with C(infos), of each set; with
    C(previews), the plan and whether it is confirmed.
    """
    if "infos" not in facts:
        return {"sources": _sources(facts), "plan": [], "confirmed": False}
    backups = restoring.backups_of(facts, variable="restore_streams")
    sources = restoring.chosen_sources(facts, backups)
    evidence = [
        f"{one['account']} > {one['stream']}: {one['messages']} messages, backup found current"
        f" {one.get('current_at') or one.get('finished_at')}, {one.get('verified') or 'never'} checked."
        for one in backups[:20]
    ]
    decision: Json = {"sources": sources, "evidence": evidence, "backups": len(backups), "plan": [], "confirmed": False}
    if "previews" not in facts:
        return decision
    return {**decision, **_judge(facts, backups)}


def _sources(facts: t.Mapping[str, t.Any]) -> list[Json]:
    accounts = list(facts["accounts"])
    chosen, into = (_listed(facts, str(facts.get(one) or "")) for one in ("account", "into"))
    name = facts.get("stream_name") or ""
    restoring.check_options(facts.get("options") or {}, "restore_options")
    if facts.get("set") and facts.get("before"):
        raise InputError("restore_set and restore_before exclude each other: name a set, or a moment.")
    stored = list(facts.get("stored") or ())
    if into:
        one_of(into, accounts, "restore_into")
        if not chosen:
            raise InputError("restore_into needs restore_account: whose streams are to be restored into it?")
    elif chosen:
        one_of(chosen, accounts, "restore_account")
    for account in [chosen] if chosen else accounts:
        variable = "restore_account" if chosen else "an account of restore_accounts"
        restoring.check_stored(account, stored, str(facts["repository"]), variable)
    streams = facts.get("streams") or []
    if name and (not chosen or len(streams) != 1 or any(character in streams[0] for character in "*?[")):
        raise InputError(
            "restore_stream_name needs restore_account and the one stream in restore_streams, without a glob."
        )
    return [{"account": one, "into": into or one, "stream_name": name} for one in ([chosen] if chosen else accounts)]


def _listed(facts: t.Mapping[str, t.Any], account: str) -> str:
    """The name that restore_accounts has for an account: its id may be given for its name, and the other way round.

    The sets in the repository know both.
    """
    accounts = list(facts["accounts"])
    for one in look.given(facts, "called").get("sets") or ():
        directory = one["path"].split("/")[-2]
        names = {one["account"], one.get("account_id"), one.get("account_name"), directory}
        listed = sorted(names.intersection(accounts))
        if account not in accounts and account in names and len(listed) == 1:
            return str(listed[0])
    return account


def _judge(facts: t.Mapping[str, t.Any], backups: t.Sequence[Json]) -> Json:
    previews = facts["previews"]
    failures = restoring.failures_of(previews)
    plan = restoring.plan_of(previews, backups)
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        conflicts = any("on_conflict" in reason for _name, reason in failures)
        hint = " To leave it alone set restore_on_conflict to skip." if conflicts else ""
        raise InputError(f"Nothing was touched. {failures[0][0]}: {failures[0][1]}{more}{hint}")
    # Of a stream that never had a message nothing is lost.
    replaces = facts.get("on_conflict") != "replace_empty"
    replaced = [step["object"] for step in plan if step["step"] == "replace" and replaces]
    known = [restoring.label(run, one) for run in previews for one in restoring.streams_of(run)]
    confirmed = [one_of(name, known, "restore_replace_confirm") for name in facts.get("replace_confirm") or ()]
    missing = sorted(set(replaced) - set(confirmed))
    return {"plan": plan, "missing": missing, "confirmed": not missing, "warnings": restoring.warnings_of(previews)}


def conclude(facts: t.Mapping[str, t.Any]) -> Json:
    """The report. C(facts): those of L(decide), C(decision), C(runs), C(failure)."""
    decision, runs = look.given(facts, "decision"), facts.get("runs") or []
    check = bool(facts.get("check_mode"))
    plan = decision.get("plan") or []
    report: Json = {"verb": "restore", "plan": plan, "evidence": decision.get("evidence") or []}
    report["warnings"] = restoring.warnings_of(runs) or decision.get("warnings") or []
    report["results"] = restoring.results_of(runs)
    shown = runs or facts.get("previews") or []
    backups: list[Json] = []
    if shown:
        backups = restoring.backups_of(facts, variable="restore_streams")
    report["streams"] = restoring.rows_of(shown, backups)
    report["details"] = {"sources": decision.get("sources") or [], "restored": restoring.restored(report["streams"])}
    report["changed"] = any(run["result"].get("changed") for run in runs) or (check and bool(plan))
    failures = restoring.failures_of(runs)
    if facts.get("failure") or failures:
        report.update(acted=bool(runs), next=[f"ansible-playbook {_PLAYBOOK}"] if runs else [])
        report["failure"] = facts.get("failure") or (
            f"{len(failures)} of {look.count(len(report['results']), 'stream')} not restored; the others are done."
            f" {failures[0][0]}: {failures[0][1]}"
        )
        return report
    if not plan:
        count = look.count(len(report["streams"]), "stream")
        report.update(outcome="nothing_to_do", changed=False, sentence=f"{count} are there as in the backup.")
    elif not decision.get("confirmed"):
        names = decision["missing"]
        listed = ", ".join(f'"{name}"' for name in names)
        report.update(
            outcome="planned",
            changed=False,
            sentence=f"{look.count(len(names), 'stream')} would be deleted and replaced; nothing was done yet. To go on"
            f" confirm: {look.listing(names, 4)}",
            next=[f"ansible-playbook {_PLAYBOOK} -e '{{\"restore_replace_confirm\": [{listed}]}}'"],
        )
    elif check:
        report["sentence"] = f"{look.count(len(plan), 'stream')} would be restored."
    else:
        messages = sum(int(row["messages"] or 0) for row in report["streams"])
        same = len(report["streams"]) - len(plan)
        rest = f"; {same} others were there already or left out" if same > 0 else ""
        report["sentence"] = f"{look.count(len(plan), 'stream')} restored and compared ({messages} messages){rest}."
    return report
