# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is on the other end of a port that did not talk as it should: looked at after a failure, without credentials."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import typing as t
import urllib.parse

NATS = "nats"
TLS_FIRST = "nats over TLS from the first byte"
TLS = "tls"
HTTP = "http"
SILENT = "silent"
NOBODY = "nobody"
# A server that wants no TLS first greets at once; one in a cluster of another continent within this.
_GREETING = 0.8
_STEP = 2.0


async def kind_of(server: str, timeout: float) -> str:
    """What answers at an address: one of the words above."""
    parts = urllib.parse.urlsplit(server)
    host, port = parts.hostname or "", parts.port or {"ws": 80, "wss": 443}.get(parts.scheme, 4222)
    step = min(timeout, _STEP)
    try:
        greeting = await _hear(host, port, b"", None, min(step, _GREETING), step)
    except (OSError, asyncio.TimeoutError):
        return NOBODY
    if greeting.startswith(b"INFO "):
        return NATS
    with contextlib.suppress(OSError, asyncio.TimeoutError, EOFError):
        secret = await _hear(host, port, b"", _unchecked(), step, step)
        return TLS_FIRST if secret.startswith(b"INFO ") else TLS
    with contextlib.suppress(OSError, asyncio.TimeoutError, EOFError):
        answer = await _hear(host, port, b"GET / HTTP/1.0\r\n\r\n", None, step, step)
        return HTTP if answer.startswith(b"HTTP/") else SILENT
    return SILENT


def _unchecked() -> ssl.SSLContext:
    # Nothing is sent, and nothing that comes is believed: it is only looked whether there is TLS at all.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _hear(host: str, port: int, say: bytes, tls: ssl.SSLContext | None, patience: float, connect: float) -> bytes:
    """The first bytes that come after C(say); none where there is silence."""
    opened = asyncio.open_connection(host, port, ssl=tls, server_hostname=host if tls else None)
    reader, writer = await asyncio.wait_for(opened, connect)
    try:
        if say:
            writer.write(say)
        return t.cast("bytes", await asyncio.wait_for(reader.read(64), patience))
    except (asyncio.TimeoutError, OSError):
        return b""
    finally:
        writer.close()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), 0.5)
