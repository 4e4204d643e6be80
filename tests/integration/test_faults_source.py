# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup does when its server dies or freezes, and when the stream changes under it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._backup import account
from ansible_collections.natsops.jetstream.plugins.module_utils._backup.snapshot import Transfer
from ansible_collections.natsops.jetstream.plugins.module_utils._backup.stream import BackupOptions
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.options import make_options
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.session import Session
from ansible_collections.natsops.jetstream.plugins.module_utils._repository import writer

from integration.harm import (
    MIB,
    api,
    assert_valid,
    fill,
    hidden,
    publish,
    start_and_stall,
    through,
    tree,
    within,
)
from servers import Endpoint, Options, Server, oracle
from servers.ansible import run_module
from servers.proxy import Proxy

V1_LINE = "2.12.15"
V1_SLOW = [pytest.param("V1", marks=pytest.mark.slow), "V2"]
OWN = pytest.mark.parametrize("own_server", V1_SLOW, indirect=True)
SHARED = pytest.mark.parametrize("shared_server", V1_SLOW, indirect=True)
BACKUP = "jetstream_stream_backup"
RESTORE = "jetstream_stream_restore"
ACCOUNT = "jetstream_account_backup"
SMALL = {"chunk_size": 32 * 1024, "window_size": 256 * 1024}


@pytest.fixture
def own_server(request: pytest.FixtureRequest, server_version: str) -> Iterator[Server]:
    """A server that the test may hurt, of each format."""
    with Server(Options(version=V1_LINE if request.param == "V1" else server_version)) as server:
        yield server


@pytest.fixture(scope="module")
def shared_server(request: pytest.FixtureRequest, server_version: str) -> Iterator[Server]:
    """A server that tests leave as it is, of each format."""
    with Server(Options(version=V1_LINE if request.param == "V1" else server_version)) as server:
        yield server


def arguments(server: Endpoint, stream: str, path: Path, **more: Any) -> dict[str, Any]:
    return {**server.connection(), "stream": stream, "path": str(path), **more}


@OWN
def test_server_killed_and_frozen(own_server: Server, tmp_path: Path) -> None:
    path = tmp_path / "BIG"
    fill(own_server, "BIG", 6 * MIB)
    assert run_module(BACKUP, arguments(own_server, "BIG", path))["changed"]
    publish(own_server, "BIG", 1, 100)
    before = tree(path)
    with Proxy(own_server.port) as proxy:
        slow = through(own_server, proxy, stream="BIG", path=str(path), **SMALL)

        process = start_and_stall(BACKUP, slow, proxy, 2 * MIB, "down")
        own_server.kill()
        proxy.resume()
        with within(20):
            result = process.wait(30)
        assert result["error"] == "connection_lost", result
        assert "BIG" in result["msg"]
        with within(20):
            gone = run_module(BACKUP, arguments(own_server, "BIG", path))
        assert gone["error"] == "connection_failed", gone
        assert tree(path) == before
        assert hidden(tmp_path) == []
        own_server.start()

        # Frozen in the middle: the connection stays, and nothing comes any more.
        process = start_and_stall(BACKUP, {**slow, "stall_timeout": 3}, proxy, 2 * MIB, "down")
        own_server.freeze()
        proxy.resume()
        with within(30):
            result = process.wait(40)
        assert result["error"] == "stalled", result
        assert tree(path) == before
        assert hidden(tmp_path) == []
        # Frozen from the start.
        with within(20):
            result = run_module(BACKUP, arguments(own_server, "BIG", path, connect_timeout=2))
        assert result["error"] == "connection_failed", result
        assert "no answer within 2 s" in result["msg"]
        own_server.thaw()
    result = run_module(BACKUP, arguments(own_server, "BIG", path))
    assert result["changed"], result
    assert_valid(path)
    assert hidden(tmp_path) == []


@SHARED
def test_stream_deleted_in_the_middle(shared_server: Server, tmp_path: Path) -> None:
    path = tmp_path / "GONE"
    fill(shared_server, "GONE", 6 * MIB)
    with Proxy(shared_server.port) as proxy:
        slow = through(shared_server, proxy, stream="GONE", path=str(path), stall_timeout=4, **SMALL)
        process = start_and_stall(BACKUP, slow, proxy, 2 * MIB, "down")
        api(shared_server, "STREAM.DELETE.GONE")
        proxy.resume()
        with within(40):
            result = process.wait(60)
    # A server may have read all it needs before: then the backup is whole.
    if result.get("failed"):
        assert "GONE" in result["msg"]
        assert result["error"] in ("snapshot_failed", "stalled", "stream_not_found", "chunks_lost"), result
        assert not path.exists()
    else:
        assert_valid(path)
    assert hidden(tmp_path) == []
    again = run_module(BACKUP, arguments(shared_server, "GONE", path))
    assert again["error"] == "stream_not_found", again


@SHARED
def test_stream_in_motion(shared_server: Server, tmp_path: Path) -> None:
    """Written to, purged and trimmed all the while, consumers coming and going: the backup is whole and restorable."""
    stream = "MOVING"
    fill(shared_server, stream, 4 * MIB, message=16 * 1024, max_msgs=400)

    async def commotion(until: asyncio.Event) -> None:
        client = await oracle.connect(shared_server)
        try:
            number = 0
            while not until.is_set():
                number += 1
                await client.request(f"{stream}.{number % 7}", bytes(16 * 1024), timeout=10)
                if number % 40 == 0:
                    body = b'{"filter": "%s.%d"}' % (stream.encode(), number % 5)
                    await client.request(f"$JS.API.STREAM.PURGE.{stream}", body, timeout=10)
                if number % 10 == 0:
                    name = f"c{number % 30}"
                    body = b'{"stream_name": "%s", "config": {"durable_name": "%s", "ack_policy": "explicit"}}'
                    subject = f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{name}"
                    await client.request(subject, body % (stream.encode(), name.encode()), timeout=10)
                if number % 15 == 0:
                    subject = f"$JS.API.CONSUMER.DELETE.{stream}.c{number % 30}"
                    await client.request(subject, timeout=10)
        finally:
            await client.close()

    async def whole() -> list[dict[str, Any]]:
        loop, until = asyncio.get_running_loop(), asyncio.Event()
        trouble = asyncio.ensure_future(commotion(until))
        with Proxy(shared_server.port) as proxy:
            proxy.set_delay(0.01)
            results = []
            for number in range(2):
                slow = through(shared_server, proxy, stream=stream, path=str(tmp_path / str(number)), **SMALL)
                results.append(await loop.run_in_executor(None, run_module, BACKUP, slow))
        until.set()
        await trouble
        return results

    results = oracle.run(whole())
    for number, result in enumerate(results):
        path = tmp_path / str(number)
        assert not result.get("failed"), result["msg"]
        assert_valid(path)
        api(shared_server, f"STREAM.DELETE.{stream}")
        restored = run_module(RESTORE, arguments(shared_server, stream, path))
        assert not restored.get("failed"), restored["msg"]
        info = oracle.stream_info(shared_server, stream)
        assert info["state"]["first_seq"] >= result["first_seq"]
        assert len(oracle.dump(shared_server, stream)) == info["state"]["messages"]
        again = run_module(RESTORE, arguments(shared_server, stream, path))
        assert again["changed"] is False, again
    assert hidden(tmp_path) == []


class SlowWorker(writer.Worker):
    """A disk that takes `pause` seconds for each chunk."""

    pause = 0.0

    def put(self, job: writer.Job) -> None:
        def slow() -> None:
            time.sleep(self.pause)
            job()

        super().put(slow)


async def backup(server: Endpoint, stream: str, path: Path, **transfer: Any) -> Any:
    """Run the engine in this process."""
    async with Session(make_options(server.connection())) as session:
        options = BackupOptions(transfer=Transfer(**transfer))
        return await account.backup_stream(session, stream, str(path), options, check=False)


@pytest.mark.slow
@SHARED
async def test_slow_disk(shared_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that needs 0.9 s a chunk for 15 s: the server is kept waiting, and does not give up."""
    await asyncio.get_running_loop().run_in_executor(None, fill, shared_server, "SLOW", 14 * MIB)
    monkeypatch.setattr(SlowWorker, "pause", 0.9)
    monkeypatch.setattr(account, "Worker", SlowWorker)
    result = await backup(shared_server, "SLOW", tmp_path / "SLOW", chunk_size=1 << 20, stall_timeout=5)
    assert result.status == "transferred"
    await asyncio.get_running_loop().run_in_executor(None, assert_valid, tmp_path / "SLOW")
    await asyncio.get_running_loop().run_in_executor(None, api, shared_server, "STREAM.DELETE.SLOW")


@SHARED
async def test_disk_hangs(shared_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes nothing for 12 s is named, and not the server."""
    await asyncio.get_running_loop().run_in_executor(None, fill, shared_server, "HUNG", 14 * MIB)
    monkeypatch.setattr(SlowWorker, "pause", 12)
    monkeypatch.setattr(account, "Worker", SlowWorker)
    monkeypatch.setattr(writer.Worker, "__exit__", lambda self, *info: self._jobs.put(None))
    with pytest.raises(Exception, match="disk has not taken") as info:
        await backup(shared_server, "HUNG", tmp_path / "HUNG", stall_timeout=3)
    assert getattr(info.value, "error", "") == "stalled"
    assert hidden(tmp_path) == []
    await asyncio.get_running_loop().run_in_executor(None, api, shared_server, "STREAM.DELETE.HUNG")
