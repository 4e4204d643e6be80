# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a private server made of a backup, message by message and consumer by consumer, against the archive."""

from __future__ import annotations

import dataclasses
import typing as t

from .._archive.check.fingerprint import Fields, Fingerprint, Part, fields, parts
from .._archive.check.retrace import retrace
from .._archive.reader import open_archive
from .._nats.model import ConsumerInfo, Json, StreamInfo
from .._nats.readback import Readback, Stored
from .._repository import compare
from .._repository.inspect import Backup
from .._repository.last_check import last_check, suspicion
from .._repository.manifest import ConsumerRecord
from .._repository.suspect import Suspicion

#: Differences that are named; the others are counted.
NAMED = 10
_LIMITS = ("max_msgs", "max_bytes", "max_msgs_per_subject")
_NAMES = ("time", "subject", "headers", "data")


@dataclasses.dataclass(frozen=True)
class Reading:
    """What was read back. C(size): bytes of headers and data. C(differences): the first ones; C(count): of how many.

    C(gone): messages that the stream's own configuration took away while it was restored, which is no difference.
    """

    messages: int = 0
    size: int = 0
    differences: tuple[str, ...] = ()
    count: int = 0
    gone: int = 0


def read_and_compare(
    backup: Backup,
    data: str,
    fingerprint: Fingerprint,
    readback: Readback,
    info: StreamInfo,
    stop: t.Callable[[], bool],
) -> Reading:
    """Read everything back and compare. C(data): path of the archive. For a thread. Raises NatsError, ArchiveError."""
    if backup.format == "V2":
        same, messages, size = retrace(data, readback.messages(info.config, info.state), backup.known_bytes)
    else:
        same, messages, size = _folded(fingerprint, readback, info, stop)
    if same:
        return Reading(messages, size)
    # Once more, and slowly: only now is it worth to look at each message.
    found = _Differences(_explained(backup, info))
    stored = found.counted(readback.messages(info.config, info.state))
    for ours, theirs in _merged(fields(open_archive(data, known=backup.known_bytes), stop), stored):
        found.compare(ours, theirs)
    return Reading(found.messages, found.size, tuple(found.named), found.count, found.gone)


def _folded(
    fingerprint: Fingerprint, readback: Readback, info: StreamInfo, stop: t.Callable[[], bool]
) -> tuple[bool, int, int]:
    same, messages, size = True, 0, 0
    for one, other in _paired(fingerprint.parts(stop), parts(readback.messages(info.config, info.state))):
        same = same and one == other
        if other is not None:
            messages, size = messages + other.messages, size + other.size
    return same, messages, size


def _paired(ours: t.Iterator[Part], theirs: t.Iterator[Part]) -> t.Iterator[tuple[Part | None, Part | None]]:
    return _merge(ours, theirs, lambda part: part.number)


def _merged(ours: t.Iterator[Fields], theirs: t.Iterator[t.Any]) -> t.Iterator[tuple[Fields | None, Fields | None]]:
    return _merge(ours, theirs, lambda message: message[0])


T = t.TypeVar("T")


def _merge(
    ours: t.Iterator[T], theirs: t.Iterator[T], key: t.Callable[[T], int]
) -> t.Iterator[tuple[T | None, T | None]]:
    """Pairs of the same key from two rising sequences; C(None) where one of them lacks it."""
    one, other = next(ours, None), next(theirs, None)
    while one is not None or other is not None:
        if other is None or (one is not None and key(one) < key(other)):
            yield one, None
            one = next(ours, None)
        elif one is None or key(other) < key(one):
            yield None, other
            other = next(theirs, None)
        else:
            yield one, other
            one, other = next(ours, None), next(theirs, None)


class _Differences:
    def __init__(self, explained: t.Callable[[int], bool]) -> None:
        self._explained = explained
        self.named: list[str] = []
        self.count = self.gone = self.messages = self.size = 0

    def counted(self, stored: t.Iterator[Stored]) -> t.Iterator[Stored]:
        """What was read back, counted as it passes."""
        for message in stored:
            self.messages += 1
            self.size += len(message.header) + len(message.payload)
            yield message

    def compare(self, one: Fields | None, other: Fields | None) -> None:
        if one is None and other is not None:
            self._add(f"message {other[0]}: not in the backup")
        elif one is not None and other is None:
            if self._explained(one[0]):
                self.gone += 1
            else:
                self._add(f"message {one[0]}: not restored")
        elif one is not None and other is not None and one[1:] != tuple(other)[1:]:
            wrong = [name for name, a, b in zip(_NAMES, one[1:], tuple(other)[1:]) if a != b]
            self._add(f"message {one[0]}: restored with other {', '.join(wrong)}")

    def _add(self, text: str) -> None:
        self.count += 1
        if len(self.named) < NAMED:
            self.named.append(text)


def _explained(backup: Backup, info: StreamInfo) -> t.Callable[[int], bool]:
    """Whether the configuration accounts for the absence of a message that is in the archive."""
    limited = any(int(info.config.get(name) or -1) > 0 for name in _LIMITS)
    if not backup.exact and limited:
        # Taken while the stream moved on: it can hold a little more than the limits allow.
        return lambda _sequence: True
    floors = [int(record.ack_floor["stream_seq"]) for record in backup.consumers if compare.lasting(record.config)]
    if info.config.get("retention") in ("interest", "workqueue") and floors:
        return lambda sequence: sequence <= min(floors)
    return lambda _sequence: False


def consumer_differences(
    backup: Backup, expected: t.Sequence[ConsumerRecord], found: t.Sequence[ConsumerInfo], state: Json
) -> list[str]:
    """How the restored consumers fall short of the backup's, one sentence each.

    Those of the archive are held against the archive: a cluster does not archive all that the manifest knows.
    """
    differences, absent = compare.consumer_differences(expected, found, int(state.get("first_seq") or 0))
    differences += [f"consumer {record.name}: not restored" for record in absent]
    present = {consumer.name: consumer for consumer in found}
    for archived in backup.report.consumers if backup.report else ():
        consumer = present.get(archived.name)
        if consumer is None or archived.state is None or not compare.lasting(archived.config):
            continue
        want, have = int(archived.state["delivered"]["stream_seq"]), int(consumer.delivered.get("stream_seq") or 0)
        if have < want:
            differences.append(f"consumer {archived.name}: delivered up to {want} in the backup, {have} in the stream")
        waiting = archived.state.get("num_ack_pending")
        if waiting is not None and waiting != consumer.num_ack_pending:
            differences.append(
                f"consumer {archived.name}: {waiting} messages wait for acknowledgement in the backup,"
                f" {consumer.num_ack_pending} in the stream"
            )
    return differences


def doubts(backup: Backup, reading: Reading) -> list[str]:
    """Messages that the stream had when it was backed up, and that are not in the backup, as a difference."""
    if backup.format == "V1" and reading.count:
        return []  # what is damaged in it is in the archive, and has just been named
    known = suspicion(backup, last_check(backup))
    if known or backup.manifest is None or not backup.manifest.kept_all:
        return [f"messages: {known}"] if known else []
    said = int(backup.state.get("messages") or 0)
    fewer = said - reading.messages - reading.gone - reading.count
    return [f"messages: {Suspicion('missing', fewer, said).text}"] if fewer > 0 else []
