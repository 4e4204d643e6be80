# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What only a dead server holds: live servers list live copies alone, so it takes what the accounts know, or knew."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from .._nats.errors import NatsError
from .errors import LastPictureError
from .model import Picture
from .views import Json


@dataclasses.dataclass(frozen=True)
class Held:
    """A stream, or a consumer of one, without a live copy. C(source): C(accounts), C(last_picture) or C(servers).

    C(certain) is false where several dead servers could have held it. C(last_seq) is what was last known.
    """

    account: str
    stream: str
    consumer: str = ""
    source: str = "accounts"
    certain: bool = True
    last_seq: int | None = None

    @property
    def label(self) -> str:
        return " > ".join(part for part in (self.account, self.stream, self.consumer) if part)

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.account, self.stream, self.consumer)


@dataclasses.dataclass(frozen=True)
class AccountNames:
    """All names that the meta group knows in one account: streams, and the consumers of those that were asked for."""

    account: str
    streams: frozenset[str]
    consumers: t.Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class LastPicture:
    """An earlier result of jetstream_cluster_info: C(copies) maps (account, stream, consumer) to peers and last_seq."""

    taken: float
    alive: frozenset[str]
    accounts: frozenset[str]
    copies: dict[tuple[str, str, str], tuple[frozenset[str], int]]

    @classmethod
    def parse(cls, text: str, path: str) -> LastPicture:
        """From the JSON text of the file. Raises LastPictureError."""
        problem = f"last_picture {path} is not the result of a run of jetstream_cluster_info"
        try:
            raw = json.loads(text)
            if not isinstance(raw, dict) or not {"servers", "streams", "taken"} <= raw.keys():
                raise LastPictureError(
                    f"{problem}: it lacks servers, streams or taken. Save the whole registered result."
                )
            copies = {}
            for stream in raw["streams"]:
                account, name = stream["account"], stream["stream"]
                peers = frozenset(one["peer"] for one in stream["replicas"])
                copies[account, name, ""] = (peers, int(stream["last_seq"]))
                for consumer in stream["consumers"]:
                    peers = frozenset(one["peer"] for one in consumer["replicas"])
                    copies[account, name, consumer["consumer"]] = (peers, int(consumer["delivered"]))
            alive = frozenset(server["peer"] for server in raw["servers"] if server["alive"])
            return cls(float(raw["taken"]), alive, frozenset(raw.get("accounts") or ()), copies)
        except (ValueError, KeyError, TypeError) as exc:
            raise LastPictureError(f"{problem} ({type(exc).__name__}: {exc}).") from None


@dataclasses.dataclass(frozen=True)
class Inventory:
    """What would be gone with a server. C(unknown) are accounts of which nobody could say what it held."""

    held: tuple[Held, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...] = ()


def of_servers(picture: Picture, peer: str) -> list[Held]:
    """What live servers show: groups whose every live copy is on C(peer)."""
    found = []
    for item in picture.groups():
        live = {replica.peer for replica in item.group.replicas if replica.alive}
        if peer in item.group.peers and live <= {peer}:
            stream = item.name if item.kind == "stream" else getattr(item, "stream", "")
            consumer = item.name if item.kind == "consumer" else ""
            last = getattr(item, "last_seq", None)
            found.append(Held(item.account, stream, consumer, "servers", last_seq=last))
    return found


def missing_names(picture: Picture, known: AccountNames) -> list[Held]:
    """What the meta group knows of an account and no live server has."""
    live = {stream.name: stream for stream in picture.streams if stream.account == known.account}
    # With two dead servers, a name does not tell which of them had it.
    certain = picture.meta is None or len(picture.meta.members - picture.alive) <= 1
    found = [Held(known.account, name, certain=certain) for name in sorted(known.streams - live.keys())]
    for stream, names in sorted(known.consumers.items()):
        have = {consumer.name for consumer in live[stream].consumers} if stream in live else set()
        found.extend(Held(known.account, stream, name, certain=certain) for name in sorted(names - have))
    return found


def of_last_picture(picture: Picture, last: LastPicture, peer: str) -> list[Held]:
    """What had copies on C(peer) in the earlier picture and has no live copy now."""
    live: set[tuple[str, str, str]] = set()
    for stream in picture.streams:
        if any(replica.alive for replica in stream.group.replicas):
            live.add((stream.account, stream.name, ""))
        for consumer in stream.consumers:
            if any(replica.alive for replica in consumer.group.replicas):
                live.add((stream.account, stream.name, consumer.name))
    return [
        Held(*key, source="last_picture", last_seq=last_seq)
        for key, (peers, last_seq) in sorted(last.copies.items())
        if peer in peers and key not in live
    ]


def take_inventory(
    picture: Picture, peer: str, names: t.Iterable[AccountNames] | None, last: LastPicture | None
) -> Inventory:
    """All that would be gone with C(peer), from every source there is, and what no source covers."""
    held = {one.key: one for one in of_servers(picture, peer)}
    covered: set[str] = set()
    notes: list[str] = []
    if picture.server(peer).alive and picture.server(peer).seen:
        return Inventory(tuple(held.values()), ())
    usable = last is not None and peer in last.alive
    if last is not None and not usable:
        notes.append("last_picture was taken when this server did not answer any more: it cannot tell what it held.")
    if last is not None and usable:
        held.update((one.key, one) for one in of_last_picture(picture, last, peer))
        covered |= last.accounts
        age = max(picture.taken - last.taken, 0.0)
        notes.append(f"last_picture is {age:.0f} s older: what was made since then is not in it.")
    for known in names or ():
        covered.add(known.account)
        for one in missing_names(picture, known):
            elsewhere = usable and last and one.key in last.copies and peer not in last.copies[one.key][0]
            if not elsewhere:
                held.setdefault(one.key, one)
    unknown = sorted(set(picture.accounts.values()) - covered)
    return Inventory(tuple(held[key] for key in sorted(held)), tuple(unknown), tuple(notes))


class Lister(t.Protocol):
    """What C(list_names) needs of a JetStream API client."""

    async def call(self, subject: str, request: Json | None = None, *, what: str = "") -> Json: ...


async def _pages(api: Lister, subject: str, key: str, what: str) -> frozenset[str]:
    names: set[str] = set()
    offset = 0
    while True:
        page = await api.call(subject, {"offset": offset}, what=what)
        found = page.get(key) or []
        names.update(found)
        offset += max(int(page.get("limit") or 0), len(found), 1)
        if offset >= int(page.get("total") or 0):
            return frozenset(names)


async def list_names(api: Lister, picture: Picture, account: str, peer: str) -> AccountNames:
    """Ask one account for all its names: the meta leader answers from the assignments, the dead's included.

    Consumers are asked for only where C(peer) may have some: streams it has a copy of, and streams without a live one.
    """
    streams = await _pages(api, "STREAM.NAMES", "streams", f"names of the streams of {account}")
    live = {stream.name: stream for stream in picture.streams if stream.account == account}
    touched = [name for name in sorted(streams) if name not in live or peer in live[name].group.peers]
    consumers = {}
    for name in touched:
        try:
            what = f"names of the consumers of {account} > {name}"
            consumers[name] = await _pages(api, f"CONSUMER.NAMES.{name}", "consumers", what)
        except NatsError as exc:
            if exc.error != "stream_not_found":
                raise
    return AccountNames(account, streams, consumers)
