# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user may publish to, from what servers tell of permissions."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._restore.before.rights import may_publish


@pytest.mark.parametrize(
    ("permissions", "may"),
    [
        ({}, True),
        ({"publish": {}}, True),
        ({"publish": {"deny": ["a.>"]}}, False),
        ({"publish": {"deny": ["a.b"]}}, True),
        ({"publish": {"allow": ["a.*.c"]}}, True),
        ({"publish": {"allow": ["a.*"]}}, False),
        ({"publish": {"allow": [">"], "deny": ["a.b.c"]}}, False),
        ({"subscribe": {"deny": [">"]}}, True),
        # Nothing can be read from what is no list of texts.
        ({"publish": "a.>"}, True),
        ({"publish": {"deny": {"a": 1}, "allow": None}}, True),
        ({"publish": {"deny": [1, None]}}, True),
    ],
)
def test_may_publish(permissions: dict[str, Any], may: bool) -> None:
    assert may_publish(permissions, "a.b.c") is may
