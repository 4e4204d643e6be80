# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The quick check: one pass over an archive, as it arrives or from a file.

It proves size and SHA-256, every frame's bounds, every stored block's checksum, and the archive's head and end. It
decodes no more compressed blocks than these need, so a flipped bit within one of the others is left to the full check.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from dataclasses import replace
from typing import Callable

from ..._files.reading import DATA, open_file
from ..bounds import TOO_LARGE, allowance, most_decoded
from ..codec.s2 import STORED, Frame, FrameParser, check_stored, decode_frame
from ..errors import ArchiveError
from ..report import ArchiveReport, Problem
from ..v2.entries import MAGIC
from ..v2.walk import read_entries
from .quick_parts import QuickTar, QuickV2, described

# Chunks can be tiny, and each one read at once takes memory.
_READ = 256 * 1024
_BOUND = 1024 * 1024
_MOST_PROBLEMS = 20
_MOST_WAITING = 64
_STOPPED = "the check was stopped"


def _once(decode: Callable[[Frame], bytes]) -> Callable[[Frame], bytes]:
    """decode that remembers its last frame: the first is decoded to tell the format, and again by the format's part."""
    last: list[tuple[Frame, bytes]] = []

    def remembering(frame: Frame) -> bytes:
        if not last or last[0][0] is not frame:
            last[:] = [(frame, decode(frame))]
        return last[0][1]

    return remembering


class QuickCheck:
    """Feed it an archive's bytes in order, then finish it. Not thread-safe; use it from one thread at a time.

    whole: keep what a full check goes on from: bounds, the file's and the decoded offsets of a chunk about every MiB;
    parts, what is known of the format, with all of the index and of each consumer.
    """

    def __init__(self, whole: bool = False, decode: Callable[[Frame], bytes] = decode_frame) -> None:
        self.size = 0
        self.bounds = (array("Q", (0,)), array("Q", (0,)))
        self._whole = whole
        self._decode = _once(decode)
        self._digest = hashlib.sha256()
        self._frames = FrameParser()
        self._raw_size = 0
        self._problems: list[Problem] = []
        self._broken = False
        self._waiting: list[Frame] = []
        self._part: QuickTar | QuickV2 | None = None
        self._report: ArchiveReport | None = None

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes. Damage never raises: it is noted for finish; from then on only size and digest count.

        bytes objects are held without a copy while they are part of a block; anything else is copied first.
        """
        if not isinstance(data, bytes):
            data = bytes(data)
        self._digest.update(data)
        self.size += len(data)
        if self._broken:
            return
        try:
            for frame in self._frames.feed(data):
                files, decoded = self.bounds
                if self._whole and max(frame.offset - files[-1], self._raw_size - decoded[-1]) >= _BOUND:
                    files.append(frame.offset)
                    decoded.append(self._raw_size)
                self._raw_size += frame.raw_length
                self._frame(frame)
        except ArchiveError as error:
            self._give_up(error)

    def finish(self) -> ArchiveReport:
        """What was found. Calling it again gives the same report."""
        if self._report is None:
            if not self._broken:
                try:
                    self._frames.finish()
                    if self._part is None:
                        raise ArchiveError("not_an_archive", "the archive holds too little to be one", "byte 0")
                    self._part.finish()
                except ArchiveError as error:
                    self._give_up(error)
            report = ArchiveReport(None, self.size, self._digest.hexdigest(), self._raw_size)
            if any(problem.id == TOO_LARGE for problem in self._problems):
                self._part = None  # what it has read so far is not kept: a repository can have many of these
            if self._part is not None:
                self._problems += self._part.problems
                report = self._part.describe(report)
            self._report = replace(report, problems=tuple(self._problems[:_MOST_PROBLEMS]))
        return self._report

    @property
    def parts(self) -> QuickTar | QuickV2 | None:
        """What is known of the archive, once its format is."""
        return self._part

    def _frame(self, frame: Frame) -> None:
        if frame.kind == STORED:
            check_stored(frame)
        if self._part is not None:
            self._part.frame(frame)
            return
        # Blocks can be shorter than the magic word that tells the formats apart.
        self._waiting.append(frame)
        head = b"".join(self._decode(waiting) for waiting in self._waiting)
        if len(head) < len(MAGIC) and MAGIC.startswith(head):
            if len(self._waiting) > _MOST_WAITING:
                raise ArchiveError("not_an_archive", "the archive begins with empty chunks", frame.place)
            return
        self._part = (QuickV2 if head.startswith(MAGIC) else QuickTar)(self._whole, self._decode)
        waiting, self._waiting = self._waiting, []
        for first in waiting:
            self._part.frame(first)

    def _give_up(self, error: ArchiveError) -> None:
        self._broken = True
        self._problems.append(Problem(error.error, error.place, error.message))
        if error.error == "not_an_archive":
            self._part = None


def quick_file(path: str | os.PathLike[str], stop: Callable[[], bool] | None = None, known: int = 0) -> ArchiveReport:
    """Check a file. stop is asked now and then; True ends the check with ArchiveError "stopped".

    known: the bytes that the stream has, as its state says, for what the file may decode to. Raises OSError where the
    file cannot be read. Damage is in the report.
    """
    check = QuickCheck()
    with open_file(path, DATA) as file:
        while data := file.read(_READ):
            if stop is not None and stop():
                raise ArchiveError("stopped", _STOPPED)
            check.feed(data)
    return settle_end(path, check.finish(), stop, known)


def bounded(report: ArchiveReport, known: int) -> ArchiveReport:
    """The report, with a problem where the archive decodes to far more than its stream of known bytes can have."""
    most = most_decoded(report.size, known)
    if report.raw_size <= most:
        return report
    message = (
        f"a file of {report.size} bytes decodes to {report.raw_size}, and the stream has {known}: it was made to use up"
        f" memory and time. At most {most} are decoded"
    )
    return replace(report, problems=(*report.problems, Problem(TOO_LARGE, "the whole file", message)))


def settle_end(
    path: str | os.PathLike[str],
    report: ArchiveReport,
    stop: Callable[[], bool] | None = None,
    known: int = 0,
) -> ArchiveReport:
    """The report of path with v2_end_unproven settled, if it has that, by reading every entry; and bounded.

    The quick check keeps a few MiB of the archive's end; a last message larger than these needs this second look.
    """
    report = bounded(report, known)
    if not report.valid or not any(problem.id == "v2_end_unproven" for problem in report.problems):
        return report
    others = tuple(problem for problem in report.problems if problem.id != "v2_end_unproven")
    ended, last = False, None
    try:
        for entry, order in read_entries(
            path, headers=False, payloads=False, stop=stop, allowed=allowance(path, known)
        ):
            ended, last = entry.is_end, order.last
    except ArchiveError as error:
        return replace(report, problems=(*others, Problem(error.error, error.place, error.message)))
    if not ended:
        raise ArchiveError("stopped", _STOPPED)
    return replace(report, problems=others, last_message=described(last))
