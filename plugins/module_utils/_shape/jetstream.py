# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a configuration or a state of JetStream has the types that every server gives it."""

from __future__ import annotations

import re
import typing as t

from .schema import moment_or_nothing

_WHOLE = (
    "max_consumers max_msgs max_bytes max_age max_msgs_per_subject max_msg_size num_replicas duplicate_window first_seq"
    " subject_delete_marker_ttl"
).split()
_FLAGS = (
    "no_ack allow_direct mirror_direct sealed deny_delete deny_purge allow_rollup_hdrs discard_new_per_subject"
    " allow_msg_ttl allow_msg_counter allow_atomic allow_msg_schedules allow_batched"
).split()
_TEXTS = ("name", "description", "template_owner", "persist_mode")
_CHOICES = {
    "retention": ("limits", "interest", "workqueue"),
    "discard": ("old", "new"),
    "storage": ("file", "memory"),
    "compression": ("none", "s2"),
}
_OBJECTS = ("placement", "mirror", "republish", "subject_transform", "consumer_limits", "metadata")
_COUNTS = ("messages", "bytes", "first_seq", "last_seq", "consumer_count", "num_deleted", "num_subjects")
_TIMES = ("first_ts", "last_ts")


def legal_subject(subject: t.Any) -> bool:
    """Whether a stream could take in this subject: tokens without white space, C(>) only at the end."""
    if not isinstance(subject, str) or re.search(r"[\s\x00]", subject):
        return False
    *inner, last = subject.split(".")
    return bool(last) and all(inner) and ">" not in inner


def _whole(value: t.Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 64


def _text(value: t.Any) -> bool:
    return isinstance(value, str)


def _texts(value: t.Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _mapping(value: t.Any) -> bool:
    return isinstance(value, dict)


def _origin(value: t.Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or not value["name"]:
        return False
    fields = {"external": _mapping, "opt_start_seq": _whole, "opt_start_time": _text, "filter_subject": _text}
    return all(value.get(key) is None or good(value[key]) for key, good in fields.items())


def _placement(value: t.Any) -> bool:
    fields = {"cluster": _text, "tags": _texts}
    return isinstance(value, dict) and all(value.get(key) is None or good(value[key]) for key, good in fields.items())


def _wrong(key: str, value: t.Any) -> str:
    """What the field ought to be, where it is not; empty where it is, or where the field is not known."""
    if key in _WHOLE:
        return "" if _whole(value) else "a whole number (times are in nanoseconds)"
    if key in _FLAGS:
        return "" if isinstance(value, bool) else "true or false"
    if key in _TEXTS:
        return "" if isinstance(value, str) else "a text"
    if key in _CHOICES:
        return "" if value in _CHOICES[key] else f"one of {', '.join(_CHOICES[key])}"
    if key == "subjects":
        good = isinstance(value, list) and all(legal_subject(subject) for subject in value)
        return "" if good else "a list of legal subjects"
    if key == "sources":
        return "" if isinstance(value, list) and all(_origin(source) for source in value) else "a list of named origins"
    if key == "mirror":
        return "" if _origin(value) else "an origin with a name"
    if key == "placement":
        return "" if _placement(value) else "a mapping of a cluster and tags"
    if key == "metadata":
        good = isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
        return "" if good else "a mapping of texts"
    return "a mapping" if key in _OBJECTS and not isinstance(value, dict) else ""


def wrong_in_config(config: t.Mapping[str, t.Any], *, choices: bool = True) -> str:
    """The first field of a stream's configuration that no server could take, as a sentence; empty if there is none.

    Without C(choices), words that a newer server may know are fine.
    """
    for key, value in config.items():
        if not choices and (key in _CHOICES or key == "subjects"):
            if not (_text(value) if key in _CHOICES else value is None or _texts(value)):
                return f"{key} is {value!r:.80}, not a text or a list of texts"
            continue
        expected = _wrong(key, value) if value is not None else ""
        if expected:
            return f"{key} is {value!r:.80}, not {expected}"
    return ""


_CONSUMER_TEXTS = (
    "name durable_name description deliver_subject deliver_group deliver_policy ack_policy replay_policy filter_subject"
    " opt_start_time sample_freq pause_until priority_policy"
).split()
_CONSUMER_WHOLE = (
    "num_replicas inactive_threshold ack_wait max_deliver max_ack_pending max_waiting opt_start_seq idle_heartbeat"
    " max_batch max_bytes max_expires rate_limit_bps priority_timeout"
).split()
_CONSUMER_FLAGS = ("flow_control", "headers_only", "mem_storage", "direct")


def wrong_in_consumer(config: t.Mapping[str, t.Any]) -> str:
    """The same for the configuration of a consumer."""
    kinds: list[tuple[t.Iterable[str], t.Callable[[t.Any], bool], str]] = [
        (_CONSUMER_TEXTS, _text, "a text"),
        (_CONSUMER_WHOLE, _whole, "a whole number (times are in nanoseconds)"),
        (_CONSUMER_FLAGS, lambda value: isinstance(value, bool), "true or false"),
        (("filter_subjects", "priority_groups"), _texts, "a list of texts"),
        (("metadata",), lambda value: _mapping(value) and all(map(_text, value.values())), "a mapping of texts"),
        (("backoff",), lambda value: isinstance(value, list) and all(map(_whole, value)), "a list of whole numbers"),
    ]
    for keys, good, expected in kinds:
        for key in keys:
            if config.get(key) is not None and not good(config[key]):
                return f"{key} is {config[key]!r:.80}, not {expected}"
    return ""


def _time(value: t.Any) -> bool:
    try:
        moment_or_nothing(value, "")
    except ValueError:
        return False
    return True


def wrong_in_state(state: t.Mapping[str, t.Any]) -> str:
    """The first field of a stream's state that no server wrote, as a sentence; empty if there is none."""
    for key in _COUNTS:
        if key in state and not (_whole(state[key]) and state[key] >= 0):
            return f"{key} is {state[key]!r:.80}, not a number"
    for key in _TIMES:
        if key in state and not _time(state[key]):
            return f"{key} is {state[key]!r:.80}, not a time"
    return ""
