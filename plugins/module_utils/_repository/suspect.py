# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a backup holds less than its stream should have: what figures prove, and nothing else. Pure functions.

A server leaves a message that it cannot read out of a snapshot, and says nothing. A stream can also lose messages
in good order: by its limits, by deletions, by the clock. So fewer messages are damage only where the figures before and
after the snapshot show that none went away.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
import typing as t

from .._archive.report import WARNING, ArchiveReport, Problem
from .._archive.times import ZERO, parse_ns
from .._nats.model import Json

#: The id of the problem; with C(v1_checksum), a full check of a V1 archive tells the same.
SUSPECT = "suspect"
DAMAGE = (SUSPECT, "v1_checksum")
#: Servers use the two highest bits of a sequence for marks of their own.
UNKEEPABLE = 1 << 62
# Of the sequences of missing messages.
_NAMED = 20
# A server deletes what has expired a little late, and its clock may be another one.
_CLOCK = 600.0


@dataclasses.dataclass(frozen=True)
class Suspicion:
    """Why a backup may hold less than its stream should have.

    C(kind): C(missing) (not in the archive), C(damaged) (in it, with a wrong checksum), C(lost) (the server says so
    itself), C(sequences) (too high to be kept). C(count): messages, 0 where it is not known; C(of): those that the
    stream counts. C(sequences): of these messages as far as they are known, as in C(("100", "205-230")).
    """

    kind: str
    count: int = 0
    of: int = 0
    sequences: tuple[str, ...] = ()

    @property
    def retry(self) -> bool:
        """Whether another snapshot can be better."""
        return self.kind in ("missing", "damaged")

    @property
    def text(self) -> str:
        """What is wrong, without the stream's name."""
        named = ", ".join(self.sequences[:_NAMED])
        more = " and more" if len(self.sequences) > _NAMED else ""
        where = f" (sequence {named}{more})" if named else ""
        if self.kind == "missing":
            return (
                f"{self.count} of {self.of} messages are not in the backup{where}. None was deleted and none expired in"
                " the meantime, so the server cannot read them"
            )
        if self.kind == "damaged":
            return (
                f"{self.count} of {self.of} messages are damaged on the server's disk: their checksums are wrong{where}"
            )
        if self.kind == "lost":
            return f"the server says that it lost {self.count or 'some'} messages of this stream on its disk{where}"
        return (
            f"its sequences reach {named}, and servers cannot keep messages from {UNKEEPABLE} (2^62) on. Such messages"
            " vanish when the server reads its disk again, at the latest in a restore"
        )

    def sentence(self, stream: str) -> str:
        """For a person."""
        what = {
            "sequences": "Publish to a new stream with lower sequences.",
            "lost": "Compare with the backups before this one, and keep them.",
        }.get(self.kind, "Check the server's disk, and keep the backups before this one.")
        return f"stream {stream}: the backup is suspect: {self.text}. {what}"

    def problem(self) -> Problem:
        """As a finding of a check."""
        return Problem(SUSPECT, "messages", self.text, WARNING)

    def dump(self) -> Json:
        """For manifests and results."""
        return {"kind": self.kind, "count": self.count, "of": self.of, "sequences": list(self.sequences)}

    @classmethod
    def load(cls, body: Json | None) -> Suspicion | None:
        """What L(dump) wrote. Raises what a wrong shape raises: ValueError, TypeError, KeyError."""
        if body is None:
            return None
        return cls(str(body["kind"]), int(body["count"]), int(body["of"]), tuple(str(one) for one in body["sequences"]))


def _number(state: Json, key: str) -> int:
    return int(state.get(key) or 0)


def kept_all(config: Json, before: Json, after: Json, now: float | None = None) -> bool:
    """Whether the figures prove that no message of the state C(before) was gone in the state C(after).

    Every message that goes away lowers the count, and only a new sequence raises it. C(now): seconds since 1970.
    """
    if config.get("retention", "limits") != "limits" or config.get("allow_msg_ttl"):
        return False
    age = _number(config, "max_age")
    if age:
        # Not yet deleted and not handed out any more is possible only once the oldest message is that old.
        oldest = parse_ns(str(before.get("first_ts") or ZERO))
        if oldest + age < ((time.time() if now is None else now) + _CLOCK) * 1e9:
            return False
    grown = _number(after, "last_seq") - _number(before, "last_seq")
    same = _number(after, "first_seq") == _number(before, "first_seq")
    return same and grown >= 0 and _number(after, "messages") - _number(before, "messages") == grown


def _highest(state: Json) -> int:
    # The last sequence can have started anew behind the highest number.
    return max(_number(state, "first_seq"), _number(state, "last_seq"))


def unkeepable(state: Json) -> bool:
    """Whether the sequences are beyond those that a server can keep."""
    return _highest(state) >= UNKEEPABLE


def too_few(state: Json, report: ArchiveReport | None) -> int:
    """How many messages fewer a V2 archive has than the state that was taken with it; 0 where it was not counted."""
    if report is None or report.format != "V2" or report.messages is None:
        return 0
    return max(0, _number(state, "messages") - report.messages)


def judge(
    config: Json,
    state: Json,
    report: ArchiveReport,
    *,
    kept: bool,
    lost: Json | None = None,
    missing: tuple[str, ...] = (),
) -> Suspicion | None:
    """What the figures of a snapshot prove. C(kept): L(kept_all); C(lost): the server's own word of the stream."""
    messages = _number(state, "messages")
    if unkeepable(state):
        return Suspicion("sequences", 0, messages, (str(_highest(state)),)) if messages else None
    fewer = too_few(state, report)
    if fewer and kept:
        return Suspicion("missing", fewer, messages, missing)
    if report.damaged:
        return Suspicion("damaged", len(report.damaged), messages, as_ranges(report.damaged))
    if lost and int(config.get("num_replicas") or 1) == 1:
        # A replica gets from the others what it lost, and goes on saying so.
        gone = [int(sequence) for sequence in lost.get("msgs") or ()]
        return Suspicion("lost", len(gone), messages, as_ranges(gone))
    return None


def told(problems: list[Problem], state: Json, report: ArchiveReport | None, manifest: t.Any) -> list[Problem]:
    """The problems of a check, with what the manifest says, or figures prove, of messages that are not there."""
    found: Suspicion | None = manifest.suspect if manifest else None
    if found is None and report is not None:
        found = judge({}, state, report, kept=manifest is not None and manifest.kept_all)
    if found is None or (found.kind == "damaged" and report is not None and report.damaged):
        return problems
    return [*(one for one in problems if one.id != "v2_count_low" or found.kind != "missing"), found.problem()]


def as_ranges(sequences: t.Iterable[int]) -> tuple[str, ...]:
    """Rising sequences, those in a row as one."""
    runs: list[list[int]] = []
    for sequence in sequences:
        if runs and sequence == runs[-1][1] + 1:
            runs[-1][1] = sequence
        else:
            runs.append([sequence, sequence])
    return tuple(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)


def absent(
    sequences: t.Iterable[int], first: int, last: int, deleted: t.Collection[int], most: int
) -> list[int] | None:
    """What lies between C(first) and C(last), is not in the rising C(sequences) and was not deleted.

    C(None) where more than C(most) sequences would have to be looked at.
    """
    found: list[int] = []
    looked, due = 0, first
    for sequence in itertools.chain(sequences, (last + 1,)):
        looked += max(0, sequence - due)
        if looked > most:
            return None
        found += [one for one in range(due, sequence) if one not in deleted]
        due = max(due, sequence + 1)
    return found
