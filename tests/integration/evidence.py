# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof that nothing was touched: pictures of directories and of accounts, and damage done to backups on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import hashlib
import importlib
import io
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import nats.errors
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args

from servers import oracle
from servers.ansible import run_module
from servers.server import Endpoint

STREAM_MODULES = ("jetstream_stream_backup", "jetstream_stream_restore")
ACCOUNT_MODULES = ("jetstream_account_backup", "jetstream_account_restore")
_libc = ctypes.CDLL(None, use_errno=True)


def tree(root: Path) -> dict[str, tuple[Any, ...]]:
    """Return every path below `root`, itself included, with its kind, mode, time of change and content's hash."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in [root, *sorted(root.rglob("*"))] if os.path.lexists(root) else []:
        info = path.lstat()
        name, mode = str(path.relative_to(root)), oct(info.st_mode)
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_file():
            found[name] = (mode, info.st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        else:
            found[name] = (mode, info.st_mtime_ns)
    return found


def account(endpoint: Endpoint, user: str = "app", **options: Any) -> dict[str, Any]:
    """Return every stream of the account with configuration, state, time of creation and consumers."""

    async def look() -> dict[str, Any]:
        client = await oracle.connect(endpoint, user, **options)
        try:
            reader = oracle.connection_reader(endpoint, client)
            found = {}
            for name in await reader.names():
                info = await reader.info(name)
                found[name] = {
                    **{key: info[key] for key in ("config", "state", "created")},
                    "consumers": await reader.consumers(name) if info["state"]["consumer_count"] else {},
                }
            return found
        finally:
            await client.close()

    return oracle.run(look())


def make_stream(
    endpoint: Endpoint, name: str, *, messages: int = 3, user: str = "app", size: int = 20, **config: Any
) -> None:
    """Make a stream `name` with the subjects `<name>.>` in lower case, and publish into it."""

    async def make() -> None:
        client = await oracle.connect(endpoint, user)
        try:
            reader = oracle.connection_reader(endpoint, client)
            settings = {"name": name, "subjects": [f"{name.lower()}.>"], "storage": "file", **config}
            await reader.ask(f"STREAM.CREATE.{name}", settings)
            for number in range(messages):
                text = f"{name} {number} ".encode().ljust(size, b".")
                await _stored(client, f"{name.lower()}.{number}", text)
        finally:
            await client.close()

    oracle.run(make())


async def _stored(client: Any, subject: str, data: bytes) -> None:
    """Publish; in a cluster the servers learn of a new stream's subjects one after the other."""
    for attempt in range(50):
        try:
            await client.request(subject, data, timeout=5)
        except nats.errors.NoRespondersError:
            if attempt == 49:
                raise
            await asyncio.sleep(0.1)
        else:
            return


def publish(endpoint: Endpoint, subject: str, data: bytes = b"more", user: str = "app") -> None:
    """Publish one message into whatever stream takes it in."""

    async def send() -> None:
        client = await oracle.connect(endpoint, user)
        try:
            await client.request(subject, data, timeout=5)
        finally:
            await client.close()

    oracle.run(send())


def api(endpoint: Endpoint, subject: str, body: Any = None, user: str = "app") -> dict[str, Any]:
    """Send one API request and return its answer; an error fails."""
    answer = oracle.request(endpoint, subject, body, user)
    assert "error" not in answer, answer
    return answer


@contextmanager
def untouched(*roots: Path, endpoint: Endpoint | None = None) -> Iterator[None]:
    """Hold that neither these directories nor the account `app` of the server change."""
    before = [tree(root) for root in roots]
    streams = account(endpoint) if endpoint else {}
    yield
    assert [tree(root) for root in roots] == before
    assert (account(endpoint) if endpoint else {}) == streams


def run_here(
    module: str, args: dict[str, Any], *, check: bool = False, env: dict[str, str] | None = None
) -> dict[str, Any]:
    """Run a module in this process, which saves the start of an interpreter; return its result, failed or not."""
    code = importlib.import_module(f"ansible_collections.natsops.jetstream.plugins.modules.{module}")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NATS_")}
    out = io.StringIO()
    warnings._global_warnings.clear()
    with (
        mock.patch.dict(os.environ, {**kept, **(env or {})}, clear=True),
        patch_module_args({**args, "_ansible_check_mode": check}),
        contextlib.redirect_stdout(out),
        contextlib.suppress(SystemExit),
    ):
        code.main()
    result: dict[str, Any] = json.loads(out.getvalue())
    result.pop("invocation", None)
    return result


def fails(
    module: str,
    args: dict[str, Any],
    error: str,
    *words: str,
    within: float = 10.0,
    check: bool = False,
    env: dict[str, str] | None = None,
    preexec: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Run a module that must fail with the word `error`, a message with all of `words`, and soon; return its result."""
    started = time.monotonic()
    if preexec:
        result = run_module(module, args, check=check, env=env, preexec=preexec, timeout=within + 60)
    else:
        result = run_here(module, args, check=check, env=env)
    took = time.monotonic() - started
    assert result.get("failed") is True, result
    assert result["error"] == error, result
    assert result["changed"] is False, result
    assert "exception" not in result, result
    for word in words:
        assert word in result["msg"], (word, result["msg"])
    assert took < within, f"{took:.1f} s: {result['msg']}"
    return result


def works(module: str, args: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Run a module that must succeed; return its result."""
    result = run_here(module, args, **more)
    assert not result.get("failed"), result
    return result


def backed_up(endpoint: Endpoint, stream: str, path: Path, **more: Any) -> Path:
    """Back one stream up into `path` with the module under test; return `path`."""
    works("jetstream_stream_backup", {**endpoint.connection(), "stream": stream, "path": str(path), **more})
    return path


def copied(source: Path, target: Path, *, manifest: bool = True) -> Path:
    """Copy a backup, without its manifest on demand: as if the command line had written it."""
    shutil.copytree(source, target)
    if not manifest:
        (target / "manifest.json").unlink()
    return target


def data_of(path: Path) -> Path:
    """The data file of a stream's backup."""
    return next(path.glob("stream.*.s2"))


def flip(path: Path, position: int) -> None:
    """Change one byte."""
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(bytes(content))


def drop_override() -> None:
    """In a child before it runs a program: take from root the right to ignore the modes of files."""
    if os.geteuid() == 0:
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            if _libc.prctl(24, capability, 0, 0, 0) != 0:  # PR_CAPBSET_DROP
                raise OSError(ctypes.get_errno(), "PR_CAPBSET_DROP")


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that accepts connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@contextmanager
def talking_port(*lines: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A port that greets each connection with `lines` and keeps what it is told."""
    heard: list[bytes] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(20)

        def serve() -> None:
            while True:
                try:
                    connection, _address = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(3)
                    try:
                        connection.sendall(b"".join(lines))
                        while block := connection.recv(65536):
                            heard.append(block)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1], heard
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def delete_stream(endpoint: Endpoint, stream: str) -> None:
    """Delete a stream; a cluster in the middle of an election does it without an answer, or wants to be asked again."""
    for _attempt in range(3):
        try:
            oracle.request(endpoint, f"STREAM.DELETE.{stream}")
        except oracle.OracleError:
            continue
        if stream not in oracle.stream_names(endpoint):
            return
    raise AssertionError(f"the stream {stream} is still there")
