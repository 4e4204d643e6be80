# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API client over a connection that answers from a script."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.api import JetStream, check_stream_name
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.connection import Connection, NoRespondersError
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.errors import (
    API_ERROR_WORDS,
    ApiError,
    JetStreamUnavailableError,
    NatsError,
    OptionsError,
    PermissionDeniedError,
    ProtocolError,
    RequestTimeoutError,
    SystemAccountError,
    api_error,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.options import make_options

Answer = Callable[[str, dict[str, Any]], Any]


class Scripted:
    """A connection whose requests are answered by a function of subject and request."""

    def __init__(self, answer: Answer, info: dict[str, Any] | None = None, **params: Any) -> None:
        self._answer = answer
        self.info = info or {"version": "2.15.2"}
        self.options = make_options(params)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.again: dict[str, float | None] = {}

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        *,
        timeout: float | None = None,
        again: float | None = None,
        accept: Any = None,
    ) -> Any:
        body = json.loads(payload) if payload else {}
        self.again[subject] = again
        self.asked.append((subject, body))
        found = self._answer(subject, body)
        if isinstance(found, Exception):
            raise found
        return SimpleNamespace(data=found if isinstance(found, bytes) else json.dumps(found).encode())


def client(answer: Answer, **more: Any) -> tuple[JetStream, Scripted]:
    connection = Scripted(answer, **more)
    return JetStream(connection), connection  # type: ignore[arg-type]


def stream(name: str) -> dict[str, Any]:
    return {"config": {"name": name}, "state": {"messages": 1}, "created": "2026-01-01T00:00:00Z"}


def lister(names: list[str], *, limit: int = 2, missing: tuple[str, ...] = (), offline: tuple[str, ...] = ()) -> Answer:
    """STREAM.LIST of a server that pages by `limit`; what is missing or offline takes places among the items."""

    def answer(subject: str, body: dict[str, Any]) -> Any:
        page = names[body["offset"] : body["offset"] + limit]
        found: dict[str, Any] = {"total": len(names), "offset": body["offset"], "limit": limit}
        found["streams"] = [stream(name) for name in page if name not in (*missing, *offline)] or None
        found["missing"] = [name for name in page if name in missing] or None
        found["offline"] = {name: "its server is old" for name in page if name in offline} or None
        return found

    return answer


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("limit", [1, 2, 256])
async def test_every_page_is_read(count: int, limit: int) -> None:
    names = [f"S{number}" for number in range(count)]
    js, connection = client(lister(names, limit=limit))
    listing = await js.streams()
    assert [info.name for info in listing.items] == names
    assert len(connection.asked) == max(1, -(-count // limit))


@pytest.mark.parametrize("limit", [1, 2, 3, 256])
async def test_missing_and_offline_are_told(limit: int) -> None:
    names = ["A", "B", "C", "D", "E"]
    js, _connection = client(lister(names, limit=limit, missing=("B", "C"), offline=("E",)))
    listing = await js.streams()
    assert [info.name for info in listing.items] == ["A", "D"]
    assert listing.missing == ("B", "C")
    assert listing.offline == {"E": "its server is old"}


async def test_a_server_that_pages_nothing_ends_the_reading() -> None:
    js, connection = client(lambda subject, body: {"total": 3, "streams": [], "limit": 0})
    with pytest.raises(ProtocolError, match=r"STREAM.LIST .* nothing new, and 3 are promised"):
        await js.streams()
    assert len(connection.asked) == 1


def endless(subject: str, body: dict[str, Any]) -> Any:
    return {
        "total": body["offset"] + 512,
        "limit": 256,
        "streams": [stream(f"S{body['offset'] + n}") for n in range(256)],
    }


def repeating(subject: str, body: dict[str, Any]) -> Any:
    return {"total": 10**6, "limit": 256, "streams": [stream(f"S{number}") for number in range(256)]}


def creeping(subject: str, body: dict[str, Any]) -> Any:
    return {"total": 10**12, "limit": 1, "streams": [stream(f"S{body['offset']}")]}


@pytest.mark.parametrize(
    ("answer", "sentence", "requests"),
    [(endless, "never ends", 8), (repeating, "nothing new", 2), (creeping, "more than 1000 pages", 1000)],
)
async def test_a_list_ends_whatever_the_server_says(answer: Answer, sentence: str, requests: int) -> None:
    js, connection = client(answer)
    with pytest.raises(ProtocolError, match=sentence):
        await js.streams()
    assert len(connection.asked) == requests


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"config": None}, "config"),
        ({"config": {}}, "config.name"),
        ({"config": {"name": "A", "num_replicas": "3"}}, "config.num_replicas"),
        ({"config": {"name": "A", "metadata": ["x"]}}, "config.metadata"),
        ({"state": []}, "state"),
        ({"state": {"messages": -1}}, "state.messages"),
        ({"state": {"last_seq": 1 << 64}}, "state.last_seq"),
        ({"state": {"last_ts": 5}}, "state.last_ts"),
        ({"cluster": {"replicas": [5]}}, "cluster.replicas"),
        ({"sources": {"name": "x"}}, "sources"),
        ({"error": "no"}, "error"),
        ({"error": {"err_code": "10059"}}, "error.err_code"),
    ],
)
async def test_an_answer_of_another_shape_names_the_field(change: dict[str, Any], field: str) -> None:
    js, _connection = client(lambda subject, body: {**stream("A"), **change})
    with pytest.raises(
        ProtocolError, match=rf"\$JS\.API\.STREAM\.INFO\.A is not what the protocol says: {field}"
    ) as caught:
        await js.stream_info("A")
    assert caught.value.error == "protocol_error"


@pytest.mark.parametrize(
    "content", [b"null", b"[]", b"5", b'"x"', b"[" * 100_000, b'{"a": NaN}', b"\xff", b'{"a":1,"a":2}']
)
async def test_an_answer_that_is_no_object(content: bytes) -> None:
    js, _connection = client(lambda subject, body: content)
    with pytest.raises(ProtocolError):
        await js.stream_info("A")


@pytest.mark.parametrize(
    ("params", "subject"),
    [
        ({}, "$JS.API.STREAM.INFO.A"),
        ({"domain": "HUB"}, "$JS.HUB.API.STREAM.INFO.A"),
        ({"api_prefix": "$JS.X.API."}, "$JS.X.API.STREAM.INFO.A"),
    ],
)
async def test_prefixes(params: dict[str, str], subject: str) -> None:
    js, connection = client(lambda s, b: stream("A"), **params)
    await js.stream_info("A")
    assert connection.asked[0][0] == subject


def failure(err_code: int, description: str = "no") -> dict[str, Any]:
    return {"error": {"code": 400, "err_code": err_code, "description": description}}


@pytest.mark.parametrize("err_code", [*API_ERROR_WORDS, 10999])
async def test_errors_of_the_api_have_words(err_code: int) -> None:
    js, _connection = client(lambda s, b: failure(err_code, "that is so"))
    with pytest.raises(ApiError, match="stream A: that is so") as caught:
        await js.stream_info("A")
    assert caught.value.error == API_ERROR_WORDS.get(err_code, "api_error")
    assert caught.value.err_code == err_code


def test_an_error_without_code() -> None:
    error = api_error("x", {"description": "no"})
    assert (error.error, error.err_code, error.description) == ("api_error", None, "no")


async def test_find_stream() -> None:
    js, _connection = client(lambda s, b: failure(10059))
    assert await js.find_stream("A") is None
    js, _connection = client(lambda s, b: failure(10008))
    with pytest.raises(ApiError):
        await js.find_stream("A")


async def test_answers_that_are_none() -> None:
    js, _connection = client(lambda s, b: b"<html>")
    with pytest.raises(NatsError, match="not JSON"):
        await js.stream_info("A")
    js, _connection = client(lambda s, b: NoRespondersError("x"))
    with pytest.raises(JetStreamUnavailableError, match="domain option"):
        await js.stream_info("A")
    js, _connection = client(lambda s, b: RequestTimeoutError("x"))
    with pytest.raises(RequestTimeoutError, match="stream A"):
        await js.stream_info("A")


@pytest.mark.parametrize(
    ("answers", "error", "word"),
    [
        ({"$JS.API.INFO": failure(10039)}, JetStreamUnavailableError, "jetstream_not_enabled"),
        ({"$JS.API.INFO": failure(10076)}, JetStreamUnavailableError, "jetstream_not_enabled"),
        ({"$JS.API.INFO": failure(10035)}, JetStreamUnavailableError, "jetstream_not_enabled"),
        ({}, JetStreamUnavailableError, "jetstream_not_enabled"),
        ({"$SYS.REQ.USER.INFO": {"data": {"account": "$SYS"}}}, SystemAccountError, "system_account"),
        ({"$SYS.REQ.SERVER.PING": {"server": {}}}, SystemAccountError, "system_account"),
        ({"$JS.API.INFO": failure(10008)}, ApiError, "no_quorum"),
        ({"$JS.API.INFO": PermissionDeniedError("no")}, PermissionDeniedError, "permission_denied"),
    ],
)
async def test_start_tells_why_there_is_no_jetstream(
    answers: dict[str, Any], error: type[NatsError], word: str
) -> None:
    js, _connection = client(lambda subject, body: answers.get(subject) or NoRespondersError("nobody"))
    with pytest.raises(error) as caught:
        await js.start()
    assert caught.value.error == word


async def test_start_notes_the_level() -> None:
    js, _connection = client(lambda s, b: {"api": {"level": 5}}, info={"version": "2.15.2", "cluster": "C1"})
    await js.start()
    assert (js.api_level, js.clustered, str(js.line)) == (5, True, "2.15.2")


@pytest.mark.parametrize("name", ["a", "A-b_c", "ключ", "x" * 255, "a:b", "$KV"])
def test_legal_names(name: str) -> None:
    check_stream_name(name)  # raises what is none


@pytest.mark.parametrize("name", ["", "a.b", "a b", "*", ">", "a/b", "a\\b", "x" * 256, "a\t", "a\x00"])
def test_illegal_names(name: str) -> None:
    with pytest.raises(OptionsError) as caught:
        check_stream_name(name)
    assert caught.value.error == "invalid_stream_name"


# --- the connection's own part


class Silent:
    """A client that sends nothing and gets nothing."""

    max_payload = 1024

    def new_inbox(self) -> str:
        return "_INBOX.abc"

    async def subscribe(self, subject: str, **more: Any) -> None: ...

    async def publish(self, subject: str, payload: bytes, **more: Any) -> None: ...

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            'nats: permissions violation for publish to "$js.api.info"',
            ["to $JS.API.INFO", "docs/permissions.md"],
        ),
        ('nats: permissions violation for subscription to "_inbox.abc.*"', ["subscribe to _INBOX.>", "inbox_prefix"]),
    ],
)
async def test_a_denied_permission_fails_the_request_at_once(said: str, words: list[str]) -> None:
    connection = Connection(Silent(), make_options({"request_timeout": 60}))
    await connection.start()
    seen: list[NatsError] = []
    undo = connection.watch(seen.append)

    async def publish(subject: str, payload: bytes, **more: Any) -> None:
        await connection.on_error(Exception(said))

    connection._client.publish = publish
    with pytest.raises(PermissionDeniedError) as caught:
        await connection.request("$JS.API.INFO")
    assert all(word in caught.value.message for word in words), caught.value.message
    assert len(seen) == 1
    undo()
    await connection.on_error(Exception("another matter"))
    assert len(seen) == 1


async def test_a_lost_connection_fails_what_waits_and_what_comes() -> None:
    connection = Connection(Silent(), make_options({"servers": ["nats://u:s3cret@h:1"], "request_timeout": 60}))
    await connection.start()

    async def publish(subject: str, payload: bytes, **more: Any) -> None:
        await connection.on_closed()

    connection._client.publish = publish
    for _again in range(2):
        with pytest.raises(NatsError) as caught:
            await connection.request("a")
        assert caught.value.error == "connection_lost"
        assert "nats://h:1" in caught.value.message
        assert "s3cret" not in caught.value.message


async def test_a_request_ends_in_time() -> None:
    connection = Connection(Silent(), make_options({"request_timeout": 0.05}))
    await connection.start()
    with pytest.raises(RequestTimeoutError, match=r"within 0\.05 s"):
        await connection.request("a")


async def test_only_what_changes_nothing_is_asked_twice() -> None:
    """A stream named INFO or LIST does not turn a request that changes something into a question."""
    js, connection = client(lambda subject, body: {"total": 0})
    reads = ["INFO", "STREAM.INFO.S", "CONSUMER.INFO.S.C", "STREAM.LIST", "CONSUMER.LIST.S", "STREAM.MSG.GET.S"]
    writes = ["STREAM.CREATE.INFO", "STREAM.DELETE.LIST", "CONSUMER.DELETE.INFO.LIST", "STREAM.RESTORE.INFO"]
    for subject in (*reads, *writes, "STREAM.SNAPSHOT.S", "STREAM.UPDATE.S", "CONSUMER.CREATE.S.INFO"):
        with contextlib.suppress(ProtocolError):
            await js.call(subject)
    assert [subject.removeprefix("$JS.API.") for subject, again in connection.again.items() if again] == reads
