# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Server lines, what each can do, and what must not be done to it.

One table of versions and limits, each with its evidence; other code asks it, none compares versions itself.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

Version = tuple[int, int, int]


def parse_version(text: str) -> Version:
    """C("2.12.15-RC.1") as C((2, 12, 15)); C((0, 0, 0)) where there is no version in it."""
    match = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else (0, 0, 0)


@dataclasses.dataclass(frozen=True)
class Line:
    """What one server version can do."""

    version: Version

    @classmethod
    def of(cls, text: str) -> Line:
        return cls(parse_version(text))

    def __str__(self) -> str:
        return ".".join(str(part) for part in self.version)

    def _has(self, *fixed: Version) -> bool:
        """Whether a fix is in: C(fixed) holds the first good patch of each line; lines after the last have it."""
        for first in fixed:
            if self.version[:2] == first[:2]:
                return self.version >= first
        return self.version > max(fixed)

    @property
    def writes_v2(self) -> bool:
        """Snapshots are NATSARC1 archives, and such archives can be restored (nats-server 2.15, ADR-63)."""
        return self.version >= (2, 15, 0)

    @property
    def memory_snapshots(self) -> bool:
        """Streams in memory can be backed up; older lines answer error 10064."""
        return self.version >= (2, 15, 0)

    @property
    def source_identity(self) -> bool:
        """Sourced messages carry a hash of their origin's creation time, so that a restored origin counts as new."""
        return self.version >= (2, 15, 0)

    @property
    def resets_consumers(self) -> bool:
        """A consumer can be moved to a sequence by CONSUMER.RESET; older lines make it anew."""
        return self.version >= (2, 14, 0)

    @property
    def strict_json(self) -> bool:
        """Unknown fields of a request are an error (10025) instead of being ignored."""
        return self.version >= (2, 12, 0)

    @property
    def ack_timeout(self) -> float:
        """Seconds without an acknowledgement after which the server gives a snapshot up."""
        return 5.0 if self._has((2, 12, 5), (2, 14, 0)) else 2.0

    def parallel_restores(self, clustered: bool) -> int:
        """How many restores may run at once.

        A standalone server of any line dies of concurrent restores (C(concurrent map iteration and map write)); in
        a cluster they could panic before 2.11.11 and 2.12.2 (nats-server 7503).
        """
        if not clustered or not self._has((2, 11, 11), (2, 12, 2), (2, 14, 0)):
            return 1
        return 16

    @property
    def snapshot_can_desync(self) -> bool:
        """A snapshot of a replicated stream could desync it (nats-server 7655)."""
        return not self._has((2, 11, 12), (2, 12, 3), (2, 14, 0))


_STREAM_FIELDS: dict[str, Version] = {
    "allow_msg_ttl": (2, 11, 0),
    "subject_delete_marker_ttl": (2, 11, 0),
    "allow_msg_counter": (2, 12, 0),
    "allow_atomic": (2, 12, 0),
    "allow_msg_schedules": (2, 12, 0),
    "persist_mode": (2, 12, 0),
    "allow_batched": (2, 14, 0),
    "compression": (2, 10, 0),
    "first_seq": (2, 10, 0),
    "subject_transform": (2, 10, 0),
    "consumer_limits": (2, 10, 0),
    "metadata": (2, 10, 0),
}
_STREAM_KNOWN = frozenset(
    "name description subjects retention max_consumers max_msgs max_bytes max_age max_msgs_per_subject max_msg_size"
    " discard storage num_replicas no_ack template_owner duplicate_window placement mirror sources republish"
    " allow_direct mirror_direct discard_new_per_subject sealed deny_delete deny_purge allow_rollup_hdrs".split()
)
_SOURCE_FIELDS: dict[str, Version] = {"consumer": (2, 14, 0), "subject_transforms": (2, 10, 0)}
_CONSUMER_FIELDS: dict[str, Version] = {
    "pause_until": (2, 11, 0),
    "priority_groups": (2, 11, 0),
    "priority_policy": (2, 11, 0),
    "priority_timeout": (2, 11, 0),
    "sourcing": (2, 14, 0),
}
# What says the same as leaving the field out: Go's zero values, its zero time, and defaults that have a name.
_NOTHING = (None, False, 0, "", "none", "default", "0001-01-01T00:00:00Z")
_NEWEST_KNOWN: Version = (2, 15, 999)


@dataclasses.dataclass(frozen=True)
class UnsupportedField:
    """A field of a configuration that a line does not know; C(since) is C(None) for one no known line has."""

    path: str
    since: Version | None

    def __str__(self) -> str:
        since = f"needs {self.since[0]}.{self.since[1]}" if self.since else "unknown to every line up to 2.15"
        return f"{self.path} ({since})"


def says_nothing(value: t.Any) -> bool:
    """Whether a field with this value is not used: zero, or a mapping or list of nothing else.

    What servers note in metadata for themselves is nothing either.
    """
    if isinstance(value, dict):
        return all(says_nothing(inner) or str(name).startswith("_nats.") for name, inner in value.items())
    if isinstance(value, list):
        return all(says_nothing(inner) for inner in value)
    return value in _NOTHING


def unsupported_stream_fields(config: t.Mapping[str, t.Any], line: Line) -> list[UnsupportedField]:
    """The fields of a stream configuration, set to something, that C(line) would reject or silently ignore."""
    found = []
    for name, value in config.items():
        if says_nothing(value):
            continue
        since = _STREAM_FIELDS.get(name)
        if since is None and name not in _STREAM_KNOWN:
            if line.version <= _NEWEST_KNOWN:
                found.append(UnsupportedField(name, None))
        elif since is not None and line.version < since:
            found.append(UnsupportedField(name, since))
    for place in ("mirror", "sources"):
        entries = config.get(place) or []
        for index, source in enumerate(entries if isinstance(entries, list) else [entries]):
            prefix = place if isinstance(entries, dict) else f"{place}[{index}]"
            found.extend(
                UnsupportedField(f"{prefix}.{name}", since)
                for name, since in _SOURCE_FIELDS.items()
                if not says_nothing(source.get(name)) and line.version < since
            )
    return found


def without_unused(config: t.Mapping[str, t.Any], line: Line) -> dict[str, t.Any]:
    """A stream configuration without the fields that C(line) does not know and that say nothing: it may refuse them."""

    def known(name: str, value: t.Any) -> bool:
        since = _STREAM_FIELDS.get(name)
        new = line.version < since if since else name not in _STREAM_KNOWN
        return not (new and says_nothing(value))

    return {name: value for name, value in config.items() if known(name, value)}


def unsupported_consumer_fields(config: t.Mapping[str, t.Any], line: Line) -> list[UnsupportedField]:
    """The fields of a consumer configuration, set to something, that C(line) does not know."""
    return [
        UnsupportedField(f"consumer {config.get('durable_name') or config.get('name')}: {name}", since)
        for name, since in _CONSUMER_FIELDS.items()
        if not says_nothing(config.get(name)) and line.version < since
    ]


def supported_consumer_config(config: t.Mapping[str, t.Any], line: Line) -> dict[str, t.Any]:
    """A consumer configuration without the fields that C(line) does not know."""
    unknown = {name for name, since in _CONSUMER_FIELDS.items() if line.version < since}
    return {name: value for name, value in config.items() if name not in unknown}
