# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What figures prove of a snapshot that holds less than its stream, and what they do not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.report import ArchiveReport
from ansible_collections.natsops.jetstream.plugins.module_utils._repository import suspect

BEFORE = {"messages": 300, "first_seq": 1, "last_seq": 300, "first_ts": "2026-11-27T10:00:00Z"}
NOW = 1795777200.0  # 2026-11-27T11:00:00Z
COUNTED = ArchiveReport("V2", 1, "", 1, complete=True, messages=298)


@pytest.mark.parametrize(
    ("config", "after", "proven"),
    [
        ({}, {}, True),
        ({"retention": "limits"}, {"messages": 305, "last_seq": 305}, True),
        # One was deleted, and one came.
        ({}, {"last_seq": 301}, False),
        # The oldest went as a new one came.
        ({"max_msgs": 300}, {"first_seq": 2, "last_seq": 301}, False),
        ({}, {"messages": 299}, False),
        # Another leader, that is behind.
        ({}, {"messages": 290, "last_seq": 290}, False),
        ({"retention": "interest"}, {}, False),
        ({"retention": "workqueue"}, {}, False),
        ({"allow_msg_ttl": True}, {}, False),
        ({"max_age": 3600 * 10**9}, {}, False),
        ({"max_age": 3600 * 24 * 10**9}, {}, True),
    ],
)
def test_what_proves_that_none_went(config: dict[str, Any], after: dict[str, Any], proven: bool) -> None:
    assert suspect.kept_all(config, BEFORE, {**BEFORE, **after}, NOW) is proven


def test_kinds() -> None:
    found = suspect.judge({}, BEFORE, COUNTED, kept=True, missing=("7", "9"))
    assert found == suspect.Suspicion("missing", 2, 300, ("7", "9"))
    assert "2 of 300 messages are not in the backup (sequence 7, 9)" in found.sentence("ONE")
    assert suspect.judge({}, BEFORE, COUNTED, kept=False) is None
    whole = dataclasses.replace(COUNTED, messages=300)
    assert suspect.judge({}, BEFORE, whole, kept=True) is None
    lost = {"msgs": [4, 5, 6], "bytes": 100}
    assert suspect.judge({}, BEFORE, whole, kept=True, lost=lost) == suspect.Suspicion("lost", 3, 300, ("4-6",))
    assert suspect.judge({"num_replicas": 3}, BEFORE, whole, kept=True, lost=lost) is None
    high = {**BEFORE, "last_seq": 1 << 62}
    assert (suspect.judge({}, high, whole, kept=False) or found).kind == "sequences"
    for one in (found, suspect.Suspicion("lost")):
        assert suspect.Suspicion.load(one.dump()) == one


def test_what_is_absent() -> None:
    assert suspect.absent([2, 3, 6], 1, 8, {5, 7}, 100) == [1, 4, 8]
    assert suspect.absent([1, 5000], 1, 5000, set(), 100) is None
    assert suspect.as_ranges([1, 4, 5, 6, 8]) == ("1", "4-6", "8")
