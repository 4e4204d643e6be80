# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A V1 archive as a whole: meta.inf, meta.sum, msgs/<n>.blk, msgs/index.db, then three files for each consumer."""

from __future__ import annotations

import re
from typing import Any

from ..bounds import MOST_BLOCK, TOO_LARGE, Metadata
from ..report import ERROR, WARNING, ArchivedConsumer, Problem
from .state import INDEX_HEAD, decode_consumer_state, decode_first_record, decode_index, decode_json
from .tarball import Member

_MOST_META = 8 * 1024 * 1024
_MOST_STATE = 1024 * 1024
_MOST_INDEX = 32 * 1024 * 1024
_MOST_POSITIONS = 16 * 1024 * 1024
_MOST_ERROR = 500
# A record's fixed part and a subject as long as any in use.
_RECORD = 4096
_MOST_PROBLEMS = 20
_BLOCK_NAME = re.compile(r"msgs/(\d{1,10})\.blk")
_CONSUMER_NAME = re.compile(r"obs/([^/]+)/(meta\.inf|meta\.sum|o\.dat)", re.DOTALL)
_CONSUMER_FILES = ("meta.inf", "meta.sum", "o.dat")
_CONSUMER_COST = 1024
_META, _SUM, _MESSAGES, _INDEX, _CONSUMERS = range(5)


class MemberOrder:
    """Takes the members of a V1 archive in order, decodes what is wanted of them and notes what is wrong.

    whole: want all of the index and of each consumer; then unread lists what is left: (name, number or None for what is
    no message block, offset in the tar, bytes).
    """

    def __init__(self, whole: bool = False) -> None:
        self.unread: list[tuple[str, int | None, int, int]] = []
        self.index = b""
        self._whole = whole
        self.problems: list[Problem] = []
        self.config: dict[str, Any] | None = None
        self.created: str | None = None
        self.state: dict[str, Any] | None = None
        self.first_record: dict[str, Any] | None = None
        self.mtime_ns: int | None = None
        self._rank = -1
        self._seen: set[str] = set()
        self._block = 0
        self._consumers: dict[str, dict[str, Any]] = {}
        self._current = ""
        self._metadata = Metadata()

    def wants(self, name: str, size: int) -> int:
        """How many bytes of the member's content to hand to accept."""
        if name == "errors.txt":
            return _MOST_ERROR
        if name == "msgs/index.db":
            return min(size, _MOST_INDEX) if self._whole else INDEX_HEAD
        if name.endswith("meta.inf"):
            return min(size, _MOST_META)
        if name.endswith("/o.dat"):
            return min(size, _MOST_POSITIONS if self._whole else _MOST_STATE)
        return _RECORD if name.endswith(".blk") and not self._block else 0

    def accept(self, member: Member) -> None:
        """Note a member. Damage becomes a problem; only what is too large raises ArchiveError."""
        name = member.name
        if self.mtime_ns is None:
            self.mtime_ns = member.mtime_ns
        block, consumer = _BLOCK_NAME.fullmatch(name), _CONSUMER_NAME.fullmatch(name)
        self._note_unread(member, int(block[1]) if block else None)
        if _unsafe(name):
            self._problem("tar_member_unsafe", name, "the member's name leads out of the stream's directory")
        elif name == "errors.txt":
            text = member.head.decode("utf-8", "replace")
            self._problem("errors_txt", name, f"the server wrote an error into the archive: {text}")
        elif name == "meta.inf":
            self._rises(name, _META)
            self._meta(member)
        elif name == "meta.sum":
            self._rises(name, _SUM)
        elif block:
            self._message_block(member, int(block[1]))
        elif name == "msgs/index.db":
            self._rises(name, _INDEX)
            self._index(member)
        elif consumer:
            self._consumer_file(member, consumer[1], consumer[2])
        elif name.startswith("obs/") and name.endswith(_CONSUMER_FILES):
            self._problem("consumer_name_unsafe", name, "a consumer's name contains a path separator")
        else:
            self._problem("tar_member_unknown", name, "an unknown member", WARNING)

    def _note_unread(self, member: Member, number: int | None) -> None:
        # Nothing goes on from an archive with errors.
        if not self._whole or any(problem.severity == ERROR for problem in self.problems):
            return
        if number is not None:
            self.unread.append((member.name, number, member.offset, member.size))
        elif member.size > len(member.head):
            begin = member.offset + len(member.head)
            self.unread.append((member.name, None, begin, member.size - len(member.head)))

    def finish(self) -> None:
        """Note what every server writes and this archive lacks."""
        for name in ("meta.inf", "meta.sum"):
            if name not in self._seen:
                self._problem("tar_member_missing", name, f"{name} is missing")
        for consumer, parts in self._consumers.items():
            for file in _CONSUMER_FILES:
                if file not in parts:
                    message = f"{file} of the consumer {consumer!r} is missing"
                    self._problem("tar_member_missing", f"obs/{consumer}/{file}", message)

    @property
    def consumers(self) -> tuple[ArchivedConsumer, ...]:
        found = self._consumers.items()
        return tuple(ArchivedConsumer(name, parts.get("config", {}), parts.get("state")) for name, parts in found)

    @property
    def first_message(self) -> dict[str, Any] | None:
        """The first record, if the state confirms that it is the first message and not a deleted one."""
        if self.state is None or self.first_record is None or not self.state["messages"]:
            return None
        return self.first_record if self.first_record["sequence"] == self.state["first_seq"] else None

    def _problem(self, problem: str, name: str, message: str, severity: str = "error") -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(Problem(problem, f"member {name[:200]}", message, severity))

    def _rises(self, name: str, rank: int) -> None:
        if name in self._seen:
            self._problem("tar_member_duplicate", name, f"{name} is there twice")
        elif rank < self._rank:
            self._problem("tar_member_order", name, f"{name} comes too late")
        elif rank > self._rank + 1 and self._rank < _SUM:
            self._problem("tar_member_order", name, f"{name} comes before the stream's meta.inf and meta.sum")
        self._rank = max(rank, self._rank)
        if rank in (_META, _SUM, _INDEX):
            self._seen.add(name)

    def _meta(self, member: Member) -> None:
        try:
            if member.size > _MOST_META:
                raise ValueError(f"{member.size} bytes long")
            config = decode_json(member.head)
            created = config.pop("Created", None)
            if not isinstance(config.get("name"), str):
                raise ValueError("no stream name")
        except ValueError as error:
            self._problem("meta_invalid", member.name, f"the stream's configuration cannot be read: {error}")
            return
        self.config = config
        self.created = created if isinstance(created, str) else None

    def _message_block(self, member: Member, number: int) -> None:
        self._rises(member.name, _MESSAGES)
        if member.size > MOST_BLOCK:
            self._problem(TOO_LARGE, member.name, f"a message block of {member.size} bytes")
        if number <= self._block:
            problem = "tar_member_duplicate" if number == self._block else "tar_member_order"
            self._problem(problem, member.name, f"message block {number} comes after {self._block}")
        elif not self._block:
            try:
                self.first_record = decode_first_record(member.head)
            except ValueError as error:
                self._problem("tar_member_order", member.name, str(error))
        self._block = max(number, self._block, 1)

    def _index(self, member: Member) -> None:
        try:
            self.state = decode_index(member.head)
            self.index = member.head
        except ValueError as error:
            self._problem("state_unreadable", member.name, f"the stream's state cannot be read: {error}", WARNING)

    def _consumer_file(self, member: Member, consumer: str, file: str) -> None:
        self._rises(member.name, _CONSUMERS)
        parts = self._consumers.setdefault(consumer, {})
        if not parts:
            self._metadata.take(_CONSUMER_COST + len(consumer), f"member {member.name[:200]}")
        place = _CONSUMER_FILES.index(file)
        if file in parts:
            self._problem("tar_member_duplicate", member.name, f"{member.name} is there twice")
            return
        if len([name for name in _CONSUMER_FILES if name in parts]) != place or (place and consumer != self._current):
            self._problem("tar_member_order", member.name, f"{member.name} is not where servers write it")
        parts[file] = True
        self._current = consumer
        try:
            if file == "meta.inf":
                config = self._metadata.object(member.head, f"member {member.name[:200]}")
                parts["config"] = {key: value for key, value in config.items() if key not in ("Created", "Name")}
            elif file == "o.dat":
                parts["state"] = decode_consumer_state(member.head, whole=len(member.head) == member.size)
        except ValueError as error:
            self._problem("consumer_invalid", member.name, f"the consumer {consumer!r} cannot be read: {error}")


def _unsafe(name: str) -> bool:
    return "\\" in name or "\0" in name or any(part in ("", ".", "..") for part in name.split("/"))
