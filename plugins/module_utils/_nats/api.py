# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A typed client of the JetStream API of one account."""

from __future__ import annotations

import dataclasses
import json
import re

from .answers import sent_by
from .connection import Connection, NoRespondersError
from .errors import (
    ApiError,
    JetStreamUnavailableError,
    MisdirectedError,
    NatsError,
    OptionsError,
    ProtocolError,
    RequestTimeoutError,
    SystemAccountError,
)
from .lines import Line
from .model import ConsumerInfo, Json, Listing, StoredMessage, StreamInfo
from .pages import read_pages
from .shapes import USER, decoded, read_answer, shape_of

# A list in a cluster waits 4 s for servers that do not answer before it names what is missing.
LIST_TIMEOUT = 6.0
# A group without a leader throws questions away: one that changes nothing is sent again, for it may have one by then.
_ASK_AGAIN = 2.5
_READS = re.compile(r"INFO|(STREAM|CONSUMER)\.(INFO|LIST)\..*|STREAM\.(LIST|MSG\.GET\..*)")


def check_stream_name(name: str) -> None:
    """Raise OptionsError unless C(name) can be a stream's name."""
    if not name or len(name.encode("utf-8", "replace")) > 255 or re.search(r"[\s.*>/\\\x00-\x1f\x7f]", name):
        raise OptionsError(
            f"{name!r} is not a legal stream name: it must have 1 to 255 bytes and no white space, '.', '*', '>',"
            " '/' or '\\'.",
            error="invalid_stream_name",
        )


class JetStream:
    """The JetStream API over a connection. Every method raises the errors of C(errors.py)."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        options = connection.options
        if options.api_prefix:
            self.prefix = options.api_prefix.rstrip(".")
        else:
            self.prefix = f"$JS.{options.domain}.API" if options.domain else "$JS.API"
        self.line = Line.of(str(connection.info.get("version", "")))
        self.api_level = 0
        self.domain = ""
        self.permissions: Json = {}

    @property
    def clustered(self) -> bool:
        """Whether the server on the other end is part of a cluster."""
        return bool(self.connection.info.get("cluster"))

    async def call(
        self, subject: str, request: Json | None = None, *, timeout: float | None = None, what: str = ""
    ) -> Json:
        """One API request. C(subject) is without the prefix; C(what) opens the sentence of an error."""
        payload = b"" if request is None else json.dumps(request).encode()
        again = None
        if _READS.fullmatch(subject):
            again = LIST_TIMEOUT if "LIST" in subject.split(".")[:2] else _ASK_AGAIN
        try:
            message = await self.connection.request(f"{self.prefix}.{subject}", payload, timeout=timeout, again=again)
        except NoRespondersError as exc:
            raise JetStreamUnavailableError(
                f"{what or subject}: JetStream does not answer at {self.prefix}. Check that it is enabled on the"
                " server and for this account, and the domain option."
            ) from exc
        except RequestTimeoutError as exc:
            raise RequestTimeoutError(f"{what or subject}: {exc.message}") from exc
        return read_answer(message.data, what or subject, f"{self.prefix}.{subject}", shape_of(subject))

    async def start(self, *, leaderless: bool = False) -> Json:
        """Check that this account has JetStream; returns its INFO. Raises SystemAccountError and the like.

        C(leaderless): nothing is returned, and nothing raised, where the meta group has no leader. Streams that have a
        quorum of their own work without.
        """
        what = "JetStream account info"
        try:
            info = await self.call("INFO", what=what)
        except JetStreamUnavailableError:
            if await self._is_system_account():
                raise self._system_account() from None
            raise
        except ApiError as exc:
            if leaderless and exc.error == "no_quorum":
                return {}
            if exc.error == "jetstream_not_enabled" and await self._is_system_account():
                raise self._system_account() from None
            if exc.error == "jetstream_not_enabled":
                raise JetStreamUnavailableError(
                    f"JetStream is not enabled for this account ({exc.description}). Enable it in the server's account"
                    " configuration or use the credentials of an account that has it.",
                    err_code=exc.err_code,
                ) from exc
            raise
        self.api_level = int((info.get("api") or {}).get("level") or 0)
        self.domain = str(info.get("domain") or "")
        return info

    @staticmethod
    def _system_account() -> SystemAccountError:
        return SystemAccountError(
            "These are credentials of the system account, which holds no streams. Use those of the account that"
            " owns the stream."
        )

    async def user_info(self) -> Json:
        """C($SYS.REQ.USER.INFO): C(user), C(account), C(permissions); empty where the server does not tell."""
        try:
            ours, subject = sent_by(str(self.connection.info.get("server_id") or "")), "$SYS.REQ.USER.INFO"
            message = await self.connection.request(subject, timeout=2.0, again=0.25, accept=ours)
            answer = read_answer(message.data, "user info", subject, USER)
        except NatsError:
            return {}
        data: Json = answer.get("data") or {}
        self.permissions = data.get("permissions") or {}
        return data

    async def _is_system_account(self) -> bool:
        account = str((await self.user_info()).get("account", ""))
        if account in ("$SYS", "SYS"):
            return True
        try:
            # Only the system account gets an answer here.
            await self.connection.request("$SYS.REQ.SERVER.PING", timeout=1.0)
        except NatsError:
            return False
        return True

    async def stream_info(self, name: str, *, deleted: bool = False) -> StreamInfo:
        """One stream; its state with C(deleted) and C(lost) messages if asked. Raises ApiError C(stream_not_found)."""
        check_stream_name(name)
        request = {"deleted_details": True} if deleted else None
        info = StreamInfo.parse(await self.call(f"STREAM.INFO.{name}", request, what=f"stream {name}"))
        return dataclasses.replace(info, state={"deleted": [], **info.state}) if deleted else info

    async def find_stream(self, name: str) -> StreamInfo | None:
        """One stream, or C(None) where there is none of that name."""
        try:
            return await self.stream_info(name)
        except ApiError as exc:
            if exc.error == "stream_not_found":
                return None
            raise

    async def _pages(self, subject: str, key: str, what: str) -> tuple[list[Json], list[str], dict[str, str]]:
        timeout = max(LIST_TIMEOUT, self.connection.options.request_timeout)

        async def ask(request: Json) -> Json:
            return await self.call(subject, request, timeout=timeout, what=what)

        def name_of(item: Json) -> str:
            return str(item.get("name") or item["config"]["name"])

        return await read_pages(ask, key, f"{self.prefix}.{subject}", what, name_of)

    async def streams(self) -> Listing[StreamInfo]:
        """All streams of the account, all pages."""
        items, missing, offline = await self._pages("STREAM.LIST", "streams", "list of streams")
        return Listing(tuple(StreamInfo.parse(item) for item in items), tuple(missing), offline)

    async def consumers(self, stream: str) -> Listing[ConsumerInfo]:
        """All consumers of a stream, all pages."""
        items, missing, offline = await self._pages(
            f"CONSUMER.LIST.{stream}", "consumers", f"list of consumers of {stream}"
        )
        return Listing(tuple(ConsumerInfo.parse(item) for item in items), tuple(missing), offline)

    async def create_stream(self, config: Json) -> StreamInfo:
        """Create a stream as C(config) says."""
        name = config["name"]
        return StreamInfo.parse(await self.call(f"STREAM.CREATE.{name}", config, what=f"create stream {name}"))

    async def update_stream(self, config: Json) -> StreamInfo:
        """Update a stream to C(config), which must be whole."""
        name = config["name"]
        return StreamInfo.parse(await self.call(f"STREAM.UPDATE.{name}", config, what=f"update stream {name}"))

    async def delete_stream(self, name: str) -> None:
        """Delete a stream and everything in it."""
        await self.call(f"STREAM.DELETE.{name}", what=f"delete stream {name}")

    async def create_consumer(self, stream: str, config: Json) -> ConsumerInfo:
        """Create a consumer as C(config) says; its name is C(durable_name) or C(name)."""
        name = config.get("durable_name") or config.get("name")
        request = {"stream_name": stream, "config": config}
        verb = "DURABLE.CREATE" if config.get("durable_name") else "CREATE"
        answer = await self.call(f"CONSUMER.{verb}.{stream}.{name}", request, what=f"create consumer {stream} > {name}")
        return ConsumerInfo.parse(answer)

    async def delete_consumer(self, stream: str, name: str) -> None:
        """Delete a consumer."""
        await self.call(f"CONSUMER.DELETE.{stream}.{name}", what=f"delete consumer {stream} > {name}")

    async def message(self, stream: str, sequence: int = 0, *, last_of: str = "") -> StoredMessage | None:
        """The message with that sequence, or the last of a subject; C(None) where there is none."""
        request: Json = {"last_by_subj": last_of} if last_of else {"seq": sequence}
        what = f"message {last_of or sequence} of {stream}"
        try:
            answer = await self.call(f"STREAM.MSG.GET.{stream}", request, what=what)
        except ApiError as exc:
            if exc.err_code == 10037:
                return None
            raise
        raw = answer["message"]
        return StoredMessage(
            sequence=int(raw["seq"]),
            subject=raw["subject"],
            headers=decoded(raw, "hdrs"),
            data=decoded(raw, "data"),
            time=raw["time"],
        )

    async def snapshot(self, stream: str, request: Json, *, timeout: float) -> Json:
        """Start a snapshot; returns C({"config", "state"}). The chunks come to C(request["deliver_subject"])."""
        subject, what = f"STREAM.SNAPSHOT.{stream}", f"snapshot of {stream}"
        answer = await self.call(subject, request, timeout=timeout, what=what)
        name = answer["config"]["name"]
        if name != stream:
            raise ProtocolError(what, f"{self.prefix}.{subject}", f"it is about the stream {name!r:.80}")
        return answer

    async def restore(self, stream: str, request: Json, *, timeout: float) -> str:
        """Start a restore; returns the subject that takes the chunks."""
        subject, what = f"STREAM.RESTORE.{stream}", f"restore of {stream}"
        answer = await self.call(subject, request, timeout=timeout, what=what)
        target = answer.get("deliver_subject")
        if not target:
            text = "the cluster made an empty stream instead of taking data"
            raise MisdirectedError(f"{what}: {text}", err_code=10130, code=500, description=text)
        if re.fullmatch(rf"\$JS\.SNAPSHOT\.RESTORE\.{re.escape(stream)}\.[A-Za-z0-9_-]+", target) is None:
            # Whatever it is a subject of, it would get all that the stream holds.
            detail = f"deliver_subject is {target!r:.120}, not one of $JS.SNAPSHOT.RESTORE.{stream}"
            raise ProtocolError(what, f"{self.prefix}.{subject}", detail)
        return str(target)
