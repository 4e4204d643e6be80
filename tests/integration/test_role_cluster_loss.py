# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sixty streams in three accounts, gone with their cluster, brought back by a runbook that is killed in its middle."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import nats.errors
import nats.js.errors
import pytest

from integration.runbook import Runbooks
from integration.test_role_backup import held
from servers import Cluster, oracle
from servers.config import User
from servers.fixtures import MakeCluster

ACCOUNTS = {"APP": "app", "OTHER": "other", "THIRD": "third"}
EACH = 20
COUNT = 60
PAYLOAD = 4096


def kill_all(process: subprocess.Popen[str]) -> None:
    """SIGKILL a playbook and everything that it started, whatever session that is in."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    doomed = [process.pid]
    for pid in doomed:
        doomed += [child for child, parent in parents.items() if parent == pid]
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


async def publish(js: Any, subject: str) -> None:
    """Publish; in a cluster the interest in a new stream takes a moment to spread."""
    for _attempt in range(200):
        try:
            await js.publish(subject, os.urandom(PAYLOAD))
        except (nats.js.errors.NoStreamResponseError, nats.errors.TimeoutError):
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError(f"nobody stores {subject}")


def fill(cluster: Cluster, user: str) -> None:
    """Twenty streams of an account, replicated or not, one a mirror, with consumers."""

    async def work() -> None:
        client = await oracle.connect(cluster, user)
        js = client.jetstream(timeout=20)
        try:
            for number in range(EACH):
                name, replicas = f"S{number:02}", 3 if number % 2 else 1
                config: dict[str, Any] = {"name": name, "num_replicas": replicas}
                config.update({"mirror": {"name": "S01"}} if number == 0 else {"subjects": [f"{name}.>"]})
                answer: dict[str, Any] = {}
                for _attempt in range(3):
                    reply = await client.request(
                        f"$JS.API.STREAM.CREATE.{name}", json.dumps(config).encode(), timeout=20
                    )
                    answer = json.loads(reply.data)
                    if "error" not in answer:
                        break
                assert "error" not in answer, answer
                if number:
                    for index in range(COUNT):
                        await publish(js, f"{name}.{index}")
                    body = {"stream_name": name, "config": {"durable_name": "reader", "ack_policy": "explicit"}}
                    await client.request(
                        f"$JS.API.CONSUMER.DURABLE.CREATE.{name}.reader", json.dumps(body).encode(), timeout=20
                    )
        finally:
            await client.close()

    oracle.run(work())


def messages(cluster: Cluster) -> dict[str, list[Any]]:
    """Every message of every stream, as a plain consumer reads them."""
    return {
        f"{account} > {name}": [(one.seq, one.subject, one.sha256) for one in oracle.dump(cluster, name, user)]
        for account, user in ACCOUNTS.items()
        for name in oracle.stream_names(cluster, user)
    }


def present(cluster: Cluster) -> int:
    """How many streams the servers have, by their own answers."""
    names = set()
    for node in cluster.running:
        for account in node.monitor("/jsz?accounts=true&streams=true").get("account_details") or []:
            names |= {(account["name"], one["name"]) for one in account.get("stream_detail") or []}
    return len(names)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_sixty_streams_come_back_although_the_run_was_killed(make_cluster: MakeCluster, tmp_path: Path) -> None:
    users = (User("third", "THIRD"),)
    lost = make_cluster(users=users)
    for user in ACCOUNTS.values():
        fill(lost, user)
    shared = {
        "jetstream_accounts": [{"name": name, **lost.connection(user)} for name, user in ACCOUNTS.items()],
    }
    runbooks = Runbooks(lost, tmp_path, **shared)
    held(runbooks.run("backup"), "done", changed=3)
    assessed = held(runbooks.run("assess", "-vvvv", assess_simulate_loss=["n1"]), "done", changed=0)
    assert {one["id"] for one in assessed["details"]["findings"]} >= {"loss_simulated"}
    # What comes after the backup, and before the last picture, is lost, and told to be.
    before = messages(lost)
    assert len(before) == len(ACCOUNTS) * EACH
    lost.close()

    target = make_cluster(users=users)
    shared["jetstream_accounts"] = [{"name": name, **target.connection(user)} for name, user in ACCOUNTS.items()]
    runbooks = Runbooks(target, tmp_path, **shared)
    check = runbooks.run("cluster_loss", "--check", cluster_loss_confirm="C1")
    assert (check.code, check.recap["changed"]) == (0, 1), check.output
    assert present(target) == 0
    running = runbooks.start("cluster_loss", cluster_loss_confirm="C1")
    deadline = time.monotonic() + 200
    while present(target) < 12:
        assert running.poll() is None, running.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    kill_all(running)
    assert 0 < present(target) < len(before)

    report = held(runbooks.run("cluster_loss", cluster_loss_confirm="C1"), "done", changed=3)
    assert len(report["streams"]) == len(before)
    assert report["lost"] == []
    assert report["details"]["rpo_seconds"] > 0
    assert messages(target) == before
    held(runbooks.run("cluster_loss", cluster_loss_confirm="C1"), "nothing_to_do", changed=0)
