# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a stream and its backup are the same."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.compare import (
    config_differences,
    consumer_differences,
    lasting,
    normal_config,
    unchanged_since,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._restore.verify.content import state_differences

from .makers import CONFIG, STATE, consumer, manifest, record, stream


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"max_msgs": -1, "max_age": 0, "sealed": False, "description": "", "metadata": {}, "mirror": None}),
        ({}, {"compression": "none", "persist_mode": "default", "first_seq": 1}),
        ({"metadata": {"a": "b"}}, {"metadata": {"a": "b", "_nats.ver": "2.15.2", "_nats.req.level": "0"}}),
        ({}, {"metadata": {"natsops.restore": "x"}}),
        ({"sources": [{"name": "A"}]}, {"sources": [{"name": "A", "opt_start_seq": 0, "filter_subject": ""}]}),
    ],
)
def test_what_says_nothing_makes_no_difference(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert normal_config(one) == normal_config(other)
    assert config_differences({**CONFIG, **one}, {**CONFIG, **other}) == []


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"max_msgs": 5}, "max_msgs"),
        ({"subjects": ["orders.*"]}, "subjects"),
        ({"subjects": ["orders.>", "more"]}, "subjects"),
        ({"compression": "s2"}, "compression"),
        ({"first_seq": 2}, "first_seq"),
        ({"metadata": {"a": "c"}}, "metadata"),
        ({"sealed": True}, "sealed"),
        ({"num_replicas": 3}, "num_replicas"),
    ],
)
def test_differences_are_named(changed: dict[str, Any], field: str) -> None:
    for one, other in ((CONFIG, {**CONFIG, **changed}), ({**CONFIG, **changed}, CONFIG)):
        found = config_differences(one, other)
        assert [line.partition(":")[0] for line in found] == [field]


@pytest.mark.parametrize(
    ("config", "state", "found"),
    [
        ({}, {}, []),
        ({}, {"last_seq": 11, "messages": 11, "last_ts": "x"}, ["last_seq", "messages"]),
        ({}, {"last_seq": 9, "messages": 9}, ["last_seq", "messages"]),
        ({}, {"messages": 9}, ["messages"]),
        ({}, {"messages": 9, "first_seq": 2}, ["messages", "first_seq"]),
        ({}, {"first_ts": "x"}, ["first_ts"]),
        ({}, {"last_ts": "x"}, ["last_ts"]),
        # Expired, or consumed, since.
        ({"max_age": 5}, {"messages": 4, "first_seq": 7, "first_ts": "x"}, []),
        ({"allow_msg_ttl": True}, {"messages": 4}, []),
        ({"retention": "workqueue"}, {"messages": 0, "first_seq": 11}, []),
        ({"retention": "interest"}, {"messages": 9, "first_seq": 2, "first_ts": "x"}, []),
        ({"max_age": 5}, {"messages": 11}, ["messages"]),
        ({"max_age": 5}, {"last_seq": 11, "messages": 4, "first_seq": 8}, ["last_seq"]),
        # Gone on copying.
        ({"mirror": {"name": "A"}}, {"last_seq": 12, "messages": 12, "last_ts": "x"}, []),
        ({"sources": [{"name": "A"}]}, {"last_seq": 12, "messages": 12, "last_ts": "x"}, []),
        ({"sources": [{"name": "A"}]}, {"last_seq": 12, "messages": 13}, ["messages"]),
        ({"mirror": {"name": "A"}}, {"last_seq": 9, "messages": 9}, ["last_seq", "messages"]),
    ],
)
def test_states(config: dict[str, Any], state: dict[str, Any], found: list[str]) -> None:
    lines = state_differences(STATE, stream(config, **state))
    assert [line.partition(":")[0] for line in lines] == found


def test_a_stream_that_changed_while_it_was_backed_up() -> None:
    fewer = stream(messages=8)
    assert state_differences(STATE, fewer, exact=False) == []
    assert state_differences(STATE, fewer) != []
    more = stream(messages=12, last_seq=12, last_ts="x")
    assert state_differences(STATE, more, exact=False, up_to=12) == []
    assert state_differences(STATE, more, exact=False, up_to=11) != []


def test_an_empty_stream() -> None:
    empty: dict[str, Any] = {"messages": 0, "bytes": 0, "first_seq": 0, "last_seq": 0, "first_ts": "0", "last_ts": "0"}
    assert state_differences(empty, stream(**empty)) == []
    assert state_differences(empty, stream(**{**empty, "first_ts": "later"})) == []
    assert state_differences(empty, stream()) != []
    assert state_differences(STATE, stream(**empty)) != []


@pytest.mark.parametrize(
    ("info", "consumers", "same"),
    [
        (stream(), [consumer()], True),
        (stream({"metadata": {"_nats.ver": "x"}}), [consumer()], True),
        (stream(), [consumer(), consumer("reader", durable_name="", ack_policy="none")], True),
        (stream(messages=11), [consumer()], False),
        (stream(num_deleted=0), [consumer()], True),
        (stream(bytes=1), [consumer()], False),
        (stream({"max_msgs": 5}), [consumer()], False),
        (stream(), [consumer(floor=4)], False),
        (stream(), [consumer(max_deliver=5)], False),
        (stream(), [consumer(), consumer("more")], False),
        (stream(), [], False),
        (stream(), None, False),
    ],
)
def test_unchanged_since(info: Any, consumers: Any, same: bool) -> None:
    assert unchanged_since(manifest(), info, consumers) is same


def test_a_stream_made_anew_is_another_one() -> None:
    assert not unchanged_since(manifest(created="2026-01-01T00:00:01Z"), stream(), [consumer()])


def test_deleted_messages_count() -> None:
    made = manifest(state={**STATE, "num_deleted": 2})
    assert not unchanged_since(made, stream(), [consumer()])
    assert unchanged_since(made, stream(num_deleted=2), [consumer()])


@pytest.mark.parametrize(
    ("config", "lasts"),
    [
        ({"durable_name": "d", "ack_policy": "none"}, True),
        ({"name": "n", "ack_policy": "explicit"}, True),
        ({"name": "n", "ack_policy": "none"}, False),
        ({"durable_name": "JS_SRC_x", "ack_policy": "flow_control", "sourcing": True}, False),
        ({}, False),
    ],
)
def test_lasting(config: dict[str, Any], lasts: bool) -> None:
    assert lasting(config) is lasts


@pytest.mark.parametrize(
    ("found", "differences", "absent"),
    [
        ([consumer()], 0, 0),
        ([consumer(floor=9)], 0, 0),
        ([consumer(floor=2)], 1, 0),
        ([consumer(max_deliver=3)], 1, 0),
        ([consumer(pause_until="2099-01-01T00:00:00Z")], 0, 0),
        ([consumer(deliver_policy="by_start_sequence", opt_start_seq=4)], 0, 0),
        ([consumer(deliver_policy="by_start_sequence", opt_start_seq=9)], 1, 0),
        ([consumer("other")], 0, 1),
        ([], 0, 1),
    ],
)
def test_consumers(found: list[Any], differences: int, absent: int) -> None:
    lines, missing = consumer_differences([record()], found, 1)
    assert (len(lines), len(missing)) == (differences, absent)


def test_a_position_before_the_first_message_is_one_with_it() -> None:
    assert consumer_differences([record(floor=3)], [consumer(floor=0)], 4) == ([], [])
    assert consumer_differences([record(floor=4)], [consumer(floor=0)], 4)[0] != []
