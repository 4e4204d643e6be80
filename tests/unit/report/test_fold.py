# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Equal warnings about many streams become one; nothing that says something else disappears."""

from __future__ import annotations

from ansible_collections.natsops.jetstream.plugins.module_utils._report.fold import fold

NAMES = [f"S{number}" for number in range(75)]
FIRST = "S0, S1, S2, S3, S4 and 70 more"


def test_the_same_of_many_streams() -> None:
    assert fold(f"stream {name}: its window starts empty." for name in NAMES) == [
        f"75 streams ({FIRST}): its window starts empty."
    ]


def test_own_names_in_the_text_are_no_difference() -> None:
    texts = [f"stream {name}: its backup in /b/APP/{name} is not carried on." for name in NAMES]
    assert fold(texts) == [f"75 streams ({FIRST}): its backup in /b/APP/NAME is not carried on."]


def test_figures_and_times_become_ranges() -> None:
    texts = [
        f"consumer {name} > work: {number} messages wait since 2026-11-{10 + number % 20}T10:00:00Z."
        for number, name in enumerate(NAMES)
    ]
    (told,) = fold(texts)
    assert told.startswith("75 consumers (S0 > work, S1 > work, ")
    assert told.endswith(": 0 to 74 messages wait since 2026-11-10T10:00:00Z to 2026-11-29T10:00:00Z.")


def test_other_names_are_listed() -> None:
    texts = [f"stream {name}: its origin ORIGIN-{name.lower()} does not exist." for name in NAMES]
    (told,) = fold(texts)
    assert "origin ORIGIN-s0, ORIGIN-s1, ORIGIN-s2 and 72 more does not exist" in told


def test_accounts_are_kept_apart() -> None:
    texts = [f"{account}: stream {name}: it is old." for account in ("APP", "SHOP") for name in ("A", "B")]
    assert fold(texts) == ["APP: 2 streams (A, B): it is old.", "SHOP: 2 streams (A, B): it is old."]


def test_what_differs_in_a_word_stays() -> None:
    texts = ["stream A: it is lost.", "stream B: it is kept.", "stream C: it is lost."]
    assert fold(texts) == ["2 streams (A, C): it is lost.", "stream B: it is kept."]


def test_one_alone_and_the_same_twice() -> None:
    assert fold(["stream A: it is lost.", "stream A: it is lost.", "Members: n1, n2"]) == [
        "stream A: it is lost.",
        "Members: n1, n2",
    ]


def test_long_names_are_bounded() -> None:
    (told,) = fold(f"stream {letter * 250}: it is lost." for letter in "ABCDEFGH")
    assert len(told) < 300
    assert "and 7 more" in told


def test_sentences_without_a_stream() -> None:
    texts = [f"The set /b/APP/{number} is not whole." for number in range(10)]
    assert fold(texts) == ["10 times: The set /b/APP/0, /b/APP/1, /b/APP/2 and 7 more is not whole."]
    assert fold(texts[:2]) == texts[:2]


def test_a_thousand_of_many_kinds_keep_every_kind() -> None:
    texts = [f"stream {name}: {why}." for name in NAMES for why in ("a is b", "c is d", "its origin x is gone")]
    assert [line.partition(": ")[2] for line in fold(texts)] == ["a is b.", "c is d.", "its origin x is gone."]
