# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What membership changes mean on each server line, each with its evidence; other code asks this table."""

from __future__ import annotations

from .._nats.lines import Line
from .model import Picture


def oldest_line(picture: Picture) -> Line:
    """The oldest version among the live servers: what all of them can do."""
    versions = [Line.of(server.version) for server in picture.servers if server.alive]
    return min(versions, key=lambda line: line.version, default=Line((0, 0, 0)))


def series(line: Line) -> str:
    """Such as C(2.15)."""
    return f"{line.version[0]}.{line.version[1]}"


def can_evacuate(line: Line) -> bool:
    """SERVER.EVACUATE exists; older lines answer nothing or 10039."""
    return line.version >= (2, 15, 0)


def can_rescue(line: Line) -> bool:
    """META.RESCUE exists; older lines do not answer."""
    return line.version >= (2, 15, 0)


def stepdown_takes_placement(line: Line) -> bool:
    """A step-down may say who shall lead; 2.10 answers 10005, 10011 or 10003 to it."""
    return line.version >= (2, 11, 0)


def stream_peer_takes_id(line: Line) -> bool:
    """STREAM.PEER.REMOVE takes peer ids as well as names (2.12.6)."""
    return line.version >= (2, 12, 6)


def removal_pause(line: Line) -> float:
    """Seconds between two removals: on 2.10 two in a row raced in 2 of 4 runs, and streams kept listing the removed."""
    return 12.0 if line.version < (2, 11, 0) else 0.0


def tells_membership_changes(line: Line) -> bool:
    """RAFTZ tells of a peer that it is being added or removed (2.12); before, the flag means something else."""
    return line.version >= (2, 12, 0)


def return_of_removed(line: Line) -> str:
    """When a removed server that starts again becomes a member again, as a sentence's end."""
    if line.version >= (2, 15, 0):
        return "about 5 minutes after its removal"
    if line.version >= (2, 12, 0):
        return "about 3 seconds after its start"
    return "soon after its start (take seconds, not minutes)"


def recovery_without_rescue(line: Line) -> str:
    """How a lost meta quorum is regained on lines without META.RESCUE."""
    name = series(line)
    if line.version < (2, 11, 0):
        return (
            f"On {name}: start one of the lost servers again, with its disk if there is one (an empty disk under the"
            " old name elects a leader too), or two servers with new names, then remove the dead. Start servers with"
            " empty disks one at a time, the next when the streams have leaders. Keep the survivors running first:"
            " empty servers alone elect themselves and know of no stream."
        )
    if line.version < (2, 12, 0):
        return (
            f"On {name}: start the lost servers again under their old names, with their disks if there are any; those"
            " with empty disks one at a time, the next when the streams have leaders. New names elect a leader too, but"
            " the cluster then counts its members wrongly: do not use them."
        )
    return (
        f"On {name}: start lost servers again under their OLD names. One that has its disk counts at once; the vote of"
        " an empty one counts only when every member is there, so with wiped disks start all of them, the survivors"
        " first, and wait until the survivors have run alone for 90 seconds: a stream that is in no snapshot of the"
        " meta group yet can come back empty. Servers with new names do not help, and four of them form a second,"
        " empty cluster."
    )


def evacuation_by_hand(line: Line) -> str:
    """How a live server is emptied on lines without SERVER.EVACUATE."""
    return (
        f"On {series(line)} there is no evacuation. For each stream with its only copy there: scale it to 3 replicas,"
        " wait until they are whole, move it away by its placement, or back it up. Step down what the server leads,"
        " stop it, then remove it with jetstream_peer_remove and wait until the other streams are whole."
    )


def stalled_by_leader(picture: Picture) -> str:
    """What an older meta leader holds up in a cluster of 2.15 and older servers, and the remedy; else nothing.

    From 2.15 on a stream's leader asks the meta leader for the replicas it is to have, and 2.14 does not answer: seen
    on 2.14.9 with 2.15.2, healed within seconds by a newer meta leader.
    """
    meta = picture.meta
    if meta is None or not meta.leader:
        return ""
    leader = picture.server(meta.leader)
    newer = [one.label for one in picture.servers if one.peer in meta.voters and _asks_for_replicas(one.version)]
    if _asks_for_replicas(leader.version) or not newer:
        return ""
    return (
        f"{leader.label} ({leader.version}) leads the meta group while {', '.join(newer)} are 2.15 or newer: streams"
        " that those lead get no new replicas until one of those leads it. Run jetstream_leader_stepdown with"
        f" preferred {newer[0]}."
    )


def _asks_for_replicas(version: str) -> bool:
    return Line.of(version).version >= (2, 15, 0)


def known_dangers(line: Line) -> tuple[str, ...]:
    """Defects of a version that can cost data in what a recovery does."""
    found = []
    if line.snapshot_can_desync:
        found.append("a snapshot of a replicated stream can desync it (nats-server 7655): upgrade before backups")
    if line.parallel_restores(clustered=True) == 1:
        found.append("parallel restores can crash the server (nats-server 7503)")
    if line.version < (2, 14, 0) and line.snapshot_can_desync:
        found.append(
            "a removal without quorum is answered with success and shrinks a minority's peer set (nats-server 7581)"
        )
    if (2, 12, 0) <= line.version < (2, 15, 0):
        found.append("scaling a stream without quorum down to one replica can delete its only live copy")
    if line.version < (2, 11, 0):
        found.append("two removals in a row can leave the removed server in the peer lists of streams")
    return tuple(found)
