# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Items that only a dead server may hold, and what tells of them: names of accounts, an earlier picture; pure."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from .._shape import schema
from .._shape.document import parse_json
from .errors import LastPictureError
from .model import Picture
from .states import State, of_entry

Key = tuple[str, str, str]


def moment(taken: float) -> str:
    """A time for a sentence, in UTC."""
    return datetime.datetime.fromtimestamp(taken, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


@dataclasses.dataclass(frozen=True)
class Held:
    """A stream, or a consumer of one, without a live copy. C(source): C(accounts), C(last_picture), C(servers) or
    C(backup).

    C(certain) is false where several dead servers could have held it. C(last_seq) is what was last known, C(as_of)
    when that was (seconds since the epoch; C(None): now). C(ephemeral): a consumer that is known to be none of the
    durable ones, which its client makes anew. C(backup) is the path of the newest backup that has it,
    C(backup_taken) its time.
    """

    account: str
    stream: str
    consumer: str = ""
    source: str = "accounts"
    certain: bool = True
    last_seq: int | None = None
    as_of: float | None = None
    ephemeral: bool = False
    backup: str = ""
    backup_taken: float | None = None

    @property
    def label(self) -> str:
        return " > ".join(part for part in (self.account, self.stream, self.consumer) if part)

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.account, self.stream, self.consumer)

    @property
    def text(self) -> str:
        """For a sentence: its name, and the backup that has it."""
        if self.backup_taken is None:
            return self.label
        return f"{self.label} (backup of {moment(self.backup_taken)})"


@dataclasses.dataclass(frozen=True)
class AccountNames:
    """All names that the meta group knows in one account: streams, and the consumers of those that were asked for."""

    account: str
    streams: frozenset[str]
    consumers: t.Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)


# A picture of 10,000 consumers has 20 MB.
_MOST_PICTURE = 512 * 1024 * 1024
_REPLICAS = schema.listed(schema.record({"peer": schema.text}))
_PICTURE = schema.record(
    {
        "taken": schema.seconds,
        "servers": schema.listed(schema.record({"peer": schema.text, "alive": schema.flag})),
        "streams": schema.listed(
            schema.record(
                {
                    "account": schema.text,
                    "stream": schema.text,
                    "replicas": _REPLICAS,
                    "last_seq": schema.count,
                    "consumers": schema.listed(
                        schema.record(
                            {"consumer": schema.text, "replicas": _REPLICAS, "delivered": schema.count},
                            {"durable": schema.flag},
                        )
                    ),
                }
            )
        ),
    },
    {"accounts": schema.listed(schema.text)},
)


@dataclasses.dataclass(frozen=True)
class LastPicture:
    """An earlier result of jetstream_cluster_info: C(copies) maps (account, stream, consumer) to peers and last_seq.

    C(ephemeral) are the consumers among them that are not durable; C(states) how far each stream was.
    """

    taken: float
    alive: frozenset[str]
    accounts: frozenset[str]
    copies: dict[tuple[str, str, str], tuple[frozenset[str], int]]
    ephemeral: frozenset[Key] = frozenset()
    states: tuple[State, ...] = ()

    @classmethod
    def parse(cls, text: str, path: str) -> LastPicture:
        """From the JSON text of the file. Raises LastPictureError."""
        problem = f"last_picture {path} is not the result of a run of jetstream_cluster_info"
        try:
            raw = parse_json(text, _MOST_PICTURE)
            if not isinstance(raw, dict) or not {"servers", "streams", "taken"} <= raw.keys():
                raise LastPictureError(
                    f"{problem}: it lacks servers, streams or taken. Save the whole registered result."
                )
            schema.check(raw, _PICTURE)
            copies = {}
            ephemeral = set()
            for stream in raw["streams"]:
                account, name = stream["account"], stream["stream"]
                peers = frozenset(one["peer"] for one in stream["replicas"])
                copies[account, name, ""] = (peers, int(stream["last_seq"]))
                for consumer in stream["consumers"]:
                    peers = frozenset(one["peer"] for one in consumer["replicas"])
                    copies[account, name, consumer["consumer"]] = (peers, int(consumer["delivered"]))
                    if not consumer.get("durable", True):
                        ephemeral.add((account, name, consumer["consumer"]))
            alive = frozenset(server["peer"] for server in raw["servers"] if server["alive"])
            accounts = frozenset(raw.get("accounts") or ())
            states = tuple(of_entry(one) for one in raw["streams"])
            return cls(float(raw["taken"]), alive, accounts, copies, frozenset(ephemeral), states)
        except (ValueError, KeyError, TypeError) as exc:
            raise LastPictureError(f"{problem} ({type(exc).__name__}: {exc}).") from None


def live_keys(picture: Picture) -> set[Key]:
    """Account, stream and consumer (empty for the stream itself) of all that has a live copy."""
    return {
        (
            item.account,
            item.name if item.kind == "stream" else getattr(item, "stream", ""),
            "" if item.kind == "stream" else item.name,
        )
        for item in picture.groups()
        if any(replica.alive for replica in item.group.replicas)
    }
