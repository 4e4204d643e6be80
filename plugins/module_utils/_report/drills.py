# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbook drill: which backups are rehearsed, and what that showed."""

from __future__ import annotations

import fnmatch
import os
import typing as t

from .._files.names import account_of
from . import cluster as look
from .inputs import InputError
from .report import Json

_WORST = ("different", "failed", "invalid")
_SAID = {
    "different": "came back with differences",
    "failed": "could not be restored",
    "invalid": "is damaged",
    "identical": "identical",
}


def decide(facts: t.Mapping[str, t.Any]) -> Json:
    """The plan. C(facts): C(repository), C(info) (of the backups), C(streams), C(exclude), C(sample), C(rto), C(rpo).

    Raises InputError where nothing would be drilled.
    """
    for name in ("rto", "rpo"):
        if float(facts.get(name) or 0) < 0:
            raise InputError(f"drill_{name} is {facts[name]}; it must be 0 (no limit) or seconds.")
    backups = facts["info"]["backups"]
    newest = {one["path"] for one in facts["info"].get("sets") or () if one["newest"]}
    if newest and not facts.get("one_set"):
        backups = [one for one in backups if one["path"].rpartition("/")[0] in newest]
    chosen = [one for one in backups if _wanted(one["path"].rpartition("/")[2], facts)]
    if not chosen:
        raise InputError(
            f"There is no backup of {look.listing(facts['streams'])} in {facts['repository']}; there are"
            f" {look.listing(sorted({one['path'].rpartition('/')[2] for one in backups})) or 'none'}."
        )
    count = look.count(len(chosen), "backup")
    effect = f"a sample of {facts['sample']} of {count}" if facts.get("sample") else count
    step = {"step": "drill", "object": facts["repository"], "reason": "", "effect": f"{effect}, in a private server"}
    return {"plan": [step], "confirmed": True, "backups": len(chosen)}


def _wanted(name: str, facts: t.Mapping[str, t.Any]) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) for glob in facts["streams"]) and not any(
        fnmatch.fnmatchcase(name, glob) for glob in facts["exclude"]
    )


def label(one: Json, repository: str) -> str:
    """A backup as people name it: account and stream."""
    inside = os.path.relpath(one["path"], repository).split(os.sep)
    account = account_of(inside[0]) if len(inside) > 1 else one.get("account") or ""
    if account == one.get("set"):
        account = account_of(os.path.basename(repository))
    return f"{account} > {one['stream']}" if account else str(one["stream"])


def conclude(facts: t.Mapping[str, t.Any]) -> Json:
    """The report. C(facts): those of L(decide), C(decision), C(done) (the module's result), C(page), C(failure)."""
    decision, done = look.given(facts, "decision"), look.given(facts, "done")
    report: Json = {"verb": "drill", "plan": decision.get("plan") or [], "changed": False}
    if facts.get("failure"):
        return {**report, "failure": facts["failure"], "acted": bool(done)}
    if not done:
        count = look.count(int(decision.get("backups") or 0), "backup")
        return {**report, "outcome": "planned", "sentence": f"{count} to choose from; no server was started."}
    repository = str(done["path"])
    rows = sorted(done["streams"], key=lambda one: _WORST.index(one["status"]) if one["status"] in _WORST else 9)
    report["results"] = [
        {
            "step": "drill",
            "object": label(one, repository),
            "status": one["status"],
            "detail": _detail(one),
            "seconds": one["restore_seconds"],
        }
        for one in rows
    ]
    report["streams"] = [
        {
            "account": label(one, repository).rpartition(" > ")[0],
            **{key: one[key] for key in ("stream", "status", "messages", "restore_seconds", "age", "set")},
        }
        for one in rows
    ]
    summary = done["summary"]
    report["evidence"] = [
        f"nats-server {done['server_version']}, private and on loopback, read back {summary['messages']} messages.",
        f"Recovery time {summary['rto']:.1f} s on this machine, recovery point {_age(summary['rpo'])}.",
        *([f"The page about the repository: {facts['page']}"] if facts.get("page") else []),
    ]
    report["warnings"] = [_note(label(one, repository), text) for one in rows for text in one["notes"]]
    report["details"] = {"drill": {key: done[key] for key in _KEPT}}
    missed = _missed(facts, summary)
    bad = [one for one in rows if not one["identical"]]
    if bad or missed:
        first = [f"{label(one, repository)} {_SAID[one['status']]}: {_detail(one)}" for one in bad[:3]]
        told = f"{len(bad)} of {look.count(len(rows), 'backup')} did not come back as they were. " if bad else ""
        more = f" (and {len(bad) - 3} more)" if len(bad) > 3 else ""
        report.update(failure=told + " ".join([*first, *missed]) + more, acted=True, next=_next(bad, repository))
        return report
    report["outcome"] = "done"
    report["sentence"] = (
        f"{look.count(len(rows), 'backup')} came back identical: {summary['messages']} messages, recovery time"
        f" {summary['rto']:.1f} s, recovery point {_age(summary['rpo'])}."
    )
    return report


def _note(name: str, text: str) -> str:
    """A note with the account before it. It names the stream once, so that equal ones can be told as one."""
    account, _arrow, stream = name.rpartition(" > ")
    about = text if text.startswith(("stream ", "consumer ")) else f"stream {stream}: {text}"
    return f"{account}: {about}" if account else about


_KEPT = ("schema", "passed", "path", "started_at", "finished_at", "server_version", "cleared", "summary", "streams")


def _detail(one: Json) -> str:
    if one["status"] == "different":
        more = f" (and {one['difference_count'] - 1} more)" if one["difference_count"] > 1 else ""
        return f"{one['differences'][0]}{more}"
    if one["status"] == "failed":
        return str(one.get("reason") or "")
    if one["status"] == "invalid":
        return "; ".join(f"{each['id']} ({each['place']}): {each['message']}" for each in one["problems"][:2])
    return f"{one['messages']} messages, {one['consumers']} consumers, made {_age(one['age'])} ago"


def _missed(facts: t.Mapping[str, t.Any], summary: Json) -> list[str]:
    found = []
    for name, what in (("rto", "recovery time"), ("rpo", "recovery point")):
        limit = float(facts.get(name) or 0)
        if limit and (summary[name] or 0) > limit:
            found.append(f"The {what} is {summary[name]:.0f} s, more than the {limit:.0f} s of drill_{name}.")
    return found


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _next(bad: t.Sequence[Json], repository: str) -> list[str]:
    damaged = [label(one, repository) for one in bad if one["status"] != "different"]
    again = "ansible-playbook natsops.jetstream.backup"
    return [f"{again}   # a fresh backup of {look.listing(damaged, 3)}"] if damaged else [again]
