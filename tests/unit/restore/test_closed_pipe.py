# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that stopped to read for another restore: it is waited for once, then named."""

from __future__ import annotations

import asyncio
import types
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.errors import ApiError
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.errors import RestoreError
from ansible_collections.natsops.jetstream.plugins.module_utils._restore import transfer as restoring
from ansible_collections.natsops.jetstream.plugins.module_utils._restore.sender import Upload

CLOSED = ApiError("restore of A", err_code=10062, code=500, description="io: read/write on closed pipe")


def restoring_with(monkeypatch: pytest.MonkeyPatch, answers: list[Any]) -> tuple[Any, list[float]]:
    """A run whose sends end as C(answers) say, and how long it waited between them."""
    slept: list[float] = []
    run: Any = object.__new__(restoring.Restoring)
    run._plan = types.SimpleNamespace(name="A", config={"name": "A"})
    run._target = types.SimpleNamespace(sourced=frozenset(), gone_back={})
    run._upload = Upload()
    run._backup, run._announced, run._warnings = None, False, []
    run._js = types.SimpleNamespace(clustered=False, line=None)
    relaxed = types.SimpleNamespace(request={}, wanted={}, identity_splits=False)
    monkeypatch.setattr(restoring, "relax", lambda *_args, **_more: relaxed)

    async def nothing(*_args: Any) -> None:
        return None

    async def copied() -> dict[str, Any]:
        return {}

    async def send(_config: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    run._clean_up, run._copied, run._send = nothing, copied, send
    monkeypatch.setattr(asyncio, "sleep", sleep)
    return run, slept


async def test_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    run, slept = restoring_with(monkeypatch, [CLOSED, "restored"])
    _relaxed, info = await run._send_until_taken("created")
    assert (info, slept, run._upload.chunk_size) == ("restored", [6.0], 16 * 1024)


async def test_named_the_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    run, slept = restoring_with(monkeypatch, [CLOSED, CLOSED])
    with pytest.raises(RestoreError, match="Another restore of it is under way") as caught:
        await run._send_until_taken("created")
    assert (caught.value.error, caught.value.err_code, slept) == ("restore_dropped", 10062, [6.0])
