# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run must not pass over: streams that lack messages which the backups or the last picture have.

Servers call a stream that came back empty healthy. So no runbook says that nothing is to do, or that all is whole,
before it has compared.
"""

from __future__ import annotations

import typing as t

from . import cluster as look
from . import commands
from .report import Json, sentence_of

_LOSSES = ("stream_lost", "stream_recreated", "stream_behind")
_AWAY = "stream_only_on_dead_server"
_CLAIMS = ("done", "nothing_to_do")


def missing(facts: t.Mapping[str, t.Any]) -> list[Json]:
    """The findings about streams that lack messages or have no live copy, by C(compared) (roles/common)."""
    found = _look(facts).get("findings") or ()
    return [dict(one) for one in found if one["id"] in (*_LOSSES, _AWAY)]


def hold_to(facts: t.Mapping[str, t.Any], report: Json, again: t.Mapping[str, t.Any]) -> Json:
    """The report, held to what C(compared) found: a claim that all is done fails while messages are missing.

    C(again): the variables of a next run; it also takes the verb's variable C(given_up).
    """
    compared = look.given(facts, "compared")
    if not compared or report.get("failure"):
        return report
    verb, claims = str(report["verb"]), report.get("outcome", "done") in _CLAIMS
    result = _look(facts)
    # Where the losses stayed until the last retry, Ansible calls the task failed; a look that failed has no findings.
    if "findings" not in result:
        if claims:
            why = sentence_of(result)
            text = f"Nobody knows whether messages are missing, since the streams could not be compared: {why}"
            report.update(outcome="failed", sentence=f"{report.get('sentence') or ''} {text}".strip())
            report["next"] = [*report.get("next", []), commands.run(verb, again)]
        return report
    if not compared.get("sources"):
        text = "No backup and no last picture was found: nobody knows what streams and messages there were before."
        report["warnings"] = [*report.get("warnings", []), text]
    found = missing(facts)
    if not claims:
        planned = {one["object"] for one in report.get("plan") or ()}
        beside = [one for one in found if one["id"] in _LOSSES or one["objects"][0] not in planned]
        told = [f"{one['objects'][0]}: {one['detail']} {one['remedy']}" for one in beside]
        report["warnings"] = [*report.get("warnings", []), *told]
    elif found:
        _fail(report, found, result, verb, again)
    return report


def _look(facts: t.Mapping[str, t.Any]) -> Json:
    return look.given(look.given(facts, "compared"), "look")


def _fail(
    report: Json, found: t.Sequence[Json], result: t.Mapping[str, t.Any], verb: str, again: t.Mapping[str, t.Any]
) -> None:
    labels = [str(one["objects"][0]) for one in found]
    text = f"But messages are missing in {look.listing(labels)}. Run what is under next; until then this stays failed."
    report.update(outcome="failed", sentence=f"{report.get('sentence') or ''} {text}".strip())
    report["results"] = [
        *report.get("results", []),
        *(look.step("compare", label, "failed", one["detail"]) for label, one in zip(labels, found)),
    ]
    report["details"] = {**report.get("details", {}), "missing": labels}
    restores = commands.replace_from(one["backup"] for one in found if one["id"] in _LOSSES and one.get("backup"))
    away = {one["objects"][0] for one in found if one["id"] == _AWAY}
    dead = {
        str(server)
        for one in result.get("only_on_dead") or ()
        if one.get("name") in away
        for server in one.get("servers") or ()
    }
    starts = [
        f"# Start {name} with its disk. If it is gone: {commands.run('node_loss', {'node_loss_server': name})}"
        for name in sorted(dead)
    ]
    given_up = commands.run(verb, {**again, f"{verb}_given_up": labels})
    next_ = [*report.get("next", []), *restores, *starts, commands.run(verb, again), f"# If it is meant: {given_up}"]
    report["next"] = next_
