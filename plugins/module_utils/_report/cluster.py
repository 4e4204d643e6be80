# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the runbooks about servers read from the results of modules: members, lines, who is dead, what is missing."""

from __future__ import annotations

import re
import typing as t

from . import commands
from .inputs import InputError, one_of
from .report import Json, sentence_of


def given(facts: t.Mapping[str, t.Any], name: str) -> Json:
    """A module's result among the facts; empty where it did not run."""
    value = facts.get(name)
    return dict(value) if isinstance(value, t.Mapping) and not value.get("skipped") else {}


def failed(result: t.Mapping[str, t.Any]) -> bool:
    """Whether a module failed, also where the play went on; its message is the sentence for people."""
    return any(result.get(key) for key in ("failed", "error", "exception", "module_stderr"))


def status(result: t.Mapping[str, t.Any]) -> str:
    """What became of a module's work, as a report's results say it: C(failed), C(done), C(unchanged)."""
    return "failed" if failed(result) else "done" if result.get("changed") else "unchanged"


def words(result: t.Mapping[str, t.Any]) -> set[str]:
    """Every reason of a refusal, as stable words."""
    own = {str(result["error"])} if result.get("error") else set()
    return own | {str(one["word"]) for one in result.get("refusals") or ()}


def need_picture(cluster: t.Mapping[str, t.Any]) -> None:
    """Raise InputError with the reason where there is no picture of a cluster."""
    if not cluster or failed(cluster):
        raise InputError(sentence_of(cluster) if cluster else "The cluster was not looked at.")
    if cluster.get("scope") != "cluster":
        raise InputError("These are not credentials of the system account: give these in the ..._system variable.")
    if not cluster.get("meta"):
        raise InputError("This is a standalone server, or a cluster without JetStream: there is no membership.")


def label(member: t.Mapping[str, t.Any]) -> str:
    """A member's name, or its peer id where nobody knows the name."""
    return str(member.get("name") or f"peer {member.get('peer')}")


def members(cluster: t.Mapping[str, t.Any]) -> list[str]:
    """The members of the meta group."""
    return [label(member) for member in cluster["meta"]["members"]]


def dead_members(cluster: t.Mapping[str, t.Any]) -> list[str]:
    """Members that do not answer."""
    return [label(member) for member in cluster["meta"]["members"] if not member["alive"]]


def server_of(cluster: t.Mapping[str, t.Any], name: str) -> Json:
    """What is known of one server; empty where nothing is."""
    for server in cluster.get("servers") or ():
        if name in (server.get("name"), server.get("peer")):
            return dict(server)
    return {}


def line(cluster: t.Mapping[str, t.Any]) -> tuple[int, int]:
    """Major and minor number of the oldest live server."""
    found = []
    for server in cluster.get("servers") or ():
        match = re.match(r"(\d+)\.(\d+)", str(server.get("version") or ""))
        if server.get("alive") and match:
            found.append((int(match[1]), int(match[2])))
    return min(found, default=(0, 0))


def check_name(name: str, value: t.Any, cluster: t.Mapping[str, t.Any]) -> str:
    """The variable C(name) if it names a member. Raises InputError with all members."""
    return one_of(value, members(cluster), name)


def check_confirmation(name: str, value: t.Any, wanted: str) -> bool:
    """Whether it was confirmed: the exact name. Raises InputError with the right value for a wrong one."""
    if not value:
        return False
    if str(value) != wanted:
        raise InputError(f"{name} is {str(value)!r}; to confirm it must be {wanted!r}. Nothing was touched.")
    return True


def arithmetic(cluster: t.Mapping[str, t.Any]) -> str:
    """The votes of the meta group, in a sentence."""
    meta = cluster["meta"]
    leader = f"led by {meta['leader']}" if meta.get("leader") else "without a leader"
    return (
        f"Meta group: {meta['size']} members ({', '.join(members(cluster))}), {meta['live_voters']} answer,"
        f" {meta['needed']} are needed; {leader}."
    )


def quorum_lost(cluster: t.Mapping[str, t.Any]) -> str:
    """What to do first of all where the meta group has no quorum: nothing else can be done before."""
    dead = dead_members(cluster)
    command = commands.run("quorum_loss", {"quorum_loss_dead": dead}) if dead else f"{commands.PLAYBOOK}quorum_loss"
    return (
        f"Nothing was touched: {arithmetic(cluster)} The quorum is lost. Start one of {', '.join(dead) or 'the dead'}"
        f" again with its disk, which heals all. If they are gone for good: {command}"
    )


def unwhole(cluster: t.Mapping[str, t.Any]) -> list[str]:
    """Streams that have not all their copies on live members, and what they have."""
    return [
        f"{stream['account']} > {stream['stream']} ({stream['live_replicas']} of {stream['num_replicas']})"
        for stream in cluster.get("streams") or ()
        if not stream["whole"]
    ]


def listing(names: t.Iterable[str], most: int = 8) -> str:
    """Names for a sentence, cut where there are too many to read."""
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def count(number: int, noun: str) -> str:
    """Such as C(1 stream), C(2 streams)."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def step(name: str, target: str, status: str, detail: str = "", result: t.Mapping[str, t.Any] | None = None) -> Json:
    """An entry of a report's results."""
    return {
        "step": name,
        "object": target,
        "status": status,
        "detail": detail,
        "seconds": (result or {}).get("duration"),
    }
