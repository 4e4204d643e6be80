# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Streams and consumers that a cluster has made anew, empty, after the loss of their only copy; pure.

A server that is removed takes its only copies along. The cluster makes such a stream anew under the same name, with the
creation time of the old one, which is part of its assignment. A stream never goes back by itself: the same creation
time with a lower last sequence than a backup has proves that it was made anew (or rolled back by a stale survivor).
"""

from __future__ import annotations

import json
import typing as t

from ..._archive.times import parse_ns
from ..._nats.model import ConsumerInfo, Json, StreamInfo
from ..._repository.compare import HELD
from ..._repository.manifest import ConsumerRecord, Manifest

#: What became of a stream since its backup: made anew and still empty; made anew (or rolled back) and written to since;
#: not behind its backup; another stream of that name; gone.
RECREATED, BEHIND, INTACT, OTHER, ABSENT = "recreated", "behind", "intact", "other", "absent"


def last_seq(state: Json) -> int:
    """The last sequence in a state."""
    return int(state.get("last_seq") or 0)


def same_birth(left: str, right: str) -> bool:
    """Whether two RFC 3339 times are the same moment; not where one is unknown."""
    try:
        return bool(left and right) and parse_ns(left) == parse_ns(right)
    except ValueError:
        return False


def judge(manifest: Manifest, live: StreamInfo | None) -> str:
    """What became of a stream since its backup."""
    if live is None:
        return ABSENT
    if not same_birth(manifest.created, live.created):
        return OTHER
    if last_seq(live.state) >= last_seq(manifest.state):
        return INTACT
    return BEHIND if last_seq(live.state) else RECREATED


def went_back(record: ConsumerRecord, live: ConsumerInfo) -> bool:
    """Whether a consumer is the one of the backup, made anew: it has delivered less than it had then."""
    delivered = int(live.delivered.get("stream_seq") or 0)
    return same_birth(record.created, live.created) and delivered < int(record.delivered["stream_seq"])


def held_config(config: Json) -> Json:
    """A configuration under which nobody can publish, and which says what its subjects were."""
    name, metadata = str(config["name"]), dict(config.get("metadata") or {})
    metadata.setdefault(HELD, json.dumps(config.get("subjects") or []))
    return {**config, "subjects": [f"$NATSOPS.HELD.{name}"], "metadata": metadata}


def released_config(config: Json) -> Json | None:
    """The configuration with its own subjects back, or C(None) where they were not taken away."""
    metadata = dict(config.get("metadata") or {})
    text = metadata.pop(HELD, "")
    if not text:
        return None
    subjects: t.Any = json.loads(text)
    found = {**config, "subjects": subjects, "metadata": metadata}
    if not metadata:
        del found["metadata"]
    return found
