# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers that all servers give to one request, gathered; and the few words in them that need reading."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import hashlib
import typing as t

from .._shape.document import parse_json
from .._shape.schema import check, mapping
from .errors import ProtocolError
from .model import Json
from .monitoring import ANSWER, SHAPES
from .shapes import MOST_ANSWER

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

Reduce = t.Callable[[Json], t.Any]
Answers = dict[str, t.Any]
Enough = t.Callable[["Collector"], bool]


@functools.lru_cache(maxsize=1024)
def peer_id(server_name: str) -> str:
    """The id under which the server of that name takes part in raft groups; the same after its disk was wiped."""
    digest = hashlib.sha256(server_name.encode()).digest()
    return "".join(_DIGITS[byte % 62] for byte in digest[:8])


def sent_by(server_id: str) -> t.Callable[[t.Any], bool]:
    """Whether an answer is of that server: those behind leafnodes answer as well, about the user of that link.

    One that does not say whose it is counts.
    """

    def accept(message: t.Any) -> bool:
        try:
            answer = parse_json(message.data)
        except ValueError:
            return True  # for whoever reads it
        server = answer.get("server") if isinstance(answer, dict) else None
        found = server.get("id") if isinstance(server, dict) else None
        return not (found and server_id) or found == server_id

    return accept


def meta_group(raftz: Json) -> Json:
    """What a server's RAFTZ says of the meta group: C(id), C(size), C(leader), C(peers), ...; empty without one."""
    for groups in raftz.values():
        if isinstance(groups, dict) and isinstance(groups.get("_meta_"), dict):
            return t.cast("Json", groups["_meta_"])
    return {}


@dataclasses.dataclass(frozen=True)
class Sample:
    """One look at all servers: mappings from a server's id to what it answered. C(heads) has its name, cluster, domain,
    tags and version; C(at) is the middle of the look in seconds since the epoch."""

    at: float
    heads: dict[str, Json]
    varz: Answers
    healthz: Answers
    raftz: Answers
    routez: Answers
    # JSZ pages, each reduced, in order of their offset; empty for a light look, and a server may be absent.
    pages: dict[str, list[t.Any]]


class Collector:
    """Answers of servers to one request, by server id."""

    def __init__(self, reduce: Reduce, endpoint: str = "") -> None:
        self.wrong: ProtocolError | None = None
        self._endpoint = endpoint
        self.heads: dict[str, Json] = {}
        self.data: Answers = {}
        self.arrived = asyncio.Event()
        self.refused = False
        self._reduce = reduce

    async def take(self, message: t.Any) -> None:
        if not message.data:
            self.refused = bool(message.headers and message.headers.get("Status") == "503")
            self.arrived.set()
            return
        try:
            answer = parse_json(message.data, MOST_ANSWER)
            check(answer, ANSWER)
            head, data = answer["server"], answer.get("data")
            if data is not None:
                check(data, SHAPES.get(self._endpoint, mapping), f"data of {head['name']}"[:80])
                reduced = self._reduce(data)
                self.heads[head["id"]], self.data[head["id"]] = head, reduced
        except ValueError as exc:
            self.wrong = ProtocolError("", f"$SYS.REQ.SERVER.PING.{self._endpoint}", str(exc))
        self.arrived.set()


def all_members(collector: Collector) -> bool:
    """Whether every server has answered RAFTZ that one of its domain counts as a member of the meta group.

    Names, and so peer ids, may be the same in two domains.
    """
    members: set[tuple[str, str]] = set()
    here: set[tuple[str, str]] = set()
    for server, head in collector.heads.items():
        domain = str(head.get("domain") or "")
        meta = meta_group(collector.data[server])
        here.add((domain, peer_id(head["name"])))
        members.update((domain, peer) for peer in ([meta["id"], *(meta.get("peers") or {})] if meta else []))
    return bool(members) and members <= here
