# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of all tests; `tests/` is put on the import path so that `servers` is found in every import mode."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

_TESTS = str(Path(__file__).resolve().parent)
if _TESTS not in sys.path:
    sys.path.insert(0, _TESTS)

from servers.fixtures import (  # noqa: E402  the path comes first
    cluster,
    make_cluster,
    make_server,
    nats_cli,
    server,
    server_version,
)

__all__ = ["cluster", "make_cluster", "make_server", "nats_cli", "server", "server_version"]

# How long an example takes says more of the machine than of the code.
settings.register_profile("natsops", deadline=None)
settings.load_profile("natsops")
