# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every server says of itself: requests that all servers answer, over a connection of the system account."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
import typing as t

from .._shape.document import parse_json
from .answers import Collector, Enough, Reduce, Sample, all_members
from .api import JetStream
from .connection import Connection
from .errors import ApiError, ConnectionLostError, NatsError, PermissionDeniedError, ProtocolError
from .model import Json
from .pages import MOST_PAGES
from .shapes import read_answer

# A server that has answered nothing this long after the last one that did is taken for silent.
QUIET = 1.0
# After the answers of all that are known, how long others (not members of the meta group) may still come.
GRACE = 0.15
# Accounts in one JSZ answer: servers page by account.
ACCOUNTS_PER_PAGE = 256


class NotSystemAccountError(NatsError):
    """No server answers requests that only the system account may make."""

    error = "not_system_account"


class WrongDomainError(NatsError):
    """What is asked of this server is carried out by the meta group of another domain than the one that is meant."""

    error = "wrong_domain"


class System:
    """The system account's requests over a connection. Every method raises the errors of C(errors.py)."""

    def __init__(self, connection: Connection, *, quiet: float = QUIET) -> None:
        self.connection = connection
        self._quiet = quiet

    @property
    def asked_domain(self) -> str:
        """The JetStream domain that the options name; empty where they name none."""
        return self.connection.options.domain or ""

    def domain_of(self, sample: Sample) -> str:
        """The JetStream domain that is meant: the one asked for, else that of the server on the other end, else, where
        that one has no JetStream, the only one there is. Empty where there are no domains."""
        info = self.connection.info
        home = str(info.get("domain") or "")
        if self.asked_domain or home or info.get("jetstream"):
            return self.asked_domain or home
        there = {str(head.get("domain") or "") for head in sample.heads.values() if head.get("jetstream")}
        return there.pop() if len(there) == 1 else ""

    def check_reach(self) -> None:
        """Raise WrongDomainError where changes asked for here would be made in another domain than the one asked for.

        Servers look into each other's domains over leaf nodes, but a change goes to the server's own meta group.
        """
        home = str(self.connection.info.get("domain") or "")
        if self.asked_domain and home != self.asked_domain:
            whose = f"the JetStream domain {home!r}" if home else "no JetStream domain"
            raise WrongDomainError(
                f"This connection is to a server of {whose}, whose meta group would get what is meant for"
                f" {self.asked_domain!r}. Give addresses of servers of that domain. Nothing was touched."
            )

    async def gather(
        self,
        endpoint: str,
        request: Json | None = None,
        *,
        enough: Enough,
        quiet: float,
        limit: float,
        grace: float = 0.0,
        reduce: Reduce = dict,
    ) -> Collector:
        """Ask all servers until C(enough) and C(grace) seconds more, C(quiet) silent seconds, or C(limit) in all."""
        collector = Collector(reduce, endpoint)
        lost: list[NatsError] = []

        def watch(error: NatsError) -> None:
            if isinstance(error, (ConnectionLostError, PermissionDeniedError)):
                lost.append(error)
                collector.arrived.set()

        inbox = self.connection.new_inbox()
        undo = self.connection.watch(watch)
        subscription = await self.connection.subscribe(inbox, collector.take)
        deadline = time.monotonic() + limit
        try:
            payload = json.dumps(request).encode() if request else b""
            await self.connection.publish(f"$SYS.REQ.SERVER.PING.{endpoint}", payload, reply=inbox)
            while not collector.refused and not enough(collector):
                wait = min(quiet, deadline - time.monotonic())
                collector.arrived.clear()
                try:
                    await asyncio.wait_for(collector.arrived.wait(), max(wait, 0.0))
                except asyncio.TimeoutError:
                    break
                if lost:
                    raise lost[0]
                if collector.wrong is not None:
                    raise collector.wrong
            if grace and enough(collector):
                await asyncio.sleep(grace)
        finally:
            undo()
            await self.connection.unsubscribe(subscription)
        return collector

    async def probe(self) -> Sample:
        """A light look: who is there, its meta group and routes. Raises NotSystemAccountError where nobody answers."""
        started = time.time()
        raftz = await self.gather("RAFTZ", enough=all_members, quiet=self._quiet, limit=4 * self._quiet)
        seen = frozenset(raftz.heads)

        def all_seen(collector: Collector) -> bool:
            return bool(seen) and seen <= collector.heads.keys()

        varz, healthz, routez = await asyncio.gather(
            *(
                self.gather(endpoint, enough=all_seen, quiet=self._quiet, limit=4 * self._quiet, grace=GRACE)
                for endpoint in ("VARZ", "HEALTHZ", "ROUTEZ")
            )
        )
        heads = {**raftz.heads, **varz.heads, **healthz.heads, **routez.heads}
        if not heads:
            await self._explain_silence()
        at = (started + time.time()) / 2
        return Sample(at, heads, varz.data, healthz.data, raftz.data, routez.data, {})

    async def sample(self, reduce: Reduce) -> Sample:
        """A whole look: L(probe), and JSZ with everything; C(reduce) makes of a page what is kept of it."""
        probed = await self.probe()
        request = {"accounts": True, "streams": True, "consumer": True, "config": True, "raft": True}
        limit = self.connection.options.request_timeout
        pages: dict[str, list[t.Any]] = {}
        wanted = frozenset(server for server, data in probed.varz.items() if data.get("jetstream"))
        offset = 0

        def keep(data: Json) -> tuple[int, t.Any]:
            return int(data.get("total") or 0), reduce(data)

        while wanted:
            page = await self._page({**request, "limit": ACCOUNTS_PER_PAGE, "offset": offset}, wanted, limit, keep)
            for server in wanted & page.data.keys():
                pages.setdefault(server, []).append(page.data[server][1])
            offset += ACCOUNTS_PER_PAGE
            wanted = frozenset(server for server in wanted & page.data.keys() if page.data[server][0] > offset)
            if offset > MOST_PAGES * ACCOUNTS_PER_PAGE:
                raise ProtocolError("", "$SYS.REQ.SERVER.PING.JSZ", f"{len(wanted)} servers promise accounts for ever")
        return dataclasses.replace(probed, pages=pages)

    async def _page(self, request: Json, wanted: frozenset[str], limit: float, keep: Reduce) -> Collector:
        def enough(collector: Collector) -> bool:
            return wanted <= collector.heads.keys()

        return await self.gather("JSZ", request, enough=enough, quiet=limit, limit=limit, reduce=keep)

    async def call(self, subject: str, request: Json | None = None, *, what: str, timeout: float | None = None) -> Json:
        """One request to the meta leader, such as C(SERVER.REMOVE); its answer.

        Raises ApiError, and RequestTimeoutError for silence, which proves nothing: what was asked for may be applied
        now or later. Never ask again; look what became of it.
        """
        payload = b"" if request is None else json.dumps(request).encode()
        self.check_reach()
        message = await self.connection.request(f"$JS.API.{subject}", payload, timeout=timeout)
        return read_answer(message.data, what, f"$JS.API.{subject}")

    async def broadcast(self, subject: str, request: Json, *, expected: int) -> list[Json]:
        """A request that every server answers for itself; the answers within a second of the last one."""
        answers: list[Json] = []
        heard: set[str] = set()
        wrong: list[ProtocolError] = []
        arrived = asyncio.Event()

        async def take(message: t.Any) -> None:
            try:
                answer = read_answer(message.data, "", f"$JS.API.{subject}") if message.data else None
            except ApiError:
                answer = t.cast("Json", parse_json(message.data))
            except ProtocolError as exc:
                wrong.append(exc)
                answer = None
            server = str((answer or {}).get("server_id") or "")
            if answer is not None and (not server or server not in heard):
                heard.add(server)  # one that answers twice counts once
                answers.append(answer)
            arrived.set()

        self.check_reach()
        inbox = self.connection.new_inbox()
        subscription = await self.connection.subscribe(inbox, take)
        try:
            await self.connection.publish(f"$JS.API.{subject}", json.dumps(request).encode(), reply=inbox)
            while len(answers) < expected:
                if wrong:
                    raise wrong[0]
                arrived.clear()
                try:
                    await asyncio.wait_for(arrived.wait(), self._quiet)
                except asyncio.TimeoutError:
                    break
        finally:
            await self.connection.unsubscribe(subscription)
        return answers

    async def _explain_silence(self) -> t.NoReturn:
        user = await JetStream(self.connection).user_info()
        account = user.get("account")
        raise NotSystemAccountError(
            f"No server answers to these credentials{f' of account {account}' if account else ''}: what all servers"
            " know of the cluster, and changes of its membership, are for the system account only. Use credentials of"
            " a user of the system account."
        )
