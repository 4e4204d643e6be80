# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Quorum arithmetic: numbers and sets in, verdicts out."""

from __future__ import annotations

import typing as t

from .groups import Group
from .majority import majority
from .model import Meta

SURVIVES = "survives"
LOSES_REDUNDANCY = "loses_redundancy"
LOSES_QUORUM = "loses_quorum"
LOSES_DATA = "loses_data"


def fate(group: Group, lost: t.AbstractSet[str]) -> str:
    """What becomes of a group when the servers C(lost) (peer ids) are gone as well as those that are dead already.

    One of the constants above. A group that none of them belongs to survives, whatever state it is in.
    """
    if not group.peers & lost:
        return SURVIVES
    left = [replica for replica in group.replicas if replica.alive and replica.peer not in lost]
    if not left:
        return LOSES_DATA
    votes = sum(not replica.pending for replica in left)
    return LOSES_REDUNDANCY if votes >= group.needed else LOSES_QUORUM


def after_removal(group: Group, removed: t.AbstractSet[str]) -> str:
    """What becomes of a group when C(removed) are taken off it for good: they count no more, and are replaced later.

    No replacement is counted on: it helps only once it has caught up.
    """
    if not group.peers & removed:
        return SURVIVES
    if not any(replica.alive and replica.peer not in removed for replica in group.replicas):
        return LOSES_DATA
    voters = [replica for replica in group.voters if replica.peer not in removed]
    votes = sum(replica.alive for replica in voters)
    return LOSES_REDUNDANCY if votes >= majority(len(voters)) else LOSES_QUORUM


def meta_after_loss(meta: Meta, lost: t.AbstractSet[str]) -> tuple[int, int]:
    """Live voters left and votes needed when C(lost) are gone; the group keeps counting them."""
    return len(meta.voters - lost), meta.needed


def meta_after_removal(meta: Meta, removed: t.AbstractSet[str]) -> tuple[int, int]:
    """Live voters left and votes needed when C(removed) are no members any more.

    A rescue lowers what is needed only downward: the natural majority of what is left, where that is less.
    """
    needed = majority(meta.size - len(meta.members & removed))
    return len(meta.voters - removed), min(needed, meta.needed) if meta.rescue else needed
