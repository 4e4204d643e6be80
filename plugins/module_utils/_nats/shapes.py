# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shape of every answer that is read: of the fields that are used, the types. Servers may add what they like."""

from __future__ import annotations

import base64
import re
import typing as t

from .._shape import schema as s
from .._shape.document import parse_json
from .._shape.jetstream import wrong_in_config, wrong_in_consumer, wrong_in_state
from .errors import ProtocolError, api_error
from .model import Json

#: Memory, by estimate. Answers about a whole server are long.
MOST_ANSWER = 1024 * 1024 * 1024


def _by(wrong_in: t.Callable[[Json], str], *names: str) -> s.Shape:
    def shape(value: t.Any, at: str) -> None:
        s.mapping(value, at)
        for name in names:
            s.name(value.get(name), f"{at}.{name}")
        wrong = wrong_in(value)
        if wrong:
            raise ValueError(f"{at}.{wrong}")

    return shape


def _opt(shape: s.Shape, names: str) -> dict[str, s.Shape]:
    return dict.fromkeys(names.split(), shape)


_ERROR = s.record({}, {"code": s.whole, "err_code": s.whole, "description": s.text})
_REPLICA = s.record({}, {**_opt(s.text, "name peer"), **_opt(s.flag, "current offline pending"), "lag": s.count})
CLUSTER = s.record({}, {**_opt(s.text, "name leader"), "replicas": s.listed(_REPLICA), "desired": s.mapping})
_ORIGIN = s.record({"name": s.name}, {"lag": s.count, "active": s.whole, "error": _ERROR, "external": s.mapping})
_CONFIG = _by(lambda config: wrong_in_config(config, choices=False), "name")
_STATE = _by(wrong_in_state)
STREAM = s.record(
    {"config": _CONFIG},
    {
        "state": _STATE,
        "created": s.text,
        "ts": s.text,
        "cluster": CLUSTER,
        "mirror": _ORIGIN,
        "sources": s.listed(_ORIGIN),
    },
)
_PAIR = s.record({}, {"consumer_seq": s.count, "stream_seq": s.count})
CONSUMER = s.record(
    {"name": s.name},
    {
        "config": _by(wrong_in_consumer),
        "created": s.text,
        "delivered": _PAIR,
        "ack_floor": _PAIR,
        **_opt(s.count, "num_ack_pending num_redelivered num_pending"),
        "cluster": CLUSTER,
        "priority_groups": s.listed(s.mapping),
    },
)
_LIMITS = s.record(
    {},
    {
        **_opt(s.whole, "max_memory max_storage max_streams max_consumers max_ack_pending"),
        **_opt(s.whole, "memory_max_stream_bytes storage_max_stream_bytes"),
        "max_bytes_required": s.flag,
    },
)
_USE = {**_opt(s.whole, "memory storage reserved_memory reserved_storage streams consumers"), "limits": _LIMITS}
ACCOUNT = s.record(
    {},
    {**_USE, "tiers": s.mapped(s.record({}, _USE)), "domain": s.text, "api": s.record({}, {"level": s.count})},
)
MESSAGE = s.record(
    {"message": s.record({"seq": s.count, "subject": s.text, "time": s.text}, _opt(s.text, "hdrs data"))}
)
SNAPSHOT = s.record({"config": _CONFIG, "state": _STATE})
USER = s.record(
    {}, {"data": s.record({}, {**_opt(s.text, "user account account_name user_name"), "permissions": s.mapping})}
)


def _page(key: str, each: s.Shape) -> s.Shape:
    pages = {**_opt(s.count, "total offset limit"), "missing": s.listed(s.text), "offline": s.mapped(s.text)}
    return s.record({}, {**pages, key: s.listed(each)})


_BY_SUBJECT: tuple[tuple[str, s.Shape], ...] = (
    (r"INFO", ACCOUNT),
    (r"STREAM\.(INFO|CREATE|UPDATE)\..*", STREAM),
    (r"STREAM\.LIST", _page("streams", STREAM)),
    (r"STREAM\.NAMES", _page("streams", s.name)),
    (r"STREAM\.MSG\.GET\..*", MESSAGE),
    (r"STREAM\.SNAPSHOT\..*", SNAPSHOT),
    (r"STREAM\.RESTORE\..*", s.record({}, {"deliver_subject": s.text})),
    (r"CONSUMER\.(INFO|CREATE|DURABLE\.CREATE)\..*", CONSUMER),
    (r"CONSUMER\.LIST\..*", _page("consumers", CONSUMER)),
    (r"CONSUMER\.NAMES\..*", _page("consumers", s.name)),
)


def shape_of(subject: str) -> s.Shape:
    """The shape of the answer to a request of the JetStream API; C(subject) is without the prefix."""
    return next((shape for pattern, shape in _BY_SUBJECT if re.fullmatch(pattern, subject)), s.mapping)


def read_answer(data: bytes, what: str, subject: str, shape: s.Shape = s.mapping) -> Json:
    """The JSON of an answer. Raises ApiError when it holds an error, ProtocolError when it is not of the shape."""
    try:
        answer = parse_json(data, MOST_ANSWER)
    except ValueError as exc:
        raise ProtocolError(what, subject, f"it is not JSON: {data[:80]!r} ({exc})") from None
    try:
        s.mapping(answer, "")
        error = answer.get("error")
        if error:
            _ERROR(error, "error")
        else:
            shape(answer, "")
    except ValueError as exc:
        raise ProtocolError(what, subject, str(exc)) from None
    if error:
        raise api_error(what, error)
    return t.cast("Json", answer)


def decoded(message: Json, key: str) -> bytes:
    """The bytes of a field of a stored message. Raises ProtocolError."""
    try:
        return base64.b64decode(message.get(key) or "")
    except ValueError as exc:
        raise ProtocolError("", f"{message.get('subject')!r:.80}", f"{key} is not base64 ({exc})") from None
