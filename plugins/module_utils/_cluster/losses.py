# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Streams that lost messages since a backup or an earlier picture; pure.

A stream's last sequence never goes back, its first one neither, and a sequence keeps its time. Where one of these is
broken, messages that were stored are gone, whatever the servers say about their health.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import typing as t

from .finding import CRITICAL, WARNING, Finding
from .held import moment
from .states import Key, State

#: Clocks of servers that led a stream one after the other may differ by this much.
_CLOCKS_NS = 2_000_000_000
_GRAVITY = ("stream_lost", "stream_recreated", "stream_behind")
_BEYOND = "Not in these backups"


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


@dataclasses.dataclass(frozen=True)
class Accepted:
    """A loss that a person has confirmed: of all of the stream, or of what came after C(last_seq)."""

    account: str
    stream: str
    last_seq: int | None = None


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
    older: t.Mapping[Key, Earlier] | None = None,
    known_elsewhere: t.Container[Key] = (),
    accepted: t.Iterable[Accepted] = (),
) -> list[Finding]:
    """The losses of all streams that C(backups) (the newest of each) and the C(last) picture know.

    C(older): of streams whose newest backup was taken after the loss, an older backup that has more.
    C(known_elsewhere): streams without a live copy that another finding names already.
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
        losses = [loss for loss in (_loss(now, one) for one in earlier) if loss is not None]
        losses = [loss for loss in losses if not any(_covers(one, loss, now) for one in confirmed)]
        if losses:
            found.append(_finding(now, losses, _best(earlier, (older or {}).get(key))))
        elif now is not None:
            found.extend(_consumers(now, earlier))
    return found


def _best(earlier: t.Iterable[Earlier], older: Earlier | None) -> Earlier | None:
    """The backup with the most of the stream."""
    backups = [one for one in (*earlier, older) if one is not None and one.path]
    return max(backups, key=lambda one: (one.state.last_seq, one.taken), default=None)


def _covers(confirmed: Accepted, loss: _Loss, now: State | None) -> bool:
    """Whether a person has confirmed what is missing, and no more is missing than that."""
    if (confirmed.account, confirmed.stream) != loss.earlier.state.key:
        return False
    if confirmed.last_seq is None:
        return True
    return loss.word == "stream_behind" and now is not None and now.last_seq >= confirmed.last_seq


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


def _finding(now: State | None, losses: list[_Loss], backup: Earlier | None) -> Finding:
    """One finding a stream: the gravest loss, where its messages are, and the command that brings them back."""
    worst = min(losses, key=lambda one: (_GRAVITY.index(one.word), -one.affected))
    before = worst.earlier.state
    detail = f"{worst.detail} Lost: {_count(worst.affected)} of {worst.earlier.source}."
    end = max(one.earlier.state.last_seq for one in losses)
    give_up = f"If this is meant, confirm it: {confirm_command(before)}."
    if backup is None:
        detail += f" {_BEYOND}: none has this stream."
        return Finding(worst.word, CRITICAL, (before.label,), detail, give_up)
    detail += f" The backup {backup.path} has it up to sequence {backup.state.last_seq}."
    if end > backup.state.last_seq:
        detail += f" {_BEYOND}: sequences {backup.state.last_seq + 1} to {end} came after it."
    if worst.word == "stream_behind" and now is not None and backup.state.last_seq <= now.last_seq:
        return Finding(worst.word, CRITICAL, (before.label,), detail, f"No backup brings more back. {give_up}")
    there = f" This replaces the {_count(now.messages)} that it has now." if now is not None and now.messages else ""
    remedy = f"Restore it: {restore_command(backup)}.{there} {give_up}"
    return Finding(worst.word, CRITICAL, (before.label,), detail, remedy)


def _count(number: int) -> str:
    return f"{number} message" if number == 1 else f"{number} messages"


def restore_command(backup: Earlier) -> str:
    """The command that puts a stream's backup in the place of what is there."""
    state = backup.state
    place, stream = os.path.split(backup.path)
    account_directory, name = os.path.split(place)
    repository, account = os.path.split(account_directory)
    variables = {
        "restore_repository": repository,
        "restore_account": account,
        "restore_set": name,
        "restore_streams": [stream],
        "restore_on_conflict": "replace",
        "restore_replace_confirm": [f"{account} > {state.stream}"],
    }
    return f"ansible-playbook natsops.jetstream.restore -e {shlex.quote(json.dumps(variables))}"


def confirm_command(state: State) -> str:
    """The command that looks again and takes the loss as meant."""
    variables = {"assess_given_up": [state.label]}
    return f"ansible-playbook natsops.jetstream.assess -e {shlex.quote(json.dumps(variables))}"


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
