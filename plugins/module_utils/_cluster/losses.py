# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Streams that lost messages since a backup or an earlier picture; pure.

A stream's last sequence never goes back, its first one neither, and a sequence keeps its time. Where one of these is
broken, messages that were stored are gone, whatever the servers say about their health.
"""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from .._report import commands
from .finding import CRITICAL, WARNING, Finding
from .held import moment
from .states import Key, State

#: Clocks of servers that led a stream one after the other may differ by this much.
_CLOCKS_NS = 2_000_000_000
_GRAVITY = ("stream_lost", "stream_recreated", "stream_behind")


@dataclasses.dataclass(frozen=True)
class Earlier:
    """What a source knows of a stream: the backup in C(path), or the last picture where that is empty.

    C(taken): seconds since the epoch.
    """

    state: State
    taken: float
    path: str = ""

    @property
    def source(self) -> str:
        return f"the backup of {moment(self.taken)}" if self.path else f"the picture of {moment(self.taken)}"


#: Finds the newest backup of a stream, in any set, whose state satisfies a test.
Older = t.Callable[[Key, t.Callable[[State], bool]], t.Optional[Earlier]]


@dataclasses.dataclass(frozen=True)
class Accepted:
    """A loss that a person has confirmed: of all of the stream, or of what came after C(last_seq).

    C(until): when that was. What backups and pictures of a later time have, and the stream has not, was lost later.
    """

    account: str
    stream: str
    last_seq: int | None = None
    until: float | None = None


@dataclasses.dataclass(frozen=True)
class _Loss:
    """C(word): C(stream_lost), C(stream_recreated) or C(stream_behind). C(affected): how many messages."""

    word: str
    earlier: Earlier
    affected: int
    detail: str


def find_losses(
    live: t.Iterable[State],
    backups: t.Iterable[Earlier],
    last: t.Iterable[Earlier],
    *,
    older: Older = lambda _key, _test: None,
    known_elsewhere: t.Container[Key] = (),
    unlisted: str = "",
    accepted: t.Iterable[Accepted] = (),
) -> list[Finding]:
    """The losses of all streams that C(backups) (the newest of each) and the C(last) picture know.

    C(older) is asked where the newest backup was taken after the loss. C(known_elsewhere): streams without a live copy
    that another finding names already. C(unlisted): names of live servers that did not list their streams.
    """
    present = {one.key: one for one in live}
    sources: dict[Key, list[Earlier]] = {}
    for one in (*backups, *last):
        sources.setdefault(one.state.key, []).append(one)
    confirmed = list(accepted)
    found: list[Finding] = []
    for key, earlier in sorted(sources.items()):
        now = present.get(key)
        if now is None and key in known_elsewhere:
            continue
        losses = [loss for loss in (_loss(now, one) for one in _of_one_history(now, earlier)) if loss is not None]
        losses = [loss for loss in losses if not any(_covers(one, loss, now) for one in confirmed)]
        if losses:
            wanted = max((loss.earlier.state for loss in losses), key=lambda one: one.last_seq)
            helps = functools.partial(_helps, now=now, wanted=wanted)
            backups_of_it = [one for one in earlier if one.path and helps(one.state)]
            backup = max(backups_of_it, key=lambda one: one.state.last_seq, default=None) or older(key, helps)
            found.append(_finding(now, losses, backup, unlisted))
        elif now is not None:
            found.extend(_consumers(now, earlier))
    return found


def _of_one_history(now: State | None, earlier: list[Earlier]) -> list[Earlier]:
    """The sources without backups of what a stream held between its loss and its restore.

    The last picture is of a time when all was well. Where the stream goes on from there again, a backup with other
    content says nothing about it.
    """
    pictured = [one.state for one in earlier if not one.path]
    if now is None or not pictured or _is_recreated(now, pictured[0]):
        return earlier
    return [one for one in earlier if not (one.path and _is_recreated(one.state, pictured[0]))]


def _helps(backup: State, now: State | None, wanted: State) -> bool:
    """Whether a backup brings back what was lost: it is of the stream that was, and has more of it than there is."""
    if not backup.last_seq or _is_recreated(backup, wanted):
        return False
    return now is None or _is_recreated(now, wanted) or backup.last_seq > now.last_seq


def _covers(confirmed: Accepted, loss: _Loss, now: State | None) -> bool:
    """Whether a person has confirmed what is missing, and no more is missing than that."""
    if (confirmed.account, confirmed.stream) != loss.earlier.state.key:
        return False
    if confirmed.until is not None and loss.earlier.taken > confirmed.until:
        return False
    if confirmed.last_seq is None:
        return True
    # Restored up to there: an older backup also begins with an earlier sequence.
    return loss.word != "stream_lost" and now is not None and now.last_seq >= confirmed.last_seq


def _loss(now: State | None, earlier: Earlier) -> _Loss | None:
    before = earlier.state
    if now is None:
        return _Loss("stream_lost", earlier, before.messages, "No live server has it.")
    if _is_recreated(now, before):
        detail = (
            f"Its sequences up to {before.last_seq} do not hold what they held: it was made anew, or rolled back and"
            " used since then."
        )
        return _Loss("stream_recreated", earlier, before.messages, detail)
    if now.last_seq < before.last_seq:
        affected = min(before.messages, before.last_seq - now.last_seq)
        detail = f"It ends at sequence {now.last_seq}. It ended at {before.last_seq}."
        return _Loss("stream_behind", earlier, affected, detail)
    return None


def _is_recreated(now: State, before: State) -> bool:
    """Whether sequences that were in use hold other messages."""
    if not now.messages or not before.last_seq or not now.first_ts:
        return False
    if now.first_seq < before.first_seq:
        return True
    if now.first_seq == before.first_seq and before.messages and before.first_ts:
        return now.first_ts != before.first_ts
    return now.first_seq <= before.last_seq and bool(before.last_ts) and now.first_ts > before.last_ts + _CLOCKS_NS


def _finding(now: State | None, losses: list[_Loss], backup: Earlier | None, unlisted: str) -> Finding:
    """One finding a stream: the gravest loss, where its messages are, and the command that brings them back."""
    worst = min(losses, key=lambda one: (_GRAVITY.index(one.word), -one.affected))
    before = worst.earlier.state
    detail = f"{worst.detail} Lost: {_count(worst.affected)} of {worst.earlier.source}."
    if now is None and unlisted:
        detail += f" It may be on {unlisted}: no list of streams came from there."
    end = max(one.earlier.state.last_seq for one in losses)
    give_up = f"If this is meant, confirm it: {confirm_command(before)}."
    if backup is None:
        detail += " No backup that was looked at brings any of it back."
        return Finding(worst.word, CRITICAL, (before.label,), detail, give_up)
    detail += f" The backup {backup.path} has it up to sequence {backup.state.last_seq}."
    if end > backup.state.last_seq:
        detail += f" No backup has sequences {backup.state.last_seq + 1} to {end}, which came after it."
    there = f" This replaces the {_count(now.messages)} that it has now." if now is not None and now.messages else ""
    remedy = f"Restore it: {commands.replace_from([backup.path])[0]}.{there} {give_up}"
    return Finding(worst.word, CRITICAL, (before.label,), detail, remedy, backup=backup.path)


def _count(number: int) -> str:
    return f"{number} message" if number == 1 else f"{number} messages"


def confirm_command(state: State) -> str:
    """The command that looks again and takes the loss as meant."""
    return commands.run("assess", {"assess_given_up": [state.label]})


def _consumers(now: State, earlier: t.Iterable[Earlier]) -> t.Iterator[Finding]:
    """Consumers whose position went back, or that are gone, while their stream is whole."""
    back: dict[str, str] = {}
    for one in earlier:
        for name, floor in one.state.consumers.items():
            if name not in now.consumers:
                back.setdefault(name, f"{name} is gone; {one.source} has it, acknowledged up to {floor}")
            elif now.consumers[name] < floor:
                text = f"{name} has acknowledged up to {now.consumers[name]}; in {one.source} it was {floor}"
                back.setdefault(name, text)
    if back:
        labels = tuple(f"{now.label} > {name}" for name in sorted(back))
        detail = f"{'; '.join(back[name] for name in sorted(back)[:6])}."
        remedy = "Messages behind that position are delivered again. Nothing is to be done if this was meant."
        yield Finding("consumer_position_lost", WARNING, labels, detail, remedy)
