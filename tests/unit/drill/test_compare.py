# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every difference between an archive and what was read back is counted and named."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.check.fingerprint import (
    BITS,
    Fields,
    Fingerprint,
    fields,
    parts,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.reader import open_archive
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.report import ArchivedConsumer
from ansible_collections.natsops.jetstream.plugins.module_utils._drill.compare import (
    Reading,
    consumer_differences,
    read_and_compare,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.model import ConsumerInfo, StreamInfo
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.readback import Stored
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.inspect import Backup, inspect

FIXTURES = Path(__file__).parents[1] / "archive" / "fixtures"


class Fake:
    """Stands in for what reads a server back."""

    def __init__(self, messages: list[Fields]) -> None:
        self.read = messages

    def messages(self, config: dict[str, Any], state: dict[str, Any]) -> Iterator[Stored]:
        assert config["name"]
        assert "messages" in state
        for message in self.read:
            yield Stored(*message)


def compared(backup: Backup, messages: list[Fields], *, process: bool = False, **config: Any) -> Reading:
    fingerprint = Fingerprint(backup.data, process=process)
    info = StreamInfo({**backup.config, **config}, backup.state, "")
    try:
        readback: Any = Fake(messages)
        return read_and_compare(backup, backup.data, fingerprint, readback, info, lambda: False)
    finally:
        fingerprint.close()


@pytest.fixture(params=["2.10.29/gaps", "2.14.9/compressed", "2.15.2/gaps", "2.15.2/compressed"])
def backup(request: pytest.FixtureRequest) -> Backup:
    return inspect(str(FIXTURES / request.param))


@pytest.fixture
def archived(backup: Backup) -> list[Fields]:
    return list(fields(open_archive(backup.data)))


@pytest.mark.parametrize("process", [False, True])
def test_the_same_is_the_same(backup: Backup, archived: list[Fields], process: bool) -> None:
    found = compared(backup, archived, process=process)
    size = sum(len(header) + len(payload) for _seq, _time, _subject, header, payload in archived)
    assert found == Reading(len(archived), size)
    assert found.messages > 5


@pytest.mark.parametrize(
    ("place", "value", "text"),
    [
        (1, 5, "other time"),
        (2, b"other.subject", "other subject"),
        (3, b"NATS/1.0\r\nA: b\r\n\r\n", "other headers"),
        (4, b"something else", "other data"),
    ],
)
def test_any_field_counts(backup: Backup, archived: list[Fields], place: int, value: Any, text: str) -> None:
    number = len(archived) // 2
    changed: Any = list(archived[number])
    changed[place] = value
    found = compared(backup, [*archived[:number], tuple(changed), *archived[number + 1 :]])
    assert found.differences == (f"message {changed[0]}: restored with {text}",)
    assert (found.count, found.gone) == (1, 0)


def test_a_moved_boundary_between_fields_counts(backup: Backup, archived: list[Fields]) -> None:
    sequence, time_ns, subject, header, payload = archived[0]
    moved = (sequence, time_ns, subject[:-1], subject[-1:] + header, payload)
    assert compared(backup, [moved, *archived[1:]]).count == 1


def test_missing_and_more_are_told_apart(backup: Backup, archived: list[Fields]) -> None:
    last = archived[-1][0]
    more = [(last + 1, *archived[-1][1:]), (last + 5000, *archived[-1][1:])]
    found = compared(backup, [*archived[1:3], *archived[4:], *more])
    assert found.differences == (
        f"message {archived[0][0]}: not restored",
        f"message {archived[3][0]}: not restored",
        f"message {last + 1}: not in the backup",
        f"message {last + 5000}: not in the backup",
    )
    assert found.messages == len(archived)
    everything = compared(backup, [])
    assert everything.count == len(archived)
    assert len(everything.differences) == 10


def test_what_the_acknowledgements_take_away_is_no_difference(backup: Backup, archived: list[Fields]) -> None:
    acked = with_consumer(backup, archived[1][0])
    found = compared(acked, archived[3:], retention="interest")
    assert (found.gone, found.differences) == (2, (f"message {archived[2][0]}: not restored",))
    assert compared(acked, archived[3:]).count == 3


def test_what_a_limit_takes_away_is_no_difference_where_the_stream_moved_on() -> None:
    moved_on = inspect(str(FIXTURES / "2.10.29" / "gaps"))
    archived = list(fields(open_archive(moved_on.data)))
    assert compared(moved_on, archived[1:], max_msgs=3).count == 1
    moved_on = dataclasses.replace(moved_on, state={**moved_on.state, "messages": len(archived) + 1})
    assert compared(moved_on, archived[1:], max_msgs=3) == Reading(
        len(archived) - 1, sum(len(m[3]) + len(m[4]) for m in archived[1:]), gone=1
    )
    assert compared(moved_on, archived[1:]).count == 1


def test_parts_do_not_depend_on_what_is_missing_elsewhere() -> None:
    rng = random.Random(3)
    messages = [(sequence, 1, b"s", b"", rng.randbytes(8)) for sequence in range(1, 5 << BITS)]
    whole = {part.number: part for part in parts(messages)}
    assert sorted(whole) == list(range(5))
    hole = {part.number: part for part in parts([m for m in messages if m[0] != (2 << BITS) + 7])}
    assert [number for number in whole if whole[number] != hole[number]] == [2]
    sparse = list(parts([(1, 1, b"s", b"", b""), (1 << 40, 1, b"s", b"", b"")]))
    assert [part.number for part in sparse] == [0, 1 << (40 - BITS)]


CONFIG = {"durable_name": "c", "ack_policy": "explicit"}
DELIVERED = {"consumer_seq": 7, "stream_seq": 9}


def with_consumer(backup: Backup, floor: int) -> Backup:
    """The backup as if it had one consumer, two of whose messages wait for acknowledgement."""
    assert backup.report is not None
    pair = {"consumer_seq": floor, "stream_seq": floor}
    state = {"delivered": DELIVERED, "ack_floor": pair, "num_ack_pending": 2, "num_redelivered": 0}
    report = dataclasses.replace(backup.report, consumers=(ArchivedConsumer("c", CONFIG, state),))
    return dataclasses.replace(backup, manifest=None, report=report)


def consumer(**changes: Any) -> ConsumerInfo:
    raw = {
        "name": "c",
        "config": CONFIG,
        "delivered": DELIVERED,
        "ack_floor": {"consumer_seq": 4, "stream_seq": 4},
        "num_ack_pending": 2,
        **changes,
    }
    return ConsumerInfo.parse(raw)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, ""),
        ({"delivered": {"consumer_seq": 7, "stream_seq": 8}}, "delivered up to 9 in the backup, 8 in the stream"),
        ({"num_ack_pending": 1}, "2 messages wait for acknowledgement in the backup, 1 in the stream"),
        ({"ack_floor": {"consumer_seq": 4, "stream_seq": 3}}, "acknowledged up to 4 in the backup, 3"),
        ({"config": {"durable_name": "c", "ack_policy": "all"}}, "ack_policy"),
        ({"name": "other"}, "not restored"),
    ],
)
def test_consumers(backup: Backup, changes: dict[str, Any], text: str) -> None:
    own = with_consumer(backup, 4)
    found = consumer_differences(own, own.consumers, [consumer(**changes)], {"first_seq": 1})
    assert len(found) == (1 if text else 0), found
    assert text in "".join(found)
