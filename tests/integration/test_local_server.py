# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The private server: only this process reaches it, and nothing of it is left, however its block ends."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nats
import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._server import scratch
from ansible_collections.natsops.jetstream.plugins.module_utils._server.child import Child
from ansible_collections.natsops.jetstream.plugins.module_utils._server.errors import ServerError
from ansible_collections.natsops.jetstream.plugins.module_utils._server.local import LocalServer

from servers.binaries import nats_server
from servers.server import wait_for
from tools import checkout

pytestmark = pytest.mark.lines

HOLD = """
import asyncio, sys
from ansible_collections.natsops.jetstream.plugins.module_utils._server.local import LocalServer

async def hold():
    async with LocalServer(sys.argv[1], parent=sys.argv[2]) as server:
        print(server.pid, server.directory, flush=True)
        await asyncio.sleep(600)

asyncio.run(hold())
"""


@pytest.fixture
def binary(server_version: str) -> str:
    return str(nats_server(server_version))


def alive(pid: int) -> bool:
    try:
        # A zombie of another parent is gone as well.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def listening(pid: int) -> set[str]:
    """The addresses on which a process listens, as the kernel has them: `0100007F:1F90` is 127.0.0.1:8080."""
    own = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        own.add(os.readlink(entry.path))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in own:
                found.add(words[1])
    return found


def entries(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def run_apart(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python process of its own, which has the collection."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(checkout.CACHE / "collections")},
    )


async def fill(server: LocalServer, account: str) -> int:
    client = await nats.connect(**server.connection(account))
    js = client.jetstream()
    await js.add_stream(name="S", subjects=[f"{account.lower()}.>"])
    for index in range(3):
        await js.publish(f"{account.lower()}.a", str(index).encode())
    count = (await js.stream_info("S")).state.messages
    await client.close()
    return count


async def test_a_server_for_a_block(binary: str, tmp_path: Path, server_version: str) -> None:
    async with LocalServer(binary, accounts=["ONE", "TWO"], parent=str(tmp_path)) as server:
        assert [await fill(server, "ONE"), await fill(server, "TWO")] == [3, 3]
        assert server.version == server_version
        assert server.port > 0
        assert listening(server.pid) == {f"0100007F:{server.port:04X}"}
        assert os.stat(server.directory).st_mode & 0o777 == 0o700
        with pytest.raises(nats.errors.Error):
            await nats.connect(server.url, allow_reconnect=False, max_reconnect_attempts=1, connect_timeout=2)
        pid = server.pid
    assert not alive(pid)
    assert entries(tmp_path) == []


@pytest.mark.parametrize("how", ["exception", "cancellation"])
async def test_nothing_is_left_when_the_block_fails(binary: str, tmp_path: Path, how: str) -> None:
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        async with LocalServer(binary, parent=str(tmp_path)) as server:
            started.set_result(server.pid)
            if how == "exception":
                raise ZeroDivisionError
            await asyncio.sleep(600)

    task = asyncio.ensure_future(work())
    pid = await started
    if how == "cancellation":
        task.cancel()
    with pytest.raises((ZeroDivisionError, asyncio.CancelledError)):
        await task
    assert not alive(pid)
    assert entries(tmp_path) == []


async def test_a_killed_run_leaves_no_process_and_the_next_run_clears(binary: str, tmp_path: Path) -> None:
    foreign = tmp_path / f"{scratch.PREFIX}other"
    foreign.mkdir(mode=0o700)
    (foreign / "kept").write_text("by somebody else")
    held = run_apart(HOLD, binary, str(tmp_path))
    try:
        assert held.stdout is not None
        pid, directory = held.stdout.readline().split()
        async with LocalServer(binary, parent=str(tmp_path)) as beside:
            # The directory of a living run is its own.
            assert beside.cleared == []
            assert alive(int(pid))
    finally:
        held.send_signal(signal.SIGKILL)
        held.communicate()
    assert wait_for(lambda: not alive(int(pid)), 5, "the server ends with the process that started it", 0.01)
    assert entries(tmp_path) == sorted([foreign.name, os.path.basename(directory)])
    async with LocalServer(binary, parent=str(tmp_path)) as server:
        assert server.cleared == [directory]
    assert entries(tmp_path) == [foreign.name]
    assert (foreign / "kept").is_file()


def test_a_server_that_outlived_its_run_is_ended(tmp_path: Path) -> None:
    left = scratch.Scratch(str(tmp_path))
    program = Path(left.path) / "sleep"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    survivor = subprocess.Popen([str(program), "600"])
    other = subprocess.Popen(["sleep", "600"])
    try:
        left.note_child(survivor.pid)
        os.close(left._lock or 0)  # as the end of the process does
        assert scratch.clear(str(tmp_path)) == [left.path]
        assert survivor.wait(5) == -signal.SIGKILL
        # A process that got the number of one that has ended is not ours.
        again = scratch.Scratch(str(tmp_path))
        again.note_child(other.pid)
        os.close(again._lock or 0)
        assert scratch.clear(str(tmp_path)) == [again.path]
        assert other.poll() is None
    finally:
        for process in (survivor, other):
            process.kill()
            process.wait()


def test_a_shell_watches_where_the_kernel_does_not(tmp_path: Path) -> None:
    code = (
        "import os, sys, time\n"
        "from ansible_collections.natsops.jetstream.plugins.module_utils._server.child import Child\n"
        "child = Child(['sleep', '600'], os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), kernel=False)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    held = run_apart(code, str(tmp_path / "log"))
    assert held.stdout is not None
    pid = int(held.stdout.readline())
    assert alive(pid)
    held.kill()
    held.communicate()
    assert wait_for(lambda: not alive(pid), 5, "the child ends with its parent", 0.01)

    log = os.open(tmp_path / "log", os.O_WRONLY)
    child = Child(["sleep", "600"], log, kernel=False)
    os.close(log)
    child.kill()
    child.kill()
    assert child.code == -signal.SIGKILL


async def test_an_existing_store_is_used_and_kept(binary: str, tmp_path: Path) -> None:
    store = tmp_path / "copy"
    store.mkdir()
    async with LocalServer(binary, str(store), parent=str(tmp_path)) as server:
        await fill(server, "APP")
    async with LocalServer(binary, str(store), parent=str(tmp_path)) as server:
        client = await nats.connect(**server.connection("APP"))
        assert (await client.jetstream().stream_info("S")).state.messages == 3
        await client.close()
    assert entries(tmp_path) == [store.name]


async def test_the_account_of_servers_that_name_none(binary: str, tmp_path: Path) -> None:
    async with LocalServer(binary, accounts=["$G"], parent=str(tmp_path)) as server:
        assert await fill(server, "$G") == 3
        client = await nats.connect(**server.connection())
        answer = await client.request("$SYS.REQ.SERVER.PING", b"", timeout=2)
        assert b'"server"' in answer.data
        await client.close()
    with pytest.raises(ValueError, match="alone"):
        LocalServer(binary, accounts=["$G", "APP"])


def script(folder: Path, text: str) -> str:
    path = folder / "nats-server"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("program", "error", "text"),
    [
        (None, "server_binary", "no program"),
        ("echo something else", "server_binary", "is not a nats-server"),
        ("[ $1 = --version ] && echo nats-server: v2.15.3 || { echo broken disk; exit 3; }", "server_failed", "broken"),
        ("[ $1 = --version ] && echo nats-server: v2.15.3 || exec sleep 60", "server_failed", "not ready"),
    ],
)
async def test_a_server_that_cannot_be_had(tmp_path: Path, program: str | None, error: str, text: str) -> None:
    place = tmp_path / "place"
    place.mkdir()
    binary = script(tmp_path, program) if program else str(tmp_path / "absent")
    with pytest.raises(ServerError, match=text) as caught:
        async with LocalServer(binary, parent=str(place), start_timeout=0.3):
            pytest.fail("it started")
    assert caught.value.error == error
    assert entries(place) == []


@pytest.mark.parametrize(("need", "error"), [(1 << 60, "server_no_space"), (0, "server_directory")])
async def test_a_place_that_does_not_do(binary: str, tmp_path: Path, need: int, error: str) -> None:
    parent = tmp_path if need else tmp_path / "absent"
    with pytest.raises(ServerError) as caught:
        async with LocalServer(binary, parent=str(parent), need=need):
            pytest.fail("it started")
    assert caught.value.error == error
    assert entries(tmp_path) == []


async def test_the_end_of_a_server_is_told_with_its_log(binary: str, tmp_path: Path) -> None:
    async with LocalServer(binary, parent=str(tmp_path)) as server:
        server.check()
        os.kill(server.pid, signal.SIGTERM)
        await asyncio.to_thread(os.waitid, os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(ServerError, match=r"ended by itself \(.*Its log: .*Server Exiting"):
            server.check()
