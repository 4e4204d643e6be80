# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pytest fixtures around real servers; a binary that cannot be had is an error, never a skip."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from .binaries import DEFAULT_SERVER
from .cluster import Cluster
from .config import Options
from .oracle import Cli
from .server import Server


class MakeServer(Protocol):
    """Starts a server with the given fields of Options (or `start=False`: only prepares it)."""

    def __call__(self, *, start: bool = True, **options: Any) -> Server: ...


class MakeCluster(Protocol):
    """Starts a cluster of `size` nodes with the given fields of Options (or `start=False`: only prepares it)."""

    def __call__(self, *, size: int = 3, start: bool = True, **options: Any) -> Cluster: ...


@pytest.fixture(scope="session")
def server_version() -> str:
    """The version of nats-server under test: NATSOPS_TEST_VERSION, else the newest line."""
    return os.environ.get("NATSOPS_TEST_VERSION") or DEFAULT_SERVER


@pytest.fixture(scope="session")
def server(server_version: str) -> Iterator[Server]:
    """One server for the whole session (users sys, app, app-nkey, other, nojs): tests use stream names of their own."""
    with Server(Options(version=server_version, nkey=True)) as running:
        yield running


@pytest.fixture(scope="session")
def cluster(server_version: str) -> Iterator[Cluster]:
    """A cluster of three for the whole session: tests that hurt nodes make their own with `make_cluster`."""
    with Cluster(Options(version=server_version)) as running:
        yield running


@pytest.fixture
def make_server(server_version: str) -> Iterator[MakeServer]:
    """Make servers of the version under test (or `version=`), stopped after the test."""
    with ExitStack() as stack:

        def make(*, start: bool = True, **options: Any) -> Server:
            made = Server(Options(**{"version": server_version, **options}))
            stack.callback(made.close)
            return made.start() if start else made

        yield make


@pytest.fixture
def make_cluster(server_version: str) -> Iterator[MakeCluster]:
    """Make clusters of the version under test (or `version=`), stopped after the test."""
    with ExitStack() as stack:

        def make(*, size: int = 3, start: bool = True, **options: Any) -> Cluster:
            made = Cluster(Options(**{"version": server_version, **options}), size=size)
            stack.callback(made.close)
            return made.start() if start else made

        yield make


@pytest.fixture(scope="session")
def nats_cli() -> Iterator[Cli]:
    """Runs the `nats` command line: `nats_cli.run(server, "stream", "ls")`."""
    cli = Cli()
    yield cli
    cli.close()
