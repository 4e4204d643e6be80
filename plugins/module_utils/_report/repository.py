# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a picture of a repository of backups means: problems, worst first, and totals. Pure functions over JSON."""

from __future__ import annotations

import datetime
import typing as t

from .report import Json

SCHEMA = "natsops.backups/1"
#: The worst first.
SEVERITIES = ("lost", "error", "warning")


def make_overview(
    path: str, accounts: t.Sequence[Json], disk: int, *, title: str = "", max_age: float | None = None, now: float = 0.0
) -> Json:
    """The whole content of a report. C(max_age): seconds after which a newest backup is too old, at C(now)."""
    problems = [problem for account in accounts for problem in _problems(account, max_age, now)]
    problems.sort(key=lambda one: (SEVERITIES.index(one["severity"]), one["account"], one["stream"], one["set"]))
    rows = [row for account in accounts for row in account["streams"]]
    cells = [cell for row in rows for cell in row["cells"].values()]
    held = [row["newest"] for row in rows if row["newest"] and "backed_up" in row["newest"]]
    ages = [cell["current_at"] for cell in held if cell.get("current_at")]
    return {
        "schema": SCHEMA,
        "title": title or "JetStream backups",
        "path": path,
        "as_of": max((time for time in _times(accounts, cells) if time), default=""),
        "summary": {
            "accounts": len(accounts),
            "streams": len(held),
            "sets": sum(len(account["sets"]) for account in accounts),
            "messages": sum(cell["messages"] for cell in held),
            "bytes": sum(cell["bytes"] for cell in held),
            "disk": disk,
            "oldest": min(ages, default=""),
            "verified_full": sum(_is(cell, "verified", "level", "full") for cell in held),
            "drilled": sum(_is(cell, "drill", "passed", True) for cell in held),
            "problems": len(problems),
        },
        "problems": problems,
        "accounts": list(accounts),
    }


def _is(cell: Json, part: str, key: str, value: t.Any) -> bool:
    return bool(cell.get(part)) and cell[part].get(key) == value


def _times(accounts: t.Sequence[Json], cells: t.Sequence[Json]) -> t.Iterator[str]:
    for account in accounts:
        for one in account["sets"]:
            yield from (one["finished_at"], one["checked"])
    for cell in cells:
        yield cell.get("current_at") or cell.get("backed_up") or ""
        for part in ("verified", "drill"):
            yield (cell.get(part) or {}).get("time", "")


def seconds(moment: str) -> float:
    """Seconds since 1970 of an RFC 3339 time in UTC."""
    text = moment[:19]
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc).timestamp()


def _problems(account: Json, max_age: float | None, now: float) -> t.Iterator[Json]:
    name = account["account"]

    def problem(severity: str, stream: str, where: str, text: str) -> Json:
        return {"severity": severity, "account": name, "stream": stream, "set": where, "text": text}

    if not account["streams"]:
        yield problem("error", "", "", "There is no backup of any stream.")
    for one in account["sets"]:
        if not one["whole"]:
            yield problem("warning", "", one["set"], f"The set is not whole: {one['trouble']}")
        elif one["newest"] and not one["complete"]:
            yield problem("error", "", one["set"], "The newest set is not complete: not every stream is current in it.")
    for row in account["streams"]:
        found: dict[str, list[str]] = {}
        for where, cell in row["cells"].items():
            for one in cell.get("problems") or ():
                found.setdefault(f"Damaged: {one['message']} ({one['id']})", []).append(where)
        for text, places in found.items():
            # Sets share what did not change: one damaged file can be in many.
            where = account["newest"] if account["newest"] in places else places[-1]
            also = f"; the same in {len(places) - 1} other sets" if len(places) > 1 else ""
            yield problem("lost" if where == account["newest"] else "error", row["stream"], where, f"{text}{also}")
        if account["newest"] in row["cells"]:
            cell = row["cells"][account["newest"]]
            yield from _of_newest(problem, row["stream"], account["newest"], cell, max_age, now)


def _of_newest(
    problem: t.Callable[..., Json], stream: str, where: str, cell: Json, max_age: float | None, now: float
) -> t.Iterator[Json]:
    reason = cell.get("reason", "")
    if cell["status"] in ("failed", "carried"):
        old = "an older backup stands in for it" if cell["status"] == "carried" else "there is none in the newest set"
        yield problem("error", stream, where, f"The last backup failed, {old}: {reason}")
    elif cell["status"] == "skipped":
        yield problem("warning", stream, where, f"Not backed up: {reason}")
    if cell.get("suspect"):
        yield problem("error", stream, where, f"Suspect: {cell['suspect']}. Keep the backups before this one.")
    drill = cell.get("drill")
    if drill and not drill["passed"]:
        yield problem("error", stream, where, f"The drill of {drill['time'][:16]}Z ended with {drill['status']}.")
    at = cell.get("current_at") or cell.get("backed_up")
    if max_age is not None and at and now - seconds(at) > max_age:
        yield problem("error", stream, where, f"Too old: last found current {at[:16]}Z.")
