# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report that every runbook ends with: one shape for all, filled from what a role knows."""

from __future__ import annotations

import datetime
import re
import typing as t

from .._text.shown import shown
from .fold import fold

Json = dict[str, t.Any]

SCHEMA = "natsops.report/1"
OUTCOMES = ("nothing_to_do", "planned", "done", "refused", "failed")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
# The fields of the entries of each list; the first ones an entry must have, the others are filled with their default.
_ENTRIES: dict[str, tuple[tuple[str, ...], Json]] = {
    "plan": (("step", "object"), {"reason": "", "effect": ""}),
    "results": (("step", "object", "status"), {"detail": "", "seconds": None}),
    "lost": (("account", "stream"), {"consumer": None, "since": None, "messages": None, "reason": ""}),
}
_SENTENCES = ("evidence", "warnings", "next")


class ReportError(ValueError):
    """What a role wants to report does not have the shape of a report."""


def now() -> str:
    """The time, RFC 3339 in UTC, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).strftime(_TIME)


def plain(value: t.Any) -> t.Any:
    """The same content in dicts, lists and scalars of Python's own types; text in it does nothing to a terminal."""
    if isinstance(value, t.Mapping):
        return {shown(key, lines=True): plain(inner) for key, inner in value.items()}
    if isinstance(value, str):
        return shown(value, lines=True)
    if isinstance(value, t.Iterable):
        return [plain(inner) for inner in value]
    return value


def make_report(parts: t.Mapping[str, t.Any], finished_at: str = "") -> Json:
    """A whole report from what a role gives.

    Needed: C(verb), C(started_at). C(failure): the sentence of a run that failed; C(acted) says whether it had begun to
    change anything, which tells C(failed) from C(refused). Raises ReportError for a field or an entry that is none.
    """
    given = plain(parts)
    failure, acted = str(given.pop("failure", "") or ""), bool(given.pop("acted", False))
    finished_at = finished_at or now()
    report: Json = {
        "schema": SCHEMA,
        "verb": "",
        "started_at": "",
        "finished_at": finished_at,
        "duration": 0.0,
        "outcome": "",
        "sentence": "",
        "check_mode": False,
        "changed": False,
        **{name: [] for name in ("plan", "evidence", "results", "lost", "warnings", "next", "streams")},
        "details": {},
    }
    unknown = sorted(set(given) - set(report))
    if unknown:
        raise ReportError(f"A report has no field {', '.join(unknown)}; it has {', '.join(report)}.")
    report.update({name: value for name, value in given.items() if value is not None})
    for name in ("verb", "started_at"):
        if not report[name]:
            raise ReportError(f"A report needs {name}.")
    report["duration"] = _seconds(report["started_at"], report["finished_at"])
    for name in _ENTRIES:
        report[name] = [_entry(name, entry) for entry in report[name]]
    for name in _SENTENCES:
        report[name] = list(dict.fromkeys(str(sentence).strip() for sentence in report[name] if sentence))
    # The same warning about ten streams is one warning.
    report["warnings"] = fold(report["warnings"])
    if failure:
        report["outcome"] = "failed" if acted else "refused"
        report["sentence"] = failure
    elif not report["outcome"]:
        kind = "planned" if report["check_mode"] else "done"
        report["outcome"] = kind if report["changed"] else "nothing_to_do"
    if report["outcome"] not in OUTCOMES:
        raise ReportError(f"outcome is {report['outcome']!r}; it must be one of {', '.join(OUTCOMES)}.")
    report["sentence"] = report["sentence"] or report["outcome"].replace("_", " ")
    return report


def _entry(name: str, entry: t.Any) -> Json:
    needed, optional = _ENTRIES[name]
    if not isinstance(entry, dict) or set(needed) - set(entry):
        raise ReportError(f"{name}: {entry!r} does not have {', '.join(needed)}.")
    odd = sorted(set(entry) - {*needed, *optional})
    if odd:
        raise ReportError(f"{name}: an entry has no field {', '.join(odd)}; it has {', '.join((*needed, *optional))}.")
    return {**{key: entry[key] for key in needed}, **optional, **entry}


def _seconds(started: str, finished: str) -> float:
    try:
        begin, end = (datetime.datetime.strptime(text, _TIME) for text in (started, finished))
    except ValueError:
        raise ReportError(
            f"started_at and finished_at are times as in 2026-11-22T10:15:00Z, not {started!r}."
        ) from None
    return max(0.0, (end - begin).total_seconds())


def sentence_of(result: t.Any) -> str:
    """The sentence that matters of a task that failed: its own, or that of the item of a loop that failed."""
    if not isinstance(result, t.Mapping):
        return str(result)
    items = result.get("results")
    if isinstance(items, t.Sequence) and not isinstance(items, str):
        found = [sentence_of(item) for item in items if isinstance(item, t.Mapping) and item.get("failed")]
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            return f"{found[0]}{more}"
    message = result.get("msg")
    if isinstance(message, t.Sequence) and not isinstance(message, str):
        message = " ".join(str(part) for part in message)
    errors = result.get("argument_errors")
    if errors:
        return f"{' '.join(str(error).rstrip('.') + '.' for error in errors)}"
    text = str(message or result.get("stderr") or result.get("reason") or "It failed, and did not say why.")
    # ansible-core before 2.19 adds where the error was.
    text = text.partition("\n\nThe error appears to be in")[0]
    # What Ansible says of its own working before a filter's error or a task's.
    return re.sub(r"^.*?The filter plugin '[\w.]+' failed: |^Task failed: ", "", text, flags=re.DOTALL).strip()
