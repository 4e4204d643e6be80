# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second pair of eyes: reads back every message and every consumer of a stream with plain nats-py.

Nothing here comes from the collection. `dump` and `consumers` are what tests compare before and after; `compare` says
in words what differs.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import nats.aio.client
import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from .binaries import nats_cli
from .server import Endpoint

_T = TypeVar("_T")
# How long nothing may arrive before reading a stream is given up, seconds.
QUIET = 20.0
# How the consumers of the oracle itself begin: they are never among those it reports.
OWN = "the-oracle-"
# Requests under way when messages are fetched one by one.
PIPELINE = 64
# A cluster that has just begun, or lost a leader, throws requests away without a word: what may be asked twice is asked
# again after so many seconds.
AGAIN = 3.0
REPEATABLE = re.compile(r"\.(STREAM|CONSUMER)\.(INFO|NAMES|LIST|MSG\.GET)\b|\.STREAM\.CREATE\.")


class OracleError(Exception):
    """The oracle could not read what it was asked to read."""


@dataclass(frozen=True)
class Message:
    """A stored message; `headers` is the raw block (b"" without), `time_ns` the stored time in ns since 1970 (UTC)."""

    seq: int
    time_ns: int
    subject: str
    headers: bytes
    size: int
    sha256: str


class RawClient(nats.aio.client.Client):
    """nats-py's client that hands over messages with their raw header block, and sends such a block as it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.taps: dict[int, Callable[[str, str, bytes, bytes], None]] = {}

    def tap(self, subscription: Subscription, take: Callable[[str, str, bytes, bytes], None]) -> None:
        """Give what arrives on `subscription` to `take` (subject, reply, header block, data) and to nothing else."""
        self.taps[subscription._id] = take

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        take = self.taps.get(sid)
        if take:
            take(subject.decode(), reply.decode(), bytes(headers or b""), bytes(data))
        else:
            await super()._process_msg(sid, subject, reply, data, headers)

    async def publish_block(self, subject: str, reply: str, block: bytes, data: bytes) -> None:
        """Publish with a ready header block (`NATS/1.0` to the empty line), be it one that nats-py would refuse."""
        head = f"HPUB {subject} {reply} {len(block)} {len(block) + len(data)}\r\n".encode()
        await self._send_command(head + block + data + b"\r\n")
        await self._flush_pending()


async def connect(endpoint: Endpoint, user: str = "app", **options: Any) -> RawClient:
    """Connect as `user`; the caller closes the connection."""
    client = RawClient()
    settings: dict[str, Any] = {"allow_reconnect": False, "connect_timeout": 5, "max_reconnect_attempts": 1}
    await client.connect(endpoint.urls, **{**settings, **endpoint.auth(user), **options})
    return client


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end from synchronous code, also where a loop runs in this thread."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(asyncio.run, work).result()


def dump(endpoint: Endpoint, stream: str, user: str = "app", **options: Any) -> list[Message]:
    """Return every message of the stream by rising sequence, whatever its retention; OracleError when it cannot.

    A push consumer reads them in one go; where none may be added (work queues, interest, a full stream) each is fetched
    by its sequence.
    """
    return run(_with(endpoint, user, options, lambda js: js.dump(stream)))


def fetch(endpoint: Endpoint, stream: str, user: str = "app", **options: Any) -> list[Message]:
    """Return every message as `dump` does, but each fetched by its sequence: no consumer is made."""
    return run(_with(endpoint, user, options, lambda js: js.fetch(stream)))


def consumers(endpoint: Endpoint, stream: str, user: str = "app", **options: Any) -> dict[str, dict[str, Any]]:
    """Return name → {config, delivered, ack_floor, num_ack_pending, num_redelivered, num_pending} of all consumers.

    `delivered` and `ack_floor` hold consumer_seq and stream_seq. Times of creation, leaders and the like are left out.
    """
    return run(_with(endpoint, user, options, lambda js: js.consumers(stream)))


def stream_info(endpoint: Endpoint, stream: str, user: str = "app", **options: Any) -> dict[str, Any]:
    """Return STREAM.INFO's answer, with deleted details."""
    return run(_with(endpoint, user, options, lambda js: js.info(stream)))


def stream_names(endpoint: Endpoint, user: str = "app", **options: Any) -> list[str]:
    """Return the names of all streams of the user's account, sorted."""
    return run(_with(endpoint, user, options, lambda js: js.names()))


def request(endpoint: Endpoint, subject: str, body: Any = None, user: str = "app", **options: Any) -> dict[str, Any]:
    """Send one API request (`STREAM.PURGE.ORDERS`; a leading "$" marks a whole subject) and return the JSON answer,
    errors included."""
    return run(_with(endpoint, user, options, lambda js: js.ask(subject, body, check=False)))


def picture(
    endpoint: Endpoint, streams: Sequence[str] | None = None, user: str = "app", **options: Any
) -> dict[str, dict[str, Any]]:
    """Return stream → {config, messages, consumers} of the named streams, or of all."""

    async def look(js: Reader) -> dict[str, dict[str, Any]]:
        return {
            name: {
                "config": (await js.info(name))["config"],
                "messages": await js.dump(name),
                "consumers": await js.consumers(name),
            }
            for name in (streams if streams is not None else await js.names())
        }

    return run(_with(endpoint, user, options, look))


def compare(before: Any, after: Any, where: str = "", limit: int = 20) -> list[str]:
    """Return the differences between two results of `dump`, `consumers` or `picture`, one line each; [] when equal."""
    found = _differences(before, after, where)
    return found if len(found) <= limit else [*found[:limit], f"… and {len(found) - limit} more"]


def _differences(before: Any, after: Any, where: str) -> list[str]:
    prefix = f"{where}: " if where else ""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        found = [f"{prefix}{key} is missing (was {_short(before[key])})" for key in before if key not in after]
        found += [f"{prefix}{key} is new ({_short(after[key])})" for key in after if key not in before]
        for key in before:
            if key in after:
                found += _differences(before[key], after[key], f"{where}.{key}" if where else str(key))
        return found
    if _are_messages(before) and _are_messages(after) and (before or after):
        old, new = ({message.seq: message for message in side} for side in (before, after))
        found = []
        if len(old) != len(before) or len(new) != len(after):
            found.append(f"{prefix}a sequence appears twice")
        for what, gone in (("missing", sorted(old.keys() - new.keys())), ("new", sorted(new.keys() - old.keys()))):
            if gone:
                found.append(f"{prefix}{len(gone)} messages are {what}: sequences {_short(gone[:8])}")
        for seq in sorted(old.keys() & new.keys()):
            for part in fields(Message):
                values = getattr(old[seq], part.name), getattr(new[seq], part.name)
                if values[0] != values[1]:
                    found.append(f"{prefix}message {seq}: {part.name} was {_short(values[0])}, is {_short(values[1])}")
        return found
    return [] if before == after else [f"{prefix}was {_short(before)}, is {_short(after)}"]


def _are_messages(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(each, Message) for each in value)


def _short(value: Any) -> str:
    if _are_messages(value) and value:
        return f"{len(value)} messages"
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "…"


async def _with(endpoint: Endpoint, user: str, options: dict[str, Any], work: Any) -> Any:
    domain = options.pop("domain", endpoint.setup.options.domain)
    timeout = options.pop("timeout", 10.0)
    client = await connect(endpoint, user, **options)
    try:
        return await work(Reader(client, f"$JS.{domain}.API" if domain else "$JS.API", timeout))
    finally:
        await client.close()


def connection_reader(endpoint: Endpoint, client: RawClient, timeout: float = 10.0) -> Reader:
    """Return what asks the API over an open connection."""
    domain = endpoint.setup.options.domain
    return Reader(client, f"$JS.{domain}.API" if domain else "$JS.API", timeout)


class Reader:
    """Reads streams over one connection."""

    def __init__(self, client: RawClient, prefix: str, timeout: float) -> None:
        self.client = client
        self.prefix = prefix
        self.timeout = timeout

    async def ask(self, subject: str, body: Any = None, *, check: bool = True) -> dict[str, Any]:
        whole = subject if subject.startswith("$") else f"{self.prefix}.{subject}"
        payload = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            answer = await self._answer(whole, payload)
        except nats.errors.Error as exc:
            raise OracleError(f"{whole}: {exc or type(exc).__name__}") from exc
        found = json.loads(answer.data)
        assert isinstance(found, dict)
        if check and "error" in found:
            raise OracleError(f"{whole}: {found['error']}")
        return found

    async def _answer(self, subject: str, payload: bytes) -> Msg:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.timeout
        while REPEATABLE.search(subject) and (left := deadline - loop.time()) > AGAIN:
            try:
                return await self.client.request(subject, payload, timeout=min(AGAIN, left))
            except nats.errors.TimeoutError:
                continue
        return await self.client.request(subject, payload, timeout=max(0.1, deadline - loop.time()))

    async def info(self, stream: str) -> dict[str, Any]:
        return await self.ask(f"STREAM.INFO.{stream}", {"deleted_details": True})

    async def names(self) -> list[str]:
        return sorted(await self._pages("STREAM.NAMES", "streams"))

    async def consumers(self, stream: str) -> dict[str, dict[str, Any]]:
        found = {}
        for info in await self._pages(f"CONSUMER.LIST.{stream}", "consumers"):
            if info["name"].startswith(OWN):
                continue
            found[info["name"]] = {
                "config": info["config"],
                "delivered": _pair(info["delivered"]),
                "ack_floor": _pair(info["ack_floor"]),
                **{key: info[key] for key in ("num_ack_pending", "num_redelivered", "num_pending")},
            }
        return dict(sorted(found.items()))

    async def dump(self, stream: str) -> list[Message]:
        info = await self.info(stream)
        if info["config"]["retention"] == "limits":
            read = await self._push(stream, info["state"])
            if read is not None:
                return read
        return await self.fetch(stream)

    async def fetch(self, stream: str) -> list[Message]:
        """Read by sequence, many requests under way; where a run of sequences is gone, ask for the next that is not."""
        state = (await self.info(stream))["state"]
        found: list[Message] = []
        seq = max(1, state["first_seq"])
        while seq <= state["last_seq"] and len(found) < state["messages"]:
            window = range(seq, min(seq + PIPELINE, state["last_seq"] + 1))
            subject = f"STREAM.MSG.GET.{stream}"
            answers = await asyncio.gather(*(self.ask(subject, {"seq": each}, check=False) for each in window))
            got = [_stored(answer["message"]) for answer in answers if "message" in answer]
            failed = [a["error"] for a in answers if "error" in a and a["error"].get("err_code") != 10037]
            if failed:
                raise OracleError(f"{subject}: {failed[0]}")
            found += got
            seq = window.stop
            if not got:
                answer = await self.ask(subject, {"seq": seq, "next_by_subj": ">"}, check=False)
                if "message" not in answer:
                    break
                seq = answer["message"]["seq"]
        if len(found) != state["messages"]:
            raise OracleError(f"{stream} counts {state['messages']} messages, {len(found)} could be read")
        return found

    async def _push(self, stream: str, state: dict[str, Any]) -> list[Message] | None:
        """Read through a push consumer of our own; None where the server refuses one."""
        inbox = self.client.new_inbox()
        found: list[Message] = []
        pending = 1
        done = asyncio.Event()
        answers: set[asyncio.Task[None]] = set()

        def take(subject: str, reply: str, headers: bytes, data: bytes) -> None:
            nonlocal pending
            if reply.startswith("$JS.ACK."):
                seq, time_ns, pending = _ack_fields(reply)
                found.append(_message(seq, time_ns, subject, headers, data))
                if not pending:
                    done.set()
                return
            # Flow control: the server waits for an empty message on the reply, or where a heartbeat says.
            stalled = re.search(rb"Nats-Consumer-Stalled: *(\S+)", headers)
            answer_to = reply or (stalled.group(1).decode() if stalled else "")
            if answer_to:
                task = asyncio.ensure_future(self.client.publish(answer_to))
                answers.add(task)
                task.add_done_callback(answers.discard)

        async def ignore(message: Msg) -> None:
            raise AssertionError(f"the tap let {message.subject} through")

        subscription = await self.client.subscribe(inbox, cb=ignore)
        self.client.tap(subscription, take)
        name = OWN + inbox.rpartition(".")[2]
        config = {
            "name": name,
            "deliver_subject": inbox,
            "deliver_policy": "all",
            "ack_policy": "none",
            "max_deliver": 1,
            "replay_policy": "instant",
            "flow_control": True,
            "idle_heartbeat": 2 * 10**9,
            "mem_storage": True,
            "num_replicas": 1,
        }
        body = {"stream_name": stream, "config": config}
        created = await self.ask(f"CONSUMER.CREATE.{stream}.{name}", body, check=False)
        if "error" in created:
            await subscription.unsubscribe()
            return None
        try:
            while created["num_pending"] and not done.is_set():
                before = len(found)
                try:
                    await asyncio.wait_for(done.wait(), QUIET)
                except asyncio.TimeoutError:
                    if len(found) == before:
                        raise OracleError(f"{stream}: nothing for {QUIET:g} s, {pending} messages to come") from None
        finally:
            await self.ask(f"CONSUMER.DELETE.{stream}.{name}", check=False)
            await subscription.unsubscribe()
            # In a cluster the answer can come before the consumer is gone everywhere.
            for _attempt in range(100):
                if name not in await self._pages(f"CONSUMER.NAMES.{stream}", "consumers"):
                    break
                await asyncio.sleep(0.02)
        if len(found) != state["messages"]:
            raise OracleError(f"{stream} counts {state['messages']} messages, {len(found)} were delivered")
        return found

    async def _pages(self, subject: str, key: str) -> list[Any]:
        found: list[Any] = []
        deadline = asyncio.get_running_loop().time() + self.timeout
        while True:
            page = await self.ask(subject, {"offset": len(found)})
            unanswered = page.get("missing") or page.get("offline")
            if unanswered:
                # In a cluster a consumer's leader may not be there yet.
                if asyncio.get_running_loop().time() > deadline:
                    raise OracleError(f"{subject}: incomplete answer: {unanswered}")
                await asyncio.sleep(0.05)
                continue
            found += page.get(key) or []
            if not page.get(key) or len(found) >= page["total"]:
                return found


def _pair(info: dict[str, Any]) -> dict[str, int]:
    return {key: info[key] for key in ("consumer_seq", "stream_seq")}


def _message(seq: int, time_ns: int, subject: str, headers: bytes, data: bytes) -> Message:
    return Message(seq, time_ns, subject, headers, len(data), hashlib.sha256(data).hexdigest())


def _ack_fields(reply: str) -> tuple[int, int, int]:
    """Return stream sequence, time in ns and messages to come from a reply subject.

    `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>`, or with domain and account
    before the stream and a token at the end.
    """
    words = reply.split(".")
    seq, _consumer, time_ns, pending = words[5:9] if len(words) == 9 else words[7:11]
    return int(seq), int(time_ns), int(pending)


def _stored(message: dict[str, Any]) -> Message:
    return _message(
        message["seq"],
        parse_time(message["time"]),
        message["subject"],
        base64.b64decode(message.get("hdrs") or ""),
        base64.b64decode(message.get("data") or ""),
    )


def parse_time(text: str) -> int:
    """Return ns since 1970 of an RFC 3339 time with up to nine decimals."""
    whole, _dot, rest = text.partition(".")
    if rest:
        digits = rest.rstrip("Z").split("+")[0].split("-")[0]
        zone = rest[len(digits) :]
    else:
        digits, whole, zone = "", text[:19], text[19:]
    moment = datetime.datetime.fromisoformat(whole + zone.replace("Z", "+00:00"))
    return int(moment.timestamp()) * 10**9 + int(digits.ljust(9, "0") or 0)


class Cli:
    """Runs the `nats` command line as a user of a server, with a home of its own: no context of this machine counts."""

    def __init__(self, version: str | None = None) -> None:
        self.path = nats_cli(version) if version else nats_cli()
        self._home = tempfile.TemporaryDirectory(prefix="natsops-cli-")

    def run(
        self,
        endpoint: Endpoint,
        *arguments: str | Path,
        user: str = "app",
        check: bool = True,
        timeout: float = 120.0,
        text: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run `nats <connection options> <arguments>`; with `check` a failure raises OracleError with its output."""
        command = [str(self.path), *endpoint.cli_arguments(user), *map(str, arguments)]
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("NATS_", "XDG_"))}
        done = subprocess.run(
            command,
            env={**kept, "HOME": self._home.name},
            input=text or "",
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise OracleError(f"nats {' '.join(map(str, arguments))} failed:\n{done.stdout}{done.stderr}")
        return done

    def json(self, endpoint: Endpoint, *arguments: str | Path, user: str = "app") -> Any:
        """Run as `run` does and return what it printed as JSON."""
        return json.loads(self.run(endpoint, *arguments, user=user).stdout)

    def close(self) -> None:
        """Remove the home directory."""
        self._home.cleanup()
