# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looking at a cluster: with the system account's credentials at all of it, with an account's at what that one sees."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import typing as t

from .._cluster import copies
from .._cluster.finding import CRITICAL, WARNING, Finding
from .._cluster.findings import find
from .._cluster.held import Held as One
from .._cluster.held import moment
from .._cluster.inventory import Inventory
from .._cluster.model import Picture
from .._cluster.result import finding_values, picture_values, simulation_values
from .._cluster.simulation import select, simulate
from .._cluster.states import State, of_live
from .._cluster.views import Json, stream_view
from .._nats.api import JetStream
from .._nats.connection import Connection
from .._nats.errors import OptionsError
from .._nats.system import NotSystemAccountError
from .argspec import ArgumentSpec
from .cluster import HOLDINGS, inventory_of, watching
from .cluster_backups import Known, read_backups
from .cluster_losses import GIVEN_UP, given_up, losses
from .module import Context, Outcome

INFO_SPEC = HOLDINGS.merge(GIVEN_UP).merge(
    ArgumentSpec(
        {
            "simulate_loss": {"type": "list", "elements": "str", "default": []},
            "streams": {"type": "bool", "default": True},
            "sample_interval": {"type": "float", "default": 12.0},
        }
    )
)
_PARALLEL = 16


async def info(context: Context) -> Outcome:
    """C(jetstream_cluster_info)."""
    params = context.params
    if params["sample_interval"] < 0:
        raise OptionsError("sample_interval must be 0 seconds (one look) or more.")
    async with watching(context) as watch:
        try:
            picture = await watch.settle(params["sample_interval"])
        except NotSystemAccountError as exc:
            if params["simulate_loss"]:
                raise
            return await _of_account(context, watch.system.connection, exc)
        differences = await copies.lasting(watch, picture, params["sample_interval"])
        known = read_backups(context)
        held = await _held_by_dead(context, picture, known)
    losses_found, warnings = _lost(context, picture, held, known)
    values = {
        "scope": "cluster",
        "missing": [*_missing(picture), *_notes(held)],
        **picture_values(picture, streams=params["streams"]),
        **finding_values(
            (*losses_found, *find(picture), *copies.findings(picture, differences), *_held_findings(held))
        ),
        "only_on_dead": [
            {**dataclasses.asdict(one), "name": one.label, "servers": servers} for one, servers in _by_item(held)
        ],
    }
    if params["simulate_loss"]:
        lost = select(picture, params["simulate_loss"])
        values["simulation"] = simulation_values(picture, simulate(picture, lost, held))
    return Outcome(False, values, warnings=tuple(warnings))


Held = dict[str, Inventory]


async def _held_by_dead(context: Context, picture: Picture, known: Known) -> Held:
    """What each member whose JetStream does not run holds alone and nobody gave up, as far as the options tell."""
    without = {one.peer for one in picture.servers if one.alive and one.member and not one.jetstream}
    dead = (picture.absent - picture.alive) | without
    gone = {(one.account, one.stream) for one in given_up(context, picture.accounts) if one.last_seq is None}
    return {
        picture.server(peer).label: (await inventory_of(context, picture, peer, known)).without(gone)
        for peer in sorted(dead)
    }


def _notes(held: Held) -> list[str]:
    """What could not be learned about the servers without JetStream, each reason once."""
    return list(dict.fromkeys(note for inventory in held.values() for note in inventory.notes))


def _lost(context: Context, picture: Picture, held: Held, known: Known) -> tuple[list[Finding], list[str]]:
    """Findings about streams that have lost messages since the backups and the picture that the options name."""
    elsewhere = {(one.account, one.stream) for one, _servers in _by_item(held) if not one.consumer}
    silent = {one.peer for one in picture.servers if one.alive and one.jetstream and not one.seen}
    unlisted = picture.names(silent) if silent else ""
    live = [of_live(stream) for stream in picture.streams]
    return losses(context, live, picture.accounts, known, known_elsewhere=elsewhere, unlisted=unlisted)


def _by_item(held: Held) -> list[tuple[One, list[str]]]:
    """Each stream or consumer once, with the dead servers that may have it."""
    servers: dict[tuple[str, str, str], list[str]] = {}
    items: dict[tuple[str, str, str], One] = {}
    for label, inventory in held.items():
        for one in inventory.unseen:
            servers.setdefault(one.key, []).append(label)
            items[one.key] = one
    return [(items[key], servers[key]) for key in sorted(items)]


def _held_findings(held: Held) -> list[Finding]:
    found = []
    for one, servers in _by_item(held):
        detail = f"No live server has it; its only copy is on {' or '.join(servers)}, without JetStream now."
        if one.source == "backup":
            detail = (
                f"No live server has it; it was there at {moment(one.as_of or 0.0)}, when it was backed up. Unless it"
                f" was deleted since then, its only copy is on {' or '.join(servers)}, without JetStream now."
            )
        have = f" ({one.backup}, of {moment(one.backup_taken)})" if one.backup_taken is not None else ""
        remedy = f"Start that server again, or restore it from a backup{have} once the server is removed."
        kind = "consumer" if one.consumer else "stream"
        found.append(Finding(f"{kind}_only_on_dead_server", CRITICAL, (one.label,), detail, remedy))
    unknown = sorted({account for inventory in held.values() for account in inventory.unknown})
    if unknown:
        detail = f"Nobody can say what {', '.join(sorted(held))} held alone of these accounts."
        remedy = "Give their credentials by accounts, or an earlier result by last_picture."
        found.append(Finding("dead_server_holdings_unknown", WARNING, tuple(unknown), detail, remedy))
    return found


def _missing(picture: Picture) -> list[str]:
    """What this picture cannot show."""
    missing = ["Whether the stores are encrypted: no server tells."]
    silent = picture.absent - picture.alive
    if silent:
        names = picture.names(silent)
        missing.append(f"Counts and states of what only {names} had: live servers list live copies only.")
    if picture.duplicates:
        missing.append(f"Certainty: several servers are named {', '.join(picture.duplicates)}, and count as one.")
    elif not picture.trusted:
        missing.append("Certainty: it was looked at too briefly for what is in doubt; raise sample_interval.")
    return missing


async def _of_account(context: Context, connection: Connection, exc: NotSystemAccountError) -> Outcome:
    """What the credentials of one account show: its streams and consumers, as their leaders see them."""
    api = JetStream(connection)
    await api.start()
    user = await api.user_info()
    ident = str(user.get("account") or "")
    account = str(user.get("account_name") or ident)
    listed = await api.streams()
    limit = asyncio.Semaphore(_PARALLEL)

    async def consumers(name: str) -> tuple[list[Json], tuple[str, ...]]:
        async with limit:
            found = await api.consumers(name)
        fields = ("name", "config", "cluster", "delivered", "ack_floor")
        return [{name: getattr(one, name) for name in fields} for one in found.items], found.missing

    # The list counts all consumers that are assigned, those on dead servers included.
    with_some = [stream for stream in listed.items if stream.state.get("consumer_count") != 0]
    found = await asyncio.gather(*(consumers(stream.name) for stream in with_some))
    details = dict(zip((stream.name for stream in with_some), found))
    streams: list[Json] = []
    findings: list[Finding] = []
    live: list[State] = []
    for stream in listed.items:
        items, absent = details.get(stream.name, ([], ()))
        raw = {"config": stream.config, "state": stream.state, "cluster": stream.cluster, "consumer_detail": items}
        view = stream_view(account, raw)
        live.append(of_live(view))
        head = {"account": account, "stream": view.name, "messages": view.messages, "last_seq": view.last_seq}
        streams.append(_shown(view, head))
        streams[-1]["consumers"] = [_shown(one, {"consumer": one.name}) for one in view.consumers]
        if stream.cluster:
            findings.extend(_signs("stream", f"{account} > {view.name}", view))
            for one in view.consumers:
                findings.extend(_signs("consumer", f"{account} > {view.name} > {one.name}", one))
        findings.extend(_finding("consumer", f"{account} > {view.name} > {name}") for name in absent)
    findings.extend(_finding("stream", f"{account} > {name}") for name in listed.missing)
    elsewhere = {(account, name) for name in (*listed.missing, *listed.offline)}
    known = read_backups(context)
    lost, warnings = losses(context, live, {ident: account}, known, known_elsewhere=elsewhere, only=account)
    findings.append(_only_account(account))
    missing = [
        f"Servers, the meta group, live replicas, other accounts and the effect of losses: {exc.message}",
        "Signs of the last 25 seconds may be stale: they are what the leaders say.",
    ]
    values = {
        "scope": "account",
        "missing": missing,
        "taken": round(time.time(), 3),
        "accounts": [account],
        "account_ids": {ident: account},
        "servers": [],
        "meta": None,
        "streams": streams,
        **finding_values((*lost, *findings)),
    }
    return Outcome(False, values, warnings=tuple(warnings))


def _signs(kind: str, label: str, view: t.Any) -> t.Iterator[Finding]:
    """What a leader's word alone tells of a stream or consumer."""
    copies = len(view.group.others) + bool(view.group.leader)
    if not view.group.leader:
        remedy = "Look again in half a minute; if it lasts, most of its servers are down."
        yield Finding(f"{kind}_no_leader", CRITICAL, (label,), "Nobody leads it.", remedy)
    elif copies < view.replicas:
        detail = f"{copies} of {view.replicas} replicas: num_replicas asks for more than there are."
        remedy = "Add a server that fits its placement."
        yield Finding(f"{kind}_missing_replicas", WARNING, (label,), detail, remedy)
    late = sorted(one.name or one.peer for one in view.group.others if one.offline or not one.current)
    if late and view.group.leader:
        detail = f"Not current, by its leader's word: {', '.join(late)}."
        remedy = "See whether these servers are up; else wait."
        yield Finding(f"{kind}_replica_behind", WARNING, (label,), detail, remedy)


def _shown(view: t.Any, head: Json) -> Json:
    group = view.group
    replicas = [{"name": one.name, "peer": one.peer, "current": one.current, "lag": one.lag} for one in group.others]
    return {**head, "num_replicas": view.replicas, "leader": group.leader or None, "replicas": replicas}


def _finding(kind: str, label: str) -> Finding:
    detail = "It is assigned, but no server that has it answers."
    remedy = "See which server is down (with the system account's credentials)."
    return Finding(f"{kind}_missing", CRITICAL, (label,), detail, remedy)


def _only_account(account: str) -> Finding:
    """Nothing that is wrong elsewhere can be seen: what is not looked at is not healthy."""
    detail = (
        "These are the credentials of one account: servers, the meta group and its quorum, and others were not seen."
    )
    remedy = "Use the credentials of a user of the system account for the state of the cluster."
    return Finding("only_one_account_seen", WARNING, (account,), detail, remedy)
