# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fault tests share: streams whose transfer has a middle, what lies on a disk, and how long something took."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats.errors
import pytest

from servers import Endpoint, oracle
from servers.ansible import ModuleProcess, run_module
from servers.proxy import Proxy

MIB = 1 << 20
MARKER = "natsops.restore"


def fill(endpoint: Endpoint, stream: str, size: int = 12 * MIB, *, message: int = 64 * 1024, **config: Any) -> None:
    """Make a stream of about `size` bytes that do not compress, with two consumers that have read some of it."""
    api(endpoint, f"STREAM.CREATE.{stream}", {"name": stream, "subjects": [f"{stream}.>"], "storage": "file", **config})
    publish(endpoint, stream, max(1, size // message), message)
    for name in ("one", "two"):
        body = {"durable_name": name, "ack_policy": "explicit", "max_deliver": 5}
        api(endpoint, f"CONSUMER.DURABLE.CREATE.{stream}.{name}", {"stream_name": stream, "config": body})


def publish(endpoint: Endpoint, stream: str, count: int, size: int, seed: str = "") -> None:
    """Publish random messages into a stream made by `fill`, each stored before the next."""
    chance = random.Random(f"{stream}{seed}")

    async def work() -> None:
        client = await oracle.connect(endpoint)
        try:
            for number in range(count):
                data = chance.randbytes(size)
                for left in range(200, -1, -1):
                    try:
                        answer = await client.request(f"{stream}.{number % 5}", data, timeout=10)
                        break
                    except nats.errors.NoRespondersError:
                        # In a cluster the interest in a new stream's subjects takes a moment to spread.
                        assert left, f"nobody stores what is published to {stream}"
                        await asyncio.sleep(0.02)
                assert "error" not in json.loads(answer.data), answer.data
        finally:
            await client.close()

    oracle.run(work())


def api(endpoint: Endpoint, subject: str, body: Any = None, **options: Any) -> dict[str, Any]:
    """One request of the JetStream API that has to work."""
    answer = oracle.request(endpoint, subject, body, **options)
    assert "error" not in answer, answer
    return answer


def through(endpoint: Endpoint, proxy: Proxy, **options: Any) -> dict[str, Any]:
    """The connection options of a module that reaches the server through the proxy only."""
    return {**endpoint.connection(), "servers": [proxy.url], **options}


def tree(path: Path) -> dict[str, str]:
    """Every file below a directory, hidden ones too, with its SHA-256; directories with nothing in them as well."""
    found = {}
    for each in sorted(path.rglob("*")):
        name = str(each.relative_to(path))
        if each.is_file():
            found[name] = hashlib.sha256(each.read_bytes()).hexdigest()
        elif not any(each.iterdir()):
            found[name] = "empty directory"
    return found


def hidden(path: Path) -> list[str]:
    """Names below a directory that begin with a dot: what an interrupted run leaves."""
    return sorted(str(each.relative_to(path)) for each in path.rglob(".*"))


def assert_valid(path: Path) -> None:
    """The backup, or every backup below the path, passes the check."""
    found = run_module("jetstream_backup_info", {"path": str(path), "verify": "quick"})
    assert found.get("valid"), found
    assert found["backups"], found


def wait_until(condition: Any, what: str, timeout: float = 30.0) -> None:
    """Wait for a condition; a test that does not get there fails with `what`."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(0.01)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """The block ends within so many seconds: generous, it tells a hang from a slow machine."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds, f"it took {time.monotonic() - start:.1f} s"


def start_and_stall(module: str, args: dict[str, Any], proxy: Proxy, at: int, direction: Any) -> ModuleProcess:
    """Start a module through the proxy, and return when the proxy has stalled in the middle of the transfer."""
    proxy.stall_after(at, direction)
    process = ModuleProcess(module, args)
    try:
        wait_until(lambda: proxy.stalled or process.process.poll() is not None, "the middle of the transfer")
        assert process.process.poll() is None, process.wait()
    except BaseException:
        process.kill()
        raise
    return process


@contextlib.contextmanager
def small_disk(path: Path, size: int) -> Iterator[None]:
    """A file system of its own at `path`, of so many bytes; where none may be mounted the test cannot be made."""
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no small file system may be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def free(path: Path) -> int:
    """Bytes that are left on the disk."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize
