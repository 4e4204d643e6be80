# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stream's configuration may have moved since its backup, figure by figure."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.inspect import Backup
from ansible_collections.natsops.jetstream.plugins.module_utils._restore.verify.arrivals import is_original
from ansible_collections.natsops.jetstream.plugins.module_utils._restore.verify.content import (
    MOVEMENTS,
    arrived,
    kept,
    state_differences,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._restore.verify.taken import headers_of, lifetime

from ..repository.makers import STATE, manifest, stream


def fields(config: dict[str, Any], state: dict[str, Any], **options: Any) -> list[str]:
    lines = state_differences(STATE, stream(config, **state), **{"others": True, **options})
    return [line.partition(":")[0] for line in lines]


MORE: dict[str, Any] = {"last_seq": 14, "messages": 14, "last_ts": "later"}


@pytest.mark.parametrize(
    ("config", "state", "found"),
    [
        ({}, MORE, []),
        ({"subjects": []}, MORE, ["last_seq", "messages"]),
        ({"sealed": True}, MORE, ["last_seq", "messages"]),
        ({"subjects": [], "subject_delete_marker_ttl": 5}, MORE, []),
        ({"subjects": [], "allow_msg_schedules": True}, MORE, []),
        ({}, {**MORE, "messages": 15}, ["messages"]),
        # A message is missing: which one decides.
        ({}, {**MORE, "messages": 13, "deleted": [12]}, []),
        ({}, {**MORE, "messages": 13, "deleted": [5]}, ["messages"]),
        ({}, {**MORE, "messages": 9, "first_seq": 6}, ["messages", "first_seq"]),
        ({"max_msgs": 9}, {**MORE, "messages": 9, "first_seq": 6}, []),
        ({"max_msgs": 12}, {**MORE, "messages": 9, "first_seq": 6}, ["messages", "first_seq"]),
        ({"max_msgs": 9, "discard": "new"}, {**MORE, "messages": 9, "first_seq": 6}, ["messages", "first_seq"]),
        ({"max_msgs": 9}, {**MORE, "messages": 9, "first_seq": 5, "deleted": [8]}, ["messages", "first_seq"]),
        ({"max_bytes": 1100}, {**MORE, "messages": 9, "first_seq": 6, "bytes": 1090}, []),
        ({"max_bytes": 9000}, {**MORE, "messages": 9, "first_seq": 6, "bytes": 1090}, ["messages", "first_seq"]),
        ({"max_age": 5}, {**MORE, "messages": 9, "first_seq": 6}, []),
        ({"max_age": 5}, {**MORE, "messages": 8, "first_seq": 6, "deleted": [8]}, ["messages", "first_seq"]),
        ({"max_msgs_per_subject": 1}, {**MORE, "messages": 10, "deleted": [2, 3, 4, 5]}, []),
        ({"max_msgs_per_subject": 1}, {**MORE, "messages": 9, "deleted": [2, 3, 4, 5, 6]}, ["messages"]),
        ({"max_msgs_per_subject": 1}, {"messages": 9, "deleted": [2]}, ["messages"]),
        ({"allow_rollup_hdrs": True}, {**MORE, "messages": 5, "first_seq": 10}, []),
        ({"allow_rollup_hdrs": True}, {**MORE, "messages": 0, "first_seq": 15}, ["messages", "first_seq"]),
        ({"retention": "workqueue"}, {**MORE, "messages": 0, "first_seq": 15}, []),
        ({}, {**MORE, "first_ts": "other"}, ["first_ts"]),
    ],
)
def test_publishers_went_on(config: dict[str, Any], state: dict[str, Any], found: list[str]) -> None:
    assert fields(config, state) == found


def test_messages_that_come_back_are_a_difference() -> None:
    wanted = {**STATE, "messages": 9, "num_deleted": 1}
    assert state_differences(wanted, stream(**MORE), others=True) != []
    assert state_differences(wanted, stream(**{**MORE, "messages": 13, "deleted": [4]}), others=True) == []


def test_counts() -> None:
    assert kept(STATE, {**MORE, "messages": 13, "first_seq": 1}) is None
    assert kept(STATE, {**MORE, "messages": 12, "first_seq": 1, "deleted": [3, 12]}) == 9
    assert kept(STATE, {**MORE, "messages": 3, "first_seq": 12}) == 0
    assert arrived(STATE, {**MORE, "deleted": [3, 12]}) == 3
    assert arrived(STATE, MORE, up_to=13) == 1


def test_every_row_says_what_it_moves() -> None:
    assert len({movement.what for movement in MOVEMENTS}) == len(MOVEMENTS)
    assert all(movement.adds or movement.takes for movement in MOVEMENTS)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("5", 5 * 10**9), ("1h30m", 5400 * 10**9), ("1.5s", 15 * 10**8), ("never", None)],
)
def test_time_to_live(text: str, nanoseconds: int | None) -> None:
    assert lifetime(text) == nanoseconds


def test_headers_that_servers_act_on() -> None:
    block = b"NATS/1.0\r\nX-Nats-TTL: 1\r\nnats-ttl: 5s\r\nNats-Rollup:sub\r\n\r\n"
    assert headers_of(block) == {"nats-ttl": "5s", "nats-rollup": "sub"}


@pytest.mark.parametrize(
    ("created", "form", "original"),
    [
        ("2026-01-01T00:00:00Z", "V2", True),
        ("2026-01-01T00:00:00Z", "V1", None),
        ("2026-01-01T00:00:05Z", "V2", True),
        ("2026-01-01T00:00:10Z", "V2", False),
        ("2026-01-01T00:00:10Z", "V1", False),
    ],
)
def test_whether_a_stream_is_the_one_that_was_backed_up(created: str, form: str, original: bool | None) -> None:
    made = manifest(created="2026-01-01T00:00:00Z", format=form)
    backup = Backup("/backup", "quick", stream="ORDERS", state=STATE, manifest=made)
    info = dataclasses.replace(stream(), created=created)
    assert is_original(backup, info) is original
    assert is_original(dataclasses.replace(backup, manifest=None), info) is None
