# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A report as people read it: a page of Markdown, and the few lines that fit a terminal at night."""

from __future__ import annotations

import typing as t

from .._text.shown import shown
from .escaped import block, inline
from .report import Json

#: The most lines on a terminal.
MOST = 25
_WIDTH = 160
_TABLES = {
    "lost": ("Lost", ("account", "stream", "consumer", "since", "messages", "reason")),
    "plan": ("Plan", ("step", "object", "reason", "effect")),
    "results": ("Results", ("step", "object", "status", "detail", "seconds")),
}
_LISTS = {"warnings": "Warnings", "evidence": "What this rests on", "next": "Next"}
_BAD = ("failed", "lost", "critical", "missing", "refused")


def markdown(report: Json) -> str:
    """The report as a page: the sentence first, then what is wrong, what was done and what it rests on."""
    mode = " (check mode: nothing was changed)" if report["check_mode"] else ""
    lines = [
        f"# {inline(report['verb'])}: {report['outcome'].replace('_', ' ')}{mode}",
        "",
        f"**{inline(report['sentence'])}**",
        "",
        f"Started {report['started_at']}, finished {report['finished_at']} ({report['duration']:.0f} s).",
    ]
    for name in ("lost", "warnings", "next", "plan", "results", "evidence"):
        if report[name]:
            lines += ["", *(_table(name, report[name]) if name in _TABLES else _list(name, report[name]))]
    if report["streams"]:
        lines += ["", "## Streams", "", *_rows(report["streams"], tuple(_columns(report["streams"])))]
    return "\n".join(lines) + "\n"


def _columns(entries: t.Sequence[Json]) -> t.Iterable[str]:
    """The fields of the entries that hold something to print."""
    return dict.fromkeys(
        key for entry in entries for key, value in entry.items() if not isinstance(value, (dict, list))
    )


def _table(name: str, entries: t.Sequence[Json]) -> list[str]:
    title, columns = _TABLES[name]
    return [
        f"## {title}",
        "",
        *_rows(entries, tuple(key for key in columns if any(_shown(e.get(key)) for e in entries))),
    ]


def _rows(entries: t.Sequence[Json], columns: t.Sequence[str]) -> list[str]:
    head = [f"| {' | '.join(map(inline, columns))} |", f"|{'---|' * len(columns)}"]
    return head + [f"| {' | '.join(_cell(entry.get(key)) for key in columns)} |" for entry in entries]


def _shown(value: t.Any) -> str:
    return "" if value is None else str(value)


def _cell(value: t.Any) -> str:
    return inline(" ".join(_shown(value).splitlines()))


def _list(name: str, sentences: t.Sequence[str]) -> list[str]:
    if name == "next":
        return [f"## {_LISTS[name]}", "", *block(sentences, "sh")]
    return [f"## {_LISTS[name]}", "", *(f"- {inline(sentence)}" for sentence in sentences)]


def terminal(report: Json, place: str = "") -> list[str]:
    """At most MOST lines, the worst first, the sentence last. C(place): where the whole report is."""
    closing = [f"next: {shown(command)}" for command in report["next"][:4]]
    if place:
        closing.append(f"report: {shown(place)}")
    closing.append(_cut(f"{report['verb']}: {report['outcome'].replace('_', ' ')}. {report['sentence']}", 4 * _WIDTH))
    lines = [_cut(f"LOST {_loss(entry)}") for entry in report["lost"]]
    lines += [_cut(f"{entry['status'].upper()} {_done(entry)}") for entry in report["results"] if _bad(entry)]
    lines += [_cut(f"warning: {warning}") for warning in report["warnings"]]
    if report["outcome"] in ("planned", "refused") or not report["results"]:
        lines += [_cut(f"plan: {_step(entry)}") for entry in report["plan"]]
    lines += [_cut(f"{entry['status']}: {_done(entry)}") for entry in report["results"] if not _bad(entry)]
    if report["outcome"] == "refused":
        lines += [_cut(f"because: {fact}") for fact in report["evidence"]]
    room = MOST - len(closing)
    if len(lines) > room:
        lines = [*lines[: room - 1], f"... and {len(lines) - room + 1} more lines in the report"]
    return lines + closing


def _bad(entry: Json) -> bool:
    return str(entry["status"]).startswith(_BAD)


def _cut(text: str, width: int = _WIDTH) -> str:
    text = shown(" ".join(text.split()))
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _loss(entry: Json) -> str:
    name = f"{entry['account']} > {entry['stream']}" + (f" > {entry['consumer']}" if entry["consumer"] else "")
    count = "" if entry["messages"] is None else f", {entry['messages']} messages"
    since = f" since {entry['since']}" if entry["since"] else ""
    return f"{name}{count}{since}{': ' if entry['reason'] else ''}{entry['reason']}"


def _done(entry: Json) -> str:
    seconds = "" if entry["seconds"] is None else f" ({float(entry['seconds']):.1f} s)"
    return f"{entry['step']} {entry['object']}{seconds}{': ' if entry['detail'] else ''}{entry['detail']}"


def _step(entry: Json) -> str:
    parts = [f"{entry['step']} {entry['object']}"]
    parts += [f"because {entry['reason']}"] if entry["reason"] else []
    return ", ".join(parts) + (f": {entry['effect']}" if entry["effect"] else "")
