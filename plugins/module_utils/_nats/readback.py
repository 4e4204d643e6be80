# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading every message of a stream back, exactly as it is stored, in order and with bounded memory."""

from __future__ import annotations

import base64
import json
import re
import secrets
import typing as t

from .errors import ApiError, ConnectionLostError, RequestTimeoutError, api_error
from .model import Json
from .wire import Frame, Wire

_VISITED = re.compile(rb"Nats-Last-Stream: *(\d+)")
_STALLED = re.compile(rb"Nats-Consumer-Stalled: *(\S+)")
_WINDOW = 256
_BYTES = 8 * 1024 * 1024
_NOT_FOUND = 10037
_HEARTBEAT = 500_000_000
# Heartbeats and the like in a row without a message.
_MOST_IDLE = 120


class Stored(t.NamedTuple):
    """A message of a stream. time_ns: nanoseconds since 1970. header: the raw block, empty if none."""

    sequence: int
    time_ns: int
    subject: bytes
    header: bytes
    payload: bytes


class Readback:
    """Reads streams of one account over one connection, one at a time. C(parse_time): RFC 3339 to nanoseconds."""

    def __init__(self, wire: Wire, parse_time: t.Callable[[str], int]) -> None:
        self._wire = wire
        self._parse_time = parse_time
        self._inbox = f"_INBOX.{secrets.token_hex(8)}"
        self._answers = self._inbox + ".answer"
        self._early: list[Frame] = []
        wire.subscribe(self._answers + ".*")

    def messages(self, config: Json, state: Json) -> t.Iterator[Stored]:
        """Every message of the stream with that configuration and state, by rising sequence.

        Through a consumer of its own where that changes nothing and the server allows one, else by sequence. Raises
        ApiError, RequestTimeoutError, ConnectionLostError.
        """
        stream = str(config["name"])
        if not state.get("messages"):
            return
        if config.get("retention", "limits") == "limits":
            inbox, name = f"{self._inbox}.{secrets.token_hex(4)}", f"natsops_{secrets.token_hex(6)}"
            number = self._wire.subscribe(inbox)
            try:
                created = self._ask(f"CONSUMER.CREATE.{stream}.{name}", _consumer(stream, name, inbox))
            except ApiError:
                self._wire.unsubscribe(number)
            else:
                if created.get("num_pending"):
                    yield from self._delivered(inbox, int(state["last_seq"]))
                self._ask(f"CONSUMER.DELETE.{stream}.{name}", {})
                self._wire.unsubscribe(number)
                self._early.clear()
                return
        yield from self._fetched(stream, state)

    def _ask(self, subject: str, request: Json) -> Json:
        token = secrets.token_hex(4)
        reply = f"{self._answers}.{token}"
        self._wire.publish((f"$JS.API.{subject}", reply, json.dumps(request).encode()))
        while True:
            frame = self._wire.receive()
            if frame.subject == reply.encode():
                return _answer(frame, subject)
            # The first messages can come before the answer that the consumer was made.
            self._early.append(frame)

    def _delivered(self, inbox: str, end: int) -> t.Iterator[Stored]:
        """Up to the sequence C(end). A message that the server cannot read stays pending for ever: it is passed by."""
        receive, last, idle, pending = self._wire.receive, 0, 0, 1
        own = inbox.encode()
        early, self._early = iter(self._early), []
        while pending and last < end:
            subject, reply, header, payload = frame = next(early, None) or receive()
            if not reply.startswith(b"$JS.ACK."):
                if subject == own:
                    idle += 1
                    self._flow(frame)
                    visited = _VISITED.search(header)
                    if visited and int(visited[1]) >= end:
                        return
                if idle > _MOST_IDLE:
                    raise RequestTimeoutError(f"{pending} messages were not delivered.")
                continue
            # $JS.ACK[.<domain>.<account>].<stream>.<consumer>.<deliveries>.<sequence>.<...>.<time>.<pending>[.<token>]
            words = reply.split(b".")
            at = 5 if len(words) == 9 else 7
            sequence, pending, idle = int(words[at]), int(words[at + 3]), 0
            if sequence <= last:
                raise ConnectionLostError(f"The consumer delivered message {sequence} after {last}.")
            last = sequence
            yield Stored(sequence, int(words[at + 2]), subject, header, payload)

    def _flow(self, frame: Frame) -> None:
        """Answer where the server waits for it: it sends no more than a window ahead of the reader."""
        stalled = _STALLED.search(frame.header)
        answer_to = frame.reply or (stalled[1] if stalled else b"")
        if answer_to:
            self._wire.publish((answer_to.decode(), "", b""))

    def _fetched(self, stream: str, state: Json) -> t.Iterator[Stored]:
        """By sequence, many requests under way; where a run of sequences is gone, it asks for the next that is not."""
        count, last = int(state["messages"]), int(state["last_seq"])
        sequence = max(1, int(state["first_seq"]))
        window = max(1, min(_WINDOW, _BYTES // (int(state.get("bytes") or 0) // count + 1)))
        while sequence <= last:
            wanted = range(sequence, min(sequence + window, last + 1))
            found = [one for one in self._get(stream, [{"seq": each} for each in wanted]) if one is not None]
            yield from found
            sequence = wanted.stop
            if not found and sequence <= last:
                (following,) = self._get(stream, [{"seq": sequence, "next_by_subj": ">"}])
                if following is None:
                    return
                sequence = following.sequence

    def _get(self, stream: str, requests: list[Json]) -> t.Iterator[Stored | None]:
        """The messages asked for, in that order; C(None) for those that are not there."""
        subject = f"STREAM.MSG.GET.{stream}"
        replies = [f"{self._answers}.{secrets.token_hex(4)}" for _request in requests]
        self._wire.publish(
            *((f"$JS.API.{subject}", reply, json.dumps(each).encode()) for reply, each in zip(replies, requests))
        )
        came: dict[str, Frame] = {}
        for reply in replies:
            while reply not in came:
                frame = self._wire.receive()
                came[frame.subject.decode(errors="replace")] = frame
            try:
                raw = _answer(came.pop(reply), subject)["message"]
            except ApiError as exc:
                if exc.err_code != _NOT_FOUND:
                    raise
                yield None
                continue
            header, payload = (base64.b64decode(raw.get(key) or "") for key in ("hdrs", "data"))
            subject_bytes = str(raw["subject"]).encode(errors="surrogateescape")
            yield Stored(int(raw["seq"]), self._parse_time(raw["time"]), subject_bytes, header, payload)


def _answer(frame: Frame, what: str) -> Json:
    if not frame.payload:
        raise ConnectionLostError(f"Nothing answers {what}.")
    answer: Json = json.loads(frame.payload)
    if answer.get("error"):
        raise api_error(what, answer["error"])
    return answer


def _consumer(stream: str, name: str, inbox: str) -> Json:
    config = {
        "name": name,
        "deliver_subject": inbox,
        "deliver_policy": "all",
        "ack_policy": "none",
        "max_deliver": 1,
        "replay_policy": "instant",
        "flow_control": True,
        "idle_heartbeat": _HEARTBEAT,
        "mem_storage": True,
        "num_replicas": 1,
    }
    return {"stream_name": stream, "config": config}
