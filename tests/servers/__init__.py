# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real nats-servers for tests, benchmarks and the demo; nothing here uses the collection's code.

`tests/` is on the import path of pytest (tests/conftest.py); elsewhere set PYTHONPATH=tests.

    from servers import Cluster, Options, Server
    with Server(Options(version="2.12.15")) as server:
        connection = await nats.connect(server.urls, **server.auth("app"))
    with Cluster(Options(), size=3) as cluster:
        cluster.meta_leader().kill()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .binaries import LINES, BinaryError, nats_cli, nats_server
    from .cluster import Cluster
    from .config import PASSWORD, Identity, Options, User
    from .server import Endpoint, Server, ServerError, wait_for

# Imported when they are asked for: `python -m servers.binaries` must not find itself imported already.
_HOME = {
    "LINES": "binaries",
    "PASSWORD": "config",
    "BinaryError": "binaries",
    "Cluster": "cluster",
    "Endpoint": "server",
    "Identity": "config",
    "Options": "config",
    "Server": "server",
    "ServerError": "server",
    "User": "config",
    "nats_cli": "binaries",
    "nats_server": "binaries",
    "wait_for": "server",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)


__all__ = [
    "LINES",
    "PASSWORD",
    "BinaryError",
    "Cluster",
    "Endpoint",
    "Identity",
    "Options",
    "Server",
    "ServerError",
    "User",
    "nats_cli",
    "nats_server",
    "wait_for",
]
