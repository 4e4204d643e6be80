# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a value from elsewhere has the types that it must have. A shape is a function: L(check) runs it."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any, Callable

Shape = Callable[[Any, str], None]

_MOMENT = re.compile(
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)
_SHOWN = 80


class ShapeError(ValueError):
    """A value is not what it must be. C(field): where it is, as in C(consumers[3].name)."""

    def __init__(self, field: str, value: Any, expected: str) -> None:
        shown = f"{value!r:.{_SHOWN}}" if not isinstance(value, (dict, list)) else f"a {type(value).__name__}"
        super().__init__(f"{field or 'the document'} is {shown}, not {expected}")
        self.field = field


def check(value: Any, shape: Shape, at: str = "") -> Any:
    """The value, if it has the shape. Raises ShapeError."""
    shape(value, at)
    return value


def text(value: Any, at: str) -> None:
    """Any text."""
    if not isinstance(value, str):
        raise ShapeError(at, value, "a text")


def name(value: Any, at: str) -> None:
    """A text with at least one character."""
    if not isinstance(value, str) or not value:
        raise ShapeError(at, value, "a name")


def moment(value: Any, at: str) -> None:
    """A time, RFC 3339."""
    try:
        if _MOMENT.fullmatch(value) is not None and datetime.datetime.fromisoformat(value[:19].replace(" ", "T")):
            return
    except (TypeError, ValueError):
        pass  # no text, or a day that no calendar has
    raise ShapeError(at, value, "a time (RFC 3339)")


def moment_or_nothing(value: Any, at: str) -> None:
    """A time, or an empty text."""
    if value != "":
        moment(value, at)


def flag(value: Any, at: str) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise ShapeError(at, value, "true or false")


def whole(value: Any, at: str) -> None:
    """A whole number of 64 bits, with a sign."""
    if not isinstance(value, int) or isinstance(value, bool) or not -(1 << 63) <= value < 1 << 64:
        raise ShapeError(at, value, "a whole number")


def count(value: Any, at: str) -> None:
    """A whole number of 64 bits that is not negative."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 64:
        raise ShapeError(at, value, "a number from 0 up")


def seconds(value: Any, at: str) -> None:
    """A number that is not negative."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1e15:
        raise ShapeError(at, value, "a number of seconds")


def mapping(value: Any, at: str) -> None:
    """An object with anything in it."""
    if not isinstance(value, dict):
        raise ShapeError(at, value, "a mapping")


def one_of(*words: Any) -> Shape:
    """One of these values."""

    def shape(value: Any, at: str) -> None:
        if isinstance(value, (dict, list)) or value not in words:
            raise ShapeError(at, value, f"one of {', '.join(map(str, words))}")

    return shape


def matching(pattern: str, expected: str) -> Shape:
    """A text that the whole pattern fits."""
    compiled = re.compile(pattern)

    def shape(value: Any, at: str) -> None:
        if not isinstance(value, str) or compiled.fullmatch(value) is None:
            raise ShapeError(at, value, expected)

    return shape


def listed(each: Shape) -> Shape:
    """A list of such values."""

    def shape(value: Any, at: str) -> None:
        if not isinstance(value, list):
            raise ShapeError(at, value, "a list")
        for index, item in enumerate(value):
            each(item, f"{at}[{index}]")

    return shape


def mapped(each: Shape) -> Shape:
    """An object with such values under any names."""

    def shape(value: Any, at: str) -> None:
        mapping(value, at)
        for key, item in value.items():
            each(item, f"{at}.{key[:_SHOWN]}" if at else key[:_SHOWN])

    return shape


def record(required: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None, *, only: bool = False) -> Shape:
    """An object with these fields. An optional one may be missing.

    C(only): it has no others. Otherwise, as servers write it, an optional one may be null as well.
    """
    allowed = optional or {}

    def shape(value: Any, at: str) -> None:
        mapping(value, at)
        for key, each in required.items():
            place = f"{at}.{key}" if at else key
            if key not in value:
                raise ShapeError(place, None, "there")
            each(value[key], place)
        for key, each in allowed.items():
            if value.get(key) is not None or (only and key in value):
                each(value[key], f"{at}.{key}" if at else key)
        if only:
            unknown = sorted(set(value) - set(required) - set(allowed))
            if unknown:
                raise ShapeError(f"{at}.{unknown[0]}" if at else unknown[0], value[unknown[0]], "a known field")

    return shape


def both(*shapes: Shape) -> Shape:
    """All of these shapes."""

    def shape(value: Any, at: str) -> None:
        for each in shapes:
            each(value, at)

    return shape
