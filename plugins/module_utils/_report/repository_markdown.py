# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known of a repository of backups, as Markdown. Pure functions over JSON."""

from __future__ import annotations

import typing as t

from .escaped import code, inline
from .page import amount, verdict
from .report import Json


def markdown(overview: Json) -> str:
    """The same content as the page, newest sets only, for C(repository.make_overview)'s result."""
    lines = [
        f"# {_cell(overview['title'])}",
        "",
        f"**{_cell(verdict(overview)[0])}**",
        "",
        _figures(overview),
    ]
    if overview["problems"]:
        lines += ["", "## Problems", ""]
        lines += _table(
            ("kind", "account", "stream", "set", "what"),
            [(one["severity"], one["account"], one["stream"], one["set"], one["text"]) for one in overview["problems"]],
        )
    for account in overview["accounts"]:
        lines += ["", f"## {_cell(account['account'])}", ""]
        newest = account["newest"]
        lines += [code(account["directory"]) + (f", newest whole set {code(newest)}" if newest else ""), ""]
        lines += _table(
            ("stream", "messages", "size", "last found current", "verified", "drill"),
            [_row(row) for row in account["streams"]],
        )
    return "\n".join(lines) + "\n"


def _figures(overview: Json) -> str:
    summary = overview["summary"]
    return (
        f"{code(overview['path'])}, as of {_moment(overview['as_of'])}: {summary['accounts']} accounts,"
        f" {summary['streams']} streams, {summary['messages']:,} messages, {summary['sets']} sets,"
        f" {amount(summary['disk'])} on disk; {summary['verified_full']} verified in full, {summary['drilled']} came"
        " back in a drill."
    )


def _row(row: Json) -> tuple[str, ...]:
    cell = row["newest"] or {}
    if "backed_up" not in cell:
        return (row["stream"], "", "", cell.get("reason") or cell.get("status") or "not in the newest set", "", "")
    verified, drill = cell["verified"], cell["drill"]
    told = f"{verified['level']} {_moment(verified['time'])}" if verified else "never"
    return (
        row["stream"],
        f"{cell['messages']:,}",
        amount(cell["size"]),
        _moment(cell.get("current_at") or cell["backed_up"]),
        "damaged" if cell["problems"] else "suspect" if cell.get("suspect") else told,
        f"{drill['status']} {_moment(drill['time'])}" if drill else "never",
    )


def _moment(time: str) -> str:
    return f"{time[:16]}Z" if time else "never"


def _cell(text: t.Any) -> str:
    return inline(" ".join(str(text).splitlines()))


def _table(head: t.Sequence[str], rows: t.Sequence[t.Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines]
