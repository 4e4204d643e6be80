# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sourced messages: up to where each source of a stream has been copied. Pure functions over headers and configs.

A server from 2.15 on notes in every sourced message who its origin was, by a hash of the origin's creation time. A
restored origin has a new one, so that a sourcing stream would take it for another stream and copy everything again.
The way round is to start each source behind what was copied.
"""

from __future__ import annotations

import dataclasses
import hashlib
import typing as t

from ..._nats.model import Json

HEADER = b"Nats-Stream-Source:"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def name_hash(text: str) -> str:
    """The server's short hash of a text: 8 digits of base 62."""
    return "".join(_DIGITS[byte % 62] for byte in hashlib.sha256(text.encode()).digest()[:8])


def source_key(source: Json) -> str:
    """How a server names a source in the header of its messages: stream, filters and destinations."""
    name = str(source.get("name", ""))
    external = source.get("external") or {}
    if external:
        name += ":" + name_hash(str(external.get("api", "")))
    consumer = source.get("consumer") or {}
    if consumer:
        name += ":C=" + name_hash(str(consumer.get("name", "")))
    transforms = source.get("subject_transforms") or []
    if transforms:
        filters = "\f".join(entry.get("src") or ">" for entry in transforms)
        destinations = "\f".join(entry.get("dest") or ">" for entry in transforms)
    else:
        filters, destinations = source.get("filter_subject") or ">", ">"
    return f"{name} {filters} {destinations}"


@dataclasses.dataclass(frozen=True)
class Copied:
    """The last message copied from a source: its sequence there, and the origin's identity (empty before 2.15)."""

    sequence: int
    identity: str


def parse_source(headers: bytes) -> tuple[str, Copied] | None:
    """The source key and position in a message's raw headers; C(None) where it was not sourced."""
    for line in headers.split(b"\r\n"):
        if line[: len(HEADER)].lower() != HEADER.lower():
            continue
        words = line[len(HEADER) :].strip().decode(errors="replace").split(" ")
        if len(words) < 4 or not words[1].isdigit():
            return None
        return " ".join((words[0], words[2], words[3])), Copied(int(words[1]), words[5] if len(words) > 5 else "")
    return None


def last_copied(headers: t.Iterable[bytes]) -> dict[str, Copied]:
    """The last position of each source, over the headers of messages in rising order."""
    found: dict[str, Copied] = {}
    for block in headers:
        parsed = parse_source(block) if block else None
        if parsed:
            found[parsed[0]] = parsed[1]
    return found


def start_behind(
    config: Json, copied: t.Mapping[str, Copied], ends: t.Mapping[str, int] | None = None
) -> tuple[Json, list[str]]:
    """A configuration whose sources start behind what was copied with an identity, and what was changed.

    C(ends): the last sequence of origins that end earlier than what was copied from them. Sources that read through a
    consumer of the user's cannot start elsewhere and are left alone.
    """
    sources, changes = [], []
    for source in config.get("sources") or []:
        last = copied.get(source_key(source))
        start = last.sequence + 1 if last and last.identity else 0
        if not source.get("external"):
            start = min(start, (ends or {}).get(str(source.get("name")), start) + 1)
        if start and not source.get("consumer") and int(source.get("opt_start_seq") or 0) < start:
            source = {key: value for key, value in source.items() if key != "opt_start_time"}
            source["opt_start_seq"] = start
            changes.append(f"{source['name']} from {start}")
        sources.append(source)
    return ({**config, "sources": sources} if changes else config), changes


def start_from(config: Json, keys: t.AbstractSet[str], start: int) -> Json | None:
    """A configuration whose sources of these keys start there; C(None) where one of them cannot be told to."""
    sources = []
    for source in config.get("sources") or []:
        if source_key(source) in keys:
            if source.get("consumer"):
                return None
            source = {
                **{key: value for key, value in source.items() if key != "opt_start_time"},
                "opt_start_seq": start,
            }
        sources.append(source)
    return {**config, "sources": sources}


def is_local(entry: t.Mapping[str, t.Any], domain: str) -> bool:
    """Whether a mirror or source is of the same account: also where it is written as external, by its own domain."""
    external = entry.get("external") or {}
    return not external or str(external.get("api")) in ("$JS.API", f"$JS.{domain}.API" if domain else "$JS.API")


def same_but_starts(wanted: Json, found: Json) -> Json:
    """C(wanted) with the later C(opt_start_seq) that C(found) has for the same source, for comparison."""
    starts = {source_key(source): source for source in found.get("sources") or []}
    sources = []
    for source in wanted.get("sources") or []:
        other = starts.get(source_key(source), {})
        start = int(other.get("opt_start_seq") or 0)
        if start > int(source.get("opt_start_seq") or 0):
            source = {key: value for key, value in source.items() if key != "opt_start_time"}
            source["opt_start_seq"] = start
        sources.append(source)
    return {**wanted, "sources": sources} if sources else wanted


def sourced(configs: t.Iterable[t.Mapping[str, t.Any]]) -> frozenset[str]:
    """The streams of the same account from which any of these configurations sources."""
    return frozenset(
        str(source.get("name", ""))
        for config in configs
        for source in config.get("sources") or []
        if not source.get("external")
    )


def origins(config: t.Mapping[str, t.Any], domain: str = "") -> set[str]:
    """The streams of the same account that a stream mirrors or sources from."""
    entries = [*(config.get("sources") or []), *([config["mirror"]] if config.get("mirror") else [])]
    return {str(entry.get("name", "")) for entry in entries if is_local(entry, domain)}
