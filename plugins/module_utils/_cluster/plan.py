# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan is, and which server a word means; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from .._nats.answers import peer_id
from .errors import RefusedError
from .held import Held
from .model import Picture, Server


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A reason not to do it. C(word) is the error's machine word."""

    word: str
    why: str


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run would do to C(target). C(needed) is false where there is nothing to do.

    C(lost) would be gone for good; C(unhealed) are labels of streams that would stay degraded.
    """

    target: Server
    needed: bool
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()
    arithmetic: str = ""
    lost: tuple[Held, ...] = ()
    unhealed: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise RefusedError with all that speaks against it."""
        if self.refusals:
            why = " ".join(refusal.why for refusal in self.refusals)
            text = f"Refused, and nothing was touched: {why} {self.arithmetic}".strip()
            raise RefusedError(text, error=self.refusals[0].word, values=self.values())

    def values(self) -> dict[str, t.Any]:
        """The plan as module results."""
        return {
            "peer": self.target.peer,
            "server": self.target.name,
            "needed": self.needed,
            "refusals": [dataclasses.asdict(refusal) for refusal in self.refusals],
            "arithmetic": self.arithmetic,
            "lost": [{**dataclasses.asdict(one), "name": one.label} for one in self.lost],
            "degraded": list(self.unhealed),
        }


def resolve(picture: Picture, wanted: str) -> Server | Refusal | None:
    """The server meant by a name or a peer id: a member, or one that answers; C(None) where there is none such.

    A name's peer id is computed, so that a member is found even where no live server knows its name any more.
    """
    known = {server.peer for server in picture.servers}
    hits = {server.peer for server in picture.servers if wanted in (server.name, server.peer)}
    hits |= {peer_id(wanted)} & known
    if len(hits) > 1:
        why = f"{wanted!r} means more than one server ({picture.names(hits)}): use a peer id."
        return Refusal("ambiguous_server", why)
    for peer in hits:
        server = picture.server(peer)
        return server if server.name or peer_id(wanted) != peer else dataclasses.replace(server, name=wanted)
    return None


def meta_facts(picture: Picture) -> str:
    """The meta group's arithmetic as a sentence."""
    meta = picture.meta
    if meta is None:
        return ""
    how = "lowered by a rescue" if meta.rescue else f"half of {meta.size}, rounded down, plus 1"
    return (
        f"Meta group: {meta.size} members ({picture.names(meta.members)}), {len(meta.voters)} of them answer"
        f" ({picture.names(meta.voters)}), {meta.needed} are needed ({how})."
    )


def listing(labels: t.Iterable[str], most: int = 20) -> str:
    """Labels for a sentence, cut where there are too many to read."""
    every = list(labels)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
