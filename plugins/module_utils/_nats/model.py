# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What JetStream's API tells, as frozen dataclasses over the raw JSON (configurations stay dicts: lines differ)."""

from __future__ import annotations

import dataclasses
import typing as t

Json = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class StreamInfo:
    """A stream as STREAM.INFO and STREAM.LIST show it. Times are RFC 3339 texts, sizes bytes.

    C(told): the server's time of the answer, empty where it does not say.
    """

    config: Json
    state: Json
    created: str
    cluster: Json | None = None
    mirror: Json | None = None
    sources: tuple[Json, ...] = ()
    told: str = ""

    @classmethod
    def parse(cls, raw: Json) -> StreamInfo:
        return cls(
            config=raw["config"],
            state=raw.get("state") or {},
            created=raw.get("created", ""),
            cluster=raw.get("cluster"),
            mirror=raw.get("mirror"),
            sources=tuple(raw.get("sources") or ()),
            told=str(raw.get("ts") or ""),
        )

    @property
    def name(self) -> str:
        return str(self.config["name"])


@dataclasses.dataclass(frozen=True)
class ConsumerInfo:
    """A consumer as CONSUMER.INFO and CONSUMER.LIST show it."""

    name: str
    config: Json
    created: str
    delivered: Json
    ack_floor: Json
    num_ack_pending: int
    num_redelivered: int
    num_pending: int
    cluster: Json | None = None
    priority_groups: tuple[Json, ...] = ()

    @classmethod
    def parse(cls, raw: Json) -> ConsumerInfo:
        return cls(
            name=raw["name"],
            config=raw.get("config") or {},
            created=raw.get("created", ""),
            delivered=raw.get("delivered") or {},
            ack_floor=raw.get("ack_floor") or {},
            num_ack_pending=int(raw.get("num_ack_pending") or 0),
            num_redelivered=int(raw.get("num_redelivered") or 0),
            num_pending=int(raw.get("num_pending") or 0),
            cluster=raw.get("cluster"),
            priority_groups=tuple(raw.get("priority_groups") or ()),
        )

    @property
    def durable(self) -> bool:
        return bool(self.config.get("durable_name"))


T = t.TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Listing(t.Generic[T]):
    """All pages of a list. C(missing) are names whose servers did not answer; C(offline) maps a name to its reason."""

    items: tuple[T, ...]
    missing: tuple[str, ...] = ()
    offline: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class StoredMessage:
    """A message read back from a stream. C(headers) is the raw header block, empty when there is none."""

    sequence: int
    subject: str
    headers: bytes
    data: bytes
    time: str
