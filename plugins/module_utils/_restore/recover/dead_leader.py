# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests about a stream whose leader is dead. The answer would be the leader's: that it was asked is all there is."""

from __future__ import annotations

import contextlib

from ..._nats.api import JetStream
from ..._nats.errors import ApiError, RequestTimeoutError

PATIENCE = 2.0
#: "stream is offline"
OFFLINE_CODE = 10118
#: What becomes of a question: there is no such stream; the cluster knows that all its servers are gone, and changes it
#: no more; nobody says anything; an answer.
GONE, OFFLINE, SILENT, ANSWERS = "gone", "offline", "silent", "answers"


async def delete(js: JetStream, name: str) -> None:
    """Delete a stream whose leader is dead: the answer never comes, and it is done all the same."""
    with contextlib.suppress(RequestTimeoutError):
        try:
            await js.call(f"STREAM.DELETE.{name}", timeout=PATIENCE, what=f"delete stream {name}")
        except ApiError as exc:
            if exc.error != "stream_not_found":
                raise


async def state_of(js: JetStream, name: str) -> str:
    """What becomes of a question about a stream: one of the words above."""
    try:
        await js.call(f"STREAM.INFO.{name}", timeout=PATIENCE, what=f"stream {name}")
    except ApiError as exc:
        if exc.error == "stream_not_found":
            return GONE
        if exc.err_code == OFFLINE_CODE:
            return OFFLINE
        raise
    except RequestTimeoutError:
        return SILENT
    return ANSWERS
