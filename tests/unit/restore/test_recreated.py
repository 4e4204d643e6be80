# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What proves that a stream or consumer was made anew, and what does not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.model import ConsumerInfo, StreamInfo
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.compare import HELD, MARKER, interrupted
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.manifest import ConsumerRecord, Manifest
from ansible_collections.natsops.jetstream.plugins.module_utils._restore.recover import recreated

BORN = "2026-11-22T10:15:00.123456789Z"


def manifest(last_seq: int = 20) -> Manifest:
    """A backup of the stream ONE."""
    return Manifest(
        stream="ONE",
        account="APP",
        format="V2",
        files=(),
        config={"name": "ONE", "subjects": ["one.>"]},
        state={"messages": last_seq, "last_seq": last_seq},
        exact=True,
        created=BORN,
        consumers=(),
        with_consumers=True,
        server={},
        started_at="2026-11-22T10:16:00Z",
        finished_at="2026-11-22T10:16:01Z",
        verified="quick",
        max_payload=0,
    )


def live(last_seq: int, created: str = BORN, **config: Any) -> StreamInfo:
    """The stream as a server shows it."""
    return StreamInfo({"name": "ONE", "subjects": ["one.>"], **config}, {"last_seq": last_seq}, created)


@pytest.mark.parametrize(
    ("info", "verdict"),
    [
        (live(0), recreated.RECREATED),
        (live(3), recreated.BEHIND),
        (live(20), recreated.INTACT),
        (live(25), recreated.INTACT),
        (live(0, "2026-11-22T10:15:00.123456788Z"), recreated.OTHER),
        (live(0, ""), recreated.OTHER),
        (None, recreated.ABSENT),
    ],
)
def test_only_the_same_birth_and_no_message_prove_it(info: StreamInfo | None, verdict: str) -> None:
    assert recreated.judge(manifest(), info) == verdict


def test_an_empty_backup_proves_nothing() -> None:
    assert recreated.judge(manifest(0), live(0)) == recreated.INTACT


def test_a_time_zone_is_no_difference() -> None:
    assert recreated.same_birth(BORN, "2026-11-22T11:15:00.123456789+01:00")
    assert not recreated.same_birth(BORN, "yesterday")


def test_subjects_come_back_as_they_were() -> None:
    config = {"name": "ONE", "subjects": ["one.>", "two"], "metadata": {"team": "a"}}
    held = recreated.held_config(config)
    assert held["subjects"] == ["$NATSOPS.HELD.ONE"]
    assert recreated.held_config(held)["metadata"] == held["metadata"]
    assert recreated.released_config(held) == config
    assert recreated.released_config(config) is None
    assert recreated.released_config(recreated.held_config({"name": "ONE"})) == {"name": "ONE", "subjects": []}


def test_a_recovery_that_ended_early_is_known() -> None:
    held = {HELD: "[]"}
    assert interrupted(live(0, metadata=held))
    assert interrupted(live(9, metadata={**held, MARKER: "inbox"}))
    assert not interrupted(live(20, metadata=held))
    assert not interrupted(live(0))
    assert not interrupted(None)


def test_a_consumer_that_went_back_was_made_anew() -> None:
    pair = {"consumer_seq": 15, "stream_seq": 15}
    record = ConsumerRecord("dur", {}, pair, pair, 0, 0, BORN, True)

    def info(stream_seq: int, created: str = BORN) -> ConsumerInfo:
        delivered = {"consumer_seq": stream_seq, "stream_seq": stream_seq}
        return ConsumerInfo("dur", {}, created, delivered, delivered, 0, 0, 0)

    assert recreated.went_back(record, info(0))
    assert not recreated.went_back(record, info(15))
    assert not recreated.went_back(record, info(0, "2026-11-22T10:15:01Z"))
