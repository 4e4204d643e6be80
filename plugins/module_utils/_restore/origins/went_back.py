# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a live mirror or sourcing stream holds what its origin has no more, because the origin went back.

What a mirror took in since its backup is no difference, as long as its origin has it too. An origin goes back when this
run restores it; or it went back before, and its messages are others than the copies.
"""

from __future__ import annotations

import typing as t

from ..._archive.times import parse_ns
from ..._nats.api import JetStream
from ..._nats.model import Json, StoredMessage, StreamInfo
from .live import last_copied_live
from .sources import is_local, parse_source, source_key

# Sequences behind the backup's last one to look for a copy in.
_LOOK = 16
# Clocks of servers differ: a copy may seem to be that much older than its origin.
_SKEW = 1_000_000_000


async def origin_differences(
    js: JetStream, info: StreamInfo, last: int, gone_back: t.Mapping[str, int]
) -> tuple[list[str], list[str]]:
    """How a stream that took in messages behind C(last) differs from its origins; and notes on those not to be seen.

    C(gone_back): the last sequence of the origins that this run restores.
    """
    differences: list[str] = []
    notes: list[str] = []
    domain = str(js.connection.info.get("domain") or "")
    mirror = info.config.get("mirror")
    for entry in [*(info.config.get("sources") or []), *([mirror] if mirror else [])]:
        name = str(entry.get("name", ""))
        if name == info.name:
            continue
        if not is_local(entry, domain):
            notes.append(
                f"stream {info.name}: its origin {name} is in another account or domain. Whether that went back cannot"
                " be seen from here. If it did, delete this stream and run again."
            )
            continue
        look = _mirror if mirror else _source
        text = await look(js, info, last, entry, gone_back.get(name))
        differences += [text] if text else []
    return differences, notes


def _ahead(name: str, end: int, copied: int) -> str:
    return f"origin {name}: it goes back to {end}, and the stream has taken it in up to {copied}"


async def _mirror(js: JetStream, info: StreamInfo, last: int, entry: Json, end: int | None) -> str:
    name, upper = str(entry.get("name", "")), int(info.state["last_seq"])
    if end is not None:
        return _ahead(name, end, upper) if upper > end else ""
    origin = await js.find_stream(name)
    if origin is None:
        return ""
    there = int(origin.state.get("last_seq") or 0)
    if upper > there:
        return _ahead(name, there, upper)
    for sequence in dict.fromkeys((*range(last + 1, min(upper, last + _LOOK) + 1), upper)):
        copy = await js.message(info.name, sequence)
        if copy is None:
            continue
        original = await js.message(name, sequence)
        if original is not None and parse_ns(original.time) != parse_ns(copy.time):
            return f"origin {name}: it has another message at sequence {sequence}, so it went back since"
    return ""


async def _source(js: JetStream, info: StreamInfo, last: int, entry: Json, end: int | None) -> str:
    name, key = str(entry.get("name", "")), source_key(entry)
    copied, _complete = await last_copied_live(js, info, {key})
    if key not in copied:
        return ""
    upper = copied[key].sequence
    if end is not None:
        return _ahead(name, end, upper) if upper > end else ""
    origin = await js.find_stream(name)
    if origin is None:
        return ""
    there = int(origin.state.get("last_seq") or 0)
    if upper > there:
        return _ahead(name, there, upper)
    for sequence in range(last + 1, min(int(info.state["last_seq"]), last + _LOOK) + 1):
        copy = await js.message(info.name, sequence)
        parsed = parse_source(copy.headers) if copy else None
        if copy is None or parsed is None or parsed[0] != key:
            continue
        original = await js.message(name, parsed[1].sequence)
        if original is not None and _another(copy, original):
            return f"origin {name}: it has another message at sequence {parsed[1].sequence}, so it went back since"
    return ""


def _another(copy: StoredMessage, original: StoredMessage) -> bool:
    """Whether a sourced message cannot be a copy of C(original): other data, or older than it."""
    return copy.data != original.data or parse_ns(original.time) > parse_ns(copy.time) + _SKEW
