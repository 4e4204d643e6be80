# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as a loss, and what does not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.finding import Finding
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.losses import Accepted, Earlier, find_losses
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.states import State

SECOND = 1_000_000_000
WAS = State("APP", "S", messages=50, first_seq=1, last_seq=50, first_ts=100 * SECOND, last_ts=200 * SECOND)
BACKUP = Earlier(WAS, 1000.0, "/r/APP/20261127T000000Z/S")
LATER = dataclasses.replace(WAS, messages=60, last_seq=60, last_ts=260 * SECOND)
PICTURE = Earlier(LATER, 2000.0)


def now(**changes: Any) -> State:
    return dataclasses.replace(WAS, **changes)


def words(*found: Finding) -> list[str]:
    return [one.id for one in found]


@pytest.mark.parametrize(
    ("live", "word"),
    [
        (now(), ""),
        (now(messages=70, last_seq=70, last_ts=300 * SECOND), ""),
        # What a stream loses by its own rules: the oldest messages, or all of them.
        (now(messages=10, first_seq=41, first_ts=190 * SECOND), ""),
        (now(messages=0, first_seq=51, first_ts=0), ""),
        # Sequences that go back, or hold something else.
        (now(messages=0, first_seq=0, last_seq=0, first_ts=0), "stream_behind"),
        (now(messages=49, last_seq=49), "stream_behind"),
        (now(messages=70, last_seq=70, first_ts=900 * SECOND, last_ts=950 * SECOND), "stream_recreated"),
        (now(messages=40, first_seq=21, last_seq=60, first_ts=900 * SECOND), "stream_recreated"),
        (now(messages=80, first_seq=51, last_seq=130, first_ts=900 * SECOND), ""),
        # Clocks of two leaders differ by less than two seconds.
        (now(messages=30, first_seq=21, first_ts=201 * SECOND), ""),
    ],
)
def test_a_live_stream(live: State, word: str) -> None:
    assert words(*find_losses([live], [BACKUP], [])) == ([word] if word else [])


def test_sequences_that_came_back() -> None:
    before = Earlier(now(messages=10, first_seq=41, first_ts=190 * SECOND), 1000.0, BACKUP.path)
    assert words(*find_losses([now()], [before], [])) == ["stream_recreated"]


def test_a_missing_stream() -> None:
    (found,) = find_losses([], [BACKUP], [PICTURE])
    assert (found.id, found.severity, found.objects, found.backup) == (
        "stream_lost",
        "critical",
        ("APP > S",),
        BACKUP.path,
    )
    assert "Lost: 60 messages" in found.detail
    assert "No backup has sequences 51 to 60" in found.detail
    assert "restore_set" in found.remedy
    assert not find_losses([], [BACKUP], [], known_elsewhere={("APP", "S")})
    (found,) = find_losses([], [], [PICTURE], unlisted="n2")
    assert "It may be on n2" in found.detail
    assert not found.backup
    assert "assess_given_up" in found.remedy


def test_what_a_person_accepts() -> None:
    assert not find_losses([], [BACKUP], [PICTURE], accepted=[Accepted("APP", "S")])
    assert find_losses([], [BACKUP], [], accepted=[Accepted("APP", "T"), Accepted("OTHER", "S")])
    # Confirmed is what came after 50, and no more.
    until = [Accepted("APP", "S", 50)]
    assert not find_losses([now()], [BACKUP], [PICTURE], accepted=until)
    assert find_losses([now(messages=49, last_seq=49)], [BACKUP], [PICTURE], accepted=until)
    assert find_losses([], [BACKUP], [PICTURE], accepted=until)
    # What is known from before the confirmation was lost before it; the picture of 2000 shows that it was there later.
    then = [Accepted("APP", "S", 50, until=1500.0)]
    assert not find_losses([now()], [BACKUP], [], accepted=then)
    assert words(*find_losses([now()], [BACKUP], [PICTURE], accepted=then)) == ["stream_behind"]
    # An older backup than the picture begins earlier.
    later = Earlier(dataclasses.replace(LATER, messages=20, first_seq=41, first_ts=180 * SECOND), 2000.0)
    assert words(*find_losses([now()], [], [later])) == ["stream_recreated"]
    assert not find_losses([now()], [], [later], accepted=until)


def test_a_backup_that_was_taken_after_the_loss() -> None:
    other = now(messages=70, last_seq=70, first_ts=900 * SECOND, last_ts=950 * SECOND)
    late = Earlier(other, 3000.0, "/r/APP/20261128T000000Z/S")

    def older(_key: object, test: Any) -> Earlier | None:
        return next((one for one in (late, BACKUP) if test(one.state)), None)

    (found,) = find_losses([other], [late], [PICTURE], older=older)
    assert (found.id, found.backup) == ("stream_recreated", BACKUP.path)
    assert "This replaces the 70 messages" in found.remedy
    # Restored from the older one: what the newest backup holds is no measure any more.
    (found,) = find_losses([now()], [late], [PICTURE], older=older)
    assert (found.id, found.backup) == ("stream_behind", "")
    assert not find_losses([LATER], [late], [PICTURE], older=older)


def test_consumers() -> None:
    before = Earlier(now(consumers={"a": 10, "b": 20, "c": 0}), 1000.0, BACKUP.path)
    (found,) = find_losses([now(consumers={"a": 12, "b": 19})], [before], [])
    assert (found.id, found.severity) == ("consumer_position_lost", "warning")
    assert found.objects == ("APP > S > b", "APP > S > c")
    assert "b has acknowledged up to 19" in found.detail
    assert not find_losses([now(consumers={"a": 10, "b": 20, "c": 1})], [before], [])
