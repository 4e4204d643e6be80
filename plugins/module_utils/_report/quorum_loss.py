# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The meta group has lost its quorum: what to do."""

from __future__ import annotations

import typing as t

from . import cluster as look
from . import loss
from .inputs import InputError
from .report import Json

# Until a survivor has its changes in a snapshot, servers with empty disks take streams that it has for new ones.
FIRST = "Copy its store_dir, and let it run alone for 90 seconds before you start a server with an empty disk."


def decide(facts: t.Mapping[str, t.Any]) -> Json:
    """The plan, from C(dead), C(confirm), C(start) (servers with a start command), C(cluster), and the check mode
    results C(rescue) (jetstream_meta_rescue) and C(previews) (recoveries by account).

    C(action): C(none); C(rescue), then remove the dead and restore; C(remove): a leader is there, the dead are still
    members; C(start): older lines, start all the old names; C(restore): only that is left. C(manual): the steps that
    only a person can do. Raises InputError for everything that is refused.
    """
    picture, rescue = look.given(facts, "cluster"), look.given(facts, "rescue")
    look.need_picture(picture)
    dead = sorted({str(one) for one in facts.get("dead") or ()})
    decision: Json = {
        "action": "none",
        "dead": dead,
        "confirmed": _confirmed(dead, facts.get("confirm")),
        "evidence": [str(rescue.get("arithmetic") or look.arithmetic(picture))],
        "warnings": [],
        "plan": [],
        "manual": [],
        "save": [],
        "survivors": [name for name in look.members(picture) if name not in look.dead_members(picture)],
    }
    meta = picture["meta"]
    members, silent = look.members(picture), look.dead_members(picture)
    if meta["has_quorum"] and meta["leader"]:
        return _with_leader(decision, facts, dead, members, silent)
    _check_names(dead, members, silent)
    decision["save"] = _saves(picture)
    old = look.line(picture) < (2, 15)
    if look.failed(rescue) and (not old or look.words(rescue) - {"unsupported_by_server"}):
        raise InputError(_refusal(rescue))
    decision["plan"] = [
        {"step": "save", "object": f"{one['account']} > {one['stream']}", "reason": "its only copy is on a survivor"}
        for one in decision["save"]
    ]
    (_older if old else _rescue)(decision, facts, picture)
    return decision


def _confirmed(dead: t.Sequence[str], confirm: t.Any) -> bool:
    given = sorted({str(one) for one in confirm or ()})
    if not given:
        return False
    if given != list(dead):
        raise InputError(
            f"quorum_loss_confirm_dead is {', '.join(given)}; to confirm it must be {', '.join(dead)}. Nothing was"
            " touched."
        )
    return True


def _check_names(dead: t.Sequence[str], members: t.Sequence[str], silent: t.Sequence[str]) -> None:
    strangers = [one for one in dead if one not in silent]
    left = [one for one in silent if one not in dead and not _nameless(one)]
    # After a restart nobody knows the names of the dead; jetstream_meta_rescue finds them by what their names give.
    if not left and len(strangers) <= sum(map(_nameless, silent)) and not set(strangers) & set(members):
        return
    alive = [one for one in strangers if one in members]
    text = f"quorum_loss_dead is {', '.join(dead) or 'empty'}; it must be all members that do not answer:"
    text += f" {', '.join(silent)}."
    if alive:
        text += f" {', '.join(alive)} answers."
    raise InputError(f"{text} Nothing was touched.")


def _nameless(one: str) -> bool:
    return one.startswith("peer ")


def _refusal(rescue: t.Mapping[str, t.Any]) -> str:
    why = str(rescue.get("msg"))
    if "stale_survivor" in look.words(rescue):
        return f"STALE SURVIVOR. {why}"
    return why


def _saves(picture: t.Mapping[str, t.Any]) -> list[Json]:
    """Streams with one replica on a live server: they can be backed up also without a leader, and only they."""
    return [
        {"account": stream["account"], "stream": stream["stream"]}
        for stream in picture.get("streams") or ()
        if stream["num_replicas"] == 1 and stream["live_replicas"] == 1
    ]


def _rescue(decision: Json, facts: t.Mapping[str, t.Any], picture: t.Mapping[str, t.Any]) -> None:
    rescue = look.given(facts, "rescue")
    decision["action"] = "rescue"
    votes = rescue.get("quorum_needed")
    decision["plan"] += [
        {
            "step": "rescue",
            "object": "meta group",
            "reason": f"{', '.join(rescue.get('survivors') or ()) or 'the survivors'} elect a leader",
            "effect": f"{votes} instead of {picture['meta']['needed']} votes, for 5 minutes",
        },
        *_removals(decision["dead"]),
    ]


def _removals(dead: t.Iterable[str]) -> list[Json]:
    found = [{"step": "remove", "object": one, "reason": "replicas are made anew on others"} for one in dead]
    return [*found, {"step": "restore", "object": "what only they held", "reason": "it comes back empty"}]


def _older(decision: Json, facts: t.Mapping[str, t.Any], picture: t.Mapping[str, t.Any]) -> None:
    """Lines without a rescue: a leader is elected when all the old names are there, whatever is on their disks."""
    dead = decision["dead"]
    survivors = [name for name in look.members(picture) if name not in dead]
    line = look.line(picture)
    version = ".".join(map(str, line))
    missing = [one for one in dead if one not in (facts.get("start") or ())]
    then = " Wait until the streams have leaders before you start the next." if line < (2, 12) and len(dead) > 1 else ""
    decision["manual"] = [
        f"1. Keep {', '.join(survivors)} running, do not restart it: the data is there. {FIRST}",
        *(
            f"{index}. Start {one} under its OLD name, with its disk if there is one, else with an empty one."
            + (then if index == 2 else "")
            for index, one in enumerate(dead, 2)
        ),
        f"{len(dead) + 2}. Never add servers with new names without a leader: four of them elect an empty cluster.",
        f"{len(dead) + 3}. When all are there, a leader is elected within 10 s. Then run this again.",
    ]
    decision["plan"] += [
        {
            "step": "start",
            "object": one,
            "reason": f"nats-server {version} has no rescue",
            "effect": "the old name votes",
        }
        for one in dead
    ]
    decision["plan"].append(
        {"step": "restore", "object": "what only they held", "reason": "empty disks come back empty"}
    )
    decision["action"] = "start"
    if missing:
        decision["action"] = "manual"
        decision["warnings"].append(
            f"nats-server {version} has no rescue, and there is no start command for {', '.join(missing)} in"
            " quorum_loss_commands: this is for a person to do."
        )


def _with_leader(
    decision: Json, facts: t.Mapping[str, t.Any], dead: list[str], members: list[str], silent: list[str]
) -> Json:
    """There is a leader: an earlier run came to there, or the quorum was never lost."""
    picture = look.given(facts, "cluster")
    nameless = any(map(_nameless, silent))
    left = [one for one in dead if one in silent or (nameless and one not in members)]
    alive = [one for one in dead if one in members and one not in silent]
    meta = picture["meta"]
    lowered = meta.get("rescue") or meta["needed"] * 2 <= meta["size"]
    open_ones = loss.unrestored(facts)
    if left and lowered:
        decision.update(action="remove", dead=left)
        decision["plan"] = _removals(left)
    elif left:
        raise InputError(
            f"Nothing was touched: the quorum is not lost. {look.arithmetic(picture)} For each dead server, one after"
            f" the other: natsops.jetstream.node_loss -e node_loss_server={left[0]}."
        )
    elif open_ones:
        decision["action"] = "restore"
        decision["plan"] = [
            {"step": "restore", "object": f"{account} > {name}", "reason": "it is empty since its server was lost"}
            for account, name in open_ones
        ]
    elif alive and len(alive) == len(dead):
        decision["warnings"].append(f"{', '.join(alive)} is back.")
    return decision
