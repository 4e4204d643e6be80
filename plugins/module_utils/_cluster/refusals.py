# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What speaks against a change of the membership, each with its arithmetic; pure."""

from __future__ import annotations

import typing as t

from .inventory import Inventory
from .lines import can_evacuate, oldest_line, tells_membership_changes
from .model import Picture, Server
from .plan import Refusal, listing

# What to do about a server that is silent while others have connections to it.
FENCE = (
    "Make sure that it is off and stays off, then say fenced; or say frozen_timeout: the connections to a host without"
    " power close within 2 minutes."
)


def several_domains(picture: Picture) -> Refusal:
    """More than one meta group answers, and nobody said which one is meant."""
    others = ", ".join(repr(domain) for domain in picture.other_domains)
    why = f"Servers of other JetStream domains answer too ({others}): say which one is meant by the option domain."
    return Refusal("several_meta_groups", why)


def shared_name(picture: Picture) -> Refusal:
    """Servers of one name have one peer id: no vote of theirs can be counted."""
    why = (
        f"More than one live server is named {', '.join(picture.duplicates)}: their votes cannot be counted."
        " Stop the server that was started by mistake, then run again."
    )
    return Refusal("ambiguous_server", why)


def quorum_refusals(picture: Picture) -> list[Refusal]:
    """What speaks against any change: the votes are counted, whatever a leader says."""
    meta = picture.meta
    if meta is None:
        return [Refusal("not_clustered", "This server is not part of a JetStream cluster: it has no meta group.")]
    found = []
    if picture.ambiguous:
        found.append(several_domains(picture))
    if picture.duplicates:
        found.append(shared_name(picture))
    if not meta.has_quorum:
        dead = picture.names(meta.members - picture.alive)
        claim = f" ({picture.names(meta.claims)} still named as leader: stale)" if meta.claims else ""
        why = (
            f"{len(meta.voters)} live voters are fewer than the {meta.needed} that the meta group needs{claim}."
            f" A removal sent now would be carried out when {dead} return, and disable them."
            " Start lost servers again, or see jetstream_meta_rescue."
        )
        found.append(Refusal("no_quorum", why))
    elif not meta.leader:
        why = "No meta leader is known to a majority of the voters. Run again when the election is over."
        found.append(Refusal("no_meta_leader", why))
    if meta.changing and tells_membership_changes(oldest_line(picture)):
        why = f"Another change of the membership is under way ({picture.names(meta.changing)}). Wait until it is done."
        found.append(Refusal("membership_change_pending", why))
    return found


def blind_refusals(picture: Picture) -> list[Refusal]:
    """A live member that did not list its streams: what depends on it cannot be judged."""
    blind = [server.peer for server in picture.servers if server.alive and server.jetstream and not server.seen]
    if not blind:
        return []
    why = f"{picture.names(blind)} did not tell which streams it has. Run again, with a longer request_timeout."
    return [Refusal("incomplete_picture", why)]


def connected_to(picture: Picture, silent: t.AbstractSet[str]) -> list[str]:
    """Labels of live servers with an open connection to one of C(silent) that does not answer."""
    quiet = silent - picture.alive
    return sorted(server.label for server in picture.servers if server.alive and quiet & server.routes)


def alive_refusals(picture: Picture, target: Server, allow_online: bool, fenced: bool = False) -> list[Refusal]:
    """A server that lives, or may live: it answers, or answered, or others hold an open connection to it.

    C(fenced): the user says that it is off, so that connections to it are only not closed yet.
    """
    meta = picture.meta
    if meta and target.alive and target.peer in (meta.leader, *meta.claims):
        why = f"{target.label} is the meta leader. Step it down first (jetstream_leader_stepdown), then run again."
        return [Refusal("is_meta_leader", why)]
    if allow_online:
        return []
    if target.alive and not target.jetstream:
        why = (
            f"{target.label} is alive, only its JetStream is off: look at its log, configuration and disk, and restart"
            " it. To remove it nevertheless, stop it first, or allow it by allow_online."
        )
        return [Refusal("server_online", why)]
    if target.alive:
        evacuates = can_evacuate(oldest_line(picture))
        instead = "Evacuate it first (jetstream_peer_evacuate)" if evacuates else "Empty it and stop it first"
        why = (
            f"{target.label} is alive: removing it disables its JetStream and empties its only copies at once."
            f" {instead}, or allow it by allow_online."
        )
        return [Refusal("server_online", why)]
    if target.peer not in picture.absent or not picture.trusted:
        why = f"{target.label} has not been silent for long enough to be called dead. Run again."
        return [Refusal("server_online", why)]
    routed = connected_to(picture, {target.peer})
    if routed and not fenced:
        why = (
            f"{target.label} does not answer, but {', '.join(routed)} still have an open connection to it: it is frozen"
            f" or cut off, or has been without power for less than 2 minutes. {FENCE}"
        )
        return [Refusal("server_frozen", why)]
    return []


def data_refusals(picture: Picture, target: Server, inventory: Inventory, accept: bool) -> list[Refusal]:
    """What only the server holds, or that nobody can say what it holds.

    Consumers that are known to be ephemeral do not count: their clients make them anew.
    """
    if accept:
        return []
    found = []
    held = [one for one in inventory.held if not one.ephemeral]
    if held:
        back = ""
        if not target.alive and can_evacuate(oldest_line(picture)):
            back = (
                " If its disk may return, jetstream_peer_evacuate of the dead server keeps them (but not what was in"
                " memory only): they are moved off when it is back."
            )
        sure = "" if all(one.certain for one in held) else " (or another dead server)"
        why = (
            f"Only {target.label}{sure} holds {len(held)} streams or consumers:"
            f" {listing(one.text for one in held)}. They would come back empty, or not at all."
            f"{back} Back up what can be, then say accept_data_loss."
        )
        found.append(Refusal("data_loss", why))
    if inventory.unknown:
        why = (
            f"Nobody can say what {target.label} held of the accounts {', '.join(inventory.unknown)}: live servers list"
            " live copies only. Give credentials of each by accounts, an earlier jetstream_cluster_info result by"
            " last_picture, or say accept_data_loss."
        )
        found.append(Refusal("unknown_holdings", why))
    return found
