# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a rescue: lowering the quorum of a meta group that has lost it for good; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from .._nats.answers import peer_id
from .backups import KnownBackup, newest, states
from .held import LastPicture
from .lines import can_rescue, oldest_line, recovery_without_rescue
from .model import Meta, Picture, Server
from .plan import Plan, Refusal, listing, meta_facts
from .refusals import FENCE, blind_refusals, connected_to, several_domains, shared_name

KnownStates = t.Mapping[str, t.Mapping[str, int]]


@dataclasses.dataclass(frozen=True)
class Rescue:
    """C(plan), the quorum to ask for, and the members to be removed afterwards (peer ids)."""

    plan: Plan
    quorum: int
    dead: tuple[str, ...] = ()


def known_states(
    picture: Picture, given: KnownStates, last: LastPicture | None, backups: t.Iterable[KnownBackup]
) -> dict[str, dict[str, int]]:
    """What is known of the streams from all sources; what was C(given) for a stream counts alone.

    Streams that the survivors never had a copy of are left out where the source tells.
    """
    known = states(newest(backups, picture.accounts))
    for (account, name, consumer), (peers, last_seq) in (last.copies if last else {}).items():
        streams = known.setdefault(account, {})
        if consumer:
            continue
        if peers & picture.alive:
            streams[name] = max(last_seq, streams.get(name, 0))
        else:
            streams.pop(name, None)
    for account, told in given.items():
        known.setdefault(account, {}).update(told)
    return {account: streams for account, streams in known.items() if streams}


def behind(picture: Picture, known: KnownStates) -> tuple[list[str], list[str]]:
    """Streams that every survivor has in an older state than is known, and known ones that no survivor has."""
    best: dict[tuple[str, str], int] = {}
    for stream in picture.streams:
        copies = [replica.last_seq for replica in stream.group.replicas if replica.last_seq is not None]
        if copies:
            best[stream.account, stream.name] = max(copies)
    stale, absent = [], []
    for account, streams in sorted(known.items()):
        for name, last in sorted(streams.items()):
            have = best.get((account, name))
            if have is None and last == 0:
                continue  # said to be of no interest: deleted, or made anew
            if have is None:
                absent.append(f"{account} > {name} (was at {last})")
            elif have < last:
                stale.append(f"{account} > {name} (at {have}, was at {last})")
    return stale, absent


def _confirmed(meta: Meta, confirmed: t.Iterable[str]) -> dict[str, str]:
    """Peer id of each confirmed server, which is given by its name or its id."""
    return {(one if one in meta.members else peer_id(one)): one for one in confirmed}


def plan_rescue(
    picture: Picture,
    confirmed: t.Sequence[str],
    wanted: int | None,
    known: KnownStates | None,
    accept_stale: bool,
    fenced: bool = False,
) -> Rescue:
    """Lower the quorum to the number of live voters, or to C(wanted)."""
    meta, line = picture.meta, oldest_line(picture)
    facts, nobody = meta_facts(picture), Server("")
    if meta is None:
        why = "This server is not part of a JetStream cluster: it has no meta group."
        return Rescue(Plan(nobody, True, (Refusal("not_clustered", why),)), 0)
    if meta.has_quorum and meta.leader:
        return Rescue(Plan(nobody, False, arithmetic=facts), meta.needed)
    refusals: list[Refusal] = []
    if not can_rescue(line):
        refusals.append(Refusal("unsupported_by_server", recovery_without_rescue(line)))
    if picture.ambiguous:
        refusals.append(several_domains(picture))
    if picture.duplicates:
        refusals.append(shared_name(picture))
    if meta.claims:
        why = f"A leader is still known ({picture.names(meta.claims)}). Run again when every survivor has given it up."
        refusals.append(Refusal("leader_known", why))
    if meta.has_quorum:
        why = "Enough voters are alive to elect a leader by themselves."
        refusals.append(Refusal("quorum_not_lost", why))
    refusals.extend(_dead_refusals(picture, meta, _confirmed(meta, confirmed), fenced))
    refusals.extend(blind_refusals(picture) if known else ())
    votes = len(meta.voters)
    if votes == 0:
        refusals.append(Refusal("no_survivor", "No live voter with a log is left. Restore into a new cluster instead."))
    quorum = votes if wanted is None else wanted
    if quorum < votes:
        why = f"quorum_needed {quorum} is less than the {votes} live voters: fewer than all of them could then lead."
        refusals.append(Refusal("quorum_too_low", why))
    elif wanted is not None and wanted > votes:
        why = f"quorum_needed {quorum} is more than the {votes} live voters: it would elect nobody."
        refusals.append(Refusal("quorum_too_high", why))
    warnings = _known(picture, known, accept_stale, refusals)
    text = f"{facts} Quorum to ask for: {quorum}; live voters: {votes}."
    plan = Plan(nobody, True, tuple(refusals), tuple(warnings), text)
    return Rescue(plan, quorum, tuple(sorted(meta.members - picture.alive)))


def _dead_refusals(picture: Picture, meta: Meta, dead: dict[str, str], fenced: bool) -> list[Refusal]:
    """Every member must be alive or confirmed dead, and nothing may contradict the confirmation."""
    refusals = []
    talking = [given for peer, given in sorted(dead.items()) if peer in picture.alive or peer not in picture.absent]
    strangers = [given for peer, given in dead.items() if peer not in meta.members and peer not in picture.alive]
    if strangers:
        why = f"No member: {', '.join(strangers)}. Members: {picture.names(meta.members)}."
        refusals.append(Refusal("unknown_server", why))
    talking = [given for given in talking if given not in strangers]
    if talking:
        why = f"Named in confirmed_dead, but alive: {', '.join(talking)}. Two groups would lead at once."
        refusals.append(Refusal("server_online", why))
    routed = {peer for peer in dead if connected_to(picture, {peer})}
    if routed and not fenced:
        names = ", ".join(dead[peer] for peer in sorted(routed))
        why = (
            f"Named in confirmed_dead, but others still have open connections to {names}: frozen or cut off, or without"
            f" power for less than 2 minutes. {FENCE}"
        )
        refusals.append(Refusal("server_frozen", why))
    open_ones = meta.members - picture.alive - dead.keys()
    if open_ones:
        why = f"Neither alive nor confirmed dead: {picture.names(open_ones)}. Make sure of each, then name it."
        refusals.append(Refusal("not_confirmed_dead", why))
    return refusals


def _known(picture: Picture, known: KnownStates | None, accept_stale: bool, refusals: list[Refusal]) -> list[str]:
    """Refuse where the survivors are older than what is known; returns warnings."""
    if not known:
        text = (
            "Nothing is known of the streams (known_states, last_picture, backups): a survivor that died before the"
            " others rolls the cluster back silently."
        )
        return [text]
    stale, absent = behind(picture, known)
    warnings = []
    if stale:
        text = f"The survivors are older than what is known: {listing(stale)}."
        if accept_stale:
            warnings.append(f"{text} What came after is lost.")
        else:
            more = "They would roll the cluster back. Start a dead server with its disk instead, or say accept_stale."
            refusals.append(Refusal("stale_survivor", f"{text} {more}"))
    if absent:
        text = f"No survivor has a copy of {listing(absent)}."
        if accept_stale:
            warnings.append(f"{text} They are to be restored.")
        else:
            more = (
                "Either only dead servers held them, or they were deleted (say 0 of these in known_states, and restore"
                " them later if they are wanted), or the survivors are stale. Say accept_stale to go on."
            )
            refusals.append(Refusal("stale_survivor", f"{text} {more}"))
    return warnings
