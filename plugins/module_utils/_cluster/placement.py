# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where copies can go: placement, tags, unique tags and limits, as the servers choose; pure."""

from __future__ import annotations

import typing as t

from .groups import Stream
from .model import Picture, Server

# A server with this tag is never chosen.
EXCLUDE = "!jetstream"


def _room(server: Server, stream: Stream) -> bool:
    if stream.max_bytes <= 0:
        return True
    kind = "memory" if stream.storage == "memory" else "storage"
    used = max(int(server.usage.get(kind) or 0), int(server.usage.get(f"reserved_{kind}") or 0))
    return int(server.limits.get(kind) or 0) - used >= stream.max_bytes


def _tagged(server: Server, wanted: t.Iterable[str]) -> bool:
    tags = {tag.lower() for tag in server.tags}
    return all((tag[1:].lower() not in tags) if tag.startswith("!") else (tag.lower() in tags) for tag in wanted)


def fits(server: Server, stream: Stream) -> bool:
    """Whether a copy of the stream may go to that live member, other copies aside."""
    cluster = stream.placement.get("cluster") or stream.cluster
    return (
        server.alive
        and server.member
        and server.jetstream
        and (not cluster or server.cluster == cluster)
        and EXCLUDE not in {tag.lower() for tag in server.tags}
        and _tagged(server, stream.placement.get("tags") or ())
        and _room(server, stream)
    )


def _unique(server: Server, stream: Stream) -> str | None:
    """The tag that no two copies may share; empty where there is no such rule, C(None) where the server lacks it."""
    prefix = server.unique_tag
    if not prefix or any(tag.lstrip("!").startswith(prefix) for tag in stream.placement.get("tags") or ()):
        return ""
    return next((tag for tag in server.tags if tag.startswith(prefix)), None)


def replacements(picture: Picture, stream: Stream, gone: t.AbstractSet[str]) -> tuple[list[Server], int]:
    """Servers that can take the copies that the stream lacks when C(gone) (peer ids) are out, and how many it lacks.

    The list is what is possible, not what the servers will choose; it is complete enough only if it has as many
    entries as are lacking (with a unique tag, entries do not share it).
    """
    stay = {replica.peer for replica in stream.group.replicas if not replica.ghost} - gone
    lacking = max(stream.group.wanted - len(stay), 0)
    servers = [server for server in picture.servers if server.peer not in stay | gone and fits(server, stream)]
    taken = {_unique(picture.server(peer), stream) for peer in stay} - {"", None}
    chosen = []
    for server in sorted(servers, key=lambda one: (int(one.usage.get("ha_assets") or 0), one.label)):
        unique = _unique(server, stream)
        if unique is None or unique in taken:
            continue
        if unique:
            taken.add(unique)
        chosen.append(server)
    return chosen, lacking


def why_not(picture: Picture, stream: Stream, gone: t.AbstractSet[str]) -> str:
    """Why no server can take a copy, for a sentence."""
    rules = []
    if stream.placement.get("cluster"):
        rules.append(f"cluster {stream.placement['cluster']}")
    rules.extend(f"tag {tag}" for tag in stream.placement.get("tags") or ())
    if stream.max_bytes:
        rules.append(f"{stream.max_bytes} bytes of {stream.storage} storage")
    others = picture.usable - gone - stream.group.peers
    if not others:
        return "every other live server has a copy already" if picture.usable - gone else "no other server is alive"
    return f"none of {picture.names(others)} fits its placement ({', '.join(rules) or 'unique tags'})"
