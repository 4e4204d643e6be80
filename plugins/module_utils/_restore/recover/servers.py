# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which servers that answer fit a placement, as an account sees them. The question changes nothing.

The meta group goes on counting a dead server for minutes, so it does not tell.
"""

from __future__ import annotations

import asyncio
import dataclasses
import typing as t

from ..._nats.api import JetStream
from ..._nats.errors import NatsError
from ..._nats.model import Json
from ..._shape.document import parse_json

# Every server answers it, and says its name, cluster and tags; of its connections one is enough.
_QUESTION = "$SYS.REQ.ACCOUNT.PING.CONNZ"
_REQUEST = b'{"limit":1}'
_QUIET = 1.0
_LOOKS = 2
_EXCLUDED = "!jetstream"
_REMEDY = "Give placement, or start a server that fits, then run again."


@dataclasses.dataclass(frozen=True)
class Server:
    """A server with JetStream that answers; its tags are in lower case."""

    cluster: str
    tags: frozenset[str]

    def fits(self, placement: Json) -> bool:
        """Whether a copy may be put there, room aside."""
        cluster = placement.get("cluster")
        wanted = [str(tag).lower() for tag in placement.get("tags") or ()]
        return (
            (not cluster or cluster == self.cluster)
            and _EXCLUDED not in self.tags
            and all((tag[1:] not in self.tags) if tag.startswith("!") else (tag in self.tags) for tag in wanted)
        )


class Servers:
    """The servers that answer, asked for when they are needed; once more before none is said to fit."""

    def __init__(self, js: JetStream) -> None:
        self._js = js
        self._found: dict[str, Server] = {}
        self._looks = 0
        self._lock = asyncio.Lock()

    async def choose(self, own: Json | None, given: Json | None) -> tuple[Json | None, str]:
        """C(given) where only that fits a server, C(None) where C(own) does; and why neither does, or nothing.

        Where no server answers the question, this user may not ask it: C(own) counts as fitting, a trial finds out.
        """
        while True:
            async with self._lock:
                looked = self._looks
            chosen, why = self._chosen(own or {}, given or {})
            if looked and not (why or chosen):
                return None, ""
            if looked >= _LOOKS:
                return chosen, why
            await self._look(looked)

    def _chosen(self, own: Json, given: Json) -> tuple[Json | None, str]:
        if not self._found and given:
            return None, f"nobody can say which servers fit a placement, since nobody answers {_QUESTION}. Grant it"
        if not self._found or any(server.fits(own) for server in self._found.values()):
            return None, ""
        why = f"no server that answers fits its placement ({told(own)})"
        if not given:
            return None, f"{why}. {_REMEDY}"
        if any(server.fits(given) for server in self._found.values()):
            return given, ""
        return None, f"{why}, nor the placement that was given ({told(given)}). {_REMEDY}"

    async def _look(self, looked: int) -> None:
        async with self._lock:
            if self._looks == looked:
                self._found.update(await _answers(self._js))
                self._looks += 1


async def _answers(js: JetStream) -> dict[str, Server]:
    found: dict[str, Server] = {}
    arrived = asyncio.Event()

    async def take(message: t.Any) -> None:
        try:
            answer = parse_json(message.data)
        except ValueError:
            return
        about = answer.get("server") if isinstance(answer, dict) else None
        if not isinstance(about, dict) or not about.get("jetstream") or about.get("domain", "") != js.domain:
            return
        tags = about.get("tags") if isinstance(about.get("tags"), list) else []
        lower = frozenset(str(tag).lower() for tag in tags or ())
        found[str(about.get("id"))] = Server(str(about.get("cluster") or ""), lower)
        arrived.set()

    inbox = js.connection.new_inbox()
    subscription = await js.connection.subscribe(inbox, take)
    try:
        await js.connection.publish(_QUESTION, _REQUEST, reply=inbox)
        while True:
            arrived.clear()
            await asyncio.wait_for(arrived.wait(), _QUIET)
    except (asyncio.TimeoutError, NatsError):
        return found  # all that answer have; or the user may not ask
    finally:
        await js.connection.unsubscribe(subscription)


def told(placement: Json) -> str:
    """A placement, for a sentence."""
    cluster = [f"cluster {placement['cluster']}"] if placement.get("cluster") else []
    return ", ".join([*cluster, *(f"tag {tag}" for tag in placement.get("tags") or ())]) or "none"
