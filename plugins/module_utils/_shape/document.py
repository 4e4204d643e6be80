# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON from elsewhere. What a document may cost is known before any of it is built."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

#: Deeper than any document of a server or of ours, and little enough for code that calls itself.
MOST_DEPTH = 64
#: Digits of a number: one of 64 bits has twenty.
MOST_DIGITS = 20
#: What a document may take in memory, by `cost`, where the caller gives no other bound.
MOST_COST = 96 * 1024 * 1024

_OTHER = bytes(byte for byte in range(256) if byte not in b"[]{}")
_PIECE = 256 * 1024
# A surrogate as an escape; whether it has its other half is told by encoding the result.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
# Bytes that a value, the name of a value, and an object or a list take at least, beside their text.
_VALUE, _NAME, _HOLDER = 36, 50, 64


def cost(data: bytes) -> int:
    """About how many bytes a document takes once it is built. Raises ValueError where it is nested too deep."""
    # With its escapes taken out, a string ends at the next quotation mark.
    bare = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets, values, names, within = bytearray(), 0, 0, 0
    for start in range(0, len(bare), _PIECE):
        parts = bare[start : start + _PIECE].split(b'"')
        outside = b"".join(parts[within::2])
        within = (within + len(parts) - 1) % 2
        values += outside.count(b",")
        names += outside.count(b":")
        brackets += outside.translate(None, _OTHER)
    _check_depth(bytes(brackets))
    return len(data) + _VALUE * values + _NAME * names + _HOLDER * (len(brackets) // 2)


def _check_depth(brackets: bytes) -> None:
    for _level in range(MOST_DEPTH):
        shorter = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if len(shorter) == len(brackets) <= MOST_DEPTH:
            return  # nothing is left, or they do not match, which the parser says better
        brackets = shorter
    raise ValueError(f"it is nested more than {MOST_DEPTH} levels deep")


def parse_json(data: bytes | str, most: int = MOST_COST) -> Any:
    """The value in a JSON document. Raises ValueError for anything else, and for one that costs more than most bytes.

    A name may be there once. Numbers have at most 20 digits and are finite. Text is proper Unicode.
    """
    if len(data) > most:
        raise ValueError(f"it has {len(data)} bytes, and at most {most} are read")
    raw = data.encode() if isinstance(data, str) else data
    estimate = cost(raw)
    if estimate > most:
        raise ValueError(f"it would take about {estimate} bytes of memory, and at most {most} are given to it")
    text = raw.decode("utf-8-sig")
    try:
        value = json.loads(
            text, parse_int=_whole, parse_float=_fraction, parse_constant=_constant, object_pairs_hook=_object
        )
    except RecursionError:
        raise ValueError(f"it is nested more than {MOST_DEPTH} levels deep") from None
    if _SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _fraction(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"the number {digits[:20]} is too large")
    return value


def _constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number in JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _value in pairs]
        twice = next(name for index, name in enumerate(names) if name in names[:index]) if len(names) < 1000 else ""
        raise ValueError(f"the name {twice[:80]!r} is there twice")
    return found
