# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong or risky in a picture, each with its arithmetic and its remedy; pure."""

from __future__ import annotations

import typing as t

from .._nats.lines import Line
from .finding import CRITICAL, INFO, SEVERITIES, WARNING, Finding
from .lines import can_rescue, known_dangers, oldest_line, recovery_without_rescue, stalled_by_leader
from .majority import majority
from .model import Picture, Server
from .stream_findings import of_groups

Found = t.Iterator[Finding]


def _meta_quorum(picture: Picture) -> Found:
    meta = picture.meta
    if meta is None:
        return
    count = f"{len(meta.voters)} of {meta.size} members answer and {meta.needed} are needed"
    dead = meta.members - picture.alive
    if not meta.has_quorum:
        silent = [view for view in meta.views if not view.leader]
        signs = f"{len(silent)} of {len(meta.views)} live servers know no leader"
        line = oldest_line(picture)
        remedy = "Start lost servers again with their disks."
        if can_rescue(line):
            remedy += " If they are gone for good: jetstream_meta_rescue, then jetstream_peer_remove for each of them."
        else:
            remedy += f" {recovery_without_rescue(line)}"
        yield Finding("meta_quorum_lost", CRITICAL, _labels(picture, dead), f"{count}; {signs}.", remedy)
        return
    if not meta.leader:
        remedy = "Look again in half a minute; if it lasts, look at the routes between the servers and at their logs."
        yield Finding("meta_no_leader", CRITICAL, (), f"{count}, but no server leads with a majority's word.", remedy)
    if meta.tolerated == 0 and meta.size > 1:
        remedy = "Bring back or remove the dead members, then have at least 3 live ones."
        detail = f"{count}: the loss of one more stops every change and every new stream."
        yield Finding("meta_quorum_at_edge", WARNING, _labels(picture, meta.voters), detail, remedy)
    if meta.size % 2 == 0:
        detail = (
            f"{meta.size} members need {majority(meta.size)}: they tolerate no more losses than {meta.size - 1} would."
        )
        remedy = "Use an odd number of servers, 3 or 5."
        yield Finding("meta_even_size", WARNING if meta.size == 2 else INFO, (), detail, remedy)
    if meta.rescue:
        detail = f"A rescue has lowered the quorum to {meta.needed} of {meta.size} for at most 5 minutes."
        remedy = "Remove the dead servers now, before it ends."
        yield Finding("meta_rescue_in_force", WARNING, (), detail, remedy)
    if meta.changing:
        detail = "A change of the membership is under way and not agreed yet."
        remedy = "Wait; while the quorum is lost it stays, and is carried out when the quorum returns."
        yield Finding("membership_change_pending", WARNING, _labels(picture, meta.changing), detail, remedy)


def _members(picture: Picture) -> Found:
    meta = picture.meta
    if meta is None:
        return
    for peer in sorted(meta.members - picture.alive):
        detail = f"It answered none of {picture.looks} looks in {picture.watched:.0f} s and counts as a member."
        remedy = "Start it again, or, if it is gone for good, jetstream_peer_remove."
        yield Finding("member_dead", CRITICAL, _labels(picture, {peer}), detail, remedy)
    for server in picture.servers:
        if server.alive and server.jetstream and not server.member:
            detail = f"It runs JetStream and says {server.health or 'nothing'}, but no peer list has it."
            remedy = "Nothing is placed there. Wait 5 minutes if it was removed and came back, else restart or stop it."
            yield Finding("zombie_server", WARNING, (server.label,), detail, remedy)
        elif server.alive and server.member and not server.jetstream:
            detail = (
                "It is a member and answers, but its JetStream is off: it does not vote, and its copies are not there."
            )
            remedy = "Read its log, look at its configuration and its disk, then restart it."
            yield Finding("jetstream_disabled", CRITICAL, (server.label,), detail, remedy)
        elif server.alive and server.member and server.health not in ("ok", ""):
            remedy = "Look again in half a minute; if it lasts, read its log."
            yield Finding("server_unhealthy", WARNING, (server.label,), f"It says: {server.health}.", remedy)
    wrong = [view.peer for view in meta.views if view.peer in meta.voters and view.members != meta.members]
    if wrong:
        detail = f"They list other members than {picture.names(meta.members)}."
        remedy = "Look again in a minute; a server that keeps another list has missed a change: restart it."
        yield Finding("meta_members_differ", WARNING, _labels(picture, wrong), detail, remedy)
    if len(meta.claims) > 1:
        remedy = "Look again in half a minute. If it lasts, the servers cannot all reach each other."
        detail = f"Servers name different meta leaders: {picture.names(meta.claims)}."
        yield Finding("meta_leaders_differ", CRITICAL, _labels(picture, meta.claims), detail, remedy)


def _servers(picture: Picture) -> Found:
    live = [server for server in picture.servers if server.alive]
    versions = {server.label: server.version for server in live}
    if picture.other_domains:
        detail = f"Servers of other JetStream domains answer too: {', '.join(map(repr, picture.other_domains))}."
        remedy = "Say which one is meant by the option domain."
        severity = WARNING if picture.ambiguous else INFO
        yield Finding("several_meta_groups", severity, (), detail, remedy)
    if picture.duplicates:
        shared = ", ".join(picture.duplicates)
        detail = f"More than one live server is named {shared}. They have one peer id: their votes cannot be counted."
        remedy = "Stop the server that was started by mistake. Give it a name of its own before it starts again."
        yield Finding("duplicate_server_name", CRITICAL, picture.duplicates, detail, remedy)
    if len({Line.of(version).version[:2] for version in versions.values()}) > 1:
        detail = f"{', '.join(f'{name}: {version}' for name, version in sorted(versions.items()))}."
        remedy = "Finish the upgrade first: with 2.14 and 2.15 together, scaling, moving and evacuating stall."
        remedy += f" {stalled_by_leader(picture)}" if stalled_by_leader(picture) else ""
        yield Finding("mixed_lines", WARNING, tuple(sorted(versions)), detail, remedy)
    for version in sorted(set(versions.values())):
        dangers = known_dangers(Line.of(version))
        if dangers:
            ones = tuple(sorted(name for name, one in versions.items() if one == version))
            detail = f"{version}: {'; '.join(dangers)}."
            remedy = "Upgrade to the newest release of 2.15, or leave undone what is named."
            yield Finding("line_with_data_loss_bugs", INFO, ones, detail, remedy)
    for server in live:
        yield from _server(server)


def _server(server: Server) -> Found:
    for kind in ("storage", "memory"):
        limit = int(server.limits.get(kind) or 0)
        used = max(int(server.usage.get(kind) or 0), int(server.usage.get(f"reserved_{kind}") or 0))
        if limit and used >= limit * 0.9:
            detail = f"{used} of {limit} bytes of {kind} are used or reserved ({100 * used // limit} %)."
            remedy = "Free space or raise the limit: lost copies are not made anew on a full server."
            yield Finding("store_nearly_full", WARNING, (server.label,), detail, remedy)
    if abs(server.clock_skew) > 2.0:
        detail = f"Its clock is {server.clock_skew:+.1f} s from the one of the host that asks."
        yield Finding("clock_skew", WARNING, (server.label,), detail, "Synchronize the clocks (NTP, chrony).")
    if int(server.usage.get("ha_assets") or 0) > 1000:
        detail = f"{server.usage['ha_assets']} raft groups: elections after a loss take long."
        yield Finding("many_ha_assets", INFO, (server.label,), detail, "Spread the streams over more servers.")
    if server.pending_requests > 100:
        detail = f"{server.pending_requests} requests to the JetStream API wait."
        yield Finding("api_requests_pending", WARNING, (server.label,), detail, "Let clients ask less often.")
    if any(char.isspace() for char in server.name + server.cluster + server.domain):
        detail = "White space in the name of a server, cluster or domain."
        yield Finding("white_space_in_name", INFO, (server.label,), detail, "Choose a name without it.")


def _labels(picture: Picture, peers: t.Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(picture.server(peer).label for peer in peers))


def find(picture: Picture) -> tuple[Finding, ...]:
    """All findings, the gravest first."""
    found = [*_meta_quorum(picture), *_members(picture), *_servers(picture), *of_groups(picture)]
    return tuple(sorted(found, key=lambda one: SEVERITIES.index(one.severity)))
