# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom to believe, how long to look, what to ask for once: with stand-ins for servers and clocks."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster import actions, meta, wait, watch
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.build import make_picture
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.errors import (
    ClusterError,
    NotConfirmedError,
    RefusedError,
    UnknownDomainError,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.groups import Group, Replica
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.model import MetaView, Picture
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.views import reduce_jsz
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.answers import (
    Collector,
    Sample,
    all_members,
    peer_id,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.errors import (
    ConnectionLostError,
    RequestTimeoutError,
    api_error,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.system import System, WrongDomainError
from hypothesis import given
from hypothesis import strategies as st

from unit.cluster import pictures as make

THREE = ("n1", "n2", "n3")
FOUR = ("n1", "n2", "n3", "n4")
N2 = peer_id("n2")


class Hands:
    """A watch over pictures prepared in advance, with a clock that only moves when it sleeps."""

    def __init__(self, *pictures: Picture, answers: list[Any] | None = None) -> None:
        self.pictures = list(pictures)
        self.answers = answers or []
        self.asked: list[tuple[str, Any]] = []
        self.now = 0.0
        self.system: Any = self

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.001)

    async def look(self) -> Picture:
        return self.pictures.pop(0) if len(self.pictures) > 1 else self.pictures[0]

    glance = look

    async def call(self, subject: str, request: Any, *, what: str, timeout: float) -> Any:
        self.asked.append((subject, request))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def settled(*pictures: Picture, interval: float = 12.0, counting: bool = False) -> tuple[Picture, float]:
    hands = Hands(*pictures)
    watching = watch.Watch(None, clock=hands.clock, sleep=hands.sleep)  # type: ignore[arg-type]
    watching.look = hands.look  # type: ignore[method-assign]
    return await watching.settle(interval, counting=counting), hands.now


def healthy(*names: str) -> Picture:
    alive = frozenset(names)
    return make.picture(names, alive, (make.stream("S", make.group(3, *names[:3], alive=alive)),))


DEAD_N2 = frozenset({"n1", "n3", "n4"})


async def test_all_is_well_needs_one_look() -> None:
    picture, waited = await settled(healthy(*FOUR))
    assert (picture.trusted, picture.looks, waited) == (True, 1, 0.0)


async def test_a_silent_member_needs_twelve_seconds() -> None:
    silent = make.picture(FOUR, DEAD_N2, (make.stream("S", make.group(3, "n1", "n2", "n3", alive=DEAD_N2)),))
    picture, waited = await settled(silent)
    assert (picture.trusted, picture.looks, waited) == (True, 2, 12.0)
    assert picture.absent == {N2}


async def test_a_server_that_answers_again_ends_the_wait() -> None:
    picture, waited = await settled(make.picture(FOUR, DEAD_N2), healthy(*FOUR))
    assert (picture.trusted, waited) == (True, 12.0)
    assert picture.absent == frozenset()


async def test_looking_goes_on_over_another_server() -> None:
    class Dying:
        asked_domain = ""

        def domain_of(self, _sample: Sample) -> str:
            return ""

        async def sample(self, reduce: Any) -> Sample:
            raise ConnectionLostError("it died")

    class Living(Dying):
        async def sample(self, reduce: Any) -> Sample:
            return sample(n1=jsz("n1", "n1"))

    async def reopen() -> Any:
        return Living()

    picture = await watch.Watch(Dying(), reopen=reopen).look()  # type: ignore[arg-type]
    assert [one.name for one in picture.servers if one.alive] == ["n1"]
    with pytest.raises(ConnectionLostError):
        await watch.Watch(Dying()).look()  # type: ignore[arg-type]


async def test_a_stream_without_quorum_needs_twenty_five_seconds() -> None:
    alive = frozenset({"n1", "n4", "n5"})
    headless = make.picture(make.NAMES, alive, (make.stream("S", make.group(3, *THREE, alive=alive)),))
    picture, waited = await settled(headless)
    assert (picture.trusted, picture.looks, waited) == (True, 4, 25.0)
    counted, waited = await settled(headless, counting=True)
    assert (counted.trusted, waited) == (True, 12.0)


async def test_a_short_interval_is_not_trusted() -> None:
    picture, waited = await settled(make.picture(FOUR, DEAD_N2), interval=1.0)
    assert (picture.trusted, waited) == (False, 1.0)
    picture, waited = await settled(make.picture(FOUR, DEAD_N2), interval=0.0)
    assert (picture.trusted, picture.looks) == (False, 1)


def view(name: str, leader: str, members: tuple[str, ...] = THREE, **fields: Any) -> MetaView:
    return MetaView(
        peer_id(name),
        make.ids(*members),
        len(members),
        len(members) // 2 + 1,
        peer_id(leader) if leader else "",
        **fields,
    )


def views(*every: MetaView) -> dict[str, MetaView]:
    return {one.peer: one for one in every}


def test_a_leader_needs_the_word_of_a_majority() -> None:
    assert meta.agreed_leader(views(view("n1", "n1"))) == ""
    assert meta.agreed_leader(views(view("n1", "n1"), view("n2", "n1"))) == peer_id("n1")
    assert meta.agreed_leader(views(view("n1", "n1"), view("n2", "n3"))) == ""
    # One who is named but does not answer leads nobody.
    assert meta.agreed_leader(views(view("n1", "n3"), view("n2", "n3"))) == ""
    # A minority whose list of members was cut short is not believed by its own count alone.
    small = view("n1", "n1", ("n1",))
    assert meta.agreed_leader(views(dataclasses.replace(small, size=3))) == ""


@given(st.sets(st.sampled_from(make.NAMES)), st.integers(1, 5))
def test_without_a_leader_every_claim_counts(live: set[str], size: int) -> None:
    members = make.NAMES[:size]
    made = meta.make_meta(views(*(view(name, "", members) for name in live if name in members)))
    if made is None:
        assert not live & set(members)
        return
    assert made.has_quorum == (2 * len(live & set(members)) > size)
    assert made.leader == ""


def test_empty_and_removed_servers_do_not_vote() -> None:
    lost = meta.make_meta(views(view("n1", ""), view("n2", "", log=0), view("n9", "", ("n9", "n8"), log=0)))
    assert lost is not None
    assert lost.voters == make.ids("n1")
    assert lost.members == make.ids(*THREE)
    led = meta.make_meta(views(view("n1", "n1"), view("n2", "n1"), view("n9", "n1", ("n1", "n9"))))
    assert led is not None
    assert led.voters == make.ids("n1", "n2")


def jsz(name: str, leader: str | None, *peers: str, last: int = 5) -> dict[str, Any]:
    replicas = [{"name": peer, "peer": peer_id(peer), "current": True} for peer in peers]
    cluster = {"name": "C1", "raft_group": "g", "leader": leader, "replicas": replicas}
    stream = {
        "name": "S",
        "cluster": cluster,
        "config": {"name": "S", "num_replicas": 3},
        "state": {"messages": last, "last_seq": last, "first_seq": 1},
    }
    return {
        "config": {"max_storage": 100},
        "account_details": [{"name": "APP", "id": "APP", "stream_detail": [stream]}],
    }


def sample(**pages: dict[str, Any]) -> Sample:
    heads = {name: {"id": name, "name": name, "ver": "2.15.2", "cluster": "C1", "jetstream": True} for name in pages}
    varz = {name: {"jetstream": {"config": {"max_storage": 1}}} for name in pages}
    raft = {
        name: {
            "SYS": {
                "_meta_": {
                    "id": peer_id(name),
                    "size": 3,
                    "quorum_needed": 2,
                    "leader": "",
                    "pindex": 4,
                    "peers": {peer_id(other): {} for other in THREE if other != name},
                }
            }
        }
        for name in pages
    }
    kept = {name: [reduce_jsz(page)] for name, page in pages.items()}
    return Sample(100.0, heads, varz, {}, raft, {}, kept)


def connected(home: str, asked: str | None = None, jetstream: bool = True) -> System:
    """The system account over a connection to a server of the domain C(home)."""
    info = {"domain": home, "jetstream": jetstream}
    return System(SimpleNamespace(info=info, options=SimpleNamespace(domain=asked)))  # type: ignore[arg-type]


def in_domain(domain: str, *names: str) -> Collector:
    """RAFTZ answers of some of the servers n1 to n3 of a domain."""
    collector = Collector(dict)
    answers = sample(**{name: jsz(name, "n1", *THREE) for name in names}).raftz
    for name in names:
        collector.heads[f"{domain}-{name}"] = {"name": name, "domain": domain}
        collector.data[f"{domain}-{name}"] = answers[name]
    return collector


def test_names_may_be_the_same_in_two_domains() -> None:
    hub, leaf = in_domain("hub", "n1", "n2"), in_domain("leaf", "n3")
    hub.heads.update(leaf.heads)
    hub.data.update(leaf.data)
    assert not all_members(hub)
    for more in (in_domain("hub", *THREE), in_domain("leaf", *THREE)):
        assert all_members(more)
        hub.heads.update(more.heads)
        hub.data.update(more.data)
    assert all_members(hub)
    assert not all_members(Collector(dict))


def test_the_domain_that_is_meant() -> None:
    looked = sample(n1=jsz("n1", "n1"), n2=jsz("n2", "n1"))
    assert connected("hub", "leaf").domain_of(looked) == "leaf"
    assert connected("hub").domain_of(looked) == "hub"
    looked.heads["n1"]["domain"] = looked.heads["n2"]["domain"] = "far"
    # A server without JetStream has no domain of its own.
    assert connected("", jetstream=False).domain_of(looked) == "far"
    assert connected("").domain_of(looked) == ""
    with pytest.raises(UnknownDomainError, match="Domains of those that do: 'far'"):
        make_picture(looked, "leaf")


async def test_a_change_is_never_asked_of_another_domain() -> None:
    connected("hub", "hub").check_reach()
    connected("hub").check_reach()
    for home in ("hub", ""):
        with pytest.raises(WrongDomainError, match="Give addresses of servers of that domain"):
            await connected(home, "leaf").call("SERVER.REMOVE", what="removal")
        with pytest.raises(WrongDomainError):
            await connected(home, "leaf").broadcast("META.RESCUE", {}, expected=1)


def test_nobody_is_counted_twice() -> None:
    # 2.15 lists a server among its own peers while the group has no leader.
    picture = make_picture(sample(n1=jsz("n1", None, "n1", "n2", "n3")))
    (stream,) = picture.streams
    assert [replica.name for replica in stream.group.replicas] == ["n1", "n2", "n3"]
    assert (stream.group.live, stream.group.needed, stream.group.has_quorum) == (1, 2, False)


def test_a_stream_leader_without_a_majority_does_not_lead() -> None:
    picture = make_picture(sample(n1=jsz("n1", "n1", "n2", "n3")))
    (stream,) = picture.streams
    assert (stream.group.leader, stream.group.claim) == ("", peer_id("n1"))
    both = make_picture(sample(n1=jsz("n1", "n1", "n2", "n3"), n2=jsz("n2", "n1", "n1", "n3", last=3)))
    (stream,) = both.streams
    assert stream.group.leader == peer_id("n1")
    assert {replica.name: replica.last_seq for replica in stream.group.replicas} == {"n1": 5, "n2": 3, "n3": None}
    assert [replica.name for replica in stream.group.behind] == ["n2"]


REMOVED = make.picture(("n1", "n3", "n4"), DEAD_N2)
LISTED = make.picture(FOUR, DEAD_N2)
NOT_A_MEMBER = api_error("removal", {"err_code": 10044, "description": "not a member"})
IN_FLIGHT = api_error("removal", {"err_code": 10202, "description": "in progress"})


@pytest.mark.parametrize(
    ("answer", "changed"),
    [
        ({}, True),
        (RequestTimeoutError("silence"), True),
        (ConnectionLostError("gone"), True),
        (NOT_A_MEMBER, False),
        (IN_FLIGHT, False),
    ],
)
async def test_a_removal_is_sent_once_and_read_back(answer: Any, changed: bool) -> None:
    hands = Hands(LISTED, LISTED, REMOVED, answers=[answer])
    sent = await actions.remove_server(hands, LISTED.server(N2))  # type: ignore[arg-type]
    assert sent.changed is changed
    assert hands.asked == [("SERVER.REMOVE", {"peer": "", "peer_id": N2})]


async def test_a_removal_that_is_not_seen_is_not_repeated() -> None:
    hands = Hands(LISTED, answers=[RequestTimeoutError("silence")])
    with pytest.raises(NotConfirmedError, match="may be carried out later") as caught:
        await actions.remove_server(hands, LISTED.server(N2))  # type: ignore[arg-type]
    assert len(hands.asked) == 1
    assert caught.value.changed is False
    assert hands.now >= actions.READ_BACK


async def test_a_removal_that_is_refused_by_the_server_changes_nothing() -> None:
    hands = Hands(LISTED, answers=[api_error("removal", {"err_code": 10041, "description": "raft"})])
    with pytest.raises(ClusterError, match="Nothing was changed"):
        await actions.remove_server(hands, LISTED.server(N2))  # type: ignore[arg-type]


async def test_the_last_look_before_the_request_counts() -> None:
    picture = dataclasses.replace(LISTED, trusted=True)
    target = picture.server(N2)
    await actions.check_again(Hands(LISTED), picture, target, False)  # type: ignore[arg-type]
    for now in (healthy(*FOUR), make.picture(FOUR, frozenset({"n1", "n3"}))):
        with pytest.raises(RefusedError, match="changed since"):
            await actions.check_again(Hands(now), picture, target, False)  # type: ignore[arg-type]
    # Another run was quicker: the leader will say that it is no member, and that is no failure of this one.
    await actions.check_again(Hands(healthy("n1", "n3", "n4")), picture, target, False)  # type: ignore[arg-type]


class Survivors(Hands):
    """Answers rescues, and leads once somebody accepted."""

    async def broadcast(self, subject: str, request: Any, *, expected: int) -> list[dict[str, Any]]:
        self.asked.append((subject, request))
        return list(self.answers.pop(0))


async def test_a_survivor_that_believes_in_a_leader_is_asked_again() -> None:
    lost = make.picture(THREE, frozenset({"n1", "n2"}), leader="")
    led = make.picture(THREE, frozenset({"n1", "n2"}))
    believes = {"server": "n2", "error": {"description": "raft: leader is known"}}
    yes = [{"server": name, "prev_quorum": 3, "new_quorum": 2} for name in ("n1", "n2")]
    hands = Survivors(*[lost] * 12, led, answers=[[yes[0], believes], [yes[1]]])
    answers, picture = await actions.rescue(hands, 2, 2)  # type: ignore[arg-type]
    assert len(hands.asked) == 2
    assert all(answer.accepted for answer in answers)
    assert picture.meta is not None
    assert picture.meta.leader


def replica(
    name: str, last: int | None = 10, alive: bool = True, present: bool = True, pending: bool = False
) -> Replica:
    return Replica(peer_id(name), name, alive, present, True, last_seq=last, pending=pending)


@pytest.mark.parametrize(
    ("replicas", "leader", "pending", "excused"),
    [
        ([replica("n1"), replica("n3"), replica("n4")], "n1", "", ""),
        ([replica("n1"), replica("n2", None, False), replica("n3")], "n1", "still lists", ""),
        ([replica("n1"), replica("n3"), replica("n4", 4)], "n1", "n4 is at 4 of 10", ""),
        ([replica("n1"), replica("n3"), replica("n4", None, present=False)], "n1", "being made on n4", ""),
        ([replica("n1"), replica("n3")], "n1", "2 of 3 replicas", ""),
        ([replica("n1"), replica("n3"), replica("n4")], "", "no leader yet", ""),
        ([replica("n1"), replica("n3"), replica("n5", None, False)], "n1", "", "n5, which is dead"),
        ([replica("n1"), replica("n5", None, False)], "", "", "n5 must be removed or come back"),
    ],
)
def test_whole_is_counted_copy_by_copy(replicas: list[Replica], leader: str, pending: str, excused: str) -> None:
    group = Group(3, tuple(replicas), peer_id(leader) if leader else "")
    members = ("n1", "n3", "n4", "n5")
    picture = make.picture(members, frozenset({"n1", "n3", "n4"}), (make.stream("S", group),))
    state = wait.progress(picture, N2, {})
    assert pending in state.pending.get("APP > S", "")
    assert excused in state.excused.get("APP > S", "")
    assert bool(state) == (not pending)
    assert state.whole == (not pending and not excused)


def test_a_leader_that_runs_ahead_does_not_move_the_mark() -> None:
    targets: dict[str, int] = {}

    def at(leader: int, other: int) -> wait.Progress:
        group = Group(2, (replica("n1", leader), replica("n3", other)), peer_id("n1"))
        return wait.progress(
            make.picture(("n1", "n3"), frozenset({"n1", "n3"}), (make.stream("S", group),)), N2, targets
        )

    assert at(100, 40).pending
    assert not at(900, 100).pending


@pytest.mark.parametrize(
    ("applied", "wal", "count"),
    [
        (15, {"messages": 6, "first_seq": 10, "last_seq": 15}, 6),
        (15, {"messages": 0, "first_seq": 16, "last_seq": 15}, 0),
        # What is in the log without being applied was never acknowledged to anybody.
        (15, {"messages": 2, "first_seq": 16, "last_seq": 17}, 0),
        (15, {"messages": 4, "first_seq": 14, "last_seq": 17}, 2),
        (15, None, 0),
    ],
)
def test_changes_that_only_the_log_has(applied: int, wal: dict[str, int] | None, count: int) -> None:
    group = {"id": peer_id("n1"), "size": 1, "applied": applied, **({"wal": wal} if wal else {})}
    seen = meta.meta_view(peer_id("n1"), {"SYS": {"_meta_": group}}, {})
    assert seen is not None
    assert seen.unsnapshotted == count
