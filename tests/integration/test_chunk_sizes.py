# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chunks fit every server on their way: the limit of the account, of the server, of a leafnode's hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nats.errors
import pytest

from integration.harm import MIB, api, fill
from servers import PASSWORD, Options, Server, oracle
from servers.ansible import run_module
from servers.fixtures import MakeServer
from servers.process import free_ports
from servers.server import wait_for

BACKUP, RESTORE = "jetstream_stream_backup", "jetstream_stream_restore"
KIB = 1024


def round_trip(server: Server, path: Path, **options: Any) -> None:
    """Back the stream BIG up, delete it, restore it, and find every message again."""
    where = {**server.connection(), **options}
    before = oracle.dump(server, "BIG")
    saved = run_module(BACKUP, {**where, "stream": "BIG", "path": str(path)})
    assert saved.get("status") == "transferred", saved["msg"]
    api(server, "STREAM.DELETE.BIG")
    restored = run_module(RESTORE, {**where, "path": str(path)})
    assert restored.get("status") == "created", restored["msg"]
    assert oracle.dump(server, "BIG") == before


@pytest.mark.parametrize("payload", [64 * KIB, 10_000])
@pytest.mark.parametrize("whose", ["account", "user"])
def test_payload_limit_of_a_jwt(make_server: MakeServer, payload: int, whose: str, tmp_path: Path) -> None:
    """The server tells it only after the login, in a second INFO."""
    server = make_server(auth="jwt", **limited(whose, payload))
    fill(server, "BIG", MIB, message=payload // 2)
    round_trip(server, tmp_path / "BIG")
    too_large = run_module(RESTORE, {**server.connection(), "path": str(tmp_path / "BIG"), "chunk_size": 128 * KIB})
    assert too_large["error"] == "chunk_too_large"
    assert str(payload) in too_large["msg"]


def limited(whose: str, payload: int) -> dict[str, Any]:
    if whose == "user":
        return {"user_claims": {"app": {"payload": payload}}}
    return {"accounts": {"APP": {"limits": {"payload": payload}}}}


def test_messages_from_before_the_limit_come_back(make_server: MakeServer, tmp_path: Path) -> None:
    """A server compares stored messages with its own limit, not with the account's."""
    with_larger = make_server()
    fill(with_larger, "BIG", MIB, message=200 * KIB)
    saved = run_module(BACKUP, {**with_larger.connection(), "stream": "BIG", "path": str(tmp_path / "BIG")})
    assert saved["status"] == "transferred"
    server = make_server(auth="jwt", **limited("account", 64 * KIB))
    for check in (True, False):
        restored = run_module(RESTORE, {**server.connection(), "path": str(tmp_path / "BIG")}, check=check)
        assert restored.get("changed") is True, restored["msg"]
    assert oracle.stream_info(server, "BIG")["state"]["messages"] == 5


@pytest.mark.parametrize("most", [200 * KIB, 16 * KIB])
def test_server_with_a_small_max_payload_needs_no_option(make_server: MakeServer, most: int, tmp_path: Path) -> None:
    server = make_server(max_payload=most)
    fill(server, "BIG", MIB, message=most // 2)
    round_trip(server, tmp_path / "BIG")


def answers(server: Server, subject: str) -> bool | None:
    """Whether anybody answers a request; None to ask again."""

    async def ask() -> bool | None:
        client = await oracle.connect(server)
        try:
            return bool((await client.request(subject, b"", timeout=1)).data)
        except (nats.errors.NoRespondersError, nats.errors.TimeoutError):
            return None
        finally:
            await client.close()

    return oracle.run(ask())


@pytest.fixture
def leaf(server_version: str) -> Iterator[tuple[Server, Server]]:
    """A server without JetStream, and the hub that has it, with a lower limit, behind a leafnode connection."""
    (port,) = free_ports(1)
    join = {"leafnodes": {"remotes": [{"url": f"nats-leaf://app:{PASSWORD}@127.0.0.1:{port}", "account": "APP"}]}}
    with ExitStack() as stack:
        hub = Options(
            version=server_version,
            domain="hub",
            max_payload=100 * KIB,
            extra={"leafnodes": {"listen": f"127.0.0.1:{port}"}},
        )
        hub_server = stack.enter_context(Server(hub))
        edge = Options(version=server_version, jetstream=False, extra=join)
        edge_server = stack.enter_context(Server(edge, name="edge"))
        wait_for(lambda: answers(edge_server, "$JS.hub.API.INFO"), 10, "JetStream through the leafnode connection")
        yield edge_server, hub_server


def test_leafnode_whose_hub_takes_less(leaf: tuple[Server, Server], tmp_path: Path) -> None:
    edge, hub = leaf
    fill(hub, "BIG", 2 * MIB, message=32 * KIB)
    before = oracle.dump(hub, "BIG")
    where = {**edge.connection(), "domain": "hub"}
    saved = run_module(BACKUP, {**where, "stream": "BIG", "path": str(tmp_path / "BIG")})
    assert saved.get("status") == "transferred", saved["msg"]
    api(hub, "STREAM.DELETE.BIG")
    restored = run_module(RESTORE, {**where, "path": str(tmp_path / "BIG")})
    assert restored.get("status") == "created", restored["msg"]
    assert oracle.dump(hub, "BIG") == before
    assert "maximum payload" not in hub.log().lower()


def test_chunk_that_a_hub_does_not_take_is_named(leaf: tuple[Server, Server], tmp_path: Path) -> None:
    edge, hub = leaf
    fill(hub, "BIG", 2 * MIB, message=32 * KIB)
    where = {**edge.connection(), "domain": "hub", "stall_timeout": 3.0}
    run_module(BACKUP, {**where, "stream": "BIG", "path": str(tmp_path / "BIG")})
    api(hub, "STREAM.DELETE.BIG")
    failed = run_module(RESTORE, {**where, "path": str(tmp_path / "BIG"), "chunk_size": 512 * KIB})
    if hub.line < (2, 11):
        assert failed["status"] == "created"  # they do not enforce it between servers
        return
    assert failed.get("failed") is True
    assert "chunks of 524288 bytes" in failed["msg"]
    assert "leafnode" in failed["msg"]
    assert "chunk_size" in failed["msg"]
