# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of a stream that end alike and do not hold the same: no server tells of it, and nothing heals it.

Each server tells of its own copy at its own moment, and takes acknowledged and expired messages away at its own time.
So only copies with the same first and last sequence are compared, and a difference is told only when it lasts.
"""

from __future__ import annotations

import dataclasses
import shlex
import typing as t

from .finding import CRITICAL, Finding
from .groups import Copy, Stream
from .model import Picture
from .states import Key
from .watch import Watch

#: Looks at a difference after the first one, and seconds before each, at most.
_LOOKS, _PAUSE = 2, 5.0


@dataclasses.dataclass(frozen=True)
class Difference:
    """A stream whose copies that end alike hold different numbers of messages; C(copies) are these, by peer."""

    stream: Stream
    copies: t.Mapping[str, Copy]

    @property
    def offsets(self) -> dict[str, int]:
        """How many messages each has more than the smallest."""
        least = min(one.messages for one in self.copies.values())
        return {peer: one.messages - least for peer, one in self.copies.items()}

    def lasts(self, now: Difference) -> bool:
        """Whether it is the same later: with nothing changed, or with as much added to each by publishers alone."""
        if self.copies == now.copies:
            return True
        return self.stream.ordered and now.stream.ordered and self.offsets == now.offsets


def differing(picture: Picture) -> dict[Key, Difference]:
    """The streams of which live members have such copies."""
    found: dict[Key, Difference] = {}
    for stream in picture.streams:
        peers = [one.peer for one in stream.group.voters if one.alive and not one.ghost and one.peer in stream.copies]
        if not peers:
            continue
        ends = [(stream.copies[peer].first_seq, stream.copies[peer].last_seq) for peer in peers]
        usual = max(ends, key=ends.count)
        alike = {peer: stream.copies[peer] for peer, end in zip(peers, ends) if end == usual}
        if len({one.messages for one in alike.values()}) > 1:
            found[stream.account, stream.name] = Difference(stream, alike)
    return found


async def lasting(watch: Watch, picture: Picture, interval: float) -> list[Difference]:
    """The differences in a picture that are there in further looks as well; none where C(interval) allows one look."""
    found = differing(picture) if interval else {}
    for _look in range(_LOOKS):
        if not found:
            break
        await watch.sleep(min(interval, _PAUSE))
        now = differing(await watch.look())
        found = {key: now[key] for key, one in found.items() if key in now and one.lasts(now[key])}
    return [found[key] for key in sorted(found)]


def findings(picture: Picture, differences: t.Iterable[Difference]) -> t.Iterator[Finding]:
    """One finding a stream: what each copy has, and how the others are made anew from the one that has the most."""
    for one in differences:
        stream, most = one.stream, max(copy.messages for copy in one.copies.values())
        last = max(copy.last_seq for copy in one.copies.values())
        counts = [(picture.server(peer).label, copy.messages) for peer, copy in one.copies.items()]
        told = ", ".join(f"{label} {number}" for label, number in sorted(counts))
        detail = f"Its copies end at sequence {last} and hold different numbers of messages: {told}."
        yield Finding("stream_copies_differ", CRITICAL, (stream.label,), detail, _remedy(picture, one, most))


def _remedy(picture: Picture, one: Difference, most: int) -> str:
    stream = one.stream
    if not stream.group.whole:
        return "Bring its servers back first. Then look again."
    name = shlex.quote(stream.name)
    full = sorted(picture.server(peer).label for peer, copy in one.copies.items() if copy.messages == most)
    leader = picture.server(stream.group.leader).label
    lead = ""
    if leader not in full:
        step = f"nats stream cluster step-down {name} --preferred {shlex.quote(full[0])}"
        lead = f" Let {full[0]} lead it, which has the most: {step}."
    edit = f"nats stream edit {name} --force --replicas"
    return (
        f"Back it up.{lead} Then have the other copies made anew from the leader's: {edit} 1 && {edit}"
        f" {stream.group.wanted}. Between the two it has one copy. What its consumers had acknowledged may come again."
    )
