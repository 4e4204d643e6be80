# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The results of a full check's segments, linked in order: proof that no byte between them was left out."""

from __future__ import annotations

import base64
from typing import Any, Callable

from ..report import Problem
from ..v2.entries import read_numbers
from .segment import MARGIN
from .tally import Tally

_END = "end of the archive"


def _problem(error: list[str]) -> Problem:
    return Problem(*error)


class EntryChain:
    """The message entries of a V2 archive.

    Segments were scanned from where an entry seems to begin. That is right if, and only if, the entry that reaches into
    the segment ends there; otherwise the segment is scanned again from where it does end.
    """

    def __init__(self, raw_size: int, first: int, least: int, most: int) -> None:
        self.problems: list[Problem] = []
        self.tally = Tally()
        self.least = least
        self.most = most
        self._expected = first
        self._raw_size = raw_size
        self._partial: bytes | None = None
        self._partial_at = 0
        self._ended = False
        self._broken = False

    def add(
        self, task: dict[str, Any], result: dict[str, Any], again: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> None:
        """The next segment's result."""
        if result.get("damaged"):
            self.problems.append(_problem(result["error"]))
            self._broken = True
        if self._broken or self._ended:
            return
        if self._partial is not None:
            self._complete(base64.b64decode(result["head"]))
            if self._done():
                return
        size = result["size"]
        if self._expected >= task["offset"] + size:
            return
        if result["begin"] != self._expected:
            result = again({**task, "aligned": self._expected, "least": self.least})
        self._take(task, result, size)

    def _done(self) -> bool:
        return self._broken or self._ended

    def _take(self, task: dict[str, Any], result: dict[str, Any], size: int) -> None:
        tally = Tally.from_json(result["tally"])
        if tally.first and tally.first[0] < self.least:
            message = f"message {tally.first[0]} is where one from {self.least} to {self.most} should be"
            self._break("v2_sequence", result["begin"], message)
            return
        self.tally.add(tally)
        if tally.last:
            self.least = tally.last[0] + 1
        if result["error"]:
            self.problems.append(_problem(result["error"]))
            self._broken = True
        elif result["ended"]:
            self._end(result["next"])
        elif result["next"] < task["offset"] + size:
            self._partial, self._partial_at = base64.b64decode(result["tail"]), result["next"]
            if len(self._partial) == MARGIN:
                self._complete(b"")
        else:
            self._expected = result["next"]

    def _complete(self, head: bytes) -> None:
        """Take the entry that goes on in the next segment, of which head is the beginning."""
        data = (self._partial or b"") + head
        begin, self._partial = self._partial_at, None
        try:
            name, time_ns, sequence, header, payload, start = read_numbers(data, 0)
        except IndexError:
            self._break("v2_end_missing", begin, "the archive ends within an entry")
            return
        except ValueError as error:
            self._break("v2_entry_invalid", begin, f"an entry announces {error}")
            return
        if not (name or time_ns or sequence or header or payload):
            self._end(begin + start)
            return
        if not self.least <= sequence <= self.most:
            message = f"message {sequence} is where one from {self.least} to {self.most} should be"
            self._break("v2_sequence", begin, message)
            return
        content = header + payload
        at = (sequence, time_ns)
        size = name + content + (34 if header else 30)
        subject = {data[start : start + name]}
        self.tally.add(Tally(1, size, name + content, at, at, (content, sequence), subject).hashed())
        self.least = sequence + 1
        self._expected = begin + start + name + content

    def _end(self, position: int) -> None:
        self._ended = True
        if position != self._raw_size:
            self._break("trailing_data", position, "there is data after the end marker")

    def _break(self, problem: str, position: int, message: str) -> None:
        self._broken = True
        self.problems.append(Problem(problem, f"decoded byte {position}", message))

    def finish(self) -> None:
        """Note an archive without an end."""
        if not self._ended and not self._broken:
            self.problems.append(Problem("v2_end_missing", _END, "the archive ends without its end marker"))


class BlockChain:
    """The message blocks of a V1 archive."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.tally = Tally()
        self.tombstones = 0
        self.hashed = 0
        self.bad: list[int] = []

    def add(self, result: dict[str, Any]) -> None:
        """The next blocks' result."""
        if result["error"]:
            self.problems.append(_problem(result["error"]))
            return
        tally = Tally.from_json(result["tally"])
        self.tombstones += result["marks"]
        self.hashed += result["hashed"]
        self.bad += result["bad"]
        last = self.tally.last
        if tally.first and last and tally.first[0] <= last[0]:
            message = f"message {tally.first[0]} comes after {last[0]}"
            self.problems.append(Problem("v1_sequence", "message blocks", message))
        self.tally.add(tally)
