# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Saving what is on a dead server's disk: what to do, and what was done."""

from __future__ import annotations

import typing as t

from .._files.names import directory_of
from . import cluster as look
from . import loss, truth
from .inputs import InputError, one_of
from .report import Json

_PLAYBOOK = "ansible-playbook natsops.jetstream.salvage"


def decide(facts: t.Mapping[str, t.Any]) -> Json:
    """The plan, from C(server), C(confirm), C(store), C(cluster) and the check mode results C(removal) and C(disk)
    (jetstream_salvage). C(previews): recoveries by account from what an earlier run saved; C(earlier): reports of it.

    C(action): C(none); C(remove): save, remove, restore; C(restore): save and restore, it is no member any more.
    Raises InputError for everything that is refused.
    """
    picture, removal, disk = (look.given(facts, name) for name in ("cluster", "removal", "disk"))
    look.need_picture(picture)
    server = str(facts["server"])
    decision: Json = {
        "action": "none",
        "server": server,
        "confirmed": look.check_confirmation("salvage_confirm_dead", facts.get("confirm"), server),
        "evidence": [str(removal.get("arithmetic") or look.arithmetic(picture))],
        "warnings": [],
        "plan": [],
        "held": removal.get("lost") or [],
        "saved": disk.get("streams") or [],
    }
    _check(facts, picture, removal, server)
    if look.failed(disk):
        raise InputError(f"{disk.get('msg')} Nothing was touched.")
    names = {(one["account"], one["stream"]) for one in decision["saved"]}
    unknown = sorted({account for account, _stream in names} - set(facts.get("accounts") or ()))
    if unknown:
        raise InputError(
            f"The disk has streams of {look.listing(unknown)}, and salvage_accounts has no entry of that name. Add it,"
            " or say by salvage_account_names which account the directory is of."
        )
    if removal.get("needed"):
        decision["action"] = "remove"
        decision["warnings"].append(_danger(server))
    elif loss.unrestored(facts) or not facts.get("earlier"):
        decision["action"] = "restore"
        decision["warnings"].append(_danger(server))
    if decision["action"] == "none":
        return decision
    save = [
        {
            "step": "save",
            "object": f"{one['account']} > {one['stream']}",
            "reason": f"it is on the disk of {server}",
            "effect": f"{one['bytes']} bytes, {look.count(one['consumers'], 'consumer')}",
        }
        for one in decision["saved"]
    ]
    fence = [{"step": "fence", "object": server, "reason": "if it starts again, its disk is emptied"}]
    remove = [{"step": "remove", "object": server, "reason": "replicas are made anew on others"}]
    back = [
        {"step": "restore", "object": f"{account} > {name}", "reason": "it is empty once its server is removed"}
        for account, name in sorted(names)
    ]
    fence = fence if facts.get("fence") else []
    remove = remove if decision["action"] == "remove" else []
    decision["plan"] = [*fence, *save, *remove, *back]
    gone = [one for one in decision["held"] if not one.get("consumer") and (one["account"], one["stream"]) not in names]
    decision["warnings"] += [f"{one['name']} is not on the disk: it is lost, or in a backup." for one in gone]
    return decision


def _danger(server: str) -> str:
    return (
        f"DO NOT START {server} AGAIN IN ITS CLUSTER: ONCE REMOVED, IT EMPTIES ITS DISK WITHIN 2 SECONDS OF ITS START."
    )


def _check(
    facts: t.Mapping[str, t.Any], picture: t.Mapping[str, t.Any], removal: t.Mapping[str, t.Any], server: str
) -> None:
    why = look.words(removal) if look.failed(removal) else set()
    if "no_quorum" in why:
        raise InputError(look.quorum_lost(picture))
    if look.server_of(picture, server).get("alive"):
        raise InputError(
            f"{server} answers: it is alive. To empty it: natsops.jetstream.evacuate. Nothing was touched."
        )
    if "server_online" in why:
        raise InputError(f"{server} has not been silent for long enough to be called dead. Run again.")
    if look.failed(removal):
        raise InputError(str(removal.get("msg")))
    if not removal.get("needed") and not facts.get("earlier") and not facts.get("confirm"):
        # A server that was removed is in no list any more; the name is taken from the confirmation.
        one_of(server, look.members(picture), "salvage_server")


def conclude(facts: t.Mapping[str, t.Any]) -> Json:
    """The report, from the facts of L(decide), C(decision), and C(fenced), C(saved), C(removed), C(held), C(recovered),
    C(recovered_rest), C(after), C(failure), C(acted)."""
    decision = look.given(facts, "decision")
    server, action = str(facts.get("server")), decision.get("action") or "none"
    recovered = loss.recoveries(facts, "recovered")
    again = f"{_PLAYBOOK} -e salvage_server={server} -e salvage_store={facts.get('store')}"
    report: Json = {
        "verb": "salvage",
        "details": {"restored": loss.restored(recovered), "server": server, "action": action},
        **{key: decision.get(key) or [] for key in ("plan", "evidence", "warnings")},
        "results": [*_results(facts, server), *loss.results(facts, recovered)],
    }
    report["changed"] = loss.changed(report["results"])
    if facts.get("failure"):
        report.update(failure=facts["failure"], acted=bool(facts.get("acted")), next=[again])
    elif action == "none":
        report.update(
            outcome="nothing_to_do", sentence=f"What the disk of {server} has is back already: nothing to do."
        )
    elif not decision["confirmed"]:
        report.update(
            outcome="planned",
            sentence=f"{look.count(len(report['plan']), 'step')}, nothing done yet. Make sure that {server} is off and"
            f" stays off, then add: -e salvage_confirm_dead={server}",
            next=[f"{again} -e salvage_confirm_dead={server}"],
        )
    elif facts.get("check_mode"):
        report.update(outcome="planned", changed=True, sentence=f"{look.count(len(report['plan']), 'step')} to do.")
    else:
        report.update(_done(facts, server, decision, recovered))
    return truth.hold_to(facts, report, {"salvage_server": server, "salvage_store": facts.get("store")})


def _results(facts: t.Mapping[str, t.Any], server: str) -> list[Json]:
    found = loss.fencing(facts, server)
    for one in look.given(facts, "saved").get("streams") or ():
        detail = str(one.get("reason") or "") if one["status"] == "failed" else f"{one.get('messages', 0)} messages"
        found.append(look.step("save", f"{one['account']} > {one['stream']}", one["status"], detail))
    return [*found, *loss.removal(facts, server)]


def _done(
    facts: t.Mapping[str, t.Any], server: str, decision: t.Mapping[str, t.Any], recovered: t.Sequence[Json]
) -> Json:
    streams = loss.by_stream(recovered)
    good = [key for key, one in streams.items() if one["status"] == "restored"]
    saved = {(one["account"], one["stream"]) for one in look.given(facts, "saved").get("streams") or ()}
    lost = [
        one for one in loss.losses(decision.get("held") or [], recovered) if (one["account"], one["stream"]) not in good
    ]
    whole = [f"{account} > {name}" for account, name in sorted(good)]
    text = f"{look.count(len(whole), 'stream')} of {server} back with all that its disk had: {look.listing(whole)}."
    if lost:
        text += f" Not on it: {look.listing(map(loss.name_of, lost))}."
    left = [one for key, one in streams.items() if one["status"] == "behind" and key in saved]
    return {
        "outcome": "done",
        "sentence": text,
        "lost": lost,
        "next": [
            f"nats stream restore {facts.get('path')}/{directory_of(one['account'])}/{one['stream']}"
            " --config <with another name>"
            for one in left
        ],
    }
