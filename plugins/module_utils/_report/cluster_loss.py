# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbook cluster_loss: can the target hold what the backups need; the plan; what is back, and what is lost."""

from __future__ import annotations

import typing as t

from .._files.names import account_of
from . import cluster as look
from . import restoring, truth
from .assessment import span
from .inputs import InputError
from .report import Json, sentence_of

_PLAYBOOK = "ansible-playbook natsops.jetstream.cluster_loss"
_MIB = 1 << 20


def decide(facts: t.Mapping[str, t.Any]) -> Json:
    """The next decision, from what is known so far. Raises InputError.

    First the C(sources), by C(accounts), C(stored) and C(cluster); with C(infos), whether the target can hold them;
    with C(previews), the plan and whether it is confirmed.
    """
    picture = look.given(facts, "cluster")
    name = target_name(picture)
    if "infos" not in facts:
        return {"target": name, "sources": _sources(facts), "plan": [], "confirmed": False}
    backups = restoring.backups_of(facts, variable="cluster_loss_streams")
    sources = restoring.chosen_sources(facts, backups)
    options = facts.get("options") or {}
    check_target(picture, backups, options)
    used = {info["path"].rpartition("/")[2] for info in facts["infos"]["results"]}
    left_out = sorted(account_of(one) for one in facts.get("stored") or () if one not in used)
    warnings = [
        f"There are backups of {one}, which is not in cluster_loss_accounts: it stays empty." for one in left_out
    ]
    decision: Json = {
        "target": name,
        "sources": sources,
        "evidence": _evidence(picture, backups, facts),
        "warnings": warnings,
        "plan": [],
        "confirmed": False,
    }
    if "previews" not in facts:
        return decision
    previews = facts["previews"]
    failures = restoring.failures_of(previews)
    plan = restoring.plan_of(previews, backups)
    if failures and not plan:
        raise InputError(f"Nothing was touched. {failures[0][0]}: {failures[0][1]}")
    for run in previews:
        if look.failed(run["result"]) and not restoring.streams_of(run):
            raise InputError(f"Nothing was touched. {run['source']['into']}: {sentence_of(run['result'])}")
    warnings += [f"{one} cannot be restored: {reason}" for one, reason in failures]
    confirmed = look.check_confirmation("cluster_loss_confirm", facts.get("confirm"), name)
    return {**decision, "plan": plan, "confirmed": confirmed}


def target_name(picture: Json) -> str:
    """The name that confirms: of the cluster, or of a server that is in none. Raises InputError where there is none."""
    if not picture or look.failed(picture):
        raise InputError(sentence_of(picture) if picture else "The target was not looked at.")
    if picture.get("scope") != "cluster":
        raise InputError("cluster_loss_system: these are not credentials of the system account.")
    alive = [one for one in picture["servers"] if one["alive"] and one["jetstream"]]
    names = sorted({str(one["cluster"] or one["name"]) for one in alive})
    if not names:
        raise InputError("No server with JetStream answers: start the servers first.")
    return names[0]


def _sources(facts: t.Mapping[str, t.Any]) -> list[Json]:
    restoring.check_options(facts.get("options") or {}, "cluster_loss_options")
    if facts.get("set") and facts.get("before"):
        raise InputError("cluster_loss_set and cluster_loss_before exclude each other: name a set, or a moment.")
    for account in facts["accounts"]:
        variable = "an account of cluster_loss_accounts"
        restoring.check_stored(account, list(facts.get("stored") or ()), str(facts["repository"]), variable)
    return [{"account": one, "into": one, "stream_name": ""} for one in facts["accounts"]]


def check_target(picture: Json, backups: t.Sequence[Json], options: t.Mapping[str, t.Any]) -> None:
    """Raise InputError where the target cannot hold the backups: quorum, size, placement, room."""
    meta = picture.get("meta")
    if meta and not meta["has_quorum"]:
        raise InputError(f"Nothing was touched: the target has no quorum. {look.arithmetic(picture)}")
    servers = [one for one in picture["servers"] if one["alive"] and one["jetstream"]]
    most = max(_replicas(one, options) for one in backups)
    if most > len(servers):
        wanting = look.listing(_label(one) for one in backups if _replicas(one, options) > len(servers))
        raise InputError(
            f"Nothing was touched: {look.count(len(servers), 'server')} answer, and {wanting} need {most}. Start more"
            f" servers, or set cluster_loss_options.replicas to {len(servers)} and raise it again later."
        )
    if "placement" not in options:
        for one in backups:
            tags = set((one["config"].get("placement") or {}).get("tags") or ())
            fitting = [server for server in servers if tags <= set(server["tags"])]
            if len(fitting) < _replicas(one, options):
                raise InputError(
                    f"Nothing was touched: {_label(one)} has to be on servers with the tags {', '.join(sorted(tags))},"
                    f" and {len(fitting)} of the target's have them. Tag the servers, or set"
                    " cluster_loss_options.placement."
                )
    for kind in ("storage", "memory"):
        own = [one for one in backups if _storage(one, options) == kind]
        need = sum(int(one["bytes"]) * _replicas(one, options) for one in own)
        limits = [int((server["limits"] or {}).get(kind) or 0) for server in servers]
        used = sum(int((server["usage"] or {}).get(kind) or 0) for server in servers)
        # Streams that are there already after an interrupted run count in both: the sum is what has to fit in the end.
        if all(limit > 0 for limit in limits) and need > max(sum(limits), used):
            raise InputError(
                f"Nothing was touched: the backups need {need / _MIB:.0f} MiB of {kind}, and the servers' limits are"
                f" {sum(limits) / _MIB:.0f} MiB together. Raise them, or start more servers."
            )


def _replicas(backup: Json, options: t.Mapping[str, t.Any]) -> int:
    return int(options.get("replicas") or backup["config"].get("num_replicas") or 1)


def _storage(backup: Json, options: t.Mapping[str, t.Any]) -> str:
    kind = options.get("storage") or backup["config"].get("storage") or "file"
    return "memory" if kind == "memory" else "storage"


def _label(backup: Json) -> str:
    return f"{backup['into']} > {backup['stream']}"


def _evidence(picture: Json, backups: t.Sequence[Json], facts: t.Mapping[str, t.Any]) -> list[str]:
    evidence = [look.arithmetic(picture)] if picture.get("meta") else ["The target is one server, not a cluster."]
    there = len(picture.get("streams") or ())
    evidence.append(f"The target has {look.count(there, 'stream')} already.")
    total = sum(int(one["bytes"]) for one in backups)
    evidence.append(f"The backups have {look.count(len(backups), 'stream')} with {total / _MIB:.1f} MiB.")
    for source, info in zip(facts["sources"], facts["infos"]["results"]):
        ages = [float(one["age"]) for one in info["backups"] if one.get("age") is not None]
        if ages:
            name = f"{source['account']}: set {restoring.set_of(info)}"
            evidence.append(f"{name}, its streams were last found current {span(min(ages))} to {span(max(ages))} ago.")
    return evidence


def conclude(facts: t.Mapping[str, t.Any]) -> Json:
    """The report. C(facts): those of L(decide), C(decision), C(runs), C(picture) (of before), C(failure)."""
    decision, runs = look.given(facts, "decision"), facts.get("runs") or []
    check, plan = bool(facts.get("check_mode")), decision.get("plan") or []
    report: Json = {"verb": "cluster_loss", "plan": plan, "evidence": decision.get("evidence") or []}
    report["warnings"] = [*(decision.get("warnings") or []), *restoring.warnings_of(runs)]
    report["results"] = restoring.results_of(runs)
    shown = runs or facts.get("previews") or []
    backups = restoring.backups_of(facts, variable="cluster_loss_streams") if shown else []
    report["streams"] = restoring.rows_of(shown, backups)
    ages = [float(one["age"]) for one in backups if one.get("age") is not None]
    rpo = round(max(ages), 1) if ages else None
    report["details"] = {"target": decision.get("target"), "sources": decision.get("sources"), "rpo_seconds": rpo}
    report["details"]["restored"] = restoring.restored(report["streams"])
    report["changed"] = any(run["result"].get("changed") for run in runs) or (
        check and bool(plan) and bool(decision.get("confirmed"))
    )
    report["lost"] = losses(facts, backups, runs)
    failures = restoring.failures_of(runs)
    if facts.get("failure") or failures:
        report.update(acted=bool(runs), next=[_command(decision)] if runs else [])
        report["failure"] = facts.get("failure") or (
            f"{len(failures)} of {look.count(len(report['results']), 'stream')} not restored; the others are done. Run"
            f" again once this is mended: {failures[0][0]}: {failures[0][1]}"
        )
        return report
    count = look.count(len(report["streams"]), "stream")
    if not plan and shown:
        report.update(outcome="nothing_to_do", changed=False, sentence=f"{count} are there as in the backups.")
    elif not decision.get("confirmed"):
        report.update(
            outcome="planned",
            changed=False,
            sentence=f"{look.count(len(plan), 'stream')} would be restored into {decision.get('target')}; nothing was"
            f" done yet. To go on add: -e cluster_loss_confirm={decision.get('target')}",
            next=[_command(decision)],
        )
    elif check:
        sentence = f"{look.count(len(plan), 'stream')} would be restored into {decision.get('target')}."
        report.update(outcome="planned" if report["changed"] else "nothing_to_do", sentence=sentence)
    else:
        messages = sum(int(row["messages"] or 0) for row in report["streams"])
        consumers = sum(int(row["consumers"] or 0) for row in report["streams"])
        report["sentence"] = (
            f"{count} with {messages} messages and {consumers} consumers are back in {decision['target']}, restored and"
            f" compared. What came in the {span(rpo)} before now is not in the backups."
        )
        report["outcome"] = "done" if report["changed"] else "nothing_to_do"
    return truth.hold_to(facts, report, {"cluster_loss_confirm": decision.get("target")})


def _command(decision: Json) -> str:
    return f"{_PLAYBOOK} -e cluster_loss_confirm={decision.get('target')}"


def losses(facts: t.Mapping[str, t.Any], backups: t.Sequence[Json], runs: t.Sequence[Json]) -> list[Json]:
    """What the backups do not have, by the last picture of the lost cluster: streams, and the end of others.

    Without a picture nobody can tell, and only what a restore left out is named.
    """
    found: list[Json] = []
    stored = {(one["account"], one["stream"]): one for one in backups}
    accounts = {source["account"] for source in facts.get("sources") or ()}
    picture = facts.get("picture") or {}
    for one in picture.get("streams") or () if backups else ():
        key = (str(one["account"]), str(one["stream"]))
        if key[0] not in accounts or not restoring.wanted(
            {"stream": key[1], "path": ""}, facts.get("streams") or ["*"], facts.get("exclude") or []
        ):
            continue
        backup = stored.get(key)
        entry: Json = {"account": key[0], "stream": key[1], "messages": int(one.get("messages") or 0)}
        if backup is None:
            found.append(
                {**entry, "reason": "it was in the cluster, by the last picture, and there is no backup of it"}
            )
        elif int(one.get("last_seq") or 0) > int(backup["last_seq"]):
            missing = int(one["last_seq"]) - int(backup["last_seq"])
            since = backup.get("current_at") or backup.get("started_at")
            reason = "they came after the backup; at least so many, by the last picture"
            found.append({**entry, "messages": missing, "since": since, "reason": reason})
    for run in runs:
        for one in restoring.streams_of(run):
            if one["status"] == "skipped" and "not backed up" in str(one.get("reason")):
                found.append(
                    {"account": run["source"]["account"], "stream": one["stream"], "reason": str(one["reason"])}
                )
    return found
