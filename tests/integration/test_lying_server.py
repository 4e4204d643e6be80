# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that lies: each lie ends within its time with one sentence, and nothing is written outside the path.

The server is servers/liar.py; what it answers where nothing else is said here is what a real one answers.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from servers.ansible import run_module
from servers.liar import Answer, Liar, Script, Talk, later

SAMPLE = Path(__file__).parents[1] / "unit" / "archive" / "fixtures" / "2.15.2" / "compressed"
BACKUP: dict[str, Any] = json.loads((SAMPLE / "backup.json").read_text())
DATA = (SAMPLE / "stream.arc.s2").read_bytes()
NAME: str = BACKUP["config"]["name"]
STREAM = {**BACKUP, "created": "2026-01-01T00:00:00Z", "ts": "2026-01-02T00:00:00Z"}
NOT_FOUND = {"error": {"code": 404, "err_code": 10059, "description": "stream not found"}}
# Far above what any of them needs on a busy machine, and below every time-out that is not set here.
SOON = 25.0
QUICK = {"connect_timeout": 3, "request_timeout": 3, "stall_timeout": 3}


def told(answer: Answer) -> Script:
    """A script that always answers the same."""
    return lambda talk, subject, reply, request: answer


def page(key: str, items: list[Any]) -> Answer:
    """A list with one page."""
    return {key: items, "total": len(items), "offset": 0, "limit": 256}


def snapshot(
    *,
    answer: Answer = BACKUP,
    chunks: tuple[tuple[bytes, str], ...] = ((DATA, f"$JS.SNAPSHOT.ACK.{NAME}.NUID.{len(DATA)}.1"),),
    end: bytes | None = b"NATS/1.0 204\r\n\r\n",
) -> Script:
    """A script for a snapshot: its answer, then chunks with the subjects of their acknowledgements, then the end."""

    def script(talk: Talk, subject: str, reply: str, request: Any) -> Answer:
        def deliver() -> None:
            for data, acknowledge in chunks:
                talk.send(request["deliver_subject"], data, acknowledge)
            if end is not None:
                talk.send(request["deliver_subject"], b"", head=end)

        later(deliver)
        return answer

    return script


def endless_snapshot(size: int, pause: float) -> Script:
    """Chunks for ever."""

    def script(talk: Talk, subject: str, reply: str, request: Any) -> Answer:
        def deliver() -> None:
            end = time.monotonic() + 2 * SOON
            for number in itertools.count(1):
                if time.monotonic() > end:
                    return
                acknowledge = f"$JS.SNAPSHOT.ACK.{NAME}.NUID.{size}.{number}"
                talk.send(request["deliver_subject"], bytes(size), acknowledge)
                time.sleep(pause)

        later(deliver)
        return BACKUP

    return script


def endless_list(talk: Talk, subject: str, reply: str, request: Any) -> Answer:
    """A page of new streams, and always more to come."""
    streams = [{**STREAM, "config": {"name": f"S{request['offset'] + number}"}} for number in range(256)]
    return {"streams": streams, "total": request["offset"] + 512, "offset": request["offset"], "limit": 256}


def restore(*answers: bytes, deliver: str = f"$JS.SNAPSHOT.RESTORE.{NAME}.NUID", times: int = 1) -> dict[str, Script]:
    """Scripts for a restore whose chunks get these answers in turn, each so many times."""
    left = itertools.chain(answers, itertools.repeat(b""))

    def chunk(talk: Talk, subject: str, reply: str, request: Any) -> Answer:
        answer = next(left)
        for _time in range(times):
            if reply:
                talk.send(reply, answer)
        return None

    return {
        r"\$JS\.API\.STREAM\.INFO\..*": told(NOT_FOUND),
        r"\$JS\.API\.STREAM\.(LIST|NAMES)": told(page("streams", [])),
        r"\$JS\.API\.STREAM\.RESTORE\..*": told({"deliver_subject": deliver}),
        r"\$JS\.SNAPSHOT\.RESTORE\..*": chunk,
    }


HONEST: dict[str, Script] = {
    r"\$SYS\.REQ\.USER\.INFO": told({"data": {"user": "u", "account": "APP"}}),
    r"\$JS\.API\.INFO": told(
        {"memory": 0, "storage": 0, "streams": 1, "limits": {"max_storage": -1, "max_memory": -1}}
    ),
    r"\$JS\.API\.STREAM\.INFO\..*": told(STREAM),
    r"\$JS\.API\.STREAM\.LIST": told(page("streams", [STREAM])),
    r"\$JS\.API\.STREAM\.NAMES": told(page("streams", [NAME])),
    r"\$JS\.API\.CONSUMER\.LIST\..*": told(page("consumers", [])),
    r"\$JS\.API\.STREAM\.SNAPSHOT\..*": snapshot(),
    r"\$JS\.API\.STREAM\.(CREATE|DELETE|UPDATE)\..*": told({"success": True, **STREAM}),
}

INFO_OF = rf"\$JS\.API\.STREAM\.INFO\.{NAME}"
LIST = r"\$JS\.API\.STREAM\.LIST"
CONSUMERS = r"\$JS\.API\.CONSUMER\.LIST\..*"
SNAPSHOT = r"\$JS\.API\.STREAM\.SNAPSHOT\..*"
ACCOUNT = r"\$JS\.API\.INFO"
BACKUP_ONE, BACKUP_ALL, RESTORE = "jetstream_stream_backup", "jetstream_account_backup", "jetstream_stream_restore"
ELSEWHERE = "ORDERS.new"

#: The lie, the module, what it answers instead, the word of the error, and what the sentence says.
LIES: list[tuple[str, str, dict[str, Script], str, str]] = [
    ("an answer that is no JSON", BACKUP_ONE, {INFO_OF: told(b"<html>")}, "protocol_error", "STREAM.INFO"),
    ("an answer that is a list", BACKUP_ONE, {INFO_OF: told([1])}, "protocol_error", "STREAM.INFO"),
    ("an answer that is null", BACKUP_ONE, {INFO_OF: told(b"null")}, "protocol_error", "STREAM.INFO"),
    ("JSON of ten thousand levels", BACKUP_ONE, {INFO_OF: told(b"[" * 10_000)}, "protocol_error", "nested"),
    (
        "a number of 5,000 digits",
        BACKUP_ONE,
        {INFO_OF: told(b'{"a":' + b"9" * 5000 + b"}")},
        "protocol_error",
        "digits",
    ),
    ("an error that is a text", BACKUP_ONE, {INFO_OF: told({"error": "no"})}, "protocol_error", "error is 'no'"),
    ("no configuration", BACKUP_ONE, {INFO_OF: told({"state": {}})}, "protocol_error", "config"),
    (
        "a negative number of messages",
        BACKUP_ONE,
        {INFO_OF: told({**STREAM, "state": {"messages": -5}})},
        "protocol_error",
        "state.messages",
    ),
    (
        "replicas as a text",
        BACKUP_ONE,
        {INFO_OF: told({**STREAM, "config": {"name": NAME, "num_replicas": "3"}})},
        "protocol_error",
        "config.num_replicas",
    ),
    ("account limits that are a list", BACKUP_ONE, {ACCOUNT: told({"limits": []})}, "protocol_error", "limits"),
    (
        "consumers without names",
        BACKUP_ONE,
        {
            INFO_OF: told({**STREAM, "state": {**BACKUP["state"], "consumer_count": 1}}),
            CONSUMERS: told(page("consumers", [{"config": {}}])),
        },
        "protocol_error",
        "CONSUMER.LIST",
    ),
    (
        "a list that never ends",
        BACKUP_ALL,
        {LIST: endless_list},
        "protocol_error",
        "never ends",
    ),
    (
        "a list that repeats its first page",
        BACKUP_ALL,
        {LIST: told({"streams": [STREAM], "total": 10**9, "offset": 0, "limit": 1})},
        "protocol_error",
        "nothing new",
    ),
    ("pages of nothing", BACKUP_ALL, {LIST: told({"streams": None, "total": 5})}, "protocol_error", "nothing new"),
    (
        "a snapshot of another stream",
        BACKUP_ONE,
        {SNAPSHOT: snapshot(answer={**BACKUP, "config": {**BACKUP["config"], "name": "OTHER"}})},
        "protocol_error",
        "it is about the stream 'OTHER'",
    ),
    (
        "a snapshot without a state",
        BACKUP_ONE,
        {SNAPSHOT: told({"config": BACKUP["config"]})},
        "protocol_error",
        "state",
    ),
    (
        "an acknowledgement to a stream's subject",
        BACKUP_ONE,
        {SNAPSHOT: snapshot(chunks=((DATA, ELSEWHERE + ".1"),))},
        "protocol_error",
        "not its own",
    ),
    (
        "an acknowledgement that is a request to delete",
        BACKUP_ONE,
        {SNAPSHOT: snapshot(chunks=((DATA, "$JS.API.STREAM.DELETE.ORDERS"),))},
        "protocol_error",
        "not its own",
    ),
    (
        "an acknowledgement to another stream's snapshot",
        BACKUP_ONE,
        {SNAPSHOT: snapshot(chunks=((DATA, "$JS.SNAPSHOT.ACK.OTHER.NUID.5.1"),))},
        "protocol_error",
        "not its own",
    ),
    (
        "a chunk that comes twice",
        BACKUP_ONE,
        {SNAPSHOT: snapshot(chunks=((DATA, f"$JS.SNAPSHOT.ACK.{NAME}.NUID.5.1"),) * 2)},
        "chunks_lost",
        "chunk 2",
    ),
    (
        "data after the last chunk",
        BACKUP_ONE,
        {SNAPSHOT: snapshot(chunks=((DATA, ""), (DATA, "")))},
        "protocol_error",
        "after the last chunk",
    ),
    ("a trickle", BACKUP_ONE, {SNAPSHOT: endless_snapshot(1, 0.2)}, "stalled", "no data"),
    ("a snapshot that does not end", BACKUP_ONE, {SNAPSHOT: snapshot(end=None)}, "stalled", "no data"),
    (
        "data that is no archive",
        BACKUP_ONE,
        {SNAPSHOT: snapshot(chunks=((b"x" * 5000, ""),))},
        "verification_failed",
        "not_an_archive",
    ),
    ("silence", BACKUP_ONE, {INFO_OF: told(None)}, "timeout", "No answer"),
    (
        "a garbled line",
        BACKUP_ONE,
        {INFO_OF: lambda talk, *_more: talk.raw(b"MSG x y z\r\nGARBAGE \xff\xfe\r\n")},
        "",
        "",
    ),
    (
        "a restore's data to a stream's subject",
        RESTORE,
        restore(deliver=ELSEWHERE),
        "protocol_error",
        "deliver_subject is 'ORDERS.new'",
    ),
    (
        "a restore's data to another stream's restore",
        RESTORE,
        restore(deliver="$JS.SNAPSHOT.RESTORE.OTHER.NUID"),
        "protocol_error",
        "deliver_subject",
    ),
    ("an answer that comes twice", RESTORE, restore(times=2), "protocol_error", "waits for none"),
    ("an odd answer to a chunk", RESTORE, restore(b"[]"), "protocol_error", "not what the protocol says"),
    ("an odd answer at the end", RESTORE, restore(b"", b'{"config": 5}'), "protocol_error", "config"),
]


def options(module: str, url: str, path: Path) -> dict[str, Any]:
    """The options of a module that is lied to."""
    if module == RESTORE:
        return {**QUICK, "servers": [url], "path": str(path)}
    name = {"stream": NAME} if module == BACKUP_ONE else {}
    return {**QUICK, **name, "servers": [url], "path": str(path)}


def test_an_honest_server_is_believed(tmp_path: Path) -> None:
    """What the lies differ from works, so that each is refused for itself."""
    with Liar(HONEST) as liar:
        result = run_module(BACKUP_ONE, options(BACKUP_ONE, liar.url, tmp_path / "backup"))
    assert not result.get("failed"), result
    assert (tmp_path / "backup" / "stream.arc.s2").read_bytes() == DATA
    assert f"$JS.SNAPSHOT.ACK.{NAME}.NUID.{len(DATA)}.1" in liar.seen


def test_there_are_at_least_twenty() -> None:
    assert len({lie for lie, *_rest in LIES}) == len(LIES) >= 20


@pytest.mark.parametrize(("lie", "module", "scripts", "word", "sentence"), LIES, ids=[lie for lie, *_rest in LIES])
def test_a_lie_ends_soon_with_one_sentence(
    lie: str, module: str, scripts: dict[str, Script], word: str, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "canary").write_text("canary")
    path = tmp_path / "backup"
    if module == RESTORE:
        path.mkdir()
        for file in ("backup.json", "stream.arc.s2"):
            shutil.copy(SAMPLE / file, path / file)
    begun = time.monotonic()
    with Liar({**scripts, **{key: script for key, script in HONEST.items() if key not in scripts}}) as liar:
        result = run_module(module, options(module, liar.url, path), timeout=2 * SOON)
    took = time.monotonic() - begun
    assert result.get("failed"), result
    assert "Traceback" not in json.dumps(result)
    assert result["error"] != "unexpected", result
    assert word in ("", result["error"]), result["msg"]
    assert sentence in result["msg"], result["msg"]
    assert "\n" not in result["msg"]
    assert took < SOON, f"{lie}: {took:.1f} s"
    assert not [
        subject for subject in liar.seen if ELSEWHERE in subject or "OTHER" in subject or "DELETE.ORDERS" in subject
    ]
    assert (tmp_path / "canary").read_text() == "canary"
    left = {str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*")}
    assert not [name for name in left if not re.fullmatch(r"canary|backup(\.json)?(/.*)?", name)], left
