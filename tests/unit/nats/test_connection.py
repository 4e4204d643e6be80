# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection's requests over a client that loses questions."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.connection import Connection
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.errors import (
    ConnectionLostError,
    RequestTimeoutError,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.options import make_options


class Lossy:
    """A client whose other end hears only the question number `hears`, counted from 1."""

    def __init__(self, hears: int) -> None:
        self.hears = hears
        self.asked = 0
        self.answer: Any = None
        self.is_closed = False

    def new_inbox(self) -> str:
        return "_INBOX.x"

    async def subscribe(self, subject: str, cb: Any, **limits: Any) -> None:
        self.answer = cb

    async def publish(self, subject: str, payload: bytes, reply: str = "", headers: Any = None) -> None:
        self.asked += 1
        if self.asked == self.hears:
            await self.answer(SimpleNamespace(subject=reply, data=payload, headers=None))


async def connection(hears: int) -> tuple[Connection, Lossy]:
    client = Lossy(hears)
    opened = Connection(client, make_options({}))
    await opened.start()
    return opened, client


async def test_a_lost_question_is_asked_again() -> None:
    opened, client = await connection(hears=3)
    assert (await opened.request("Q", b"?", timeout=5, again=0.01)).data == b"?"
    assert client.asked == 3


@pytest.mark.parametrize("again", [None, 0.02])
async def test_an_answer_that_never_comes(again: float | None) -> None:
    opened, client = await connection(hears=0)
    with pytest.raises(RequestTimeoutError, match=r"No answer to Q within 0\.1 s"):
        await opened.request("Q", timeout=0.1, again=again)
    assert (client.asked > 1) == bool(again)


async def test_a_client_that_closes_without_a_word() -> None:
    opened, client = await connection(hears=0)
    told: list[Exception] = []
    opened.watch(told.append)
    asking = asyncio.ensure_future(opened.request("Q", timeout=30))
    await asyncio.sleep(0)
    client.is_closed = True
    with pytest.raises(ConnectionLostError, match="was lost"):
        await asyncio.wait_for(asking, 5)
    assert told == [opened.lost]
