# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/architecture.md shows the packages as they are."""

from __future__ import annotations

import re

from tools import architecture, checkout
from tools.imports import MODULE_UTILS

TEXT = architecture.PAGE.read_text(encoding="utf-8")


def test_the_diagram_is_current() -> None:
    assert architecture.drawn(TEXT) == TEXT, "run: make architecture"
    assert "_restore --> _backup" in TEXT


def test_an_arrow_that_a_longer_way_makes_needless_is_not_drawn() -> None:
    assert architecture.reduced({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}


def test_each_package_has_a_row() -> None:
    rows = set(re.findall(r"^\| `(_\w+)` \|", TEXT, re.MULTILINE))
    assert rows == set(architecture.packages())


def test_what_the_page_names_exists() -> None:
    named = set(re.findall(r"`((?:_[a-z]|plugins/|tests/|roles/)[\w/.]+\.py)`", TEXT))
    assert len(named) > 10
    missing = [name for name in named if not (checkout.ROOT / name).exists() and not (MODULE_UTILS / name).exists()]
    assert missing == []
