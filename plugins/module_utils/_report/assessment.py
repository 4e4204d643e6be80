# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbook assess: what is wrong with the cluster and its backups, the worst first, and what to run next."""

from __future__ import annotations

import typing as t

from . import cluster as look
from .backups import texts
from .commands import PLAYBOOK, replace_from, run
from .report import Json, sentence_of

_ORDER = {"critical": 0, "warning": 1, "info": 2}
_FATES = {
    "survives": "survive",
    "loses_redundancy": "lose redundancy",
    "loses_quorum": "lose quorum",
    "loses_data": "lose data",
}
#: Findings of a stream that has lost messages.
_LOSSES = ("stream_lost", "stream_recreated", "stream_behind")
#: What to run for a finding; C({0}) is its first object.
_NEXT = {
    "meta_quorum_lost": "quorum_loss",
    "meta_no_leader": "quorum_loss",
    "member_dead": "node_loss -e node_loss_server={0}",
    "zombie_server": "node_loss -e node_loss_server={0}",
    "backup_missing": "backup",
    "backup_old": "backup",
    "backup_carried": "backup",
    "no_backups": "backup",
    "backup_damaged": "backup",
}


def decide(facts: t.Mapping[str, t.Any]) -> Json:
    """The findings of both. C(facts): C(cluster), C(backups) (results of modules), C(max_age), C(losses)."""
    cluster = look.given(facts, "cluster")
    found = [*(cluster.get("findings") or ()), *_backup_findings(facts, cluster), *_loss_findings(facts)]
    found.sort(key=lambda one: _ORDER.get(one["severity"], 3))
    worst = found[0]["severity"] if found and found[0]["severity"] != "info" else "ok"
    return {"findings": found, "status": worst, "why_not_kept": _why_not_kept(cluster), "plan": [], "confirmed": True}


def _why_not_kept(cluster: Json) -> str:
    """Why the picture may not replace the one before, which knows what is missing now; empty where it may."""
    meta = cluster.get("meta")
    if not cluster or cluster.get("scope") != "cluster":
        return "the whole cluster was not seen"
    if any(one["id"] in _LOSSES for one in cluster.get("findings") or ()):
        return "streams have lost messages since then"
    if meta is not None and not meta["has_quorum"]:
        return "the meta group has no quorum"
    if meta is not None and look.dead_members(cluster):
        return "a server is missing in it"
    return ""


def _finding(word: str, severity: str, objects: t.Sequence[str], detail: str, remedy: str) -> Json:
    return {"id": word, "severity": severity, "objects": list(objects), "detail": detail, "remedy": remedy}


def _backup_findings(facts: t.Mapping[str, t.Any], cluster: Json) -> list[Json]:
    backups = look.given(facts, "backups")
    if not backups or look.failed(backups):
        detail = sentence_of(backups) if backups else "The repository was not looked into."
        return [_finding("no_backups", "critical", [], detail, "Back up, or correct the repository's path.")]
    found: list[Json] = []
    stored = _stored(facts)
    limit = float(facts.get("max_age") or 0)
    for (account, name), one in sorted(stored.items()):
        label = f"{account} > {name}"
        if not one["valid"]:
            problems = "; ".join(str(problem["message"]) for problem in one["problems"][:2])
            found.append(_finding("backup_damaged", "critical", [label], problems, "Back up again; keep older sets."))
        elif one.get("status") == "carried":
            detail = f"Its backup is {span(one.get('age'))} old; later ones failed: {one.get('reason')}"
            found.append(_finding("backup_carried", "critical", [label], detail, "See why, and back up again."))
        elif one.get("age") is not None and limit and one["age"] > limit:
            detail = f"Its backup was last found current {span(one['age'])} ago; {span(limit)} are allowed."
            found.append(_finding("backup_old", "warning", [label], detail, "Back up."))
    ids = cluster.get("account_ids") or {}
    known = {account for account, _name in stored} | {_named(one, ids) for one in backups.get("sets") or ()}
    live = [(str(one["account"]), str(one["stream"])) for one in cluster.get("streams") or ()]
    bare: dict[str, list[str]] = {}
    for account, name in live:
        if (account, name) not in stored:
            bare.setdefault(account, []).append(f"{account} > {name}")
    for account, labels in sorted(bare.items()):
        where = "the newest set does not have it" if account in known else "the account has no backups"
        found.append(_finding("backup_missing", "critical", labels, f"No backup: {where}.", "Back up."))
    return found


def _only_on_dead(facts: t.Mapping[str, t.Any], cluster: Json) -> list[str]:
    """What would be back from the backups of what only a dead server holds, and what would not."""
    stored = _stored(facts)
    found = []
    for one in cluster.get("only_on_dead") or ():
        if one.get("consumer"):
            continue
        backup = stored.get((str(one["account"]), str(one["stream"])))
        if backup is None:
            found.append(f"{one['name']}: there is no backup of it.")
            continue
        text = f"{one['name']}: its backup was last found current {span(backup.get('age'))} ago"
        missing = int(one.get("last_seq") or 0) - int(backup["last_seq"])
        if missing > 0:
            text += f", and {missing} messages that the last picture saw came after it"
        found.append(f"{text}.")
    return found


def _stored(facts: t.Mapping[str, t.Any]) -> dict[tuple[str, str], Json]:
    """The newest backups by stream and account, under the name that the cluster has for it."""
    ids = look.given(facts, "cluster").get("account_ids") or {}
    backups = list(look.given(facts, "backups").get("backups") or ())
    # An account may have sets under its name and under its id: the later ones count.
    backups.sort(key=lambda one: float("inf") if one.get("age") is None else float(one["age"]), reverse=True)
    return {(_named(one, ids), str(one["stream"])): one for one in backups}


def _named(one: Json, ids: t.Mapping[str, str]) -> str:
    """The account of a set or a backup: what was written down with it comes before its directory."""
    directory = str(one.get("account_name") or one.get("account_directory") or one.get("account") or "")
    return ids.get(str(one.get("account_id") or one.get("account"))) or ids.get(directory) or directory


def span(seconds: t.Any) -> str:
    """A time span as people say it."""
    if seconds is None:
        return "an unknown time"
    value = float(seconds)
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if value >= 2 * size:
            return f"{value / size:.0f} {unit}"
    return f"{value:.0f} seconds"


def _loss_findings(facts: t.Mapping[str, t.Any]) -> list[Json]:
    found = []
    for result in _losses(facts):
        one = result["simulation"]
        bad = [each for each in one["effects"] if each["effect"] in ("loses_quorum", "loses_data")]
        if one["safe"] and not bad:
            continue
        counts = ", ".join(f"{number} would {_FATES[fate]}" for fate, number in one["counts"].items() if number)
        listed = look.listing(f"{each['name']} {each['effect'].replace('_', ' ')}" for each in bad)
        meta = one["meta"]
        text = f"{meta['arithmetic']} {counts or 'Nothing is stored'}{f': {listed}' if listed else ''}."
        text = " ".join([text, *(one.get("unproven") or ())])
        severity = "warning" if meta["effect"] == "survives" else "critical"
        remedy = "More replicas for these streams, or a server more, before that happens."
        found.append(_finding("loss_simulated", severity, [" and ".join(one["lost"])], text, remedy))
    return found


def _losses(facts: t.Mapping[str, t.Any]) -> list[Json]:
    results = (facts.get("losses") or {}).get("results") or ()
    return [dict(result) for result in results if isinstance(result, t.Mapping) and "simulation" in result]


def conclude(facts: t.Mapping[str, t.Any]) -> Json:
    """The report. C(facts): those of L(decide), C(decision), C(fail_on), C(failure)."""
    decision, cluster = look.given(facts, "decision"), look.given(facts, "cluster")
    report: Json = {"verb": "assess", "changed": False}
    if facts.get("failure"):
        return {**report, "failure": facts["failure"]}
    found = decision["findings"]
    report["results"] = [_result(one) for one in found if one["severity"] != "info"]
    report["warnings"] = texts(cluster.get("warnings"))
    if facts.get("trouble"):
        report["warnings"].append(f"Seen without the accounts, since asking them failed: {facts['trouble']}")
    if decision["why_not_kept"] and facts.get("reports"):
        report["warnings"].append(
            f"The picture is not kept, since {decision['why_not_kept']}. {facts['reports']}/latest-picture.json is of"
            " before."
        )
    report["evidence"] = _evidence(facts, cluster)
    report["next"] = _next(found, cluster)
    report["streams"] = _streams(facts, cluster)
    report["details"] = {"findings": found, "status": decision["status"], "only_on_dead": cluster.get("only_on_dead")}
    counts = {word: sum(one["severity"] == word for one in found) for word in ("critical", "warning")}
    if decision["status"] == "ok":
        total = look.count(len(report["streams"]), "stream")
        report["sentence"] = f"All is well: {total}, every one backed up and whole."
    else:
        first = found[0]
        objects = f" ({look.listing(first['objects'], 3)})" if first["objects"] else ""
        numbers = " and ".join(f"{number} {word}" for word, number in counts.items() if number)
        report["sentence"] = f"{numbers}. Worst: {first['id'].replace('_', ' ')}{objects}. {first['detail']}"
    wanted = facts.get("fail_on") or "none"
    if wanted != "none" and decision["status"] != "ok" and _ORDER[decision["status"]] <= _ORDER[wanted]:
        report.update(failure=report["sentence"], acted=True)
    report["outcome"] = "nothing_to_do" if decision["status"] == "ok" else "done"
    return report


def _result(one: Json) -> Json:
    objects = look.listing(one["objects"], 6) or "-"
    return look.step(str(one["id"]), objects, str(one["severity"]), f"{one['detail']} {one['remedy']}".strip())


def _evidence(facts: t.Mapping[str, t.Any], cluster: Json) -> list[str]:
    evidence = []
    if cluster.get("meta"):
        evidence.append(look.arithmetic(cluster))
    alive = [one for one in cluster.get("servers") or () if one["alive"]]
    listed = look.listing((f"{one['name']} {one['version']}" for one in alive), 12)
    evidence.append(f"{look.count(len(alive), 'server')} answered: {listed}.")
    evidence += _only_on_dead(facts, cluster)
    for one in (look.given(facts, "backups")).get("sets") or ():
        if one.get("newest"):
            whole = "complete" if one["complete"] else "not complete"
            evidence.append(
                f"{one['account']}: newest set {one['set']}, {whole}, last found current {span(one['age'])} ago."
            )
    for result in _losses(facts):
        simulation = result["simulation"]
        safe = "nothing is lost" if simulation["safe"] else "not safe"
        evidence.append(f"If {' and '.join(simulation['lost'])} died: {simulation['meta']['arithmetic']} {safe}.")
    return evidence + [str(sentence) for sentence in cluster.get("missing") or ()]


def _next(found: t.Sequence[Json], cluster: Json) -> list[str]:
    if any(one["id"] == "meta_quorum_lost" for one in found):
        # Nothing is removed before there is a quorum again.
        dead = look.dead_members(cluster)
        return [run("quorum_loss", {"quorum_loss_dead": dead}) if dead else f"{PLAYBOOK}quorum_loss"]
    commands = replace_from(str(one["backup"]) for one in found if one.get("backup"))
    for one in found:
        known = _NEXT.get(str(one["id"]))
        if known and one["severity"] != "info":
            commands.append(PLAYBOOK + known.format(*(one["objects"] or [""])))
    return list(dict.fromkeys(commands))


def _streams(facts: t.Mapping[str, t.Any], cluster: Json) -> list[Json]:
    stored = _stored(facts)
    rows = []
    for one in cluster.get("streams") or ():
        backup = stored.get((str(one["account"]), str(one["stream"])), {})
        full = (backup.get("last_full_check") or {}).get("time")
        row = {key: one.get(key) for key in ("account", "stream", "messages", "last_seq", "num_replicas", "leader")}
        row.update(whole=one.get("whole"), backup=backup.get("set"), backup_age=backup.get("age"))
        rows.append({**row, "backup_last_seq": backup.get("last_seq"), "verified": full or backup.get("verified")})
    return rows
