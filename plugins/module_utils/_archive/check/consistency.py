# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Does a data file belong to the backup.json beside it? For backups without a manifest.

What must hold in a good backup, from how servers write one:
V2: backup.json's state and the archive's state.json are one state, taken once. Only the number of consumers can
    differ: the archive counts those that it has. Tools that edit or capture write no counts or times into
    state.json and leave its sequences wide, and say in backup.json that they were there ("edit", "source").
V1: the archive's index is written after the state in backup.json was taken. The stream can have grown meanwhile, and
    can have lost messages by its limits; it cannot have gone back.
Everything else (subjects, the consumers' filters, missing consumers) can be so in a good backup, and is a warning.
"""

from __future__ import annotations

from typing import Any

from ..report import ERROR, WARNING, ArchivedConsumer, ArchiveReport, Problem
from ..subjects import overlaps
from ..times import ZERO, parse_ns
from ..v2.walk import is_count

_EXACT = ("first_seq", "last_seq", "messages", "bytes")
_TIMES = ("first_ts", "last_ts")
# Servers write into it by themselves.
_VOLATILE = frozenset(("metadata",))
# What every tool that writes a backup.json knows; later fields may be left out by one older than the server.
_KNOWN_TO_ALL = frozenset(
    (
        "name",
        "description",
        "subjects",
        "retention",
        "max_consumers",
        "max_msgs",
        "max_bytes",
        "max_age",
        "max_msgs_per_subject",
        "max_msg_size",
        "discard",
        "storage",
        "num_replicas",
        "duplicate_window",
        "mirror",
        "sources",
    )
)
_MOST_NAMES = 20
# Pairs of a filter and a subject that are looked at.
_MOST_COMPARED = 1_000_000


def check_directory_consistency(report: ArchiveReport, backup_json: dict[str, Any]) -> list[Problem]:
    """What disagrees between an archive and its directory's backup.json ({"config", "state"}); empty if nothing does.

    Never raises for what is in either of them. A report without a format has nothing to compare and gives no problem.
    """
    config, state = backup_json.get("config"), backup_json.get("state")
    problems = _shape(config, state)
    if problems or report.format is None or not isinstance(config, dict) or not isinstance(state, dict):
        return problems
    if report.format == "V1":
        problems += _v1_config(report, config)
        if report.state is not None:
            problems += _v1_state(report.state, state)
    elif report.state is not None:
        derived = backup_json.get("edit") or backup_json.get("source")
        problems += _v2_derived(report, report.state, state) if derived else _v2_state(report.state, state)
        problems += _v2_first(report)
    if not report.problems or all(problem.severity != ERROR for problem in report.problems):
        problems += _consumers(report, config, state)
    problems += _subjects(report, config)
    return problems


def _shape(config: Any, state: Any) -> list[Problem]:
    problems = []
    if not isinstance(config, dict) or not isinstance(config.get("name"), str) or not config["name"]:
        problems.append(Problem("backup_json_invalid", "config", "backup.json has no config with a stream name"))
    if not isinstance(state, dict):
        problems.append(Problem("backup_json_invalid", "state", "backup.json has no state"))
        return problems
    for key in (*_EXACT, "consumer_count"):
        if not is_count(state.get(key, 0)):
            problems.append(Problem("backup_json_invalid", f"state.{key}", f"{key} is {state[key]!r}, not a number"))
    for key in _TIMES:
        if _time(state, key) is None:
            problems.append(Problem("backup_json_invalid", f"state.{key}", f"{key} is {state[key]!r}, not a time"))
    return problems


def _time(state: dict[str, Any], key: str) -> int | None:
    try:
        return parse_ns(state.get(key, ZERO))
    except (ValueError, TypeError):
        return None


def _differs(key: str, archive: Any, described: Any, severity: str = ERROR) -> Problem:
    message = f"the archive says {key} {archive}, backup.json {described}"
    return Problem("state_differs", f"state.{key}", message, severity)


def _v2_state(archive: dict[str, Any], state: dict[str, Any]) -> list[Problem]:
    problems = []
    for key in _EXACT:
        if archive.get(key, 0) != state.get(key, 0):
            problems.append(_differs(key, archive.get(key, 0), state.get(key, 0)))
    for key in _TIMES:
        if _time(archive, key) != _time(state, key):
            problems.append(_differs(key, archive.get(key), state.get(key)))
    return problems


def _v2_derived(report: ArchiveReport, archive: dict[str, Any], state: dict[str, Any]) -> list[Problem]:
    first, last = state.get("first_seq", 0), state.get("last_seq", 0)
    problems = []
    if archive["first_seq"] > first:
        problems.append(_differs("first_seq", archive["first_seq"], first))
    if archive["last_seq"] >= archive["first_seq"] and archive["last_seq"] != last:
        problems.append(_differs("last_seq", archive["last_seq"], last))
    message = report.first_message
    if not problems and message and message["sequence"] != first:
        problems.append(_differs("first_seq", message["sequence"], first))
    return problems


def _v2_first(report: ArchiveReport) -> list[Problem]:
    first, state = report.first_message, report.state or {}
    start = _time(state, "first_ts")
    if first is None or not start or first["sequence"] != state.get("first_seq") or first["time_ns"] == start:
        return []
    message = f"message {first['sequence']} is not of the time that the archive's state gives, {state.get('first_ts')}"
    return [Problem("state_differs", "first message", message, WARNING)]


def _v1_state(archive: dict[str, Any], state: dict[str, Any]) -> list[Problem]:
    problems = []
    for key in ("first_seq", "last_seq"):
        if archive[key] < state.get(key, 0):
            problems.append(_differs(key, archive[key], state.get(key, 0)))
    if problems:
        return problems
    grown = archive["last_seq"] - state.get("last_seq", 0)
    if archive["messages"] > state.get("messages", 0) + grown:
        problems.append(_differs("messages", archive["messages"], state.get("messages", 0)))
    same_first, same_last = archive["first_seq"] == state.get("first_seq", 0), not grown
    same = same_first and same_last and archive["messages"] == state.get("messages", 0)
    if same and archive["bytes"] != state.get("bytes", 0):
        problems.append(_differs("bytes", archive["bytes"], state.get("bytes", 0)))
    for key, comparable in (("first_ts", same_first), ("last_ts", same_last)):
        if comparable and _time(archive, key) != _time(state, key):
            problems.append(_differs(key, archive[key], state.get(key)))
    return problems


def _v1_config(report: ArchiveReport, config: dict[str, Any]) -> list[Problem]:
    if report.config is None:
        return []
    if report.stream != config["name"]:
        message = f"the data file is of the stream {report.stream!r}, backup.json of {config['name']!r}"
        return [Problem("stream_differs", "config.name", message)]
    archived = report.config
    compared = sorted({*config, *_KNOWN_TO_ALL} - _VOLATILE)
    keys = [key for key in compared if _plain(archived.get(key)) != _plain(config.get(key))]
    if not keys:
        return []
    message = f"the archive was taken under another configuration: {', '.join(keys[:_MOST_NAMES])}"
    return [Problem("config_differs", "config", message, WARNING)]


def _plain(value: Any) -> Any:
    """Fields that are left out and fields with their zero value are the same to a server."""
    if isinstance(value, dict):
        return {key: plain for key, item in value.items() if (plain := _plain(item)) is not None} or None
    return value or None


def _consumers(report: ArchiveReport, config: dict[str, Any], state: dict[str, Any]) -> list[Problem]:
    problems = []
    counted, present = state.get("consumer_count", 0), len(report.consumers)
    if present < counted:
        names = ", ".join(consumer.name for consumer in report.consumers[:_MOST_NAMES]) or "none"
        message = f"backup.json counts {counted} consumers, the archive has {present} ({names})"
        # Without any of them, a server that keeps messages for their sake drops all of these on restore.
        fatal = not present and config.get("retention") in ("interest", "workqueue")
        problems.append(Problem("consumers_missing", "state.consumer_count", message, ERROR if fatal else WARNING))
    elif present > counted and (report.format == "V1" or not counted):
        # A clustered V2 archive has more than its leader counts; with none counted, another stream's is likelier.
        message = f"backup.json counts {counted} consumers, the archive has {present}"
        problems.append(Problem("consumers_extra", "state.consumer_count", message, WARNING))
    last = max((report.state or state).get("last_seq", 0), state.get("last_seq", 0))
    for consumer in report.consumers:
        delivered = (consumer.state or {}).get("delivered", {}).get("stream_seq", 0)
        if delivered > last:
            message = f"the consumer {consumer.name!r} has delivered up to {delivered}, the stream ends at {last}"
            problems.append(Problem("consumer_ahead", f"consumer {consumer.name}", message, WARNING))
    return problems


def _takes_in_by_config(config: dict[str, Any]) -> list[str] | None:
    """The stream's subjects if they alone say what is stored under which subject, else None."""
    if config.get("mirror") or config.get("sources") or config.get("subject_transform"):
        return None
    subjects = config.get("subjects") or [config["name"]]
    return [subject for subject in subjects if isinstance(subject, str)] if isinstance(subjects, list) else None


def _filters(consumer: ArchivedConsumer) -> list[str]:
    several = consumer.config.get("filter_subjects")
    found = [consumer.config.get("filter_subject"), *(several if isinstance(several, list) else [])]
    return [subject for subject in found if isinstance(subject, str) and subject]


def _subjects(report: ArchiveReport, config: dict[str, Any]) -> list[Problem]:
    subjects = _takes_in_by_config(config)
    if subjects is None:
        return []
    problems = []
    left = _MOST_COMPARED
    for consumer in report.consumers:
        filters = _filters(consumer)
        left -= len(filters) * len(subjects)
        if left < 0:
            break  # only a warning is at stake
        if filters and not any(overlaps(subject, asked) for subject in subjects for asked in filters):
            wanted = ", ".join(filters[:_MOST_NAMES])
            message = f"the consumer {consumer.name!r} asks for {wanted}, the stream takes in none of it"
            problems.append(Problem("consumer_filter_differs", f"consumer {consumer.name}", message, WARNING))
    known = [message["subject"] for message in (report.first_message, report.last_message) if message]
    if known and not any(overlaps(subject, stored) for subject in subjects for stored in known):
        taken_in = ", ".join(subjects[:_MOST_NAMES])
        message = f"the messages are of {' and '.join(sorted(set(known)))}, the stream takes in {taken_in}"
        problems.append(Problem("subject_differs", "config.subjects", message, WARNING))
    return problems
