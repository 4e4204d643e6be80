# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the runbooks that restore share: which sets, what a restore would do to each account, and what it did."""

from __future__ import annotations

import fnmatch
import re
import typing as t

from .._files.names import account_of
from . import cluster as look
from . import loss
from .backups import texts
from .inputs import InputError, one_of
from .report import Json, sentence_of

#: More options of jetstream_account_restore that a runbook passes on.
OPTIONS = (
    "config",
    "replicas",
    "placement",
    "storage",
    "drop_unsupported",
    "verify",
    "until",
    "since",
    "subjects",
    "exclude_subjects",
    "consumers_ahead",
    "temp_path",
    "parallel",
    "settle_timeout",
    "timeout",
    "stale",
    "safety_backup",
    "safety_path",
)
#: The public key of an account, which is its id in operator mode.
_ID = re.compile("A[A-Z2-7]{55}")
_CHANGED = ("created", "replaced", "finished", "would_create", "would_replace", "would_finish")


def check_options(options: t.Mapping[str, t.Any], name: str) -> None:
    """Raise InputError for an option that is not passed on."""
    odd = sorted(set(options) - set(OPTIONS))
    if odd:
        raise InputError(f"{name} has no option {', '.join(odd)}; it takes {', '.join(OPTIONS)}.")


def check_stored(account: str, stored: t.Sequence[str], repository: str, name: str) -> None:
    """Raise InputError where the repository has nothing of an account, naming those of which it has something.

    C(stored): names of directories. An account may have its sets under its name or its id: the module sees which.
    """
    if not stored:
        raise InputError(f"There are no backups in {repository}. Check the repository, or make a backup first.")
    accounts = sorted(account_of(one, (account,)) for one in stored)
    if not any(_ID.fullmatch(one) for one in (account, *accounts)):
        one_of(account, accounts, name)


def wanted(one: Json, streams: t.Sequence[str], exclude: t.Sequence[str]) -> bool:
    """Whether a backup is of a stream that is asked for."""
    name = str(one.get("stream") or one["path"].rsplit("/", 1)[-1])
    hits = any(fnmatch.fnmatchcase(name, glob) for glob in streams)
    return hits and not any(fnmatch.fnmatchcase(name, glob) for glob in exclude)


def backups_of(facts: t.Mapping[str, t.Any], *, variable: str) -> list[Json]:
    """The backups in the chosen set of each source, with C(account) and C(into); those of the streams asked for.

    Raises InputError with the module's sentence where a set was not found, and for a stream that no set has.
    """
    streams, exclude = facts.get("streams") or ["*"], facts.get("exclude") or []
    found: list[Json] = []
    known: set[str] = set()
    for source, info in zip(facts["sources"], facts["infos"]["results"]):
        if look.failed(info):
            raise InputError(sentence_of(info))
        for one in info["backups"]:
            known.add(str(one["stream"]))
            if wanted(one, streams, exclude):
                found.append({**one, "account": source["account"], "into": source["into"]})
    for name in streams:
        if not any(character in name for character in "*?["):
            one_of(name, sorted(known), variable)
    if not found:
        raise InputError(f"No stream of the backups matches {variable}; they have {look.listing(sorted(known), 20)}.")
    return found


def set_of(info: Json) -> str:
    """The name of the set that was looked into; empty where it could not be."""
    names = {str(one["set"]) for one in info.get("backups") or () if one.get("set")}
    if names:
        return names.pop()
    return next((str(one["set"]) for one in info.get("sets") or () if one.get("newest")), "")


def chosen_sources(facts: t.Mapping[str, t.Any], backups: t.Sequence[Json]) -> list[Json]:
    """The sources of which a stream is asked for, each with the C(set) that was chosen, and the C(path) of all sets."""
    having = {one["account"] for one in backups}
    return [
        {**source, "set": set_of(info), "path": info["path"]}
        for source, info in zip(facts["sources"], facts["infos"]["results"])
        if source["account"] in having
    ]


def streams_of(run: Json) -> list[Json]:
    """What became of each stream of a run; of one account, or of one stream."""
    result = run["result"]
    if "streams" in result:
        return list(result["streams"])
    return [result] if result.get("status") else []


def label(run: Json, one: Json) -> str:
    """The stream in its account."""
    return f"{run['source']['into']} > {one['stream']}"


def plan_of(runs: t.Sequence[Json], backups: t.Sequence[Json]) -> list[Json]:
    """The steps that a preview found, with what the backups hold."""
    stored = {one["path"]: one for one in backups}
    plan: list[Json] = []
    for run in runs:
        source = run["source"]
        for one in streams_of(run):
            if one["status"] not in _CHANGED:
                continue
            lost = one.get("lost") or {}
            backup = stored.get(one.get("path"), {})
            effect = f"{backup.get('messages', one['messages'])} messages"
            if backup.get("manifest"):
                effect += f", {len(backup['consumers'])} consumers"
            if lost:
                effect += f"; {lost.get('messages', 0)} messages that are there now are deleted"
            kept = one.get("safety_backup") or {}
            if kept:
                effect += f", and backed up before ({kept.get('bytes', 0)} bytes below {kept.get('path')})"
            step = one["status"].removeprefix("would_")
            where = f"set {source['set']}" + (f" of {source['account']}" if source["account"] != source["into"] else "")
            plan.append({"step": step, "object": label(run, one), "reason": where, "effect": effect})
    return plan


def failures_of(runs: t.Sequence[Json]) -> list[tuple[str, str]]:
    """What cannot, or could not, be restored, and why: streams, or a whole account."""
    found: list[tuple[str, str]] = []
    for run in runs:
        single = [(label(run, one), str(one.get("reason"))) for one in streams_of(run) if one["status"] == "failed"]
        if look.failed(run["result"]) and not single:
            single = [(run["source"]["into"], sentence_of(run["result"]))]
        found += single
    return found


def results_of(runs: t.Sequence[Json]) -> list[Json]:
    """The results for a report."""
    results = [look.step("restore", name, "failed", reason) for name, reason in failures_of(runs)]
    for run in runs:
        for one in streams_of(run):
            if one["status"] != "failed":
                detail = str(one.get("reason") or f"{one['messages']} messages, {one['consumers']} consumers")
                kept = (one.get("safety_backup") or {}).get("path")
                if kept:
                    detail += f"; the stream that was there is kept in {kept}"
                results.append(look.step("restore", label(run, one), one["status"], detail))
    return results


def warnings_of(runs: t.Sequence[Json]) -> list[str]:
    """What the modules warned of, with the account."""
    return [f"{run['source']['into']}: {text}" for run in runs for text in texts(run["result"].get("warnings"))]


def restored(rows: t.Iterable[Json]) -> list[str]:
    """The streams that are as in their backup now, and how far, as L(loss.up_to) names them."""
    return [
        loss.up_to(row["account"], row["stream"], row["last_seq"])
        for row in rows
        if row["status"] in ("created", "replaced", "finished")
    ]


def rows_of(runs: t.Sequence[Json], backups: t.Sequence[Json]) -> list[Json]:
    """A row for each stream: from which backup, and what is there now."""
    stored = {(one["account"], one["stream"]): one for one in backups}
    rows = []
    for run in runs:
        source = run["source"]
        for one in streams_of(run):
            name = one["path"].rsplit("/", 1)[-1] if one.get("path") else one["stream"]
            backup = stored.get((source["account"], name), {})
            row = {"account": source["into"], "stream": one["stream"], "status": one["status"], "set": source["set"]}
            row.update({key: one.get(key) for key in ("messages", "last_seq", "consumers")})
            rows.append({**row, "as_of": backup.get("current_at") or backup.get("finished_at")})
    return rows
