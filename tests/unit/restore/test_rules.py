# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a restore that need no server: shapes, relaxed configurations, sources, the order of streams."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.errors import api_error
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.lines import Line
from ansible_collections.natsops.jetstream.plugins.module_utils._restore.before.relax import (
    Relaxed,
    probe_config,
    relax,
    relax_after,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._restore.order import Member, order
from ansible_collections.natsops.jetstream.plugins.module_utils._restore.origins.sources import (
    Copied,
    last_copied,
    origins,
    parse_source,
    same_but_starts,
    source_key,
    start_behind,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._shape.jetstream import (
    legal_subject,
    wrong_in_config,
    wrong_in_state,
)
from hypothesis import given
from hypothesis import strategies as st

from ..repository.makers import CONFIG, STATE, backup, manifest, record

# --- shapes


@pytest.mark.parametrize("subject", ["a", "a.b", "a.*", "*.b.>", ">", "$KV.x.>", "ключ.>"])
def test_legal_subjects(subject: str) -> None:
    assert legal_subject(subject)


@pytest.mark.parametrize("subject", ["", ".", "a.", ".a", "a..b", "a.>.b", "a b", "a\tb", "a\x00", 5, None, ["a"]])
def test_illegal_subjects(subject: Any) -> None:
    assert not legal_subject(subject)


def test_good_shapes() -> None:
    assert wrong_in_config(CONFIG) == ""
    assert (
        wrong_in_config({**CONFIG, "mirror": {"name": "A"}, "sources": [{"name": "B"}], "metadata": {"a": "b"}}) == ""
    )
    assert wrong_in_config({**CONFIG, "placement": None, "of_a_later_line": [1]}) == ""
    assert wrong_in_state(STATE) == ""
    assert wrong_in_state({}) == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_age", "1h"),
        ("max_msgs", 1.5),
        ("num_replicas", True),
        ("sealed", 1),
        ("sealed", "yes"),
        ("subjects", "a"),
        ("subjects", ["a", 5]),
        ("subjects", ["a..b"]),
        ("sources", {"name": "a"}),
        ("sources", ["a"]),
        ("sources", [{}]),
        ("mirror", "a"),
        ("mirror", {}),
        ("metadata", {"a": 1}),
        ("metadata", "a"),
        ("placement", "a"),
        ("storage", "tape"),
        ("retention", 5),
        ("name", 5),
        ("republish", []),
    ],
)
def test_wrong_shapes_are_named(field: str, value: Any) -> None:
    assert wrong_in_config({**CONFIG, field: value}).startswith(f"{field} is ")


@given(
    st.dictionaries(st.sampled_from([*STATE, "consumer_count", "num_deleted"]), st.none() | st.text() | st.integers())
)
def test_any_state_that_passes_can_be_counted(state: dict[str, Any]) -> None:
    if not wrong_in_state(state):
        assert all(isinstance(state[key], str) if key.endswith("_ts") else state[key] >= 0 for key in state)


# --- relaxing

LINE = Line.of("2.15.2")


def request(wanted: dict[str, Any], line: str = "2.15.2", is_origin: bool = False, **of_backup: Any) -> dict[str, Any]:
    """What differs in the request from the configuration that is wanted."""
    found = relax({**CONFIG, **wanted}, backup(**of_backup), Line.of(line), is_origin=is_origin)
    assert found.wanted == {**CONFIG, **wanted}
    return {key: value for key, value in found.request.items() if found.wanted.get(key) != value}


def test_nothing_is_relaxed_without_need() -> None:
    assert request({}) == {}
    assert request({"max_msg_size": -1, "max_consumers": 5, "sealed": False}) == {}


def test_what_is_stricter_than_the_data() -> None:
    two = manifest(consumers=(record("a"), record("b")))
    assert request({"max_msg_size": 100}) == {"max_msg_size": -1}
    assert request({"max_msg_size": 100}, manifest=manifest(format="V1")) == {}
    assert request({"sealed": True}) == {"sealed": False}
    assert request({"max_consumers": 1}, manifest=two) == {"max_consumers": -1}
    assert request({"max_consumers": 2}, manifest=two) == {}
    assert request({"max_consumers": 1}, line="2.11.17", manifest=two) == {}
    left_out = manifest(consumers=(record(in_archive=False),))
    assert request({"retention": "interest"}, manifest=left_out) == {"retention": "limits"}
    assert request({"retention": "interest"}, manifest=manifest(consumers=())) == {}
    # A server can have the messages before it has the last consumer.
    assert request({"retention": "interest"}, manifest=two) == {"retention": "limits"}
    assert request({"retention": "workqueue"}, manifest=two) == {}


def test_replicas_of_an_origin() -> None:
    assert request({"num_replicas": 3}) == {}
    assert request({"num_replicas": 3}, is_origin=True) == {"num_replicas": 1}
    assert request({"num_replicas": 3}, is_origin=True, line="2.14.9") == {}


def refused(err_code: int, description: str = "") -> Any:
    return api_error("x", {"err_code": err_code, "description": description})


def test_what_a_server_refuses_is_tried_otherwise() -> None:
    plain = Relaxed(CONFIG, CONFIG)
    cycle = relax_after(refused(10081), plain)
    assert cycle is not None
    assert cycle.request["subjects"] != CONFIG["subjects"]
    assert cycle.wanted == CONFIG
    assert relax_after(refused(10081), cycle) is None
    many = relax_after(refused(10026), plain)
    assert many is not None
    assert many.request["max_consumers"] == -1
    assert relax_after(refused(10026), many) is None
    assert relax_after(refused(10130), plain) is None
    assert relax_after(refused(10047), plain) is None


def test_the_probe_is_the_stream_but_for_what_would_act() -> None:
    wanted = {
        **CONFIG,
        "max_age": 5,
        "placement": {"tags": ["a"]},
        "mirror": {"name": "A"},
        "sources": [{"name": "B"}],
        "sealed": True,
        "max_bytes": 10**12,
        "metadata": {"a": "b"},
    }
    probe = probe_config(wanted)
    assert probe["name"].startswith("natsops_probe_")
    assert probe["subjects"] == [f"{probe['name']}.orders.>"]
    assert {"mirror", "sources", "sealed", "max_bytes"} & probe.keys() == set()
    assert (probe["max_age"], probe["placement"], probe["metadata"]["a"]) == (5, {"tags": ["a"]}, "b")
    assert probe_config({"name": "X"})["subjects"] == [probe_config({"name": "X"})["name"]]


# --- sources


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ({"name": "A"}, "A > >"),
        ({"name": "A", "filter_subject": "a.*"}, "A a.* >"),
        ({"name": "A", "subject_transforms": [{"src": "a", "dest": "b"}]}, "A a b"),
        ({"name": "A", "subject_transforms": [{"src": "a", "dest": "b"}, {"src": "c", "dest": ""}]}, "A a\fc b\f>"),
    ],
)
def test_source_keys(source: dict[str, Any], key: str) -> None:
    assert source_key(source) == key


def test_source_keys_of_other_accounts_and_consumers_are_their_own() -> None:
    keys = [
        source_key(source)
        for source in (
            {"name": "A"},
            {"name": "A", "external": {"api": "$JS.X.API"}},
            {"name": "A", "external": {"api": "$JS.Y.API"}},
            {"name": "A", "consumer": {"name": "c"}},
        )
    ]
    assert len(set(keys)) == 4


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (b"NATS/1.0\r\nNats-Stream-Source: A 7 > > a.b\r\n\r\n", ("A > >", Copied(7, ""))),
        (b"NATS/1.0\r\nnats-stream-source: A 7 > > a.b iDentity\r\n\r\n", ("A > >", Copied(7, "iDentity"))),
        (b"NATS/1.0\r\nOther: x\r\nNats-Stream-Source: A:hash 12 f d s i\r\n\r\n", ("A:hash f d", Copied(12, "i"))),
        (b"NATS/1.0\r\nOther: Nats-Stream-Source: A 7 > >\r\n\r\n", None),
        (b"NATS/1.0\r\nNats-Stream-Source: A x > >\r\n\r\n", None),
        (b"NATS/1.0\r\nNats-Stream-Source: A 7\r\n\r\n", None),
        (b"", None),
    ],
)
def test_headers(headers: bytes, found: Any) -> None:
    assert parse_source(headers) == found


@given(st.binary(max_size=80))
def test_any_headers_are_survived(headers: bytes) -> None:
    for prefix in (b"", b"Nats-Stream-Source: "):
        found = parse_source(prefix + headers)
        assert found is None or found[1].sequence >= 0


def test_sources_start_behind_what_was_copied() -> None:
    config = {
        "name": "S",
        "sources": [{"name": "A"}, {"name": "B", "opt_start_seq": 50}, {"name": "C", "opt_start_time": "x"}],
    }
    headers = [
        b"Nats-Stream-Source: %s %d > > s id" % (name, seq)
        for name, seq in ((b"A", 3), (b"B", 9), (b"A", 5), (b"C", 1))
    ]
    copied = last_copied([*headers, b"", b"X: y"])
    assert copied["A > >"] == Copied(5, "id")
    changed, notes = start_behind(config, copied)
    assert changed["sources"] == [
        {"name": "A", "opt_start_seq": 6},
        {"name": "B", "opt_start_seq": 50},
        {"name": "C", "opt_start_seq": 2},
    ]
    assert notes == ["A from 6", "C from 2"]
    assert config["sources"][0] == {"name": "A"}
    assert start_behind(changed, copied) == (changed, [])
    assert same_but_starts(config, changed) == changed
    assert same_but_starts(changed, config) == changed


def test_without_an_identity_servers_go_on_by_themselves() -> None:
    config = {"name": "S", "sources": [{"name": "A"}]}
    assert start_behind(config, {"A > >": Copied(5, "")}) == (config, [])


def test_a_users_consumer_cannot_start_elsewhere() -> None:
    source = {"name": "A", "consumer": {"name": "c"}}
    config = {"name": "S", "sources": [source]}
    assert start_behind(config, {source_key(source): Copied(5, "id")}) == (config, [])


# --- order


def levels(**needs: list[str]) -> list[list[str]]:
    members = [Member(name, "", {"name": name, "sources": [{"name": o} for o in needs[name]]}) for name in needs]
    return [[member.name for member in level] for level in order(members)]


def test_origins() -> None:
    assert origins({"mirror": {"name": "A"}, "sources": [{"name": "B"}, {"name": "C", "external": {"api": "x"}}]}) == {
        "A",
        "B",
    }
    assert origins({}) == set()


def test_order() -> None:
    assert levels(B=["A"], A=[], C=["B", "A"], D=[]) == [["A", "D"], ["B"], ["C"]]
    assert levels(A=["elsewhere"], B=["A"]) == [["A"], ["B"]]
    assert levels(A=["A"]) == [["A"]]
    assert levels() == []
    mirror = order([Member("M", "", {"mirror": {"name": "O"}}), Member("O", "", {})])
    assert [[member.name for member in level] for level in mirror] == [["O"], ["M"]]


def test_order_breaks_circles() -> None:
    assert levels(A=["B"], B=["A"]) == [["A"], ["B"]]
    assert levels(A=["B"], B=["C"], C=["B"], D=["B"]) == [["B"], ["A", "C", "D"]]


@given(st.dictionaries(st.sampled_from("ABCDEF"), st.lists(st.sampled_from("ABCDEFX"), max_size=4), max_size=6))
def test_order_names_each_once_and_origins_first(needs: dict[str, list[str]]) -> None:
    found = [name for level in levels(**needs) for name in level]
    assert sorted(found) == sorted(needs)
    acyclic = {name: [other for other in wanted if other < name] for name, wanted in needs.items()}
    place = {name: index for index, level in enumerate(levels(**acyclic)) for name in level}
    assert all(place[other] < place[name] for name in acyclic for other in acyclic[name] if other in place)
