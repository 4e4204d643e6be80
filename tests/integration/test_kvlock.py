# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock across hosts: one at a time, a dead holder's lock is free after its expiry and not before."""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._lock.lock import KeyValueLock, LockOptions
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.options import make_options
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.errors import LockedError, LockLostError

from servers import PASSWORD, Options, User, oracle
from servers.ansible import CHECKOUT, collections_path, run_module
from servers.fixtures import MakeServer
from servers.proxy import Proxy
from servers.samples import make_streams
from servers.server import Server

EXPIRY = 3.0


@pytest.fixture(scope="module")
def stocked(server_version: str) -> Any:
    """A server with one stream that is all there is to back up."""
    with Server(Options(version=server_version)) as running:
        make_streams(running, ["PLAIN"])
        yield running


def lock_on(
    url: str, key: str, owner: str, wait: float = 0.0, expiry: float = EXPIRY, bucket: str = "test-locks"
) -> KeyValueLock:
    connection = make_options({"servers": [url], "user": "app", "password": PASSWORD, "request_timeout": 1.0})
    return KeyValueLock(connection, LockOptions(bucket, key, expiry, wait, owner))


async def test_two_at_once_work_one_after_the_other(stocked: Server) -> None:
    running, most, order = 0, 0, []

    async def work(name: str) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.3)
        running -= 1
        order.append(name)

    names = [f"run {number}" for number in range(4)]
    await asyncio.gather(
        *(lock_on(stocked.url, "many", name, 20.0).guard(functools.partial(work, name)) for name in names)
    )
    assert most == 1
    assert sorted(order) == names


async def test_who_does_not_wait_is_told_who_holds_it(stocked: Server) -> None:
    held = asyncio.Event()

    async def work() -> str:
        held.set()
        await asyncio.sleep(EXPIRY * 1.5)
        return "done"

    first = asyncio.ensure_future(lock_on(stocked.url, "told", "process 1 on node a").guard(work))
    await held.wait()
    with pytest.raises(LockedError, match="process 1 on node a since 20") as caught:
        await lock_on(stocked.url, "told", "process 2 on node b").guard(work)
    assert caught.value.error == "locked"
    # Refreshed in between: past its first expiry it is still held.
    await asyncio.sleep(EXPIRY * 1.2)
    with pytest.raises(LockedError):
        await lock_on(stocked.url, "told", "process 2 on node b").guard(work)
    assert await first == "done"
    assert (
        await lock_on(stocked.url, "told", "process 2 on node b").guard(lambda: asyncio.sleep(0, "at once"))
        == "at once"
    )


async def test_the_lock_of_a_silent_holder_is_free_after_its_expiry_and_not_before(stocked: Server) -> None:
    dead = lock_on(stocked.url, "dead", "the dead one")
    await dead._acquire()
    await dead._close()
    taken = time.monotonic()
    with pytest.raises(LockedError, match="the dead one"):
        await lock_on(stocked.url, "dead", "the next one", wait=EXPIRY / 2).guard(lambda: asyncio.sleep(0))
    await lock_on(stocked.url, "dead", "the next one", wait=EXPIRY * 3).guard(lambda: asyncio.sleep(0))
    assert EXPIRY <= time.monotonic() - taken < EXPIRY * 2


async def test_a_holder_that_loses_its_connection_stops_before_another_may_begin(stocked: Server) -> None:
    stopped = 0.0
    begun = asyncio.Event()

    async def work() -> None:
        nonlocal stopped
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped = time.monotonic()

    with Proxy(stocked.port) as proxy:
        first = asyncio.ensure_future(lock_on(proxy.url, "cut", "the one cut off").guard(work))
        await begun.wait()
        proxy.stall()
        begin = 0.0

        async def next_work() -> None:
            nonlocal begin
            begin = time.monotonic()

        second = asyncio.ensure_future(lock_on(stocked.url, "cut", "the next one", wait=20.0).guard(next_work))
        with pytest.raises(LockLostError, match="could not be refreshed"):
            await first
        await second
    assert 0 < stopped < begin


async def test_a_lock_taken_away_stops_the_work(stocked: Server) -> None:
    first = lock_on(stocked.url, "robbed", "the first")

    async def work() -> None:
        # What an operator does who deletes the entry by hand and starts another run.
        thief = lock_on(stocked.url, "robbed", "the thief")
        bucket = await thief._bucket()
        await bucket.write("robbed", None, first._revision)
        await thief._acquire()
        await thief._close()
        await asyncio.sleep(60)

    with pytest.raises(LockLostError, match="held by the thief now"):
        await first.guard(work)


def backup(server: Server, path: Path, **more: Any) -> dict[str, Any]:
    login = {"servers": [server.url], "user": "app", "password": PASSWORD}
    return {**login, "path": str(path), "lock": "kv", "lock_expiry": EXPIRY, **more}


HOLDER = """
import asyncio, sys
from ansible_collections.natsops.jetstream.plugins.module_utils._lock.lock import KeyValueLock, LockOptions
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.options import make_options

async def hold():
    print("held", flush=True)
    await asyncio.sleep(60)

options = make_options({"servers": [sys.argv[1]], "user": "app", "password": sys.argv[2]})
asyncio.run(KeyValueLock(options, LockOptions("natsops-locks", "backup", float(sys.argv[3]))).guard(hold))
"""


def test_a_killed_holder_keeps_the_next_backup_out_until_its_lock_expires(
    make_server: MakeServer, tmp_path: Path
) -> None:
    server = make_server()
    make_streams(server, ["PLAIN"])
    path, expiry = tmp_path / "APP", 2 * EXPIRY
    words = [sys.executable, "-c", HOLDER, server.url, PASSWORD, str(expiry)]
    env = {**os.environ, "PYTHONPATH": str(collections_path())}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    killed = time.monotonic()
    # In this process: to start another takes longer than the lock lasts, on a busy machine.
    other = lock_on(server.url, "backup", "the next one", bucket="natsops-locks")
    with pytest.raises(LockedError, match=f"process {holder.pid} on"):
        oracle.run(other.guard(lambda: asyncio.sleep(0)))
    after = run_module("jetstream_account_backup", backup(server, path, lock_wait=60))
    assert after.get("changed") is True, after
    assert time.monotonic() - killed > expiry * 0.9
    assert [one["stream"] for one in after["streams"]] == ["PLAIN"], "the lock's own bucket is not backed up"
    assert run_module("jetstream_account_backup", backup(server, path))["changed"] is False
    checked = run_module("jetstream_backup_info", {"path": str(path), "verify": "quick"})
    assert all(one["valid"] for one in checked["backups"]), checked


def test_check_mode_takes_no_lock_and_makes_no_bucket(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server()
    make_streams(server, ["PLAIN"])
    predicted = run_module("jetstream_account_backup", backup(server, tmp_path / "APP"), check=True)
    assert predicted["changed"] is True, predicted
    listed = run_module("jetstream_account_backup", {**backup(server, tmp_path / "APP"), "lock": "file"}, check=True)
    assert [one["stream"] for one in listed["streams"]] == ["PLAIN"]


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("lock_expiry", 1, "lock_expiry must be 3 or more"),
        ("lock_wait", -1, "lock_wait must be 0 or more"),
        ("lock_bucket", "a b", "cannot be the name of a bucket"),
        ("lock_key", "a b", "cannot be the key of a lock"),
    ],
)
def test_wrong_options_are_refused(stocked: Server, tmp_path: Path, option: str, value: Any, text: str) -> None:
    result = run_module("jetstream_account_backup", backup(stocked, tmp_path / "APP", **{option: value}))
    assert (result["failed"], result["error"]) == (True, "invalid_options")
    assert text in result["msg"]
    assert not (tmp_path / "APP").exists()


def test_the_documented_permissions_are_enough(make_server: MakeServer, tmp_path: Path) -> None:
    page = (CHECKOUT / "docs" / "permissions.md").read_text(encoding="utf-8")
    own, _heading, rest = page.partition("## The lock across hosts")
    lock = rest.partition("\n## ")[0]
    subjects = [
        *(row.split("`")[1] for row in own.splitlines() if row.startswith("| `$JS") and row.split("|")[3] == " yes "),
        *(row.split("`")[1] for row in lock.splitlines() if row.startswith("| `$")),
    ]
    assert "$KV.natsops-locks.backup" in subjects
    permissions = {"publish": {"allow": subjects}, "subscribe": {"allow": ["_INBOX.>"]}}
    users = (
        User("backup", permissions=permissions),
        User("lockless", permissions={**permissions, "publish": {"allow": subjects[:-1]}}),
    )
    server = make_server(users=users)
    make_streams(server, ["PLAIN"])
    args = {**server.connection("backup"), "path": str(tmp_path / "APP"), "lock": "kv"}
    for changed in (True, False):
        result = run_module("jetstream_account_backup", args)
        assert result.get("changed") is changed, result
    denied = run_module("jetstream_account_backup", {**args, **server.connection("lockless")})
    assert denied["error"] == "permission_denied"
    assert "$KV.natsops-locks.backup" in denied["msg"]


@pytest.mark.parametrize(
    "limits",
    [
        {"max_bytes_required": True},
        {"max_bytes_required": True, "disk_max_stream_bytes": 200_000, "disk_storage": 300_000},
    ],
    ids=["a bound", "a small bound"],
)
async def test_in_an_account_that_demands_bounds(
    make_server: MakeServer, limits: dict[str, Any], tmp_path: Path
) -> None:
    server = make_server(auth="jwt", accounts={"APP": {"limits": limits}})
    refused = oracle.request(server, "STREAM.CREATE.FREE", {"name": "FREE", "subjects": ["free"]})
    assert refused["error"]["err_code"] == 10113
    arguments = {**server.connection(), "path": str(tmp_path / "APP"), "lock": "kv"}
    result = await asyncio.to_thread(run_module, "jetstream_account_backup", arguments)
    assert not result.get("failed"), result["msg"]
    bucket = await asyncio.to_thread(oracle.stream_info, server, "KV_natsops-locks")
    assert 0 < bucket["config"]["max_bytes"] <= 200_000
    again = await asyncio.to_thread(run_module, "jetstream_account_backup", arguments)
    assert not again.get("failed"), again["msg"]
