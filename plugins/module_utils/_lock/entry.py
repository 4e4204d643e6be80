# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Entries of a key-value bucket, changed by compare-and-set on their revision; the `nats kv` commands show them."""

from __future__ import annotations

import dataclasses
import datetime
import json
import re

from .._archive.times import parse_ns
from .._nats.api import JetStream
from .._nats.errors import ApiError, OptionsError
from .._nats.model import Json
from .._nats.shapes import decoded, read_answer
from .._repository.errors import BackupError
from .._shape.document import parse_json
from .._shape.schema import check, count, record, seconds, text

_WRONG_REVISION = 10071
_NO_MESSAGE = 10037
# An account can demand a bound for every stream, and can have no room for streams of three replicas.
_WANTS_MAX_BYTES = 10113
_NO_TIER = 10120
# Some hundred locks; an account that demands a bound counts all of it as used.
_SIZE = 64 * 1024
_MOST_ENTRY = 64 * 1024
_ENTRY = record({"owner": text, "token": text, "since": text, "expiry": seconds})
_STORED = record({"seq": count})
#: What a server or account without room for three replicas says.
_FEWER_REPLICAS = ("replicas_unsupported", "no_suitable_peers", "insufficient_resources")


class StaleError(BackupError):
    """The entry is not at the expected revision: somebody else changed it."""

    error = "locked"


@dataclasses.dataclass(frozen=True)
class Entry:
    """Who holds the lock. C(since): RFC 3339, by a server's clock; C(expiry): seconds."""

    owner: str
    token: str
    since: str
    expiry: float


@dataclasses.dataclass(frozen=True)
class Found:
    """The newest revision of a key. C(entry) is None where it was given back; C(time): when the server stored it."""

    revision: int
    time: str
    entry: Entry | None

    def age(self, now: str) -> float:
        """Seconds since it was stored, by the servers' clock."""
        try:
            return (parse_ns(now) - parse_ns(self.time)) / 1e9
        except ValueError as exc:
            raise BackupError(f"A server named a time that is none ({exc}).") from None


class Bucket:
    """One bucket, over one connection."""

    def __init__(self, js: JetStream, name: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise OptionsError(f"{name!r} cannot be the name of a bucket: only letters, digits, '_' and '-' can.")
        self._js = js
        self._stream = stream_of(name)
        self._prefix = f"$KV.{name}"

    async def ensure(self) -> None:
        """Make the bucket unless it is there: three replicas where there are servers for them."""
        if await self._js.find_stream(self._stream):
            return
        config: Json = {
            "name": self._stream,
            "subjects": [f"{self._prefix}.>"],
            "max_msgs_per_subject": 1,
            "discard": "new",
            "allow_rollup_hdrs": True,
            "deny_delete": True,
            "num_replicas": 3 if self._js.clustered else 1,
            "description": "Locks of natsops.jetstream",
        }
        while True:
            try:
                await self._js.create_stream(config)
            except ApiError as exc:
                if exc.error == "stream_exists":
                    return  # another run made it at the same time
                if exc.err_code == _WANTS_MAX_BYTES and "max_bytes" not in config:
                    config["max_bytes"] = _SIZE
                elif (exc.error in _FEWER_REPLICAS or exc.err_code == _NO_TIER) and config["num_replicas"] > 1:
                    config["num_replicas"] = 1
                else:
                    raise
            else:
                return

    async def read(self, key: str) -> tuple[Found | None, str]:
        """The newest revision, from the bucket's leader, and the servers' time after it was read, RFC 3339."""
        request = {"last_by_subj": f"{self._prefix}.{key}"}
        found: Found | None = None
        try:
            answer = await self._js.call(f"STREAM.MSG.GET.{self._stream}", request, what=f"lock {key}")
            found = _found(answer["message"])
        except ApiError as exc:
            if exc.err_code != _NO_MESSAGE:
                raise
        info = await self._js.call(f"STREAM.INFO.{self._stream}", what=f"stream {self._stream}")
        return found, str(info.get("ts") or datetime.datetime.now(datetime.timezone.utc).isoformat())

    async def write(self, key: str, entry: Entry | None, revision: int) -> int:
        """Put an entry (or give it back: None) in place of C(revision), 0 for none; returns its revision.

        Raises StaleError, and no other error means that it was or was not stored.
        """
        headers = {"Nats-Expected-Last-Subject-Sequence": str(revision)}
        payload = b""
        if entry is None:
            headers["KV-Operation"] = "DEL"
        else:
            payload = json.dumps(dataclasses.asdict(entry)).encode()
        message = await self._js.connection.request(f"{self._prefix}.{key}", payload, headers=headers)
        try:
            return int(read_answer(message.data, f"lock {key}", f"{self._prefix}.{key}", _STORED)["seq"])
        except ApiError as exc:
            if exc.err_code == _WRONG_REVISION:
                raise StaleError(exc.message) from exc
            raise


def stream_of(bucket: str) -> str:
    """The stream behind a bucket."""
    return f"KV_{bucket}"


def _found(message: Json) -> Found:
    headers = decoded(message, "hdrs")
    entry: Entry | None = None
    if b"KV-Operation:" not in headers:
        try:
            body = check(parse_json(decoded(message, "data"), _MOST_ENTRY), _ENTRY)
            entry = Entry(body["owner"], body["token"], body["since"], float(body["expiry"]))
        except ValueError:
            raise BackupError(
                f"The entry {message.get('subject')} is not one of ours. Give lock_bucket the name of a bucket of its"
                " own.",
                error="lock_foreign",
            ) from None
    return Found(int(message["seq"]), str(message["time"]), entry)
