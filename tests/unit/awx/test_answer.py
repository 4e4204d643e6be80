# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people type into a survey reaches the role as typed, whatever Ansible makes of it on the way."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleParserError
from ansible.parsing.dataloader import DataLoader
from ansible_collections.natsops.jetstream.plugins.module_utils._report import answer

from tools.awx import job, rules


def handed_over(value: Any) -> Any:
    """An answer as it arrives in a job."""
    return DataLoader().load(yaml.dump({"a": job.guarded(value)}, Dumper=job.Dumper))["a"]


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "n1",
        "10",
        "1.5",
        "true",
        "false",
        "2026-11-22",
        "2026-11-22T10:15:00Z",
        "{{ x }}",
        "APP > ORDERS",
        "a: b",
        "- x",
    ],
)
def test_a_text_arrives_as_typed(typed: str) -> None:
    assert answer.text(handed_over(typed)) == typed


def test_a_moment_keeps_its_zone() -> None:
    assert answer.text(handed_over("2026-11-22T10:15:00+02:00")) in (
        "2026-11-22T10:15:00+02:00",
        "2026-11-22T08:15:00Z",
    )


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", ["*"]),
        ("ORDERS", ["ORDERS"]),
        ("10", ["10"]),
        ("ORDERS\n\n  EVENTS_* \r\n", ["ORDERS", "EVENTS_*"]),
        ("APP > ORDERS\n*", ["APP > ORDERS", "*"]),
        (["a", "b"], ["a", "b"]),
        (None, ["*"]),
    ],
)
def test_lines_are_a_list(typed: Any, expected: list[str]) -> None:
    assert answer.lines(handed_over(typed), ["*"]) == expected


@pytest.mark.parametrize("word", rules.UNSPEAKABLE)
def test_the_words_that_no_answer_can_be_are_known(word: str) -> None:
    with pytest.raises(AnsibleParserError):
        handed_over(word)
