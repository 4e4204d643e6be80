# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One nats-server process: started, killed, frozen, wiped, and always stopped at the end."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from . import process
from .binaries import nats_server
from .config import Options, Setup

START_TIMEOUT = 15.0
_T = TypeVar("_T")


class ServerError(Exception):
    """A test server did not do what it was told; the message holds the tail of its log."""


class PortTakenError(ServerError):
    """Another process took a port between the choice and the start."""


class Endpoint:
    """What clients need to reach one server or a cluster; the base of Server and Cluster."""

    setup: Setup

    @property
    def urls(self) -> list[str]:
        """Client URLs without credentials."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """The first client URL without credentials."""
        return self.urls[0]

    @property
    def version(self) -> str:
        """The version of nats-server."""
        return self.setup.options.version

    @property
    def line(self) -> tuple[int, int]:
        """The version's major and minor number."""
        return self.setup.options.line

    def auth(self, user: str = "app") -> dict[str, Any]:
        """Return nats-py's keyword arguments for `user`: `await nats.connect(server.urls, **server.auth("app"))`."""
        return self.setup.nats_py(user)

    def connection(self, user: str = "app") -> dict[str, Any]:
        """Return the collection's connection options for `user`, `servers` included."""
        return {"servers": self.urls, **self.setup.module_options(user)}

    def cli_arguments(self, user: str = "app") -> list[str]:
        """Return the `nats` command line's options for `user`, `--server` included."""
        return [f"--server={','.join(self.urls)}", *self.setup.cli_arguments(user)]


class Server(Endpoint):
    """A nats-server on loopback; a context manager that starts on entry and stops for good on exit.

    root: the directory that holds its configuration, log and store; a temporary one that `close` removes by default.
    """

    def __init__(
        self,
        options: Options | None = None,
        *,
        name: str = "n1",
        root: Path | None = None,
        setup: Setup | None = None,
    ) -> None:
        self.name = name
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if root is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="natsops-server-")
            root = Path(self._temporary.name)
        self.root = root
        self.root.mkdir(parents=True, exist_ok=True)
        self.setup = setup or Setup(options or Options(), self.root)
        self.port = self.http_port = self.cluster_port = 0
        self.routes: Callable[[], list[str]] | None = None
        self.cluster_name = ""
        self.frozen = False
        self._process: subprocess.Popen[bytes] | None = None
        self._started_before = False
        self._program = nats_server(self.setup.options.version)
        self._finalizer = weakref.finalize(self, _finish, [])

    def __repr__(self) -> str:
        state = "frozen" if self.frozen else f"pid {self.pid}" if self.running else "stopped"
        return f"<Server {self.name} {self.version} port {self.port} {state}>"

    @property
    def urls(self) -> list[str]:
        """The client URL, without credentials."""
        return [f"{'tls' if self.setup.tls else 'nats'}://127.0.0.1:{self.port}"]

    @property
    def store(self) -> Path:
        """The JetStream store directory as configured; the server adds `jetstream/` below it."""
        return self.root / "store"

    @property
    def program(self) -> Path:
        """The program that it runs."""
        return Path(self._program)

    @property
    def pid(self) -> int | None:
        """The process id, also of one that has ended; None before the first start."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Whether the process exists (a frozen one does)."""
        return self._process is not None and self._process.poll() is None

    def choose_ports(self) -> None:
        """Take new free ports for the next start."""
        self.port, self.http_port, self.cluster_port = process.free_ports(3)

    def start(self, *, wait: bool = True, timeout: float = START_TIMEOUT) -> Server:
        """Start the process, and with `wait` wait until JetStream answers.

        A first start moves to other ports where one was taken meanwhile; a later one keeps its ports and fails.
        Raises ServerError when it exits or is not ready within `timeout` seconds.
        """
        if self.running:
            raise ServerError(f"{self.name} is running already (pid {self.pid})")
        for attempt in range(3):
            if not self.port:
                self.choose_ports()
            self._launch()
            try:
                if wait:
                    self.wait_ready(timeout)
            except PortTakenError:
                if self._started_before or self.routes or attempt == 2:
                    raise
                self.port = 0
            except BaseException:
                self.kill()
                raise
            else:
                self._started_before = True
                break
        return self

    def wait_ready(self, timeout: float = START_TIMEOUT) -> None:
        """Wait until `/healthz` says that the server and JetStream work, at most `timeout` seconds."""
        self._until(lambda: self._listens() and self.monitor("/healthz").get("status") == "ok", timeout, "healthy")

    def wait_listening(self, timeout: float = START_TIMEOUT) -> None:
        """Wait until the monitoring port answers, healthy or not."""
        self._until(self._listens, timeout, "listening")

    def kill(self) -> None:
        """End the process with SIGKILL, as a crash does; frozen or gone ones too."""
        if self._process:
            process.kill(self._process)
        self.frozen = False

    def stop(self, timeout: float = 20.0) -> None:
        """End the process in good order with SIGTERM; ServerError (and SIGKILL) when that takes too long."""
        if not self._process or not self.running:
            return
        self.thaw()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(f"{self.name} did not stop within {timeout} s\n{self.tail()}") from None

    def freeze(self) -> None:
        """Suspend the process with SIGSTOP: connections stay, nothing answers."""
        assert self._process, f"{self.name} was not started"
        assert self.running, f"{self.name} is not running"
        self._process.send_signal(signal.SIGSTOP)
        self.frozen = True
        # A thread that is just running on another processor goes on for a moment.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        if self.frozen and self._process:
            self._process.send_signal(signal.SIGCONT)
        self.frozen = False

    def restart(self, *, wait: bool = True, timeout: float = START_TIMEOUT) -> None:
        """Stop in good order and start again on the same ports and store."""
        self.stop()
        self.start(wait=wait, timeout=timeout)

    def wipe(self) -> None:
        """Delete the store; the process must not be running."""
        assert not self.running, f"stop or kill {self.name} before its store is wiped"
        shutil.rmtree(self.store, ignore_errors=True)

    def log(self) -> str:
        """Return all the server has logged, across restarts."""
        try:
            return (self.root / "log").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def tail(self, lines: int = 15) -> str:
        """Return the last lines of the log, with a heading."""
        return f"--- {self.name}, last lines of the log:\n" + "\n".join(self.log().splitlines()[-lines:])

    def monitor(self, path: str, timeout: float = 2.0) -> dict[str, Any]:
        """Return the JSON of a monitoring path such as "/jsz?streams=true"; {} when nothing answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=timeout)
        try:
            connection.request("GET", path)
            answer = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError):
            return {}
        finally:
            connection.close()
        return answer if isinstance(answer, dict) else {}

    def close(self) -> None:
        """Kill the process and remove the temporary directory."""
        self.kill()
        self._finalizer.detach()
        if self._temporary:
            self._temporary.cleanup()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def write_config(self) -> Path:
        """Write the configuration for the present ports and return its path."""
        config = self.setup.server_config(self.name, self.store, self.port, self.http_port)
        if self.routes:
            block = {"name": self.cluster_name, "listen": f"127.0.0.1:{self.cluster_port}", "routes": self.routes()}
            config["cluster"] = {**block, **config.get("cluster", {})}
        path = self.root / "server.json"
        path.write_text(json.dumps(config, indent=1), encoding="utf-8")
        path.chmod(0o600)
        return path

    def _launch(self) -> None:
        command = [str(self._program), "-c", str(self.write_config())]
        self._process = process.spawn([*command, *(["-D"] if self.setup.options.debug else [])], self.root / "log")
        self.frozen = False
        self._finalizer.detach()
        self._finalizer = weakref.finalize(self, _finish, [self._process])

    def _listens(self) -> bool:
        # Another server may hold the monitoring port, while this one is about to end for that very reason.
        varz = self.monitor("/varz")
        return varz.get("port") == self.port and varz.get("server_name") == self.name

    def _until(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            if not self.running:
                kind = PortTakenError if "address already in use" in self.tail() else ServerError
                raise kind(f"{self.name} {self.version} ended before it was {what}\n{self.tail()}")
            if time.monotonic() > deadline:
                health = self.monitor("/healthz")
                raise ServerError(f"{self.name} was not {what} within {timeout} s: {health}\n{self.tail()}")
            time.sleep(0.01)


def wait_for(condition: Callable[[], _T | None], timeout: float, what: str, interval: float = 0.1) -> _T:
    """Return the first true value of `condition`; ServerError names `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise ServerError(f"not within {timeout:g} s: {what}")
        time.sleep(interval)


def _finish(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        process.kill(child)
