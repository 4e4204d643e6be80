# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of cluster modules share: running a module, streams, publishers, counting with a plain consumer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

import nats
import nats.errors
import nats.js.errors

from servers import Cluster, wait_for

MODULES = "ansible_collections.natsops.jetstream.plugins.modules"


def start(module: str, cluster: Any, user: Any = "sys", check: Any = False, **params: Any) -> subprocess.Popen[str]:
    """Start a module as the program that Ansible runs."""
    arguments = {**cluster.connection(user), **params, "_ansible_check_mode": check, "_ansible_diff": True}
    env = {key: value for key, value in os.environ.items() if not key.startswith("NATS_")}
    env["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    process = subprocess.Popen(
        [sys.executable, "-m", f"{MODULES}.jetstream_{module}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )
    assert process.stdin
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    process.stdin.close()
    process.stdin = None
    return process


def finish(process: subprocess.Popen[str], timeout: float = 240.0) -> dict[str, Any]:
    """The result of a module that was started."""
    out, err = process.communicate(timeout=timeout)
    assert out.strip(), f"no result: {err}"
    result = json.loads(out)
    assert "Traceback" not in out + err, out + err
    return dict(result)


def run(module: str, cluster: Any, user: Any = "sys", check: Any = False, **params: Any) -> dict[str, Any]:
    """Run a module to its end."""
    return finish(start(module, cluster, user, check, **params))


def accounts(cluster: Any, *names: str) -> list[dict[str, Any]]:
    """Entries of the option accounts; by default all accounts with JetStream."""
    users = {"APP": "app", "OTHER": "other"}
    return [{"name": name, **cluster.setup.module_options(users[name])} for name in names or users]


class App:
    """A plain client of an account, usable from synchronous tests."""

    def __init__(self, cluster: Any, user: str = "app") -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._cluster = cluster
        self._user = user
        self._publishing = False
        self._tasks: list[Any] = []
        self.acknowledged: dict[str, list[int]] = {}
        self.client = self.call(self._connect())
        self.js = self.client.jetstream(timeout=5)

    async def _connect(self) -> Any:
        async def quiet(_error: Exception) -> None:
            """Servers die in these tests; what matters is counted."""

        return await nats.connect(
            self._cluster.urls,
            **self._cluster.auth(self._user),
            error_cb=quiet,
            reconnect_time_wait=0.1,
            max_reconnect_attempts=-1,
            connect_timeout=2,
        )

    def call(self, work: Any, timeout: float = 60.0) -> Any:
        """Run a coroutine to its end."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def api(self, subject: str, payload: Any = None, timeout: float = 5.0) -> dict[str, Any]:
        """One JetStream API request's answer."""
        body = b"" if payload is None else json.dumps(payload).encode()
        message = self.call(self.client.request(f"$JS.API.{subject}", body, timeout=timeout))
        return dict(json.loads(message.data))

    def stream(self, name: str, replicas: int, on: str = "", **config: Any) -> None:
        """Create a stream, with its copy on the server whose tag is C(only:<on>) where C(on) is given."""
        if on:
            config["placement"] = {"tags": [f"only:{on}"]}
        answer = self.api(
            f"STREAM.CREATE.{name}", {"name": name, "subjects": [f"{name}.>"], "num_replicas": replicas, **config}
        )
        assert "error" not in answer, answer

    def consumer(self, stream: str, name: str, replicas: int = 0) -> None:
        """Create a durable pull consumer."""
        config = {"durable_name": name, "ack_policy": "explicit", "num_replicas": replicas}
        answer = self.api(f"CONSUMER.DURABLE.CREATE.{stream}.{name}", {"stream_name": stream, "config": config})
        assert "error" not in answer, answer

    def fill(self, name: str, count: int) -> None:
        """Publish numbered messages and keep which were acknowledged."""
        self.call(self._fill(name, count))

    async def _fill(self, name: str, count: int) -> None:
        done = self.acknowledged.setdefault(name, [])
        for _count in range(count):
            number = len(done)
            for _attempt in range(300):
                with contextlib.suppress(nats.errors.Error, nats.js.errors.Error):
                    await self.js.publish(f"{name}.x", str(number).encode(), timeout=1)
                    done.append(number)
                    break
                await asyncio.sleep(0.1)
            else:
                raise AssertionError(f"{name} takes no messages")

    def publish_to(self, *names: str) -> None:
        """Publish to streams until C(stop_publishing); failures are skipped, acknowledged numbers are kept."""
        self._publishing = True
        for name in names:
            self._tasks.append(asyncio.run_coroutine_threadsafe(self._publish(name), self._loop))

    async def _publish(self, name: str) -> None:
        done = self.acknowledged.setdefault(name, [])
        number = len(done)
        while self._publishing:
            number += 1
            try:
                await self.js.publish(f"{name}.x", str(number).encode(), timeout=1)
                done.append(number)
                await asyncio.sleep(0.01)
            except (nats.errors.Error, nats.js.errors.Error, OSError):
                await asyncio.sleep(0.1)

    def stop_publishing(self) -> None:
        """End all publishers."""
        self._publishing = False
        for task in self._tasks:
            task.result(20)
        self._tasks.clear()

    def lost(self, name: str) -> list[int]:
        """Acknowledged numbers that a plain consumer does not find in the stream."""
        found = self.call(self._read(name), 120)
        return [number for number in self.acknowledged[name] if number not in found]

    async def _read(self, name: str) -> set[int]:
        info = await self.js.stream_info(name)
        subscription = await self.js.subscribe(f"{name}.>", stream=name, ordered_consumer=True)
        found: set[int] = set()
        for _count in range(info.state.messages):
            message = await subscription.next_msg(timeout=10)
            found.add(int(message.data))
        await subscription.unsubscribe()
        return found

    def close(self) -> None:
        """End the connection and the thread."""
        self._publishing = False
        with contextlib.suppress(Exception):
            self.call(self.client.close(), 5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


def client(apps: list[App], cluster: Cluster) -> App:
    """A client that the fixture `apps` closes."""
    apps.append(App(cluster))
    return apps[-1]


def tags(size: int) -> dict[str, list[str]]:
    """A tag of its own for each server, and an availability zone for every two."""
    return {f"n{number}": [f"only:n{number}", f"az:{(number + 1) // 2}"] for number in range(1, size + 3)}


def server_of(cluster: Cluster, stream: str, account: str = "APP") -> list[str]:
    """Names of the servers that have a copy of a stream, by their own answers."""
    found = []
    for node in cluster.running:
        answer = node.monitor("/jsz?accounts=true&streams=true")
        for detail in answer.get("account_details") or []:
            if detail["name"] == account and any(one["name"] == stream for one in detail.get("stream_detail") or []):
                found.append(node.name)
    return sorted(found)


def members(cluster: Cluster) -> list[str]:
    """The members of the meta group by the word of its leader."""
    leader = cluster.wait_meta_leader()
    meta = leader.monitor("/jsz")["meta_cluster"]
    return sorted([leader.name, *(peer["name"] for peer in meta.get("replicas") or [])])


def until_placed(cluster: Cluster, stream: str, copies: int, account: str = "APP") -> dict[str, Any]:
    """Wait until a stream has a leader and that many copies, all of them current."""
    wait_for(lambda: len(server_of(cluster, stream, account)) >= copies, 20, f"{copies} copies of {stream}")
    return cluster.wait_stream_current(stream, account)


def warned(result: dict[str, Any]) -> str:
    """All warnings of a result as one text."""
    return json.dumps(result.get("warnings") or [])


def refused(result: dict[str, Any], *words: str) -> None:
    """Hold that a run refused for these reasons, the first one first, and touched nothing."""
    assert result.get("failed") is True, result
    assert result["changed"] is False
    assert result["error"] == words[0], result["msg"]
    assert {one["word"] for one in result["refusals"]} == set(words), result["refusals"]


def findings(result: dict[str, Any]) -> set[str]:
    """Ids of the findings of jetstream_cluster_info."""
    return {one["id"] for one in result["findings"]}


def not_leader(cluster: Cluster, *names: str) -> None:
    """Have somebody else lead the meta group than these."""
    for _attempt in range(20):
        if cluster.wait_meta_leader().name not in names:
            return
        run("leader_stepdown", cluster)
        time.sleep(0.5)
    raise AssertionError(f"{names} keep leading")


def through_each(cluster: Any, module: str, user: Any = "sys", **params: Any) -> dict[str, dict[str, Any]]:
    """The results of a module that is connected to each live server alone, by server; all at once."""
    runs = {node.name: start(module, cluster, user, **{"servers": [node.url], **params}) for node in cluster.running}
    return {name: finish(process) for name, process in runs.items()}


def found_by_each(cluster: Any, *ids: str, user: Any = "sys", timeout: float = 90.0, **params: Any) -> None:
    """Hold that jetstream_cluster_info has these findings whichever live server it is connected to."""
    deadline = time.monotonic() + timeout
    while True:
        looks = through_each(cluster, "cluster_info", user, **params)
        assert not any(look.get("failed") for look in looks.values()), looks
        lacking = {name: sorted(set(ids) - findings(look)) for name, look in looks.items()}
        if not any(lacking.values()):
            return
        seen = {name: sorted(findings(look)) for name, look in looks.items()}
        assert time.monotonic() < deadline, f"not found through {lacking}; found: {seen}"


def refused_by_each(cluster: Any, module: str, *words: str, **params: Any) -> None:
    """Hold that a module refuses for just these reasons, the first one first, whichever live server it talks to."""
    for result in through_each(cluster, module, **params).values():
        refused(result, *words)
