# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Live streams that copy from a stream about to be restored.

They must not copy its messages a second time, and must not wait for sequences that belong to other messages by now.
From 2.15 on a sourcing stream takes a restored origin for another stream, and starts where its configuration says.
While the origin is restored that is behind what it copied, so that it copies nothing again. Afterwards it is behind the
origin's last message, if that is less: a server heeds such a start only then. Mirrors, and all streams of older lines,
go on behind what they copied, whatever became of the origin.
"""

from __future__ import annotations

import asyncio
import dataclasses
import typing as t

from ..._nats.api import JetStream
from ..._nats.errors import ApiError
from ..._nats.model import Json, Listing, StreamInfo
from .sources import Copied, is_local, name_hash, parse_source, source_key, start_behind, start_from

_BATCH = 128
# Messages to look through, from the end, for the last one of a source; beyond it the stream is left alone, with a
# warning.
_MOST = 200_000


@dataclasses.dataclass(frozen=True)
class Follower:
    """A live stream that mirrors or sources from an origin, and how far it has come. C(keys) is empty for a mirror.

    C(complete): the last message of each source was found, or there is none.
    """

    info: StreamInfo
    keys: frozenset[str] = frozenset()
    copied: t.Mapping[str, Copied] = dataclasses.field(default_factory=dict)
    complete: bool = True

    @property
    def last(self) -> int:
        """The last sequence of the origin that it has taken in."""
        if not self.keys:
            return int(self.info.state.get("last_seq") or 0)
        return max((copied.sequence for copied in self.copied.values()), default=0)


def _keys(config: Json, origin: str, domain: str) -> frozenset[str]:
    sources = config.get("sources") or []
    return frozenset(source_key(s) for s in sources if s.get("name") == origin and is_local(s, domain))


def _mirrors(config: Json, origin: str, domain: str) -> bool:
    mirror = config.get("mirror") or {}
    return bool(mirror) and mirror.get("name") == origin and is_local(mirror, domain)


async def followers_of(js: JetStream, origin: str, streams: Listing[StreamInfo]) -> list[Follower]:
    """The live streams that mirror or source from C(origin)."""
    found = []
    domain = str(js.connection.info.get("domain") or "")
    for listed in streams.items:
        keys, mirrors = _keys(listed.config, origin, domain), _mirrors(listed.config, origin, domain)
        info = await js.find_stream(listed.name) if (keys or mirrors) and listed.name != origin else None
        if info is None or not info.state.get("last_seq"):
            continue
        if mirrors:
            found.append(Follower(info))
        else:
            copied, complete = await last_copied_live(js, info, keys)
            found.append(Follower(info, keys, copied, complete))
    return found


async def hold_back(js: JetStream, origin: str, followers: t.Iterable[Follower]) -> list[str]:
    """Make the streams that would copy the restored C(origin) again start behind what they have.

    Returns a warning for each stream that was changed or could not be.
    """
    warnings: list[str] = []
    for follower in followers if js.line.source_identity else ():
        if follower.keys and follower.info.state.get("messages"):
            warnings += await _start_behind(js, origin, follower)
            if not follower.complete:
                warnings.append(
                    f"stream {follower.info.name}: it sources from {origin}, and none of its last {_MOST} messages"
                    " tells how far it had come: it may copy restored messages a second time."
                )
    return warnings


async def _start_behind(js: JetStream, origin: str, follower: Follower) -> list[str]:
    info = follower.info
    config, changes = start_behind(info.config, follower.copied)
    if not changes:
        return []
    try:
        await js.update_stream(config)
    except ApiError as exc:
        text = f"could not be told where to go on ({exc.description}): it will copy the restored messages a second time"
        return [f"stream {info.name}: it sources from {origin} and {text}."]
    text = (
        f"opt_start_seq was set in its configuration ({', '.join(changes)}), so that it does not copy messages a second"
    )
    rest = "time. Remove it only after it has taken in a new message"
    return [f"stream {info.name}: it sources from the restored {origin}; {text} {rest}."]


async def let_go_on(
    js: JetStream, origin: StreamInfo, last: int, before: Json, followers: t.Sequence[Follower]
) -> list[str]:
    """After C(origin) was restored up to C(last): make what is ahead of it go on there, or say what it will miss.

    C(before) is the state of the origin before the restore, empty where there was none.
    """
    warnings = []
    for follower in followers:
        if follower.last <= last:
            continue
        kind = "source" if follower.keys else "origin"
        counts = f"{before.get('messages', 0)} messages before the restore, {origin.state.get('messages', 0)} after it"
        ahead = (
            f"stream {follower.info.name}: its {kind} {origin.name} was taken in up to sequence {follower.last} and is"
            f" back at {last} ({counts}). What came from {last + 1} to {follower.last} is not there any more."
        )
        if await _moved_to(js, origin, last, follower):
            warnings.append(f"{ahead} It goes on there: opt_start_seq is {last + 1} now.")
            continue
        warnings.append(
            f"{ahead} It misses the new messages up to {follower.last}. Restore it from the same backup with"
            " on_conflict replace, or delete it and create it anew, so that it copies everything."
        )
    return warnings


async def _moved_to(js: JetStream, origin: StreamInfo, last: int, follower: Follower) -> bool:
    """Let a sourcing stream start behind C(last); false where its server would not heed it."""
    identity = name_hash(origin.created)
    known = {key: one for key, one in follower.copied.items() if one.identity and one.identity != identity}
    if not js.line.source_identity or not known:
        return False
    info = await js.find_stream(follower.info.name)
    if info is None:
        return True
    config = start_from(info.config, {key for key, one in known.items() if one.sequence > last}, last + 1)
    if config is None:
        return False
    try:
        await js.update_stream(config)
    except ApiError:
        return False
    return True


async def last_copied_live(js: JetStream, info: StreamInfo, keys: t.AbstractSet[str]) -> tuple[dict[str, Copied], bool]:
    """The last copied position of each source, read from the end; false if the stream was not read to its start."""
    found: dict[str, Copied] = {}
    first, upper = int(info.state["first_seq"]), int(info.state["last_seq"])
    looked = 0
    while upper >= first and looked < _MOST:
        lower = max(first, upper - _BATCH + 1)
        batch = await asyncio.gather(*(js.message(info.name, sequence) for sequence in range(upper, lower - 1, -1)))
        for message in batch:
            parsed = parse_source(message.headers) if message else None
            if parsed and parsed[0] in keys:
                found.setdefault(*parsed)
        if keys <= set(found):
            return found, True
        looked += upper - lower + 1
        upper = lower - 1
    return found, upper < first
