# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic: for all small clusters, layouts and losses."""

from __future__ import annotations

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster import quorum
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.errors import UnknownServerError
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.inventory import Inventory
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.majority import majority
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.model import Picture
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.removal import plan_removal
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.simulation import select, simulate
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.answers import peer_id
from hypothesis import given
from hypothesis import strategies as st

from unit.cluster import pictures as make

NOTHING = Inventory((), ())


@pytest.mark.parametrize(("size", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)])
def test_majority(size: int, needed: int) -> None:
    assert majority(size) == needed


def test_peer_ids_are_those_of_real_servers() -> None:
    known = {"n1": "fjFyEjc1", "n2": "44jzkV9D", "n3": "BXScrY9i", "n4": "C7B8kAbl", "n5": "C8OtEtgR"}
    assert {name: peer_id(name) for name in known} == known


@given(make.pictures(), st.data())
def test_safe_means_that_every_group_keeps_a_majority(picture: Picture, data: st.DataObject) -> None:
    peers = sorted(server.peer for server in picture.servers)
    lost = frozenset(data.draw(st.sets(st.sampled_from(peers))))
    empty = {server.label: NOTHING for server in picture.servers}
    told = simulate(picture, lost, empty)
    # Counted anew, from nothing but who is alive and where copies are.
    alive = picture.alive - lost
    assert picture.meta is not None
    meta_holds = 2 * len(picture.meta.members & alive) > len(picture.meta.members)
    without = [
        item.label for item in picture.groups() if not 2 * len(item.group.peers & alive) > len(item.group.replicas)
    ]
    assert told.meta_survives == meta_holds
    assert sorted(effect.item.label for effect in told.broken) == sorted(without)
    assert told.safe == (meta_holds and not without)
    # What a server holds that does not answer is unknown, unless somebody knows.
    assert simulate(picture, lost).safe == (told.safe and lost <= picture.alive)


@given(make.pictures(), st.data())
def test_data_is_lost_where_no_live_copy_is_left(picture: Picture, data: st.DataObject) -> None:
    peers = sorted(server.peer for server in picture.servers)
    lost = frozenset(data.draw(st.sets(st.sampled_from(peers), min_size=1)))
    for effect in simulate(picture, lost).effects:
        left = effect.item.group.peers & (picture.alive - lost)
        assert (effect.fate == quorum.LOSES_DATA) == (not left)
        assert not effect.needs_backup or effect.fate == quorum.LOSES_DATA
        assert not effect.heals or effect.fate in (quorum.LOSES_REDUNDANCY, quorum.LOSES_QUORUM)


@given(make.pictures(), st.data(), st.booleans())
def test_a_removal_that_is_not_refused_breaks_nothing(picture: Picture, data: st.DataObject, online: bool) -> None:
    target = data.draw(st.sampled_from(picture.servers))
    plan = plan_removal(picture, target, NOTHING, allow_online=online, accept_data_loss=True)
    assert picture.meta is not None
    members, voters = picture.meta.members, picture.meta.voters
    if plan.refusals:
        with pytest.raises(Exception, match="nothing was touched"):
            plan.check()
        return
    assert plan.needed
    # Enough votes to carry it out, and enough afterwards.
    assert 2 * len(voters) > len(members)
    assert 2 * len(voters - {target.peer}) > len(members) - 1
    assert online or not target.alive
    assert target.peer != picture.meta.leader
    for item in picture.groups():
        before = item.group.peers & picture.alive
        after = item.group.peers - {target.peer}
        if 2 * len(before) > len(item.group.replicas) and before - {target.peer}:
            assert 2 * len(after & picture.alive) > len(after), item.label


@given(make.pictures(), st.data())
def test_too_few_votes_always_refuse_with_the_arithmetic(picture: Picture, data: st.DataObject) -> None:
    target = data.draw(st.sampled_from(picture.servers))
    plan = plan_removal(picture, target, NOTHING, allow_online=True, accept_data_loss=True)
    assert picture.meta is not None
    enough = 2 * len(picture.meta.voters) > len(picture.meta.members)
    words = {refusal.word for refusal in plan.refusals}
    assert ("no_quorum" in words) == (not enough)
    assert f"{len(picture.meta.members)} members" in plan.arithmetic


@given(make.pictures(), st.data())
def test_unsafe_removals_name_a_group_that_breaks(picture: Picture, data: st.DataObject) -> None:
    target = data.draw(st.sampled_from(picture.servers))
    plan = plan_removal(picture, target, NOTHING, allow_online=True, accept_data_loss=True)
    text = " ".join(refusal.why for refusal in plan.refusals if refusal.word == "quorum_after")
    for item in picture.groups():
        if item.group.has_quorum and quorum.after_removal(item.group, {target.peer}) == quorum.LOSES_QUORUM:
            assert item.label in text


def test_a_rescue_in_force_lowers_what_is_needed() -> None:
    alone = make.picture(("n1", "n2", "n3"), frozenset({"n1"}), rescue=1)
    plan = plan_removal(alone, alone.server(peer_id("n2")), NOTHING)
    assert plan.refusals == ()
    assert "1 are needed (lowered by a rescue)" in plan.arithmetic


def test_selectors() -> None:
    picture = make.picture(("n1", "n2"), frozenset({"n1", "n2"}))
    tagged = Picture(1.0, (make.server("n1", tags=("az:1",)), make.server("n2", tags=("AZ:2",))), picture.meta)
    assert select(tagged, ["n1"]) == make.ids("n1")
    assert select(tagged, [peer_id("n2"), "tag:az:1"]) == make.ids("n1", "n2")
    assert select(tagged, ["tag:az:2"]) == make.ids("n2")
    with pytest.raises(UnknownServerError, match="Servers: n1, n2; tags: AZ:2, az:1"):
        select(tagged, ["tag:az:3"])
