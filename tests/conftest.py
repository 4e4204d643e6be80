# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of all tests; `tests/` is put on the import path so that `servers` is found in every import mode."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# Safety backups of replaced streams: never into the directories of the machine that runs the tests. One that the
# environment names is somebody's own, and stays: only what was made here is removed.
if "NATSOPS_SAFETY_PATH" not in os.environ:
    _MADE = tempfile.mkdtemp(prefix="natsops-safety-")
    os.environ["NATSOPS_SAFETY_PATH"] = os.path.join(_MADE, "kept")
    atexit.register(shutil.rmtree, _MADE, ignore_errors=True)

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

# Files run side by side, and these take longest: begun last, they would run alone at the end.
LONGEST = (
    "test_jetstream_meta_rescue",
    "test_jetstream_peer_remove",
    "test_stale_survivor",
    "test_role_evacuate",
    "test_role_refusals",
    "test_streams_without_quorum",
    "test_jetstream_peer_evacuate",
    "test_role_backup",
    "test_role_verify",
    "test_faults_cluster",
    "test_jetstream_cluster_info",
    "test_jetstream_salvage",
    "test_jetstream_account_hold",
    "test_jetstream_backup_drill",
    "test_awx_jobs",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the longest files begin first."""
    order = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


# How long an example takes says more of the machine than of the code.
settings.register_profile("natsops", deadline=None)
settings.load_profile("natsops")
