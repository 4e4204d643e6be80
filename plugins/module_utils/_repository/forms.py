# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The form of every file of a backup but its data: which fields it has, and of which type. Checked here and only here.

A new field of a file gets its line here, among the optional ones: earlier files do not have it.
"""

from __future__ import annotations

import typing as t

from .._nats.model import Json
from .._shape import schema as s
from .._shape.document import parse_json
from .._shape.jetstream import wrong_in_config, wrong_in_consumer, wrong_in_state
from .directory import STREAM_FILES


def _config(value: t.Any, at: str) -> None:
    s.mapping(value, at)
    s.name(value.get("name"), f"{at}.name")
    _none_wrong(wrong_in_config(value), at)


def _state(value: t.Any, at: str) -> None:
    s.mapping(value, at)
    _none_wrong(wrong_in_state(value), at)


def _consumer_config(value: t.Any, at: str) -> None:
    s.mapping(value, at)
    _none_wrong(wrong_in_consumer(value), at)


def _none_wrong(wrong: str, at: str) -> None:
    if wrong:
        raise ValueError(f"{at}.{wrong}")


def _or_nothing(each: s.Shape) -> s.Shape:
    """The shape, or null."""

    def shape(value: t.Any, at: str) -> None:
        if value is not None:
            each(value, at)

    return shape


_SHA256 = s.matching("[0-9a-f]{64}", "a SHA-256 in hexadecimal")
_PAIR = s.record({"consumer_seq": s.count, "stream_seq": s.count})
_FILE = s.record({"name": s.one_of(*sorted(STREAM_FILES)), "size": s.count, "sha256": _SHA256}, only=True)
_CONSUMER = s.record(
    {
        "name": s.name,
        "config": _consumer_config,
        "delivered": _PAIR,
        "ack_floor": _PAIR,
        "num_ack_pending": s.count,
        "num_redelivered": s.count,
        "created": s.text,
        "in_archive": s.flag,
    },
    {"num_pending": s.count},
    only=True,
)
_SERVER = s.record({}, {"version": s.text, "server_name": s.text, "cluster": s.text, "domain": s.text})
_MEMBER = s.record(
    {"status": s.one_of("current", "carried", "skipped", "failed")},
    {"digest": s.text, "reason": s.text, "current_at": s.moment_or_nothing, "suspect": s.flag},
    only=True,
)
_SUSPECT = s.record({"kind": s.name, "count": s.count, "of": s.count, "sequences": s.listed(s.text)}, only=True)

BACKUP_JSON: s.Shape = s.record({"config": _config, "state": _state})
MANIFEST: s.Shape = s.record(
    {
        "stream": s.name,
        "account": s.text,
        "format": s.one_of("V1", "V2"),
        "files": s.listed(_FILE),
        "config": _config,
        "state": _state,
        "exact": s.flag,
        "created": s.text,
        "consumers": s.listed(_CONSUMER),
        "with_consumers": s.flag,
        "server": _SERVER,
        "started_at": s.moment,
        "finished_at": s.moment,
        "verified": s.one_of("none", "quick", "full"),
        "max_payload": s.count,
    },
    {"suspect": _or_nothing(_SUSPECT), "kept_all": s.flag},
    only=True,
)
SET: s.Shape = s.record(
    {"account": s.text, "finished_at": s.moment, "complete": s.flag, "streams": s.mapped(_MEMBER)},
    {"checked": s.moment_or_nothing, "account_name": s.text},
)
CHECKED: s.Shape = s.record(
    {"identity": s.name, "time": s.moment, "valid": s.flag, "problems": s.listed(s.text)},
    {"engine": s.text},
    only=True,
)
DRILLED: s.Shape = s.record(
    {"identity": s.name, "time": s.moment, "status": s.name},
    {"seconds": s.seconds, "messages": s.count, "server": s.text},
    only=True,
)
HELD: s.Shape = s.record(
    {
        "stream": s.name,
        "account": s.text,
        "cluster": s.text,
        "phase": s.one_of("left", "changed", "deleted", "restored"),
        "set": s.matching(r"\.|\d{8}T\d{6}Z", "a set, or ."),
        "digest": _SHA256,
        "config": _config,
        "consumers": s.listed(s.record({"name": s.name, "config": _consumer_config}, only=True)),
        "placement": _or_nothing(s.mapping),
        "at": s.moment,
    },
    only=True,
)


def document(content: bytes) -> Json:
    """The object in a file. Raises ValueError."""
    try:
        body = parse_json(content)
    except ValueError as exc:
        raise ValueError(f"it cannot be read as JSON: {exc}") from None
    s.mapping(body, "")
    return t.cast("Json", body)


def read(content: bytes, form: s.Shape) -> Json:
    """The object in a file, if it has the form. Raises ValueError that names the field."""
    return t.cast("Json", s.check(document(content), form))
