# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a full check counted, against what the archive says of itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..report import ERROR, WARNING, ArchiveReport, Problem
from ..times import format_ns, parse_ns
from ..v1.index import StreamIndex
from .tally import Tally

_MEMORY_RECORD = 16
_NAMED = 20


def content_of(tally: Tally) -> dict[str, Any]:
    """A tally as ArchiveReport holds it."""
    first, last = tally.first or (0, 0), tally.last or (0, 0)
    return {
        "messages": tally.messages,
        "bytes": tally.size,
        "subjects": None if tally.subjects is None else len(tally.subjects),
        "first_seq": first[0],
        "first_ts": format_ns(first[1]),
        "last_seq": last[0],
        "last_ts": format_ns(last[1]),
        "largest": tally.largest[0],
        "largest_seq": tally.largest[1],
    }


def _counted(report: ArchiveReport, tally: Tally, problems: list[Problem]) -> ArchiveReport:
    return replace(
        report,
        problems=tuple(problems),
        content=content_of(tally),
        complete=True,
        messages=tally.messages,
    )


def v2(report: ArchiveReport, tally: Tally) -> ArchiveReport:
    """The report with the count, and problems where it is not what state.json says.

    That was written before the messages were, so that there may be fewer: some expired or were deleted meanwhile.
    """
    state, problems, found = report.state or {}, list(report.problems), tally.messages
    said = state.get("messages", 0)
    if found < said:
        message = f"{found} messages are in the archive, which says that it has {said}"
        problems.append(Problem("v2_count_low", "state.json", message, WARNING))
    elif said and found > said:
        message = f"{found} messages are in the archive, which says that it has {said}"
        problems.append(Problem("v2_count_high", "state.json", message, WARNING))
    elif said:
        problems += _same_count(state, tally)
    return _counted(report, tally, problems)


def _same_count(state: dict[str, Any], tally: Tally) -> list[Problem]:
    problems = []
    size = state.get("bytes", 0)
    in_memory = tally.plain + _MEMORY_RECORD * tally.messages
    if size and size not in (tally.size, in_memory):
        message = f"the messages have {tally.size} bytes, {size} were noted"
        problems.append(Problem("bytes_differ", "state.bytes", message, WARNING))
    first = tally.first[0] if tally.first else 0
    if first and first != state.get("first_seq"):
        message = f"the first message is {first}, {state.get('first_seq')} was noted"
        problems.append(Problem("state_differs", "state.first_seq", message, WARNING))
    return problems


def _may_have_grown(report: ArchiveReport) -> bool:
    """Can the newest message be younger than the snapshot's begin? Those of a mirror have the time of their origin."""
    newest, begin = (report.state or {}).get("last_ts"), report.snapshot_time
    return newest is None or begin is None or bool((report.config or {}).get("mirror")) or parse_ns(newest) >= begin


def v1(report: ArchiveReport, tally: Tally, index: StreamIndex | None) -> ArchiveReport:
    """The report with the count, and problems where it is not what the index says.

    The index is written last: a stream that grew meanwhile has messages there that no block has yet.
    """
    state, problems, found = report.state or {}, list(report.problems), tally.messages
    if index is None or not state:
        return _counted(report, tally, problems)
    last = tally.last[0] if tally.last else index.first_seq - 1
    grown = max(0, index.last_seq - max(last, index.first_seq - 1)) if _may_have_grown(report) else 0
    said = state["messages"]
    if found == said:
        problems += _same_count(state, tally)
    elif said - found <= grown and found < said:
        message = f"{found} messages are in the archive, {said} in its index, of which {grown} can be newer"
        problems.append(Problem("v1_count_low", "msgs/index.db", message, WARNING))
    else:
        message = f"{found} messages are in the archive, {said} in its index"
        problems.append(Problem("v1_messages_missing", "msgs/index.db", message, ERROR))
    return _counted(report, tally, problems)


def checksums(report: ArchiveReport, hashed: int, bad: list[int]) -> ArchiveReport:
    """The report with what the messages' own checksums say. hashed: of how many it was looked at.

    Where every one is wrong, it is this code that does not know how they were made.
    """
    content = {**(report.content or {}), "checksums": hashed}
    if not bad or len(bad) == hashed:
        return replace(report, content=content)
    named = ", ".join(map(str, bad[:_NAMED])) + (" and more" if len(bad) > _NAMED else "")
    message = f"{len(bad)} messages are damaged, their checksums are wrong: {named}"
    problem = Problem("v1_checksum", "message blocks", message, WARNING)
    return replace(report, content=content, problems=(*report.problems, problem), damaged=tuple(sorted(bad)))
