# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of server lines."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.lines import (
    Line,
    parse_version,
    unsupported_consumer_fields,
    unsupported_stream_fields,
)


@pytest.mark.parametrize(
    ("text", "version"),
    [("2.15.2", (2, 15, 2)), ("v2.12.15-RC.1", (2, 12, 15)), ("2.15", (2, 15, 0)), ("", (0, 0, 0)), ("x", (0, 0, 0))],
)
def test_versions(text: str, version: tuple[int, int, int]) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        ("2.10.29", {"writes_v2": False, "memory_snapshots": False, "source_identity": False, "strict_json": False,
                     "ack_timeout": 2.0, "snapshot_can_desync": True}),
        ("2.11.17", {"strict_json": False, "ack_timeout": 2.0, "snapshot_can_desync": False}),
        ("2.12.2", {"strict_json": True, "ack_timeout": 2.0, "snapshot_can_desync": True}),
        ("2.12.15", {"writes_v2": False, "ack_timeout": 5.0, "snapshot_can_desync": False}),
        ("2.14.9", {"writes_v2": False, "memory_snapshots": False, "ack_timeout": 5.0}),
        ("2.15.2", {"writes_v2": True, "memory_snapshots": True, "source_identity": True}),
        ("2.16.0", {"writes_v2": True, "ack_timeout": 5.0, "snapshot_can_desync": False}),
    ],
)  # fmt: skip
def test_what_a_line_can_do(line: str, facts: dict[str, Any]) -> None:
    found = Line.of(line)
    assert str(found) == line
    assert {name: getattr(found, name) for name in facts} == facts


@pytest.mark.parametrize(
    ("line", "clustered", "most"),
    [
        ("2.15.2", False, 1),  # a standalone server of any line dies of parallel restores
        ("2.10.29", False, 1),
        ("2.10.29", True, 1),
        ("2.11.10", True, 1),
        ("2.11.11", True, 16),
        ("2.12.1", True, 1),
        ("2.12.2", True, 16),
        ("2.15.2", True, 16),
    ],
)
def test_parallel_restores(line: str, clustered: bool, most: int) -> None:
    assert Line.of(line).parallel_restores(clustered) == most


@pytest.mark.parametrize(
    ("config", "line", "found"),
    [
        ({"name": "A", "subjects": ["a"]}, "2.10.0", []),
        ({"name": "A", "allow_msg_ttl": True}, "2.10.29", ["allow_msg_ttl (needs 2.11)"]),
        ({"name": "A", "allow_msg_ttl": False, "allow_atomic": None}, "2.10.29", []),
        ({"name": "A", "allow_msg_ttl": True}, "2.11.0", []),
        ({"name": "A", "persist_mode": "default"}, "2.11.0", []),
        ({"name": "A", "persist_mode": "async"}, "2.11.0", ["persist_mode (needs 2.12)"]),
        ({"name": "A", "allow_batched": True, "allow_msg_counter": True}, "2.11.0",
         ["allow_batched (needs 2.14)", "allow_msg_counter (needs 2.12)"]),
        ({"name": "A", "quantum": 1}, "2.15.2", ["quantum (unknown to every line up to 2.15)"]),
        ({"name": "A", "quantum": 1}, "2.16.0", []),
        ({"name": "A", "mirror": {"name": "B", "consumer": {"name": "c"}}}, "2.12.0", ["mirror.consumer (needs 2.14)"]),
        ({"name": "A", "sources": [{"name": "B"}, {"name": "C", "consumer": {"name": "c"}}]}, "2.12.0",
         ["sources[1].consumer (needs 2.14)"]),
    ],
)  # fmt: skip
def test_fields_of_a_stream(config: dict[str, Any], line: str, found: list[str]) -> None:
    assert sorted(str(field) for field in unsupported_stream_fields(config, Line.of(line))) == found


@pytest.mark.parametrize(
    ("config", "line", "found"),
    [
        ({"durable_name": "d", "ack_policy": "explicit"}, "2.10.0", []),
        ({"durable_name": "d", "pause_until": "2099-01-01T00:00:00Z"}, "2.10.29",
         ["consumer d: pause_until (needs 2.11)"]),
        ({"name": "n", "priority_policy": "none"}, "2.10.29", []),
        ({"name": "n", "priority_policy": "overflow", "priority_groups": ["g"]}, "2.10.29",
         ["consumer n: priority_groups (needs 2.11)", "consumer n: priority_policy (needs 2.11)"]),
    ],
)  # fmt: skip
def test_fields_of_a_consumer(config: dict[str, Any], line: str, found: list[str]) -> None:
    assert sorted(str(field) for field in unsupported_consumer_fields(config, Line.of(line))) == found


def test_a_line_is_a_value() -> None:
    assert Line.of("2.15.2") == Line((2, 15, 2))
    with pytest.raises(dataclasses.FrozenInstanceError):
        Line.of("2.15.2").version = (2, 16, 0)  # type: ignore[misc]
