# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a restored stream's own configuration can have taken each message that is missing.

Figures cannot tell a message that expired from one that was lost. So each message of the archive that the stream does
not have needs a reason: its age, its own time to live, a consumer, a limit, or a later message of the same subject.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import time
import typing as t

from ..._archive.times import parse_ns
from ..._archive.v2.walk import Message
from ..._nats.api import JetStream
from ..._nats.model import Json, StreamInfo
from ..._repository.inspect import Backup
from .content import Figures, moves

# A clock may be read a moment before or after the server's.
_SLACK = 2_000_000_000
# Subjects to ask for at once, and in all.
_BATCH = 64
_MOST = 4096
# What a store adds to a message of the given sizes, at most.
_OVERHEAD = 64
_HEADER = re.compile(rb"\r\n(nats-ttl|nats-schedule|nats-rollup):[ \t]*([^\r\n]*)", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


@dataclasses.dataclass
class Sifted:
    """The messages that are missing, by what is still to be proven.

    C(consumed): how many can only have been consumed. C(subjects): of those that a later message of the subject can
    have replaced, the last sequence of each subject. C(without): the first of those that have no reason, and C(count)
    how many they are.
    """

    consumed: int = 0
    subjects: dict[str, int] = dataclasses.field(default_factory=dict)
    without: int = 0
    count: int = 0

    def blame(self, sequence: int) -> None:
        """Note a message that has no reason to be missing."""
        self.without = min(self.without or sequence, sequence)
        self.count += 1


def lifetime(text: str) -> int | None:
    """Nanoseconds of a C(Nats-TTL) header: seconds, or a Go duration; C(None) for one that never ends."""
    if text.isdigit():
        return int(text) * 10**9
    parts = _DURATION.findall(text)
    return sum(int(float(number) * _UNITS[unit]) for number, unit in parts) if parts else None


def headers_of(block: bytes) -> dict[str, str]:
    """The headers by which a server acts on a message, names in lower case."""
    return {name.decode().lower(): value.decode(errors="replace").strip() for name, value in _HEADER.findall(block)}


class Reasons:
    """What takes messages from the stream that C(info) shows, with its deleted sequences."""

    def __init__(self, backup: Backup, info: StreamInfo, came: int) -> None:
        config, self._state = info.config, info.state
        self._config = config
        self._now = Figures.of(info.state)
        self._deleted = frozenset(info.state.get("deleted") or ())
        self._clock = (parse_ns(info.told) if info.told else time.time_ns()) + _SLACK
        self._age = int(config.get("max_age") or 0) if moves(config, "max_age") else 0
        self._filled = moves(config, "max_msgs") and self._now.messages >= int(config["max_msgs"])
        replaced = moves(config, "max_msgs_per_subject") or moves(config, "allow_rollup_hdrs")
        self._replaceable = (came > 0 and replaced) or _lowered(backup.config, config, "max_msgs_per_subject")
        self._pushed = (0, 0)

    def sort(self, message: Message, found: Sifted) -> None:
        """Sort one message of the archive, where the stream does not have it."""
        now, sequence = self._now, message.sequence
        at_front = sequence < now.first or not now.messages
        if (not at_front and sequence <= now.last and sequence not in self._deleted) or self._expired(message):
            return
        if at_front and self._filled:
            return
        if moves(self._config, "retention"):
            found.consumed += 1
        elif at_front and moves(self._config, "max_bytes"):
            size = len(message.subject) + len(message.header) + message.payload_size + _OVERHEAD
            self._pushed = max(self._pushed, (sequence, size))
        elif not self._replaceable:
            found.blame(sequence)
        elif message.subject in found.subjects or len(found.subjects) < _MOST:
            found.subjects[message.subject] = sequence

    def _expired(self, message: Message) -> bool:
        headers = headers_of(message.header) if message.header else {}
        if "nats-schedule" in headers and moves(self._config, "allow_msg_schedules"):
            return True
        own = lifetime(headers["nats-ttl"]) if "nats-ttl" in headers and moves(self._config, "allow_msg_ttl") else 0
        return any(limit and message.time_ns + limit <= self._clock for limit in (self._age, own))

    def settle(self, found: Sifted) -> None:
        """After the last message: what was pushed out last still had no room, since messages go from the front."""
        sequence, size = self._pushed
        if sequence and int(self._state.get("bytes") or 0) + size <= int(self._config["max_bytes"]):
            found.blame(sequence)


def sift(backup: Backup, info: StreamInfo, came: int, stop: t.Callable[[], bool]) -> Sifted:
    """Read the archive and sort its messages that C(info), with its deleted sequences, does not have."""
    # Few restores miss anything, and this takes long to load.
    from ..._archive.reader import open_archive  # noqa: PLC0415

    found, reasons = Sifted(), Reasons(backup, info, came)
    archive = open_archive(backup.data, stop)
    if archive.format == "V1" and archive.index is None:
        return found  # which messages were deleted before the backup cannot be told
    for message in archive.messages(payloads=False, stop=stop):
        reasons.sort(message, found)
    reasons.settle(found)
    return found


def _lowered(before: Json, now: Json, key: str) -> bool:
    was, limit = int(before.get(key) or 0), int(now.get(key) or 0)
    return limit > 0 and not 0 < was <= limit


async def unexplained(js: JetStream, backup: Backup, info: StreamInfo, came: int) -> str:
    """Which messages are missing although nothing in the configuration takes them, as words; empty if there are none.

    C(info) must have the deleted sequences; C(came) is how many messages came since.
    """
    stopped = False
    work = asyncio.get_running_loop().run_in_executor(None, sift, backup, info, came, lambda: stopped)
    try:
        found = await asyncio.shield(work)
    except asyncio.CancelledError:
        stopped = True
        await asyncio.wait({work})
        raise
    if found.subjects:
        await _replaced(js, backup, info, found)
    if found.consumed:
        deliveries = await _deliveries(js, backup, info.name)
        if found.consumed > deliveries:
            return f"{found.consumed} messages are missing, and consumers took {deliveries} at most"
    return f"{found.count} messages are missing, the first is sequence {found.without}" if found.count else ""


async def _replaced(js: JetStream, backup: Backup, info: StreamInfo, found: Sifted) -> None:
    """Look for the later message of each subject; one that rolls up everything is the first message of the stream."""
    name, first = info.name, Figures.of(info.state).first
    head = await js.message(name, first) if first > backup.up_to else None
    if head is not None and headers_of(head.headers).get("nats-rollup", "").lower() == "all":
        return
    objects = name.startswith("OBJ_") and info.state.get("last_seq", 0) > backup.up_to
    # An object that was put anew: its client purges the old chunks.
    wanted = [subject for subject in found.subjects if not (objects and re.match(r"\$O\.[^.]+\.C\.", subject))]
    for start in range(0, len(wanted), _BATCH):
        subjects = wanted[start : start + _BATCH]
        latest = await asyncio.gather(*(js.message(name, last_of=subject) for subject in subjects))
        for subject, message in zip(subjects, latest):
            lowered = _lowered(backup.config, info.config, "max_msgs_per_subject")
            if message is None or message.sequence <= (found.subjects[subject] if lowered else backup.up_to):
                found.blame(found.subjects[subject])


async def _deliveries(js: JetStream, backup: Backup, name: str) -> int:
    """How many messages consumers can have acknowledged since the backup."""
    floors = {record.name: int(record.ack_floor["consumer_seq"]) for record in backup.consumers}
    total = 0
    for consumer in (await js.consumers(name)).items:
        delivered, floor = int(consumer.delivered.get("consumer_seq") or 0), floors.get(consumer.name, 0)
        total += delivered - floor if delivered >= floor else delivered
    return total
