# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test servers for those who are no Python process: started in the background, told what to do by a command.

`python -m servers.daemon start FILE [--size N] [--version V] [--tags]` returns when the servers are ready and has then
written into FILE how to reach them, as variables for playbooks. After that, `python -m servers.daemon do FILE …` does
one thing: `kill n2`, `stop n2`, `start n2`, `wipe n2`, `add`, `create STREAM REPLICAS [COUNT] [ACCOUNT] [SERVER]`,
`publish STREAM COUNT [ACCOUNT]`, `delete STREAM [ACCOUNT]`, `count STREAM [ACCOUNT]` (by a plain consumer),
`streams [ACCOUNT]`, `peers STREAM [ACCOUNT]` and `members` (both by the servers' own answers), `stop-all`.
The servers end with their daemon, and it with `stop-all` or after an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nats.errors
import nats.js.errors

from servers import Cluster, Options, Server, oracle, wait_for
from servers.binaries import DEFAULT_SERVER, nats_server

LIFE = 3600.0
USERS = {"APP": "app", "OTHER": "other"}


class Park:
    """The servers, and what can be done with them."""

    def __init__(self, size: int, version: str, tagged: bool) -> None:
        names = [f"n{number}" for number in range(1, size + 4)]
        tags = {name: [f"only:{name}"] for name in names} if tagged else {}
        options = Options(version=version, tags=tags)
        self.all: Cluster | Server = Cluster(options, size=size) if size > 1 else Server(options)

    def variables(self) -> dict[str, Any]:
        """How to reach the servers, as the runbooks want to be told."""
        return {
            "ansible_python_interpreter": sys.executable,
            "jetstream_server_binary": str(nats_server(self.all.version)),
            "jetstream_system": self.all.connection("sys"),
            "jetstream_accounts": [
                {"name": name, **self.all.connection(user), "servers": self.all.urls} for name, user in USERS.items()
            ],
            "servers": {node.name: {"url": node.url, "pid": node.pid, "store": str(node.store)} for node in self.nodes},
        }

    @property
    def nodes(self) -> list[Server]:
        """All servers."""
        return self.all.nodes if isinstance(self.all, Cluster) else [self.all]

    def _node(self, name: str) -> Server:
        return next(node for node in reversed(self.nodes) if node.name == name)

    def do(self, verb: str, *words: str) -> Any:
        """Do one thing; returns what a program may want to know."""
        found = getattr(self, f"do_{verb.replace('-', '_')}", None)
        if found is None:
            raise ValueError(f"nobody knows how to {verb}")
        return found(*words)

    def do_kill(self, name: str) -> None:
        self._node(name).kill()

    def do_stop(self, name: str) -> None:
        self._node(name).stop()

    def do_start(self, name: str) -> None:
        node = self._node(name)
        node.start(wait=False)
        node.wait_listening()

    def do_wipe(self, name: str) -> None:
        self._node(name).wipe()

    def do_add(self) -> str:
        assert isinstance(self.all, Cluster)
        return self.all.add_node(wait=False).name

    def do_create(self, stream: str, replicas: str, count: str = "0", account: str = "APP", server: str = "") -> None:
        config: dict[str, Any] = {"name": stream, "subjects": [f"{stream}.>"], "num_replicas": int(replicas)}
        if server:
            config["placement"] = {"tags": [f"only:{server}"]}
        answer = oracle.request(self.all, f"STREAM.CREATE.{stream}", config, USERS[account])
        assert "error" not in answer, answer
        self.do_publish(stream, count, account)

    def do_publish(self, stream: str, count: str, account: str = "APP") -> None:
        async def work() -> None:
            client = await oracle.connect(self.all, USERS[account])
            try:
                for number in range(int(count)):
                    for _attempt in range(200):
                        with contextlib.suppress(nats.errors.Error, nats.js.errors.Error):
                            await client.jetstream(timeout=2).publish(f"{stream}.x", str(number).encode())
                            break
                        await asyncio.sleep(0.05)
                    else:
                        raise AssertionError(f"nobody stores {stream}")
            finally:
                await client.close()

        oracle.run(work())

    def do_delete(self, stream: str, account: str = "APP") -> None:
        answer = oracle.request(self.all, f"STREAM.DELETE.{stream}", None, USERS[account])
        assert "error" not in answer, answer

    def do_count(self, stream: str, account: str = "APP") -> int:
        return len(oracle.dump(self.all, stream, USERS[account]))

    def do_streams(self, account: str = "APP") -> list[str]:
        return sorted(oracle.stream_names(self.all, USERS[account]))

    def do_peers(self, stream: str, account: str = "APP") -> list[str]:
        def holds(node: Server) -> bool:
            details = node.monitor("/jsz?accounts=true&streams=true").get("account_details") or []
            own = [one for each in details if each["name"] == account for one in each.get("stream_detail") or []]
            return any(one["name"] == stream for one in own)

        return sorted(node.name for node in self.nodes if node.running and holds(node))

    def do_members(self) -> list[str]:
        assert isinstance(self.all, Cluster)
        leader = self.all.wait_meta_leader()
        meta = leader.monitor("/jsz")["meta_cluster"]
        return sorted([leader.name, *(peer["name"] for peer in meta.get("replicas") or [])])


def serve(park: Park, listener: socket.socket) -> None:
    """Answer one command a connection until told to stop."""
    end = time.monotonic() + LIFE
    listener.settimeout(5)
    while time.monotonic() < end:
        try:
            connection, _address = listener.accept()
        except TimeoutError:
            continue
        with connection, connection.makefile("rw", encoding="utf-8") as stream:
            words = json.loads(stream.readline())
            if words == ["stop-all"]:
                stream.write(json.dumps({"value": None}) + "\n")
                return
            try:
                answer = {"value": park.do(*words)}
            except Exception as exc:  # the other side shows it
                answer = {"error": f"{type(exc).__name__}: {exc}"}
            stream.write(json.dumps(answer) + "\n")


def run(file: Path, size: int, version: str, tagged: bool) -> int:
    """Be the daemon."""
    park = Park(size, version, tagged)
    with park.all, socket.create_server(("127.0.0.1", 0)) as listener:
        variables = {**park.variables(), "daemon_port": listener.getsockname()[1], "daemon_pid": os.getpid()}
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(".new")
        temporary.write_text(json.dumps(variables, indent=1), encoding="utf-8")
        temporary.chmod(0o600)
        temporary.rename(file)
        serve(park, listener)
    file.unlink(missing_ok=True)
    return 0


def start(file: Path, words: list[str]) -> int:
    """Start the daemon and wait until its servers are ready."""
    file.unlink(missing_ok=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    log = file.with_suffix(".log")
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "servers.daemon", "run", str(file), *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(lambda: file.exists() or child.poll() is not None, 120, "servers that are ready")
    except BaseException:
        child.kill()
        raise
    if child.poll() is not None:
        print(log.read_text(encoding="utf-8"), file=sys.stderr)
        return 1
    print(file.read_text(encoding="utf-8"))
    return 0


def tell(file: Path, words: list[str]) -> int:
    """Have the daemon do one thing and print what it answers."""
    port = int(json.loads(file.read_text(encoding="utf-8"))["daemon_port"])
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.settimeout(180)
        with connection.makefile("rw", encoding="utf-8") as stream:
            stream.write(json.dumps(words) + "\n")
            stream.flush()
            answer = json.loads(stream.readline())
    if "error" in answer:
        print(answer["error"], file=sys.stderr)
        return 1
    if answer["value"] is not None:
        print(json.dumps(answer["value"]))
    return 0


def main() -> int:
    """Start, be, or tell the daemon."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["start", "run", "do"])
    parser.add_argument("file", type=Path, help="where the variables are written")
    parser.add_argument("--size", type=int, default=1)
    parser.add_argument("--version", default=os.environ.get("NATSOPS_TEST_VERSION") or DEFAULT_SERVER)
    parser.add_argument("--tags", action="store_true", help="give each server the tag only:<name>")
    parser.add_argument("words", nargs="*")
    own = parser.parse_args()
    file = own.file.absolute()
    if own.what == "do":
        return tell(file, own.words)
    if own.what == "run":
        return run(file, own.size, own.version, own.tags)
    tags = ["--tags"] if own.tags else []
    return start(file, ["--size", str(own.size), "--version", own.version, *tags])


if __name__ == "__main__":
    sys.exit(main())
