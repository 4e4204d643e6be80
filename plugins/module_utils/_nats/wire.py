# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plain, blocking connection to a nats-server on loopback, for reading much: bytes are left as they came."""

from __future__ import annotations

import json
import socket
import typing as t

from .errors import AuthenticationError, ConnectionLostError, NatsError, RequestTimeoutError
from .subjects import require_sendable

_READ = 1 << 20
_END = b"\r\n"


class Frame(t.NamedTuple):
    """A message as it came. header: the raw block, empty if none."""

    subject: bytes
    reply: bytes
    header: bytes
    payload: bytes


class Wire:
    """A connection for one thread. timeout: seconds without a byte after which waiting ends with an error."""

    def __init__(self, port: int, user: str, password: str, timeout: float = 30.0) -> None:
        self._timeout = timeout
        self._buffer = bytearray()
        self._at = 0
        self._subscriptions = 0
        try:
            self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        except OSError as exc:
            raise ConnectionLostError(f"The server at port {port} cannot be reached: {exc}.") from exc
        try:
            self._log_in(user, password)
        except BaseException:
            self.close()
            raise

    def _log_in(self, user: str, password: str) -> None:
        if not self._line().startswith(b"INFO "):
            raise NatsError("What listens there is not a nats-server.")
        options = {"user": user, "pass": password, "headers": True, "no_responders": True, "verbose": False}
        self._send(b"CONNECT " + json.dumps({**options, "lang": "python", "version": "1", "protocol": 1}).encode())
        self._send(b"PING")
        line = self._line()
        if line != b"PONG":
            raise AuthenticationError(f"The server refused the connection: {line[:80]!r}.")

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def subscribe(self, subject: str) -> int:
        """Have messages on a subject delivered; returns the number to L(unsubscribe)."""
        require_sendable(subject)
        self._subscriptions += 1
        self._send(b"SUB %b %d" % (subject.encode(), self._subscriptions))
        return self._subscriptions

    def unsubscribe(self, number: int) -> None:
        """Undo L(subscribe); what is under way still comes."""
        self._send(b"UNSUB %d" % number)

    def publish(self, *messages: tuple[str, str, bytes]) -> None:
        """Send messages, each a subject, a reply subject (may be empty) and the content."""
        parts = []
        for subject, reply, payload in messages:
            require_sendable(subject, reply)
            words = " ".join(word for word in ("PUB", subject, reply, str(len(payload))) if word)
            parts.append(words.encode() + _END + payload)
        self._send(*parts)

    def receive(self) -> Frame:
        """The next message of any subscription. Raises RequestTimeoutError, ConnectionLostError."""
        while True:
            line = self._line()
            if line.startswith((b"MSG ", b"HMSG ")):
                return self._frame(line.split(b" "))
            if line == b"PING":
                self._send(b"PONG")
            elif line.startswith(b"-ERR"):
                raise NatsError(f"The server says {line[5:85].decode(errors='replace')}.")

    def _frame(self, words: list[bytes]) -> Frame:
        head = 0
        if words[0] == b"HMSG":
            head = int(words.pop(-2))
        size = int(words[-1])
        reply = words[3] if len(words) > 4 else b""
        content = self._bytes(size)
        return Frame(words[1], reply, content[:head], content[head:])

    def _send(self, *parts: bytes) -> None:
        try:
            self._socket.sendall(_END.join((*parts, b"")))
        except OSError as exc:
            raise ConnectionLostError(f"The connection to the server was lost: {exc}.") from exc

    def _more(self) -> None:
        try:
            data = self._socket.recv(_READ)
        except socket.timeout:
            raise RequestTimeoutError(f"Nothing came from the server for {self._timeout:g} s.") from None
        except OSError as exc:
            raise ConnectionLostError(f"The connection to the server was lost: {exc}.") from exc
        if not data:
            raise ConnectionLostError("The server closed the connection.")
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += data

    def _line(self) -> bytes:
        looked = self._at
        while (end := self._buffer.find(_END, looked)) < 0:
            looked = max(len(self._buffer) - self._at - 1, 0)  # where it will be once what was used is gone
            self._more()
        line = bytes(memoryview(self._buffer)[self._at : end])
        self._at = end + 2
        return line

    def _bytes(self, size: int) -> bytes:
        while len(self._buffer) - self._at < size + 2:
            self._more()
        content = bytes(memoryview(self._buffer)[self._at : self._at + size])
        self._at += size + 2
        return content
