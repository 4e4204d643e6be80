# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures that the integration tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration.cluster import kit


@pytest.fixture
def apps() -> Iterator[list[kit.App]]:
    """Clients to be closed at the end."""
    made: list[kit.App] = []
    yield made
    for app in made:
        app.close()
