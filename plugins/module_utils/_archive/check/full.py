# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The full check: every block decoded and its checksum compared, every record parsed, every message counted.

A quick check comes first and says where the messages are; segments of these are then decoded on all processors. What is
found in each is put together here, in order, so that the result is that of one pass from the first byte to the last.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Callable, Union

from ..._files.reading import DATA, file_size, open_file
from ..bounds import TOO_LARGE, most_decoded
from ..codec.highway import key_of
from ..errors import ArchiveError
from ..report import ERROR, ArchiveReport, Problem
from ..v1.index import StreamIndex, decode_blocks
from . import chain
from . import totals as fullcheck
from .engine import MOST_HASHED, Engine, accelerated, choose
from .quick import QuickCheck, bounded
from .quick_parts import QuickTar, QuickV2
from .segment import ranges, run_task
from .workers import WORTH_A_PROCESS, processors, shared_pool

Path = Union[str, "os.PathLike[str]"]
Stop = Union[Callable[[], bool], None]

_READ = 256 * 1024
_SEGMENT = 4 * 1024 * 1024
_MOST_PROBLEMS = 20
_MOST_PIECES = 4096


def full_file(
    path: Path, stop: Stop = None, engine: Engine | None = None, parallel: bool = True, known: int = 0
) -> ArchiveReport:
    """Check a file in full. stop is asked now and then; True ends the check with ArchiveError "stopped".

    engine: choose one by the file's size if None. known: the bytes that the stream has, as its state says. Raises
    OSError where the file cannot be read. Damage is in the report; what the quick check finds ends it.
    """
    engine = engine or choose(file_size(path, DATA))
    check = QuickCheck(whole=True, decode=engine.decode)
    with open_file(path, DATA) as file:
        while data := file.read(_READ):
            _asked(stop)
            check.feed(data)
    report = bounded(check.finish(), known)
    # The second look at an end that a quick check cannot prove is what follows now; so is the count.
    settled = tuple(problem for problem in report.problems if problem.id not in ("v2_end_unproven", "v2_count_low"))
    report = replace(report, problems=settled)
    parts = check.parts
    if not report.valid or parts is None:
        return replace(report, engine=engine.name)
    if isinstance(parts, QuickTar) and report.raw_size > MOST_HASHED:
        # Checksums of messages are slow in plain Python.
        engine = accelerated() or engine
    work = _Work(os.fspath(path), check, report.raw_size, engine, stop, parallel)
    work.most = most_decoded(report.size, known)
    found = _v1(work, parts, report) if isinstance(parts, QuickTar) else _v2(work, parts, report)
    problems = (*report.problems, *found.problems)[:_MOST_PROBLEMS]
    name = engine.name if not work.spread or engine.threads else f"{engine.name}, {processors()} processes"
    return replace(found, problems=problems, engine=name)


def _asked(stop: Stop) -> None:
    if stop is not None and stop():
        raise ArchiveError("stopped", "the check was stopped")


class _Work:
    """The tasks of one check, done here or by the pool, their results in order."""

    def __init__(self, path: str, check: QuickCheck, raw_size: int, engine: Engine, stop: Stop, parallel: bool) -> None:
        self.path = path
        self.raw_size = raw_size
        self.engine = engine
        self.most = 0
        self._stop = stop
        files, decoded = check.bounds
        self._bounds = [*zip(files, decoded), (check.size, raw_size)]
        self._starts = [start for _file, start in self._bounds]
        self.spread = parallel and raw_size >= WORTH_A_PROCESS and processors() > 1

    def run(self, tasks: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """(task, result) of each in order; a few are under way at once."""
        if not self.spread:
            for task in tasks:
                _asked(self._stop)
                yield task, run_task(task, self.engine)
            return
        pool = shared_pool()
        waiting: deque[tuple[dict[str, Any], Future[dict[str, Any]]]] = deque()
        try:
            for task in tasks:
                waiting.append((task, pool.submit(task, self.engine)))
                if len(waiting) > pool.size * 2:
                    _asked(self._stop)
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                _asked(self._stop)
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            for _task, future in waiting:
                future.cancel()

    def again(self, task: dict[str, Any]) -> dict[str, Any]:
        """Do one task here and now."""
        return run_task(task, self.engine)

    def segments(self, begin: int) -> Iterator[dict[str, Any]]:
        """Tasks for all from the chunk with the decoded byte begin on."""
        first = max(0, bisect_right(self._starts, begin) - 1)
        for (start, offset), (end, _stop) in ranges(self._bounds[first:], _SEGMENT):
            yield {"path": self.path, "start": start, "end": end, "offset": offset}

    def around(self, begin: int, end: int) -> dict[str, Any]:
        """A task for the chunks that hold the decoded bytes from begin to end."""
        first = max(0, bisect_right(self._starts, begin) - 1)
        last = first + 1
        while last < len(self._bounds) - 1 and self._starts[last] < end:
            last += 1
        start, offset = self._bounds[first]
        return {"path": self.path, "start": start, "end": self._bounds[last][0], "offset": offset}


def _v2(work: _Work, parts: QuickV2, report: ArchiveReport) -> ArchiveReport:
    order = parts.order
    first = order.first.offset if order.first else order.end
    if first is None or order.state is None:
        raise ArchiveError("v2_end_missing", "the archive has no messages and no end", "decoded byte 0")
    links = chain.EntryChain(work.raw_size, first, max(order.state["first_seq"], 1), order.most)
    tasks = (
        {**task, "aligned": first if task["offset"] <= first else None, "least": links.least, "most": links.most}
        for task in work.segments(first)
    )
    for task, result in work.run(tasks):
        links.add(task, result, work.again)
    links.finish()
    found = replace(report, problems=tuple(links.problems))
    return found if links.problems else fullcheck.v2(found, links.tally)


def _v1(work: _Work, parts: QuickTar, report: ArchiveReport) -> ArchiveReport:
    order = parts.order
    try:
        index: StreamIndex | None = decode_blocks(order.index)
    except ValueError:
        index = None
    links = chain.BlockChain()
    expanded = 0
    stream = str((order.config or {}).get("name") or "")
    for _task, result in work.run(_block_tasks(work, order.unread, index, stream)):
        links.add(result)
        expanded += result.get("expanded", 0)
        if expanded > work.most:
            message = f"its message blocks become more than {work.most} bytes, far more than the stream has"
            links.problems.append(Problem(TOO_LARGE, "message blocks", message))
        if links.problems:
            break
    found = replace(report, problems=tuple(links.problems))
    if any(problem.severity == ERROR for problem in links.problems):
        return found
    return fullcheck.checksums(fullcheck.v1(found, links.tally, index), links.hashed, links.bad)


def _block_tasks(
    work: _Work, unread: list[tuple[str, int | None, int, int]], index: StreamIndex | None, stream: str
) -> Iterator[dict[str, Any]]:
    pieces: list[dict[str, Any]] = []
    size = hashed = 0
    for name, number, offset, length in _divided(unread):
        hashed += length if number is not None else 0
        wanted = number is not None and (work.engine.threads or hashed <= MOST_HASHED)
        key = key_of(stream, number) if wanted and number is not None else None
        known = index.task(number) if index is not None and number is not None else None
        piece = {"name": name, "is_block": number is not None, "offset": offset, "size": length, "index": known}
        pieces.append({**piece, "key": key})
        size += length
        if size >= _SEGMENT or len(pieces) >= _MOST_PIECES:
            yield _block_task(work, pieces, index)
            pieces, size = [], 0
    if pieces:
        yield _block_task(work, pieces, index)


def _divided(unread: list[tuple[str, int | None, int, int]]) -> Iterator[tuple[str, int | None, int, int]]:
    """The same, with what is no message block in parts: of it, only the checksums are looked at."""
    for name, number, offset, length in unread:
        step = length if number is not None else _SEGMENT
        for start in range(offset, offset + length, step) if length else (offset,):
            yield name, number, start, min(step, offset + length - start)


def _block_task(work: _Work, pieces: list[dict[str, Any]], index: StreamIndex | None) -> dict[str, Any]:
    end = pieces[-1]["offset"] + pieces[-1]["size"]
    first_seq = index.first_seq if index else 0
    return {
        **work.around(pieces[0]["offset"], end),
        "pieces": pieces,
        "first_seq": first_seq,
        "least": 1,
        "most": work.most,
    }
