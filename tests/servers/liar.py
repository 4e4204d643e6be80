# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that speaks NATS and the JetStream API just well enough for one backup or restore, and lies where told."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Union

Answer = Union[bytes, "dict[str, Any]", "list[Any]", str, int, None]
#: Given the liar's connection, the request's subject, its reply subject and what it says.
Script = Callable[["Talk", str, str, Any], Answer]
INFO: dict[str, Any] = {
    "server_id": "NLIAR",
    "server_name": "liar",
    "version": "2.15.3",
    "proto": 1,
    "host": "127.0.0.1",
    "headers": True,
    "max_payload": 1 << 20,
    "jetstream": True,
}


class Talk:
    """One connection."""

    def __init__(self, liar: Liar, connection: socket.socket) -> None:
        self._liar = liar
        self._socket = connection
        self._file = connection.makefile("rb")
        self._subscriptions: dict[bytes, re.Pattern[str]] = {}
        self._lock = threading.Lock()

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        with self._lock, contextlib.suppress(OSError):
            self._socket.sendall(data)

    def send(self, subject: str, payload: bytes, reply: str = "", head: bytes = b"") -> None:
        """Deliver a message to whoever subscribed."""
        for sid, pattern in list(self._subscriptions.items()):
            if pattern.fullmatch(subject):
                words = [b"HMSG" if head else b"MSG", subject.encode(), sid, *([reply.encode()] if reply else [])]
                sizes = [b"%d" % len(head)] if head else []
                line = b" ".join([*words, *sizes, b"%d" % (len(head) + len(payload))])
                self.raw(line + b"\r\n" + head + payload + b"\r\n")

    def serve(self) -> None:
        """Until the other side goes."""
        self.raw(b"INFO " + json.dumps(self._liar.info).encode() + b"\r\n")
        with contextlib.suppress(OSError, ValueError):
            while line := self._file.readline():
                self._line(line.rstrip(b"\r\n").split(b" "))
        self._socket.close()

    def _line(self, words: list[bytes]) -> None:
        verb = words[0].upper()
        if verb == b"PING":
            self.raw(b"PONG\r\n")
        elif verb == b"SUB":
            pattern = re.escape(words[1].decode()).replace(r"\*", r"[^.]+").replace(">", ".+")
            self._subscriptions[words[-1]] = re.compile(pattern)
        elif verb == b"UNSUB":
            self._subscriptions.pop(words[1], None)
        elif verb in (b"PUB", b"HPUB"):
            content = self._file.read(int(words[-1]) + 2)[:-2]
            head = int(words[-2]) if verb == b"HPUB" else 0
            reply = words[2].decode() if len(words) > (4 if head else 3) else ""
            self._liar.published(self, words[1].decode(), reply, content[head:])


class Liar:
    """Use as a context manager. C(scripts): pattern of a subject, and what is answered; C(seen): subjects published."""

    def __init__(self, scripts: dict[str, Script], info: dict[str, Any] | None = None) -> None:
        self.info = {**INFO, **(info or {})}
        self.seen: list[str] = []
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"nats://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Liar:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=Talk(self, connection).serve, daemon=True).start()

    def published(self, talk: Talk, subject: str, reply: str, content: bytes) -> None:
        """Answer a request as the first script that fits says, else not at all."""
        self.seen.append(subject)
        for pattern, script in self._scripts.items():
            if re.fullmatch(pattern, subject):
                try:
                    request = json.loads(content) if content else {}
                except ValueError:
                    request = {}
                answer = script(talk, subject, reply, request)
                if answer is not None and reply:
                    talk.send(reply, answer if isinstance(answer, bytes) else json.dumps(answer).encode())
                return
        if reply:
            talk.send(reply, b"", head=b"NATS/1.0 503\r\n\r\n")


def later(work: Callable[[], None], pause: float = 0.05) -> None:
    """Do something once the answer to the request is on its way."""

    def run() -> None:
        time.sleep(pause)
        work()

    threading.Thread(target=run, daemon=True).start()
