# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of removals, evacuations and rescues: what is refused, and what is said."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.backups import KnownBackup
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.errors import LastPictureError, RefusedError
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.evacuation import (
    held_up,
    plan_evacuation,
    under_way,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.groups import Consumer, Stream
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.held import (
    AccountNames,
    Held,
    LastPicture,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.inventory import Inventory, take_inventory
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.model import Meta, MetaView, Picture, Server
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.plan import Plan, Refusal, resolve
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.removal import (
    plan_removal,
    plan_stream_removal,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.rescue import (
    known_states,
    plan_rescue,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.wait import progress
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.answers import peer_id

from unit.cluster import pictures as make

FOUR = ("n1", "n2", "n3", "n4")
THREE = ("n1", "n2", "n3")
N2 = peer_id("n2")
DEAD_N2 = frozenset({"n1", "n3", "n4"})
NOTHING = Inventory((), ())


def words(plan: Plan) -> set[str]:
    return {refusal.word for refusal in plan.refusals}


def removal(picture: Picture, name: str = "n2", inventory: Inventory = NOTHING, **options: bool) -> Plan:
    return plan_removal(picture, picture.server(peer_id(name)), inventory, **options)


def test_a_dead_server_may_be_removed() -> None:
    on = make.group(3, "n1", "n2", "n3", alive=DEAD_N2)
    plan = removal(make.picture(FOUR, DEAD_N2, (make.stream("S", on),)))
    assert plan.refusals == ()
    assert plan.needed
    assert "4 members (n1, n2, n3, n4), 3 of them answer (n1, n3, n4), 3 are needed" in plan.arithmetic


def test_no_spare_warns_or_refuses() -> None:
    alive = frozenset({"n1", "n3"})
    picture = make.picture(THREE, alive, (make.stream("S", make.group(3, *THREE, alive=alive)),))
    assert removal(picture).unhealed == ("APP > S",)
    assert "fewer replicas" in " ".join(removal(picture).warnings)
    assert words(removal(picture, require_spare=True)) == {"no_spare"}


def test_a_stale_leader_is_not_believed() -> None:
    picture = make.picture(THREE, frozenset({"n1"}), leader="n1")
    plan = removal(picture, allow_online=True, accept_data_loss=True)
    assert words(plan) == {"no_quorum"}
    with pytest.raises(RefusedError, match=r"1 live voters are fewer than the 2 .* stale"):
        plan.check()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"trusted": False}, "server_online"),
        ({"absent": frozenset()}, "server_online"),
        ({"other_domains": ("leaf",)}, "several_meta_groups"),
        ({"duplicates": ("n3",)}, "ambiguous_server"),
    ],
)
def test_what_is_uncertain_is_refused(changes: dict[str, object], word: str) -> None:
    plan = removal(dataclasses.replace(make.picture(FOUR, DEAD_N2), **changes))  # type: ignore[arg-type]
    assert words(plan) == {word}


def test_an_open_route_means_frozen() -> None:
    picture = make.picture(FOUR, DEAD_N2)
    servers = tuple(
        dataclasses.replace(one, routes=make.ids("n2")) if one.name == "n3" else one for one in picture.servers
    )
    frozen = dataclasses.replace(picture, servers=servers)
    assert words(removal(frozen)) == {"server_frozen"}
    assert words(removal(frozen, allow_online=True)) == set()
    assert words(removal(frozen, fenced=True)) == set()
    # Who answers is not off, whatever is said.
    assert words(removal(make.picture(FOUR, frozenset(FOUR)), fenced=True)) == {"server_online"}


def test_live_servers_and_leaders() -> None:
    picture = make.picture(FOUR, frozenset(FOUR))
    assert words(removal(picture)) == {"server_online"}
    assert words(removal(picture, allow_online=True)) == set()
    assert words(removal(picture, "n1", allow_online=True)) == {"is_meta_leader"}


def test_only_copies_are_refused_until_accepted() -> None:
    one = make.stream("ONE", make.group(1, "n2", alive=frozenset(FOUR)))
    picture = make.picture(FOUR, frozenset(FOUR), (one,))
    inventory = take_inventory(picture, N2, (), None)
    assert [held.label for held in inventory.held] == ["APP > ONE"]
    assert words(removal(picture, inventory=inventory, allow_online=True)) == {"data_loss"}
    assert words(removal(picture, inventory=inventory, allow_online=True, accept_data_loss=True)) == set()


def test_what_a_dead_server_held_comes_from_the_accounts() -> None:
    on = make.group(3, "n1", "n2", "n3", alive=DEAD_N2)
    lone = make.group(1, "n1", alive=DEAD_N2)
    picture = make.picture(FOUR, DEAD_N2, (make.stream("S", on, lone),))
    assert take_inventory(picture, N2, (), None).unknown == ("APP",)
    known = AccountNames("APP", frozenset({"S", "GONE"}), {"S": frozenset({"c0", "c1"}), "GONE": frozenset({"d"})})
    inventory = take_inventory(picture, N2, (known,), None)
    assert [held.label for held in inventory.held] == ["APP > GONE", "APP > GONE > d", "APP > S > c1"]
    assert inventory.unknown == ()
    assert all(held.certain for held in inventory.held)
    two = make.picture(("n1", "n2", "n3", "n4", "n5"), DEAD_N2, picture.streams)
    assert not any(held.certain for held in take_inventory(two, N2, (known,), None).held)


def last_picture(alive: frozenset[str], **copies: tuple[str, ...]) -> LastPicture:
    return LastPicture(
        900.0,
        make.ids(*alive),
        frozenset({"APP"}),
        {("APP", name, ""): (make.ids(*on), 7) for name, on in copies.items()},
    )


def test_an_earlier_picture_tells_what_a_server_held() -> None:
    picture = make.picture(FOUR, DEAD_N2)
    last = last_picture(frozenset(FOUR), HERE=("n2",), THERE=("n3",))
    inventory = take_inventory(picture, N2, (), last)
    assert [(held.label, held.last_seq) for held in inventory.held] == [("APP > HERE", 7)]
    assert inventory.unknown == ()
    late = take_inventory(picture, N2, (), last_picture(DEAD_N2, HERE=("n2",)))
    assert late.held == ()
    assert late.unknown == ("APP",)
    assert "cannot tell what it held" in late.notes[0]


def saved(stream: str, taken: float = 950.0, replicas: int = 1, last_seq: int = 5, **consumers: int) -> KnownBackup:
    return KnownBackup("A1", stream, f"/b/{stream}", taken, replicas, last_seq, consumers)


def test_a_backup_tells_what_there_was_as_of_its_time() -> None:
    """It adds to what is known, never certain, and covers no account."""
    picture = make.picture(
        FOUR, DEAD_N2, (make.stream("S", make.group(3, "n1", "n2", "n3", alive=DEAD_N2)),), accounts={"A1": "APP"}
    )
    backups = [saved("GONE", dur=3), saved("S", c=4), saved("GONE", 940.0, 1, 4)]
    inventory = take_inventory(picture, N2, (), None, backups)
    assert [(one.label, one.certain, one.as_of, one.last_seq) for one in inventory.held] == [
        ("APP > GONE", False, 950.0, 5),
        ("APP > GONE > dur", False, 950.0, 3),
        ("APP > S > c", False, 950.0, 4),
    ]
    assert {one.source for one in inventory.held} == {"backup"}
    assert inventory.unknown == ("APP",)
    plan = removal(picture, inventory=inventory)
    assert words(plan) == {"data_loss", "unknown_holdings"}
    assert "(or another dead server) holds 3" in plan.refusals[0].why
    assert "APP > GONE (backup of 1970-01-01 00:15:50 UTC)" in plan.refusals[0].why


def test_better_sources_come_before_a_backup() -> None:
    picture = make.picture(FOUR, DEAD_N2)
    # The meta group does not know OLD any more: it was deleted since.
    names = AccountNames("APP", frozenset({"KEPT"}), {"KEPT": frozenset({"dur"})})
    backups = [dataclasses.replace(one, account="APP") for one in (saved("KEPT", dur=3, gone=1), saved("OLD"))]
    known = take_inventory(picture, N2, (names,), None, backups)
    assert [(one.label, one.source, one.certain, one.as_of) for one in known.held] == [
        ("APP > KEPT", "accounts", True, None),
        ("APP > KEPT > dur", "accounts", True, None),
    ]
    assert [(one.backup, one.backup_taken, one.last_seq) for one in known.held] == [
        ("/b/KEPT", 950.0, 5),
        ("/b/KEPT", 950.0, 3),
    ]
    # An earlier picture says that another server had it, or, where it is newer, that it was gone by then.
    elsewhere = last_picture(frozenset(FOUR), KEPT=("n3",))
    assert [one.stream for one in take_inventory(picture, N2, (), elsewhere, backups).held if not one.consumer] == [
        "OLD"
    ]
    later = dataclasses.replace(elsewhere, taken=990.0)
    assert take_inventory(picture, N2, (), later, backups).held == ()


def test_known_states_come_from_pictures_and_backups() -> None:
    picture = make.picture(THREE, frozenset({"n1"}), leader="", accounts={"A1": "APP"})
    last = last_picture(frozenset(THREE), BOTH=("n1", "n2"), DEAD=("n2",))
    backups = [saved("BOTH", 990.0, 3, 9), saved("R1"), saved("R3", 990.0, 3, 8), saved("DEAD", 990.0, 3, 8)]
    assert known_states(picture, {}, last, backups) == {"APP": {"BOTH": 9, "R3": 8}}
    known = known_states(picture, {"APP": {"R3": 0}, "B": {"S": 1}}, last, backups)
    assert known == {"APP": {"BOTH": 9, "R3": 0}, "B": {"S": 1}}
    plan = plan_rescue(picture, ["n2", "n3"], None, known, False).plan
    assert words(plan) == {"stale_survivor"}
    assert "R3" not in plan.refusals[0].why
    assert "APP > BOTH (was at 9)" in plan.refusals[0].why


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"servers": [{}], "streams": [], "taken": 1}'])
def test_a_bad_last_picture_is_refused(text: str) -> None:
    with pytest.raises(LastPictureError, match="/p is not the result"):
        LastPicture.parse(text, "/p")


def test_names() -> None:
    picture = make.picture(THREE, frozenset({"n1", "n3"}))
    nameless = dataclasses.replace(
        picture,
        servers=tuple(dataclasses.replace(one, name="") if one.name == "n2" else one for one in picture.servers),
    )
    found = resolve(nameless, "n2")
    assert isinstance(found, Server)
    assert (found.peer, found.name) == (N2, "n2")
    assert resolve(nameless, N2) == nameless.server(N2)
    assert resolve(picture, "n9") is None
    odd = dataclasses.replace(picture, servers=(*picture.servers, make.server(N2)))
    answer = resolve(odd, N2)
    assert isinstance(answer, Refusal)
    assert answer.word == "ambiguous_server"


def test_no_member_needs_no_removal() -> None:
    picture = make.picture(THREE, frozenset(THREE))
    assert not removal(picture, "n9").needed
    assert picture.meta is not None
    # One server that still lists it keeps the answer open.
    view = MetaView(peer_id("n3"), make.ids(*THREE, "n9"), 4, 3, peer_id("n1"))
    doubt = dataclasses.replace(picture, meta=dataclasses.replace(picture.meta, views=(*picture.meta.views[:2], view)))
    assert removal(doubt, "n9").needed


def test_what_a_server_says_of_itself_does_not_make_it_a_member() -> None:
    picture = make.picture(THREE, frozenset(THREE))
    assert picture.meta is not None
    zombie = dataclasses.replace(make.server("n9"), member=False)
    view = MetaView(zombie.peer, make.ids(*THREE, "n9"), 4, 3, peer_id("n1"))
    meta = dataclasses.replace(picture.meta, views=(*picture.meta.views, view))
    seen = dataclasses.replace(picture, meta=meta, servers=(*picture.servers, zombie))
    assert not removal(seen, "n9").needed


def test_a_member_that_lists_nothing_is_not_judged() -> None:
    on = make.stream("S", make.group(3, "n1", "n2", "n3", alive=DEAD_N2))
    picture = make.picture(FOUR, DEAD_N2, (on,))
    blind = tuple(dataclasses.replace(one, seen=False) if one.name == "n4" else one for one in picture.servers)
    picture = dataclasses.replace(picture, servers=blind)
    assert words(removal(picture)) == {"incomplete_picture"}
    assert words(plan_stream_removal(picture, picture.server(N2), on)) == {"incomplete_picture"}
    assert "incomplete_picture" in words(evacuation(picture))


def test_one_stream() -> None:
    on = make.stream("S", make.group(3, "n1", "n2", "n3", alive=DEAD_N2))
    picture = make.picture(FOUR, DEAD_N2, (on,))
    assert plan_stream_removal(picture, picture.server(N2), on).refusals == ()
    assert not plan_stream_removal(picture, picture.server(peer_id("n4")), on).needed
    assert words(plan_stream_removal(picture, picture.server(peer_id("n3")), on)) >= {"server_online", "quorum_after"}
    # The meta leader may be taken off a stream.
    alive = frozenset(FOUR)
    well = make.picture(FOUR, alive, (make.stream("S", make.group(3, "n1", "n2", "n3", alive=alive)),))
    assert plan_stream_removal(well, well.server(peer_id("n1")), well.streams[0], allow_online=True).refusals == ()
    one = make.stream("ONE", make.group(1, "n3", alive=DEAD_N2))
    alone = make.picture(FOUR, DEAD_N2, (one,))
    assert words(plan_stream_removal(alone, alone.server(peer_id("n3")), one, allow_online=True)) == {"data_loss"}


def evacuation(picture: Picture, inventory: Inventory = NOTHING) -> Plan:
    return plan_evacuation(picture, picture.server(N2), inventory)


def test_evacuations() -> None:
    alive = frozenset(FOUR)
    three = make.stream("S", make.group(3, "n1", "n2", "n3", alive=alive))
    assert evacuation(make.picture(FOUR, alive, (three,))).refusals == ()
    assert not evacuation(make.picture(FOUR, alive)).needed
    small = frozenset(THREE)
    cut = evacuation(make.picture(THREE, small, (make.stream("S", make.group(3, *THREE, alive=small)),)))
    assert words(cut) == {"no_spare", "no_suitable_peers"}
    assert "2 live servers besides n2 are fewer than 3 replicas" in cut.refusals[0].why
    pinned = make.stream("P", make.group(1, "n2", alive=alive), placement={"tags": ["ssd"]})
    assert words(evacuation(make.picture(FOUR, alive, (pinned,)))) == {"no_suitable_peers"}
    old = make.picture(FOUR, alive, (three,))
    old = dataclasses.replace(old, servers=tuple(dataclasses.replace(one, version="2.12.15") for one in old.servers))
    assert words(evacuation(old)) == {"unsupported_by_server"}


def rescue_words(
    picture: Picture, dead: list[str], quorum: int | None = None, known: dict[str, dict[str, int]] | None = None
) -> set[str]:
    return words(plan_rescue(picture, dead, quorum, known, accept_stale=False).plan)


def moving(name: str, to: tuple[str, ...], why: str = "", *consumers: str) -> Stream:
    """A stream on n1, n2, n3 that is being moved."""
    desired = {"replicas": [{"peer": peer_id(one)} for one in to], "status": {"type": "blocked", "description": why}}
    on = dataclasses.replace(make.group(3, *THREE, alive=DEAD_N2), desired=desired)
    alive = make.group(1, "n1", alive=DEAD_N2)
    made = tuple(Consumer("APP", name, one, True, alive) for one in consumers)
    return dataclasses.replace(make.stream(name, on), consumers=made)


def test_evacuations_of_dead_servers() -> None:
    """What is moved off already is no change; what waits for the dead one is not waited for."""
    target = ("n1", "n3", "n4")
    blocked = moving("B", target, "waiting for consumer 'c 1' to migrate")
    transient = moving("T", target, "waiting for consumer 'c' to migrate", "c")
    on_its_way = make.picture(FOUR, DEAD_N2, (blocked, transient))
    assert under_way(on_its_way, N2)
    assert not under_way(make.picture(FOUR, DEAD_N2, (blocked, moving("O", THREE))), N2)
    assert not under_way(make.picture(FOUR, DEAD_N2), N2)
    waiting = held_up(on_its_way, N2)
    assert waiting.keys() == {"APP > B"}
    assert "the only copy of its consumer c 1" in waiting["APP > B"]
    state = progress(on_its_way, N2, {}).excuse(waiting)
    assert (state.pending.keys(), state.excused) == ({"APP > T"}, waiting)
    held = Inventory((Held("APP", "B", "c 1"),), ())
    plan = plan_evacuation(on_its_way, on_its_way.server(N2), held)
    assert any("APP > B: consumers with their only copy on n2 hold up the move" in one for one in plan.warnings)


def test_rescues() -> None:
    two_dead = make.picture(THREE, frozenset({"n1"}), leader="")
    plan = plan_rescue(two_dead, ["n2", peer_id("n3")], None, None, accept_stale=False)
    assert plan.plan.refusals == ()
    assert (plan.quorum, frozenset(plan.dead)) == (1, make.ids("n2", "n3"))
    assert rescue_words(two_dead, ["n2"]) == {"not_confirmed_dead"}
    assert rescue_words(two_dead, ["n1", "n2", "n3"]) == {"server_online"}
    assert rescue_words(two_dead, ["n2", "n3", "n7"]) == {"unknown_server"}
    assert rescue_words(two_dead, ["n2", "n3"], 2) == {"quorum_too_high"}
    assert rescue_words(make.picture(THREE, frozenset({"n1"}), leader="n1"), ["n2", "n3"]) == {"leader_known"}
    five = make.picture(make.NAMES, frozenset({"n1", "n2"}), leader="")
    assert plan_rescue(five, ["n3", "n4", "n5"], None, None, accept_stale=False).quorum == 2
    assert rescue_words(five, ["n3", "n4", "n5"], 1) == {"quorum_too_low"}
    assert not plan_rescue(make.picture(THREE, frozenset(THREE)), ["n2"], None, None, accept_stale=False).plan.needed
    routed = dataclasses.replace(
        two_dead,
        servers=tuple(
            dataclasses.replace(one, routes=make.ids("n2") if one.alive else one.routes) for one in two_dead.servers
        ),
    )
    assert rescue_words(routed, ["n2", "n3"]) == {"server_frozen"}
    assert plan_rescue(routed, ["n2", "n3"], None, None, accept_stale=False, fenced=True).plan.refusals == ()


def test_stale_survivors() -> None:
    alive = frozenset({"n1"})
    on = make.stream("S", make.group(3, *THREE, alive=alive))
    picture = make.picture(THREE, alive, (on,), leader="")
    assert rescue_words(picture, ["n2", "n3"], known={"APP": {"S": 10}}) == set()
    assert rescue_words(picture, ["n2", "n3"], known={"APP": {"S": 11}}) == {"stale_survivor"}
    assert rescue_words(picture, ["n2", "n3"], known={"APP": {"S": 10, "NEW": 1}}) == {"stale_survivor"}
    accepted = plan_rescue(picture, ["n2", "n3"], None, {"APP": {"S": 11}}, accept_stale=True)
    assert accepted.plan.refusals == ()
    assert "What came after is lost" in accepted.plan.warnings[0]


def test_meta_that_differs_counts_the_worst() -> None:
    meta = Meta(make.ids(*THREE), make.ids("n1"), 2, views=(MetaView(peer_id("n1"), make.ids("n1", "n2"), 2, 2),))
    assert meta.size == 3
    assert not meta.has_quorum
