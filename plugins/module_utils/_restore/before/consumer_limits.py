# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The limits that servers and accounts have for consumers, and whether those of a backup keep to them."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import typing as t
import uuid

from ..._nats.account_limits import Allowance
from ..._nats.api import JetStream
from ..._nats.errors import ApiError, NatsError
from ..._nats.model import Json, StreamInfo
from ..._repository.errors import RestoreError

_PENDING, _BATCH = 10121, 10125
_HIGH = (1 << 31) - 1


@dataclasses.dataclass(frozen=True)
class ServerLimits:
    """What the server has for each consumer; 0 for no limit, or one that cannot be asked for."""

    max_ack_pending: int = 0
    max_batch: int = 0


async def ask_limits(js: JetStream, streams: t.Iterable[StreamInfo]) -> ServerLimits:
    """Find out by asking to change a consumer that does not exist: too large a wish is refused with the limit."""
    if js.line.version < (2, 10, 0):
        return ServerLimits()  # they would make it
    free = (one.name for one in streams if not (one.config.get("consumer_limits") or {}).get("max_ack_pending"))
    stream = next(free, None)
    if stream is None:
        return ServerLimits()
    found: dict[int, int] = {}
    wish = {"max_batch": _HIGH, "max_ack_pending": _HIGH}
    for code, field in ((_BATCH, "max_batch"), (_PENDING, "max_ack_pending")):
        with contextlib.suppress(NatsError):
            found[code] = await _asked(js, stream, wish, code)
        wish.pop(field)
    return ServerLimits(found.get(_PENDING, 0), found.get(_BATCH, 0))


async def _asked(js: JetStream, stream: str, wish: Json, code: int) -> int:
    name = f"natsops_{uuid.uuid4().hex}"
    config = {"name": name, "ack_policy": "explicit", "inactive_threshold": 1_000_000_000, **wish}
    request = {"stream_name": stream, "config": config, "action": "update"}
    try:
        await js.call(f"CONSUMER.CREATE.{stream}.{name}", request)
    except ApiError as exc:
        number = re.search(r"limit of (\d+)", exc.description)
        return int(number[1]) if exc.err_code == code and number else 0
    await js.delete_consumer(stream, name)
    return 0


class ConsumerCheck:
    """Compares consumers with the limits of C(allow), of the stream's C(config), and of the server."""

    def __init__(self, config: Json, allow: Allowance, server: ServerLimits, *, counted: bool) -> None:
        self._stream = config["name"]
        self._limits = config.get("consumer_limits") or {}
        self._allow = allow
        self._server = server
        self._counted = counted

    def check(self, consumers: t.Sequence[tuple[str, Json]]) -> None:
        """Raise RestoreError naming the first consumer that a server would refuse."""
        most = int(self._allow.limits.get("max_consumers") or -1)
        if self._counted and 0 < most < len(consumers):
            raise RestoreError(
                f"stream {self._stream}: the backup has {len(consumers)} consumers, and the account allows {most} a"
                " stream. Raise the limit.",
                error="maximum_consumers_limit",
                err_code=10026,
            )
        for name, config in consumers:
            self._one(name, config)

    def _one(self, name: str, config: Json) -> None:
        pending = int(config.get("max_ack_pending") or 0)
        own = int(self._limits.get("max_ack_pending") or 0)
        allowed = int(self._allow.limits.get("max_ack_pending") or 0)
        for whose, limit in (("the server", self._server.max_ack_pending), ("the account", allowed), ("config", own)):
            if 0 < limit < pending:
                self._refuse(name, f"its max_ack_pending is {pending}, and {whose} allows {limit}", _PENDING)
        batch, most = int(config.get("max_batch") or 0), self._server.max_batch
        if not config.get("deliver_subject") and 0 < most < batch:
            self._refuse(name, f"its max_batch is {batch}, and the server allows {most}", _BATCH)
        idle, longest = (int(one.get("inactive_threshold") or 0) for one in (config, self._limits))
        if 0 < longest < idle:
            self._refuse(name, f"its inactive_threshold is {idle}, and config allows {longest}", 10153)

    def _refuse(self, name: str, reason: str, code: int) -> None:
        raise RestoreError(
            f"stream {self._stream}: the server would refuse its consumer {name}: {reason}. Raise the limit.",
            error="consumer_refused",
            err_code=code,
        )
