# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which copies are compared, and which differences last; and accounts that share a name."""

from __future__ import annotations

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.build import _told_apart
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.copies import (
    Difference,
    differing,
    findings,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.groups import Copy
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.answers import peer_id

from .pictures import group, picture, stream

THREE = ("n1", "n2", "n3")


def look(*copies: tuple[int, int, int], alive: tuple[str, ...] = THREE, ordered: bool = False) -> dict[str, Difference]:
    """The differences of one stream; its copies on n1 to n3 as first sequence, last sequence, messages."""
    found = {peer_id(name): Copy(*copy) for name, copy in zip(THREE, copies)}
    one = stream("S", group(3, *THREE, alive=frozenset(alive)), copies=found, ordered=ordered)
    return {key[1]: value for key, value in differing(picture(THREE, frozenset(alive), (one,))).items()}


@pytest.mark.parametrize(
    "copies",
    [
        ((1, 10, 10), (1, 10, 10), (1, 10, 10)),
        ((1, 10, 10), (1, 9, 9), (1, 9, 9)),
        ((1, 10, 10), (2, 10, 9), (1, 9, 9)),
        ((11, 10, 0), (11, 10, 0), (11, 10, 0)),
    ],
)
def test_copies_that_end_elsewhere_are_not_compared(copies: tuple[tuple[int, int, int], ...]) -> None:
    assert look(*copies) == {}


def test_copies_that_end_alike_are_compared_and_the_dead_are_not() -> None:
    found = look((1, 10, 10), (1, 10, 7), (1, 9, 9))["S"]
    assert found.offsets == {peer_id("n1"): 3, peer_id("n2"): 0}
    assert look((1, 10, 10), (1, 10, 7), (1, 10, 10), alive=("n1", "n3")) == {}


def test_a_difference_lasts_where_nothing_changes_or_publishers_add_to_each() -> None:
    before = look((1, 10, 10), (1, 10, 7), (1, 10, 10))["S"]
    assert before.lasts(look((1, 10, 10), (1, 10, 7), (1, 10, 10))["S"])
    assert not before.lasts(look((1, 12, 12), (1, 12, 9), (1, 12, 12))["S"])
    assert not before.lasts(look((1, 10, 10), (1, 10, 8), (1, 10, 10))["S"])
    plain = look((1, 10, 10), (1, 10, 7), (1, 10, 10), ordered=True)["S"]
    assert plain.lasts(look((1, 12, 12), (1, 12, 9), (1, 12, 12), ordered=True)["S"])
    assert not plain.lasts(look((1, 12, 12), (1, 12, 10), (1, 12, 12), ordered=True)["S"])


def test_nothing_is_scaled_while_a_server_is_missing() -> None:
    found = look((1, 10, 10), (1, 10, 7), alive=("n1", "n2"))
    (finding,) = findings(picture(THREE, frozenset(("n1", "n2"))), found.values())
    assert "Bring its servers back first" in finding.remedy
    assert "--replicas" not in finding.remedy


def test_accounts_that_share_a_name_are_told_apart() -> None:
    assert _told_apart({"A1": "APP", "A2": "APP", "A3": "OTHER", "SYS": "SYS"}) == {
        "A1": "A1",
        "A2": "A2",
        "A3": "OTHER",
        "SYS": "SYS",
    }
    assert _told_apart({"A1": "SYS", "SYS": "SYS"}) == {"A1": "A1", "SYS": "SYS"}
