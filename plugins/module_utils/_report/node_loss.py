# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server is gone: what to do, and what was done."""

from __future__ import annotations

import typing as t

from . import cluster as look
from . import loss
from .inputs import InputError, one_of
from .report import Json


def decide(facts: t.Mapping[str, t.Any]) -> Json:
    """The plan, from C(server), C(disk), C(confirm), C(accept_no_spare), C(cluster) and the results of check mode runs:
    C(removal), C(evacuation), C(previews) (recoveries by account). C(earlier): reports of this server are there.

    C(action): C(none); C(remove), then restore; C(restore), after an earlier run; C(evacuate), then wait for it.
    Raises InputError for everything that is refused.
    """
    picture, removal = look.given(facts, "cluster"), look.given(facts, "removal")
    look.need_picture(picture)
    server, disk = str(facts["server"]), str(facts["disk"])
    decision: Json = {
        "action": "none",
        "server": server,
        "confirmed": look.check_confirmation("node_loss_confirm_dead", facts.get("confirm"), server),
        "evidence": [str(removal.get("arithmetic") or look.arithmetic(picture))],
        "warnings": [],
        "plan": [],
        "held": removal.get("lost") or [],
        "wait": False,
    }
    if look.failed(removal):
        raise InputError(_not_removable(removal, picture, server))
    if not removal.get("needed"):
        return _no_member(decision, facts, picture)
    if disk == "lost" or (look.line(picture) < (2, 15) and not _alone(decision, facts)):
        return _remove(decision, facts, picture, removal)
    if look.line(picture) < (2, 15):
        raise InputError(_salvage(decision, server))
    return _evacuate(decision, facts, server)


def _not_removable(removal: t.Mapping[str, t.Any], picture: t.Mapping[str, t.Any], server: str) -> str:
    why = look.words(removal)
    if "no_quorum" in why:
        return look.quorum_lost(picture)
    if "server_online" in why or "is_meta_leader" in why:
        if look.server_of(picture, server).get("alive"):
            return f"{server} answers: it is alive. To empty it: natsops.jetstream.evacuate. Nothing was touched."
        return f"{server} has not been silent for long enough to be called dead. Run again. Nothing was touched."
    return str(removal.get("msg"))


def _no_member(decision: Json, facts: t.Mapping[str, t.Any], picture: t.Mapping[str, t.Any]) -> Json:
    """It was removed, by an earlier run or by somebody, or it is a typing error."""
    server = decision["server"]
    previews = loss.recoveries(facts, "previews")
    open_ones = loss.unrestored(facts)
    moves = [one for item in previews for one in item.get("consumers") or () if one["status"] == "would_move"]
    if not facts.get("earlier") and not open_ones and not moves:
        one_of(server, look.members(picture), "node_loss_server")
    if open_ones or moves:
        decision["action"] = "restore"
        decision["plan"] = [
            {"step": "restore", "object": f"{account} > {name}", "reason": f"it is empty since {server} was removed"}
            for account, name in open_ones
        ] + [
            {"step": "consumer", "object": f"{one['stream']} > {one['consumer']}", "reason": "it began anew"}
            for one in moves
        ]
    return decision


def _alone(decision: Json, facts: t.Mapping[str, t.Any]) -> bool:
    """Whether the server holds something alone, or nobody can tell."""
    return bool(decision["held"]) or bool(_unknown(facts))


def _unknown(facts: t.Mapping[str, t.Any]) -> list[str]:
    for finding in look.given(facts, "cluster").get("findings") or ():
        if finding["id"] == "dead_server_holdings_unknown":
            return list(finding["objects"])
    return []


def _remove(
    decision: Json, facts: t.Mapping[str, t.Any], picture: t.Mapping[str, t.Any], removal: t.Mapping[str, t.Any]
) -> Json:
    server = decision["server"]
    unknown = _unknown(facts)
    if unknown:
        raise InputError(
            f"Nothing was touched: nobody can say what {server} held alone of the accounts {look.listing(unknown)}, and"
            " after the removal it is too late to ask. Give their credentials in node_loss_accounts, or a"
            " node_loss_last_picture."
        )
    short = removal.get("degraded") or []
    if short and not facts.get("accept_no_spare"):
        raise InputError(
            f"Add a server first: none is left for the copies of {look.listing(short)}. Give it a new name; they are"
            f" whole some seconds after its start, then run this again. Waiting costs: {_cost(picture)} Or say"
            " node_loss_accept_no_spare: true."
        )
    decision["action"] = "remove"
    backed = loss.by_stream(loss.recoveries(facts, "previews_held"))
    plan = (
        [{"step": "fence", "object": server, "reason": "if it starts again, its disk is emptied"}]
        if (facts.get("fence"))
        else []
    )
    streams = [one for one in decision["held"] if not one.get("consumer")]
    _refuse_unplaced(streams, backed)
    for one in streams:
        held = backed.get((one["account"], one["stream"]))
        if held is not None:
            step = {"step": "hold", "object": one["name"], "reason": "publishers would write into the empty one"}
            plan.append({**step, "effect": str(held["reason"])} if held.get("deleted") else step)
    plan.append({"step": "remove", "object": server, "reason": "replicas are made anew on others"})
    for one in streams:
        known = (one["account"], one["stream"]) in backed
        effect = "restored from its backup" if known else "NO BACKUP: comes back empty"
        plan.append({"step": "restore", "object": one["name"], "reason": f"only {server} held it", "effect": effect})
    for one in decision["held"]:
        if one.get("consumer") and not any(one["stream"] == other["stream"] for other in streams):
            effect = "moved to the position of the backup"
            plan.append({"step": "consumer", "object": one["name"], "reason": "its only copy", "effect": effect})
    decision["plan"] = plan
    decision["streams"] = {}
    given = {one["account"]: one.get("item") or one["account"] for one in loss.recoveries(facts, "previews_held")}
    for account, name in backed:
        if any((one["account"], one["stream"]) == (account, name) for one in streams):
            decision["streams"].setdefault(given[account], []).append(name)
    return decision


def _refuse_unplaced(streams: t.Iterable[t.Mapping[str, t.Any]], backed: t.Mapping[t.Any, Json]) -> None:
    """Refuse where a stream would not come back, since no new one can be created."""
    for one in streams:
        held = backed.get((one["account"], one["stream"]), {})
        if held.get("status") == "failed":
            raise InputError(
                f"Nothing was touched: {one['name']} would not come back after the removal: {held['reason']}"
                " Here, placement is node_loss_placement."
            )


def _cost(picture: t.Mapping[str, t.Any]) -> str:
    meta = picture["meta"]
    spare = meta["live_voters"] - meta["needed"]
    how = "the next loss stops the whole cluster" if spare < 1 else f"{spare} more may be lost"
    return f"{meta['live_voters']} of {meta['size']} servers answer and {meta['needed']} are needed: {how}."


def _salvage(decision: Json, server: str) -> str:
    what = look.listing(one["name"] for one in decision["held"]) or "nobody knows what"
    return (
        f"Nothing was touched, and nothing is lost yet: only {server} holds {what}. Start it again with its disk and"
        f" all is well. If it cannot be started, keep it off and save its disk: natsops.jetstream.salvage -e"
        f" salvage_server={server}. Only if the disk is gone: node_loss_disk=lost."
    )


def _evacuate(decision: Json, facts: t.Mapping[str, t.Any], server: str) -> Json:
    evacuation = look.given(facts, "evacuation")
    if look.failed(evacuation):
        if "no_spare" in look.words(evacuation):
            raise InputError(
                f"Add a server first: {server} cannot be emptied. Or start {server} again with its disk, and all is"
                f" well. Waiting costs: {_cost(look.given(facts, 'cluster'))} {evacuation.get('arithmetic') or ''}"
            )
        raise InputError(str(evacuation.get("msg")))
    decision["wait"] = _alone(decision, facts)
    streams = evacuation.get("streams") or []
    if streams or decision["wait"]:
        decision["action"] = "evacuate"
    decision["plan"] = [
        {"step": "move", "object": one, "reason": f"it has a copy on {server}", "effect": "whole on live servers"}
        for one in streams
    ]
    if decision["wait"]:
        names = [one["name"] for one in decision["held"]] or ["what it holds alone"]
        decision["plan"] += [
            {"step": "wait", "object": one, "reason": f"only {server} holds it", "effect": "moved off when it is back"}
            for one in names
        ]
    return decision
