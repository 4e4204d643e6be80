# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a stream holds what a backup says, and what its configuration may have moved since. Pure functions.

One table says which configuration moves which figure. A stream only ever grows behind its last sequence, and a sequence
that is gone does not come back. So the backup's part of a stream is what lies up to the backup's last sequence.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..._nats.model import Json, StreamInfo

#: Where a message can vanish: at the front of the stream only, or anywhere in it.
OLDEST, ANY = "oldest", "any"
#: Where new messages come from: from the stream's own configuration, or from whoever publishes.
ITSELF, OTHERS = "itself", "others"
# So few messages can be so large that a full store is more than half empty.
_FEW = 2


@dataclasses.dataclass(frozen=True)
class Movement:
    """What a configuration does to a stream.

    C(adds): C(last_seq) and C(last_ts) grow, and with them C(messages) and C(bytes). C(takes): C(messages) and C(bytes)
    shrink; C(first_seq) and C(first_ts) grow, and where C(ANY) message can go, C(num_deleted) too. C(on_arrival): it
    takes only where something was added.
    """

    what: str
    applies: t.Callable[[Json], bool]
    adds: str = ""
    takes: str = ""
    on_arrival: bool = False


def _number(config: Json, key: str) -> int:
    return max(0, int(config.get(key) or 0))


def _drops_old(config: Json) -> bool:
    return str(config.get("discard", "old")) != "new"


#: All that moves a stream. What is not in it (a purge, a deleted message, a lost one) is a difference.
MOVEMENTS = (
    Movement("publishers", lambda c: bool(c.get("subjects")) and not c.get("sealed"), adds=OTHERS),
    Movement("mirror", lambda c: bool(c.get("mirror")), adds=ITSELF),
    Movement("sources", lambda c: bool(c.get("sources")), adds=ITSELF),
    Movement("allow_msg_schedules", lambda c: bool(c.get("allow_msg_schedules")), adds=ITSELF, takes=ANY),
    Movement("subject_delete_marker_ttl", lambda c: _number(c, "subject_delete_marker_ttl") > 0, adds=ITSELF),
    Movement("max_age", lambda c: _number(c, "max_age") > 0, takes=OLDEST),
    Movement("allow_msg_ttl", lambda c: bool(c.get("allow_msg_ttl")), takes=ANY),
    Movement("retention", lambda c: c.get("retention") in ("interest", "workqueue"), takes=ANY),
    Movement("max_msgs", lambda c: _number(c, "max_msgs") > 0 and _drops_old(c), takes=OLDEST),
    Movement("max_bytes", lambda c: _number(c, "max_bytes") > 0 and _drops_old(c), takes=OLDEST),
    Movement(
        "max_msgs_per_subject",
        lambda c: _number(c, "max_msgs_per_subject") > 0 and not c.get("discard_new_per_subject"),
        takes=ANY,
        on_arrival=True,
    ),
    Movement("allow_rollup_hdrs", lambda c: bool(c.get("allow_rollup_hdrs")), takes=ANY, on_arrival=True),
)


def movements(config: Json) -> tuple[Movement, ...]:
    """The rows of the table that apply to a configuration."""
    return tuple(movement for movement in MOVEMENTS if movement.applies(config))


def moves(config: Json, what: str) -> bool:
    """Whether the row C(what) applies."""
    return any(movement.what == what for movement in movements(config))


def grows(config: Json, *, others: bool) -> bool:
    """Whether messages may come: by the configuration itself, and with C(others) from publishers."""
    return any(m.adds == ITSELF or (others and m.adds == OTHERS) for m in movements(config))


@dataclasses.dataclass(frozen=True)
class Figures:
    """The figures of a state that tell what is in a stream."""

    messages: int
    first: int
    last: int

    @classmethod
    def of(cls, state: Json) -> Figures:
        return cls(*(int(state.get(key) or 0) for key in ("messages", "first_seq", "last_seq")))

    @property
    def holes(self) -> int:
        """Sequences between the first and the last message that have none."""
        return max(0, self.last - self.first + 1 - self.messages) if self.messages else 0


def kept(wanted: Json, state: Json) -> int | None:
    """How many messages a stream holds up to the backup's last sequence.

    C(None): that takes the list of deleted sequences (C(deleted_details)), which C(state) does not have.
    """
    end, now = Figures.of(wanted).last, Figures.of(state)
    if not now.messages or now.first > end:
        return 0
    if now.last <= end:
        return now.messages
    if not now.holes:
        return end - now.first + 1
    if "deleted" not in state:
        return None
    gone: list[int] = state["deleted"]
    return end - now.first + 1 - sum(sequence <= end for sequence in gone)


def arrived(wanted: Json, state: Json, up_to: int = 0) -> int:
    """How many messages came behind the last one that the backup can have."""
    end, last = max(Figures.of(wanted).last, up_to), Figures.of(state).last
    deleted: list[int] = state.get("deleted") or []
    return max(0, last - end - sum(sequence > end for sequence in deleted))


def lost(wanted: Json, state: Json) -> int:
    """How many of the backup's messages are not in the stream any more; at least, where C(kept) cannot be told."""
    before, now = Figures.of(wanted), Figures.of(state)
    there = kept(wanted, state)
    if there is None:
        return max(0, before.messages - now.messages)
    return max(0, before.messages - there)


def state_differences(
    wanted: Json, info: StreamInfo, *, exact: bool = True, up_to: int = 0, others: bool = False
) -> list[str]:
    """How a stream's content differs from a backup's C(state); empty when it is the same.

    What the stream's own configuration did since does not count, and with C(others), nor what was published.
    C(exact=False) is for a stream that changed while it was backed up: then messages may be fewer than the state says,
    and of the V1 format more, with sequences up to C(up_to).
    """
    config, found = info.config, info.state
    before, now = Figures.of(wanted), Figures.of(found)
    differences: list[str] = []

    def differ(key: str) -> None:
        differences.append(f"{key}: backup {wanted.get(key)}, stream {found.get(key)}")

    may_grow = grows(config, others=others) or before.last < now.last <= up_to
    if now.last < before.last or (now.last > before.last and not may_grow):
        differ("last_seq")
    came = max(0, now.last - before.last) if may_grow else 0
    gone = lost(wanted, found)
    may_lose = not gone or not exact or _may_lose(config, before, found, gone, came)
    there = kept(wanted, found)
    returned = exact and up_to <= before.last and there is not None and there > before.messages
    if now.messages > before.messages + came or returned or not may_lose:
        differ("messages")
    if before.first != now.first and before.messages and not (gone and may_lose and now.first > before.first):
        differ("first_seq")
    same_start = before.messages and now.messages and before.first == now.first
    if same_start and wanted.get("first_ts") != found.get("first_ts"):
        differ("first_ts")
    # After deletions at the tail the last time is that of the last message left, or of the last one ever: lines differ.
    takes = any(movement.takes and not movement.on_arrival for movement in movements(config))
    still = before == now and before.messages and exact and not takes and not wanted.get("num_deleted")
    if still and wanted.get("last_ts") != found.get("last_ts"):
        differ("last_ts")
    return differences


def _may_lose(config: Json, before: Figures, state: Json, gone: int, came: int) -> bool:
    """Whether the configuration can have taken that many of the backup's messages, as far as figures tell."""
    takers = {m.what: m for m in movements(config) if m.takes and (came or not m.on_arrival)}
    anywhere = {name for name, movement in takers.items() if movement.takes == ANY}
    now = Figures.of(state)
    if anywhere and all(takers[name].on_arrival for name in anywhere):
        # A new message takes the place of an old one, or of all of its subject, and is there itself.
        one_each = anywhere == takers.keys() == {"max_msgs_per_subject"}
        return now.messages > 0 and (gone <= came or not one_each)
    if anywhere:
        return True
    room = max(0, min(before.last, now.last) - now.first + 1) if now.messages else 0
    holes = room - (before.messages - gone)
    filled = "max_msgs" in takers and now.messages >= _number(config, "max_msgs")
    # Where new messages push old ones out, the store stays full but for the room of the last one that went.
    half = int(state.get("bytes") or 0) * 2 >= _number(config, "max_bytes") or 0 < now.messages <= _FEW
    pushed = "max_bytes" in takers and half
    return holes <= before.holes and ("max_age" in takers or filled or pushed)
