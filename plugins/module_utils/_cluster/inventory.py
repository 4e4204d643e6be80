# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What only a dead server holds: live servers list live copies alone, so it takes what the accounts know, or knew."""

from __future__ import annotations

import dataclasses
import typing as t

from .._nats.errors import NatsError
from .._nats.pages import read_pages
from .backups import KnownBackup, newest, of_backups, with_backups
from .held import AccountNames, Held, LastPicture, live_keys
from .model import Picture
from .states import Key
from .views import Json


@dataclasses.dataclass(frozen=True)
class Inventory:
    """What would be gone with a server. C(unknown) are accounts of which nobody could say what it held."""

    held: tuple[Held, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def unseen(self) -> tuple[Held, ...]:
        """What no live server shows: it is known from the accounts, an earlier picture or a backup alone."""
        return tuple(one for one in self.held if one.source != "servers")

    def without(self, streams: t.Container[Key]) -> Inventory:
        """The same without these streams and their consumers."""
        return dataclasses.replace(
            self, held=tuple(one for one in self.held if (one.account, one.stream) not in streams)
        )


def tells_itself(picture: Picture, peer: str) -> bool:
    """Whether the server lists what it has; one that runs without JetStream has its disk, and lists nothing."""
    server = picture.server(peer)
    return server.alive and server.seen and server.jetstream


def of_servers(picture: Picture, peer: str) -> list[Held]:
    """What live servers show: groups whose every live copy is on C(peer)."""
    found = []
    for item in picture.groups():
        live = {replica.peer for replica in item.group.replicas if replica.alive}
        if peer in item.group.peers and live <= {peer}:
            stream = item.name if item.kind == "stream" else getattr(item, "stream", "")
            consumer = item.name if item.kind == "consumer" else ""
            last = getattr(item, "last_seq", None)
            ephemeral = not getattr(item, "durable", True)
            found.append(Held(item.account, stream, consumer, "servers", last_seq=last, ephemeral=ephemeral))
    return found


def missing_names(picture: Picture, known: AccountNames) -> list[Held]:
    """What the meta group knows of an account and no live server has."""
    live = {stream.name: stream for stream in picture.streams if stream.account == known.account}
    # With two dead servers, a name does not tell which of them had it.
    certain = picture.meta is None or len(picture.meta.members - picture.usable) <= 1
    found = [Held(known.account, name, certain=certain) for name in sorted(known.streams - live.keys())]
    for stream, names in sorted(known.consumers.items()):
        have = {consumer.name for consumer in live[stream].consumers} if stream in live else set()
        found.extend(Held(known.account, stream, name, certain=certain) for name in sorted(names - have))
    return found


def of_last_picture(picture: Picture, last: LastPicture, peer: str) -> list[Held]:
    """What had copies on C(peer) in the earlier picture and has no live copy now."""
    live = live_keys(picture)
    return [
        Held(*key, source="last_picture", last_seq=last_seq, as_of=last.taken, ephemeral=key in last.ephemeral)
        for key, (peers, last_seq) in sorted(last.copies.items())
        if peer in peers and key not in live
    ]


def take_inventory(
    picture: Picture,
    peer: str,
    names: t.Iterable[AccountNames] | None,
    last: LastPicture | None,
    backups: t.Iterable[KnownBackup] = (),
    *,
    unlisted: t.Iterable[str] = (),
) -> Inventory:
    """All that would be gone with C(peer), from every source there is, and what no source covers.

    C(unlisted) are accounts that were asked and could not answer. A backup covers no account: what was made since then,
    or was not chosen for it, is not in it.
    """
    have = newest(backups, picture.accounts)
    held = {one.key: one for one in of_servers(picture, peer)}
    covered: set[str] = set()
    notes: list[str] = []
    if tells_itself(picture, peer):
        return Inventory(tuple(with_backups(one, have) for one in held.values()), ())
    usable = last is not None and peer in last.alive
    if last is not None and not usable:
        notes.append("last_picture was taken when this server did not answer any more: it cannot tell what it held.")
    if last is not None and usable:
        held.update((one.key, one) for one in of_last_picture(picture, last, peer))
        covered |= last.accounts
        age = max(picture.taken - last.taken, 0.0)
        notes.append(f"last_picture is {age:.0f} s older: what was made since then is not in it.")
    asked = {known.account: known for known in names or ()}
    for known in asked.values():
        covered.add(known.account)
        for one in missing_names(picture, known):
            elsewhere = usable and last and one.key in last.copies and peer not in last.copies[one.key][0]
            if not elsewhere:
                held.setdefault(one.key, one)
    for one in of_backups(picture, have, asked, last, peer):
        held.setdefault(one.key, one)
    unknown = sorted({*picture.accounts.values(), *unlisted} - covered)
    items = tuple(with_backups(held[key], have) for key in sorted(held))
    return Inventory(items, tuple(unknown), tuple(notes))


class Lister(t.Protocol):
    """What C(list_names) needs of a JetStream API client."""

    async def call(self, subject: str, request: Json | None = None, *, what: str = "") -> Json: ...


async def _pages(api: Lister, subject: str, key: str, what: str) -> frozenset[str]:
    async def ask(request: Json) -> Json:
        return await api.call(subject, request, what=what)

    names, _missing, _offline = await read_pages(ask, key, subject, what, str)
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
