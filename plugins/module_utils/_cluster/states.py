# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a stream is, or was: from live servers, from an earlier result, from a backup; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from .._archive.times import parse_ns
from .groups import Stream
from .views import Json, StreamView

Key = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class State:
    """How far a stream is, or was. Times in nanoseconds since 1970, 0 where unknown.

    C(consumers) maps the names of durable consumers to the stream sequence up to which all is acknowledged.
    """

    account: str
    stream: str
    messages: int = 0
    first_seq: int = 0
    last_seq: int = 0
    first_ts: int = 0
    last_ts: int = 0
    consumers: t.Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def key(self) -> Key:
        return self.account, self.stream

    @property
    def label(self) -> str:
        return f"{self.account} > {self.stream}"


def time_ns(text: t.Any) -> int:
    """A server's time in nanoseconds; 0 where it is none."""
    try:
        return parse_ns(str(text or ""))
    except ValueError:
        return 0


def of_live(stream: Stream | StreamView) -> State:
    """From a stream of a picture, or from what one server, or the JetStream API of an account, tells."""
    return State(
        stream.account,
        stream.name,
        stream.messages,
        stream.first_seq,
        stream.last_seq,
        time_ns(stream.first_ts),
        time_ns(stream.last_ts),
        {one.name: one.ack_floor for one in stream.consumers if one.durable},
    )


def of_backup(account: str, stream: str, state: Json, consumers: t.Mapping[str, int]) -> State:
    """From the state in a backup, as servers write it, and the acknowledged positions of its durable consumers."""
    return State(
        account,
        stream,
        int(state.get("messages") or 0),
        int(state.get("first_seq") or 0),
        int(state.get("last_seq") or 0),
        time_ns(state.get("first_ts")),
        time_ns(state.get("last_ts")),
        consumers,
    )


def of_entry(stream: t.Mapping[str, t.Any]) -> State:
    """How far a stream was, from its entry in a result of jetstream_cluster_info."""
    return State(
        stream["account"],
        stream["stream"],
        messages=int(stream.get("messages") or 0),
        first_seq=int(stream.get("first_seq") or 0),
        last_seq=int(stream["last_seq"]),
        first_ts=time_ns(stream.get("first_ts")),
        last_ts=time_ns(stream.get("last_ts")),
        consumers={
            one["consumer"]: int(one.get("ack_floor") or 0) for one in stream["consumers"] if one.get("durable", True)
        },
    )
