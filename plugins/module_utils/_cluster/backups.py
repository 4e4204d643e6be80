# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What backups know of streams: as of their time, and not where the copies were; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from .held import AccountNames, Held, LastPicture, live_keys
from .losses import Earlier
from .model import Picture
from .states import State


@dataclasses.dataclass(frozen=True)
class KnownBackup:
    """A stream as its backup in C(path) has it. C(taken): when its state was told, in seconds since the epoch.

    C(account) is a name or an id; C(consumers) maps the names of consumers to the last sequence delivered;
    C(ephemeral) are those of them that are not durable; C(state) is how far the stream was.
    """

    account: str
    stream: str
    path: str
    taken: float
    replicas: int = 1
    last_seq: int = 0
    consumers: t.Mapping[str, int] = dataclasses.field(default_factory=dict)
    ephemeral: frozenset[str] = frozenset()
    state: State | None = None

    def earlier(self) -> Earlier:
        """As a source of what the stream has lost since then."""
        state = self.state or State(self.account, self.stream, last_seq=self.last_seq)
        return Earlier(dataclasses.replace(state, account=self.account), self.taken, self.path)


def newest(backups: t.Iterable[KnownBackup], accounts: t.Mapping[str, str]) -> list[KnownBackup]:
    """The newest backup of each stream, under the account's name; C(accounts) maps ids to names."""
    found: dict[tuple[str, str], KnownBackup] = {}
    for one in backups:
        named = dataclasses.replace(one, account=accounts.get(one.account, one.account))
        key = (named.account, named.stream)
        if key not in found or found[key].taken < named.taken:
            found[key] = named
    return [found[key] for key in sorted(found)]


def of_backups(
    picture: Picture,
    backups: t.Iterable[KnownBackup],
    names: t.Mapping[str, AccountNames],
    last: LastPicture | None,
    peer: str,
) -> list[Held]:
    """What is in a backup and has no live copy, where no better source says that it was elsewhere or is deleted.

    Never certain: a backup does not tell which server had the copies, nor whether the stream was deleted since.
    """
    live = live_keys(picture)
    found = []
    for backup in backups:
        items = {"": backup.last_seq, **backup.consumers}
        for consumer, last_seq in sorted(items.items()):
            key = (backup.account, backup.stream, consumer)
            if key in live or _ruled_out(key, backup.taken, names.get(backup.account), last, peer):
                continue
            ephemeral = consumer in backup.ephemeral
            held = Held(*key, "backup", certain=False, last_seq=last_seq, as_of=backup.taken, ephemeral=ephemeral)
            found.append(held)
    return found


def _ruled_out(
    key: tuple[str, str, str], taken: float, names: AccountNames | None, last: LastPicture | None, peer: str
) -> bool:
    """Whether the meta group, or a newer picture, knows that the item is gone or was on another server."""
    if names is not None:
        _account, stream, consumer = key
        return stream not in names.streams or (bool(consumer) and consumer not in names.consumers.get(stream, ()))
    if last is None or peer not in last.alive:
        return False
    if key in last.copies:
        return peer not in last.copies[key][0]
    return key[0] in last.accounts and last.taken > taken


def with_backups(held: Held, backups: t.Iterable[KnownBackup]) -> Held:
    """The item with the newest backup that has it."""
    for one in backups:
        if (one.account, one.stream) != (held.account, held.stream):
            continue
        if held.consumer and held.consumer not in one.consumers:
            continue
        last_seq = one.consumers[held.consumer] if held.consumer else one.last_seq
        return dataclasses.replace(
            held,
            backup=one.path,
            backup_taken=one.taken,
            last_seq=last_seq if held.last_seq is None else held.last_seq,
            ephemeral=held.ephemeral or held.consumer in one.ephemeral,
        )
    return held


def states(backups: t.Iterable[KnownBackup]) -> dict[str, dict[str, int]]:
    """Last sequences by account and stream, for replicated streams: of the others only the dead may have a copy."""
    found: dict[str, dict[str, int]] = {}
    for one in backups:
        if one.replicas > 1:
            found.setdefault(one.account, {})[one.stream] = one.last_seq
    return found
