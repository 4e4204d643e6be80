# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A private nats-server on loopback, for as long as a block of code runs."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import re
import secrets
import shutil
import tempfile
import time
import typing as t

from .._files.reading import LOG_FILE, SMALL, read_end, read_text
from .._files.writing import create, write_new
from .child import Child
from .errors import ServerError
from .program import find_program, program_version
from .scratch import Scratch, clear

GLOBAL_ACCOUNT = "$G"
SYSTEM_ACCOUNT = "NATSOPS_SYSTEM"
_MIB = 1024 * 1024
#: What stays free on the disk beside what the caller needs.
_RESERVE = 64 * _MIB
_LAST_LINES = 8
_END_OF_LOG = 256 * 1024


@dataclasses.dataclass(frozen=True)
class Login:
    """A user of one account of the private server."""

    user: str
    password: str = dataclasses.field(repr=False)


class LocalServer:
    """A nats-server with JetStream that only this process can log in to. Use as an async context manager.

    binary: path, or a name to look up in PATH. store_dir: an existing store, as C(store_dir) of a server's
    configuration names it (the directory that holds C(jetstream/)); the server writes to it, and it is never removed;
    by default a temporary one. accounts: their names; C($G), the account of servers that name none, cannot be together
    with others. need: bytes to be free in the temporary store. max_file, max_memory: bytes that JetStream may use; by
    default the server's own. max_payload: bytes of a message. parent: directory for temporary files, by default the
    system's. start_timeout: seconds until it must answer. options: laid over the server's configuration, key by key;
    what it has for C(jetstream) is laid over that block.

    It listens on a random port of 127.0.0.1 and nowhere else. It is killed and its temporary directory removed when the
    block ends, also by an exception or cancellation. When this process is killed the server ends with it, and
    the next LocalServer below the same parent removes the directory. Start it in the main thread.
    """

    def __init__(
        self,
        binary: str = "nats-server",
        store_dir: str | None = None,
        accounts: t.Sequence[str] = ("APP",),
        *,
        need: int = 0,
        max_file: int | None = None,
        max_memory: int | None = None,
        max_payload: int = 8 * _MIB,
        parent: str | None = None,
        start_timeout: float = 30.0,
        options: t.Mapping[str, t.Any] | None = None,
    ) -> None:
        if not accounts or (GLOBAL_ACCOUNT in accounts and len(accounts) > 1):
            raise ValueError(f"accounts must be {GLOBAL_ACCOUNT} alone, or others: {accounts}")
        self._binary = binary
        self._store_dir = store_dir
        self._accounts = {name: Login(f"user{index}", secrets.token_hex(16)) for index, name in enumerate(accounts)}
        self._system = Login("system", secrets.token_hex(16))
        self._need = need
        self._limits = {"max_file": max_file, "max_mem": max_memory}
        self._max_payload = max_payload
        self._parent = parent or tempfile.gettempdir()
        self._start_timeout = start_timeout
        self._options = dict(options or {})
        self._scratch: Scratch | None = None
        self._child: Child | None = None
        self.port = 0
        self.version = ""
        #: Directories that killed runs had left and that this one has removed.
        self.cleared: list[str] = []

    async def __aenter__(self) -> LocalServer:
        self.cleared = clear(self._parent)
        program = find_program(self._binary)
        self.version = program_version(program)
        self._check_room()
        try:
            self._start(program)
            await self._ready()
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where it listens, without credentials."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The number of its process, 0 while there is none."""
        return self._child.pid if self._child else 0

    @property
    def directory(self) -> str:
        """Its temporary directory, with configuration, log and, unless one was given, the store."""
        return self._scratch.path if self._scratch else ""

    @property
    def store(self) -> str:
        """The store directory, as the server's configuration names it."""
        return self._store_dir or os.path.join(self.directory, "store")

    def connection(self, account: str | None = None) -> dict[str, t.Any]:
        """C(servers), C(user) and C(password) of an account's user, or without a name of the system account's."""
        login = self._system if account is None else self._accounts[account]
        return {"servers": [self.url], "user": login.user, "password": login.password}

    def log(self, lines: int = _LAST_LINES) -> str:
        """The last lines of the server's log, in one line of text; empty where there is none."""
        try:
            end = read_end(os.path.join(self.directory, "log"), LOG_FILE, _END_OF_LOG)
            found = end.decode(errors="replace").splitlines()
        except OSError:
            return ""
        # [4711] 2026/11/22 10:15:00.123456 [INF] text
        return "; ".join(re.sub(r"^\[\d+\] \S+ \S+ ", "", line) for line in found[-lines:])

    def check(self) -> None:
        """Raise ServerError, with the end of its log, if the server is not running any more."""
        if self._child is None or self._child.code is not None:
            code = self._child.code if self._child else None
            raise ServerError(f"The private nats-server {self.version} ended by itself ({code}). Its log: {self.log()}")

    def close(self) -> None:
        """Kill the server and remove its temporary directory; may be called any number of times."""
        if self._child is not None:
            self._child.kill()
            self._child = None
        if self._scratch is not None:
            self._scratch.remove()
            self._scratch = None

    def _check_room(self) -> None:
        place = self._store_dir or self._parent
        try:
            free = shutil.disk_usage(place).free
        except OSError as exc:
            raise ServerError(
                f"The directory {place} for the private nats-server cannot be used: {exc.strerror}. Give another one.",
                error="server_directory",
            ) from exc
        if free < self._need + _RESERVE:
            raise ServerError(
                f"There is no room for the private nats-server in {place}: it needs {_size(self._need + _RESERVE)},"
                f" and {_size(free)} are free. Free space, or give another directory.",
                error="server_no_space",
            )

    def _start(self, program: str) -> None:
        try:
            self._scratch = Scratch(self._parent)
            config = os.path.join(self.directory, "server.json")
            write_new(config, json.dumps(self._config()).encode())
            log = create(os.path.join(self.directory, "log"), append=True)
            try:
                self._child = Child([program, "-c", config], log)
            finally:
                os.close(log)
            self._scratch.note_child(self._child.pid)
        except OSError as exc:
            raise ServerError(
                f"The private nats-server cannot be started in {self._parent}: {exc.strerror or exc}. Give another"
                " directory.",
                error="server_directory",
            ) from exc

    def _config(self) -> dict[str, t.Any]:
        limits = {key: value for key, value in self._limits.items() if value is not None}
        users = {name: [{"user": login.user, "password": login.password}] for name, login in self._accounts.items()}
        system = {"users": [{"user": self._system.user, "password": self._system.password}]}
        config: dict[str, t.Any] = {
            "server_name": os.path.basename(self.directory),
            "listen": "127.0.0.1:-1",
            "ports_file_dir": self.directory,
            "max_payload": self._max_payload,
            "jetstream": {"store_dir": self.store, **limits},
            "accounts": {SYSTEM_ACCOUNT: system},
            "system_account": SYSTEM_ACCOUNT,
        }
        if GLOBAL_ACCOUNT in users:
            config["authorization"] = {"users": users[GLOBAL_ACCOUNT]}
        else:
            config["accounts"].update({name: {"jetstream": "enabled", "users": each} for name, each in users.items()})
        own = {**config["jetstream"], **(self._options.get("jetstream") or {})}
        return {**config, **self._options, "jetstream": own}

    async def _ready(self) -> None:
        """Return when it takes clients, which it does once its streams are there."""
        end = time.monotonic() + self._start_timeout
        while True:
            self.check()
            port = self._told_port()
            if port:
                self.port = port
                return
            if time.monotonic() > end:
                raise ServerError(
                    f"The private nats-server {self.version} was not ready after {self._start_timeout:g} s. Its log:"
                    f" {self.log()}"
                )
            await asyncio.sleep(0.02)

    def _told_port(self) -> int:
        for entry in os.listdir(self.directory):
            if entry.endswith(".ports"):
                text = read_text(os.path.join(self.directory, entry), SMALL)
                found = re.search(r'"nats://127\.0\.0\.1:(\d+)"', text)
                return int(found[1]) if found else 0
        return 0


def _size(count: int) -> str:
    return f"{count / _MIB:,.0f} MiB"
