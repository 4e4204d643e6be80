# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster of nats-servers on loopback whose nodes can be killed, frozen, wiped and added."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from .config import CLUSTER_NAME, Options, Setup
from .server import Endpoint, PortTakenError, Server, ServerError, wait_for

READY_TIMEOUT = 40.0
# How long a first start may take before it is begun anew.
FRESH_TIMEOUT = 5.0


class Cluster(Endpoint):
    """Servers n1, n2, … in one JetStream cluster; a context manager that starts on entry and stops for good on exit."""

    def __init__(self, options: Options | None = None, *, size: int = 3, root: Path | None = None) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if root is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="natsops-cluster-")
            root = Path(self._temporary.name)
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.setup = Setup(options or Options(), root)
        self.nodes: list[Server] = []
        self._stores = 0
        for number in range(1, size + 1):
            self._make_node(f"n{number}")

    def __repr__(self) -> str:
        return f"<Cluster {self.version} {self.nodes}>"

    @property
    def urls(self) -> list[str]:
        """The client URLs of the running nodes (of all where none runs), without credentials."""
        chosen = [node for node in self.nodes if node.running] or self.nodes
        return [node.url for node in chosen]

    @property
    def running(self) -> list[Server]:
        """The nodes that run and are not frozen."""
        return [node for node in self.nodes if node.running and not node.frozen]

    def node(self, name: str) -> Server:
        """Return the node of this name (the newest, where one was added under an old name)."""
        for node in reversed(self.nodes):
            if node.name == name:
                return node
        raise KeyError(f"no node {name!r}; there are {[node.name for node in self.nodes]}")

    def start(self, *, wait: bool = True, timeout: float = READY_TIMEOUT) -> Cluster:
        """Start every node that does not run, and with `wait` wait until the cluster is ready."""
        if any(node.pid for node in self.nodes):
            self._start_all(wait, timeout)
            return self
        for limit in (FRESH_TIMEOUT, FRESH_TIMEOUT, timeout):
            for node in self.nodes:
                node.choose_ports()
            try:
                self._start_all(wait, limit)
            except ServerError as exc:
                failure = exc
            except BaseException:
                self.kill()
                raise
            else:
                return self
            # Nothing is lost yet. A first election that comes to nothing costs up to 16 s, and on 2.10 a route dropped
            # as a duplicate can leave a follower "not current" until the next entry: a second start is quicker.
            self.kill()
            for node in self.nodes:
                node.wipe()
        raise failure

    def _start_all(self, wait: bool, timeout: float) -> None:
        for node in self.nodes:
            if not node.running:
                node.start(wait=False)
        for node in self.running:
            node.wait_listening()
        if wait:
            self.wait_ready(timeout)

    def wait_ready(self, timeout: float = READY_TIMEOUT, *, members: int | None = None) -> None:
        """Wait until every running node is healthy and agrees on one meta leader that sees the others current.

        members: how many running members the leader must know; by default as many as run here.
        Raises ServerError with each node's health and the tails of their logs after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            reason = self._not_ready(members)
            if not reason:
                return
            if time.monotonic() > deadline:
                tails = "\n".join(node.tail(10) for node in self.nodes)
                raise ServerError(f"the cluster was not ready within {timeout:g} s: {reason}\n{tails}")
            time.sleep(0.05)

    def meta_leader(self) -> Server | None:
        """Return the node that all running nodes take for the meta leader, where they agree and it runs."""
        names = {self._meta(node).get("leader", "") for node in self.running}
        if len(names) == 1:
            for node in self.running:
                if node.name in names:
                    return node
        return None

    def wait_meta_leader(self, timeout: float = 30.0) -> Server:
        """Return the meta leader, once there is one; ServerError after `timeout` seconds."""
        return wait_for(self.meta_leader, timeout, "a meta leader")

    def stream(self, name: str, account: str = "APP") -> dict[str, Any] | None:
        """Return what the stream's leader says of it (config, state, cluster, consumer_detail), or None.

        Read from the monitoring ports, so it works whatever the account's credentials are.
        """
        for node in self.running:
            answer = node.monitor("/jsz?accounts=true&streams=true&consumers=true&config=true")
            for detail in answer.get("account_details") or []:
                if account in (detail.get("name"), detail.get("id")):
                    for stream in detail.get("stream_detail") or []:
                        if stream.get("name") == name and stream.get("cluster", {}).get("leader") == node.name:
                            return dict(stream)
        return None

    def stream_leader(self, name: str, account: str = "APP", timeout: float = 20.0) -> Server:
        """Return the node that leads the stream; ServerError where none does within `timeout` seconds."""
        found = wait_for(lambda: self.stream(name, account), timeout, f"a leader of stream {name}")
        return self.node(found["cluster"]["leader"])

    def wait_stream_current(self, name: str, account: str = "APP", timeout: float = 30.0) -> dict[str, Any]:
        """Wait until the stream has a leader and all its replicas are current; return it as `stream` does."""

        def current() -> dict[str, Any] | None:
            found = self.stream(name, account)
            if not found or len(found["cluster"].get("replicas") or []) + 1 < found["config"]["num_replicas"]:
                return None
            peers = found["cluster"].get("replicas") or []
            return found if all(peer.get("current") and not peer.get("offline") for peer in peers) else None

        return wait_for(current, timeout, f"stream {name} with all replicas current")

    def add_node(self, name: str | None = None, *, wait: bool = True, timeout: float = READY_TIMEOUT) -> Server:
        """Start one more server, empty and on new ports: under a new name, or under that of a node that is gone."""
        if name is None:
            name = f"n{1 + max(int(node.name[1:]) for node in self.nodes if node.name[1:].isdigit())}"
        if any(node.name == name and node.running for node in self.nodes):
            raise ServerError(f"a node {name} is running already")
        self.nodes = [node for node in self.nodes if node.name != name]
        node = self._make_node(name)
        node.start(wait=False)
        node.wait_listening()
        if wait:
            self.wait_ready(timeout)
        return node

    def kill(self) -> None:
        """Kill every node, frozen ones too."""
        for node in self.nodes:
            node.kill()

    def stop(self) -> None:
        """Stop every node in good order."""
        for node in self.nodes:
            node.stop()

    def log(self) -> str:
        """Return the logs of all nodes, one after the other."""
        return "\n".join(f"=== {node.name}\n{node.log()}" for node in self.nodes)

    def close(self) -> None:
        """Kill every node and remove the temporary directory."""
        for node in self.nodes:
            node.close()
        if self._temporary:
            self._temporary.cleanup()

    def __enter__(self) -> Cluster:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _make_node(self, name: str) -> Server:
        self._stores += 1
        node = Server(name=name, root=self.root / f"{self._stores}-{name}", setup=self.setup)
        node.cluster_name = CLUSTER_NAME
        node.routes = self._routes(node)
        self.nodes.append(node)
        return node

    def _routes(self, node: Server) -> Callable[[], list[str]]:
        """Return what lists the routes of `node` when its configuration is written: to all others that have ports."""
        return lambda: [
            f"nats-route://127.0.0.1:{other.cluster_port}"
            for other in self.nodes
            if other is not node and other.cluster_port
        ]

    @staticmethod
    def _meta(node: Server) -> dict[str, Any]:
        found = node.monitor("/jsz").get("meta_cluster")
        return found if isinstance(found, dict) else {}

    def _not_ready(self, members: int | None) -> str:
        """Return why the cluster is not ready, or nothing."""
        running = self.running
        for node in running:
            if not node.running:
                kind = PortTakenError if "address already in use" in node.tail() else ServerError
                raise kind(f"{node.name} ended\n{node.tail()}")
        leader = self.meta_leader()
        if leader is None:
            return "the nodes know no common meta leader"
        peers = self._meta(leader).get("replicas") or []
        wanted = {node.name for node in running} - {leader.name}
        current = {peer.get("name") for peer in peers if peer.get("current") and not peer.get("offline")}
        if not wanted <= current:
            return f"{sorted(wanted - current)} not current for the meta leader {leader.name}"
        # A leader takes dead peers for current for up to 20 s, so those that run here are counted, not believed.
        alive = len(wanted) + 1
        size = int(self._meta(leader).get("cluster_size") or 0)
        if alive < size // 2 + 1:
            return f"{alive} of {size} members run: no quorum"
        if members is not None and alive < members:
            return f"{alive} of {members} members run"
        for node in running:
            health = node.monitor("/healthz")
            if health.get("status") != "ok":
                return f"{node.name}: {health}"
        return ""
