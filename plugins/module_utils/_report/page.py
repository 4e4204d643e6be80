# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page about a repository of backups: one file of HTML, which needs nothing else. Pure functions over JSON."""

from __future__ import annotations

import html
import typing as t

from .._text.shown import shown
from .page_style import SCRIPT, STYLE
from .report import Json

#: Sets with a column of their own; older ones are counted.
COLUMNS = 14
_MARKS = {
    "new": ("●", "", "new data"),
    "same": ("○", "dim", "as in the set before"),
    "carried": ("◐", "warn", "older backup, the last try failed"),
    "skipped": ("·", "dim", "not backed up"),
    "failed": ("✕", "bad", "failed"),
    "foreign": ("?", "warn", "not listed in the set"),
}
_DAMAGED = ("✕", "bad", "damaged")
_SUSPECT = ("?", "bad", "suspect: it may hold less than the stream should have")
_ABSENT = ("", "dim", "not in this set")
_SEVERITIES = {"lost": ("bad", "backup damaged"), "error": ("bad", "error"), "warning": ("warn", "warning")}


def page(overview: Json) -> str:
    """The whole page for what C(repository.make_overview) returns."""
    title = _text(overview["title"])
    body = [
        f"<h1>{title}</h1>",
        _about(overview),
        _verdict(overview),
        _figures(overview["summary"]),
        _problems(overview["problems"]),
        *(_account(account) for account in overview["accounts"]),
        _legend(),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + f"\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _text(value: t.Any) -> str:
    return html.escape(shown(value))


def moment(time: str) -> str:
    """A time to the minute, which the reader's browser completes with its age."""
    if not time:
        return '<span class="dim">never</span>'
    return f'<time datetime="{_text(time)}">{_text(time[:16].replace("T", " "))}</time>'


def amount(number: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:,.1f} TiB"


def verdict(overview: Json) -> tuple[str, str]:
    """The sentence that matters, and its class: empty, C(warn) or C(bad)."""
    problems, summary = overview["problems"], overview["summary"]
    bad = [one for one in problems if one["severity"] != "warning"]
    if bad:
        told = "One problem needs attention" if len(bad) == 1 else f"{len(bad)} problems need attention. The worst"
        return f"{told}: {_said(bad[0])}", "bad"
    if problems:
        return f"Every newest backup is there, with {len(problems)} to look at: {_said(problems[0])}", "warn"
    return f"All {summary['streams']} streams have a newest backup without a known problem.", ""


def _said(problem: Json) -> str:
    where = " > ".join(part for part in (problem["account"], problem["stream"]) if part)
    return f"{where}: {problem['text']}"


def _about(overview: Json) -> str:
    place = f'<span class="path">{_text(overview["path"])}</span>'
    return f'<p class="dim">{place}, as of {moment(overview["as_of"])}; all times are UTC</p>'


def _verdict(overview: Json) -> str:
    sentence, kind = verdict(overview)
    return f'<p class="verdict {kind}">{_text(sentence)}</p>'


def _figures(summary: Json) -> str:
    streams = summary["streams"]
    figures = [
        ("Accounts", f"{summary['accounts']}"),
        ("Streams in the newest sets", f"{streams}"),
        ("Messages", f"{summary['messages']:,}<small>{amount(summary['bytes'])}</small>"),
        ("Sets", f"{summary['sets']}<small>{amount(summary['disk'])} on disk</small>"),
        ("Oldest newest backup", moment(summary["oldest"])),
        ("Verified in full", f"{summary['verified_full']} of {streams}"),
        ("Came back in a drill", f"{summary['drilled']} of {streams}"),
    ]
    return "<dl>" + "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures) + "</dl>"


def _problems(problems: t.Sequence[Json]) -> str:
    if not problems:
        return ""
    rows = []
    for one in problems:
        kind, word = _SEVERITIES[one["severity"]]
        rows.append(
            f'<tr><td class="{kind}">{word}</td><td>{_text(one["account"])}</td><td>{_text(one["stream"])}</td>'
            f'<td>{_text(one["set"])}</td><td class="text">{_text(one["text"])}</td></tr>'
        )
    head = "<tr><th>Kind</th><th>Account</th><th>Stream</th><th>Set</th><th>What</th></tr>"
    return f"<h2>Problems</h2>{_table(head, rows, 'stack')}"


def _table(head: str, rows: t.Sequence[str], kind: str = "") -> str:
    return f'<div class="wide {kind}"><table><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'


def _account(account: Json) -> str:
    shown = [one["set"] for one in account["sets"] if one["set"]][-COLUMNS:][::-1]
    older = sum(bool(one["set"]) for one in account["sets"]) - len(shown)
    columns = "".join(
        f'<th title="{_text(name)}">{_text(name[4:6])}-{_text(name[6:8])}<br>{_text(name[9:11])}:'
        f"{_text(name[11:13])}</th>"
        for name in shown
    )
    head = (
        "<tr><th>Stream</th><th>Messages</th><th>Size</th><th>Last found current</th><th>Verified</th><th>Drill</th>"
        f"{columns}</tr>"
    )
    rows = [_row(row, shown) for row in account["streams"]]
    newest = next((one for one in account["sets"] if one["newest"]), None)
    about = [f'<span class="path">{_text(account["directory"])}</span>']
    if account["named"] and account["named"] != account["account"]:
        about.append(f"account <code>{_text(account['named'])}</code>")
    if newest and newest["set"]:
        about.append(f"newest whole set <code>{_text(newest['set'])}</code>")
    if older > 0:
        about.append(f"{older} older sets are not shown")
    note = f'<p class="dim">{"; ".join(about)}</p>'
    return f"<h2>{_text(account['account'])}</h2>{note}{_table(head, rows)}"


def _row(row: Json, shown: t.Sequence[str]) -> str:
    cell = row["newest"] or {}
    held = "backed_up" in cell
    parts = [f'<th scope="row">{_text(row["stream"])}</th>']
    if held:
        parts += [
            f'<td class="num">{cell["messages"]:,}</td>',
            f'<td class="num">{amount(cell["size"])}</td>',
            f"<td>{moment(cell.get('current_at') or cell['backed_up'])}</td>",
            f"<td>{_verified(cell)}</td>",
            f"<td>{_drill(cell['drill'])}</td>",
        ]
    else:
        reason = cell.get("reason") or ("it was not in the newest set any more" if not cell else cell["status"])
        parts.append(f'<td colspan="5" class="dim">{_text(reason)}</td>')
    for name in shown:
        mark, kind, meaning = mark_of(row["cells"].get(name))
        parts.append(
            f'<td class="mark {kind}" title="{_text(name)}: {meaning}"><span aria-label="{meaning}">{mark}</span></td>'
        )
    return f"<tr>{''.join(parts)}</tr>"


def mark_of(cell: Json | None) -> tuple[str, str, str]:
    """Sign, class and meaning of a stream in a set."""
    if cell is None:
        return _ABSENT
    if cell.get("suspect") and not cell.get("problems"):
        return _SUSPECT
    return _DAMAGED if cell.get("problems") else _MARKS[cell["status"]]


def _verified(cell: Json) -> str:
    found = cell["verified"]
    if cell.get("problems"):
        return f'<span class="bad">damaged</span><small>{_text(cell["problems"][0]["id"])}</small>'
    if cell.get("suspect"):
        return '<span class="bad">suspect</span>'
    if found is None or found["level"] == "none":
        return '<span class="warn">never</span>'
    return f'<span class="good">{_text(found["level"])}</span> {moment(found["time"])}'


def _drill(found: Json | None) -> str:
    if found is None:
        return '<span class="dim">never</span>'
    kind = "good" if found["passed"] else "bad"
    return f'<span class="{kind}">{_text(found["status"])}</span> {moment(found["time"])}'


def _legend() -> str:
    signs = ", ".join(f"{mark} {meaning}" for mark, _kind, meaning in (*_MARKS.values(), _DAMAGED) if mark)
    return f"<footer><p>{signs}.</p><p>Written by natsops.jetstream from what lies in the repository.</p></footer>"
