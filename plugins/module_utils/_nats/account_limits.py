# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the limits of an account leave for a stream, counted as servers count. Pure functions over their answers."""

from __future__ import annotations

import dataclasses
import typing as t

from .lines import Line
from .model import Json, StreamInfo

_KINDS = {"memory": ("memory", 10028), "file": ("storage", 10047)}


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Why a server would refuse: a sentence without its subject, what to do, the word and code of its error."""

    reason: str
    remedy: str
    error: str
    err_code: int


@dataclasses.dataclass(frozen=True)
class Need:
    """What an archive asks for: C(tar) is the size of the files in a V1 archive, C(bytes) what the stream will hold."""

    format: str | None
    bytes: int
    tar: int = 0


def replicas_of(config: Json) -> int:
    """The replicas that a configuration asks for."""
    return max(int(config.get("num_replicas") or 1), 1)


def _reserves(config: Json) -> int:
    return max(int(config.get("max_bytes") or -1), 0)


class Allowance:
    """The limits that hold for a stream with C(config): those of the account, or of its tier for that many replicas."""

    def __init__(
        self,
        config: Json,
        account: Json,
        streams: t.Iterable[StreamInfo],
        line: Line,
        planned: t.Mapping[str, StreamInfo],
    ) -> None:
        self._config = config
        self.replicas = replicas_of(config)
        self._tiers = account.get("tiers") or {}
        self._mine = self._tiers.get(f"R{self.replicas}") or {} if self._tiers else account
        self.limits: Json = self._mine.get("limits") or {}
        self._file = config.get("storage") != "memory"
        self.kind, self._code = _KINDS["file" if self._file else "memory"]
        self._line = line
        there = {one.name: one for one in streams}
        # What a run has planned so far takes its room, and what it replaces leaves it.
        self._planned = sum(
            self._uses(one) - self._uses(there.get(name)) for name, one in planned.items() if name != config["name"]
        )
        there.update({name: one for name, one in planned.items() if name != config["name"]})
        counted = [one for one in there.values() if not self._tiers or replicas_of(one.config) == self.replicas]
        self._others = [one for one in counted if one.name != config["name"]]
        self._same = next((one for one in counted if one.name == config["name"]), None)

    def _uses(self, info: StreamInfo | None) -> int:
        """What a stream uses of this storage, all replicas counted."""
        if info is None or self._is_file(info) != self._file:
            return 0
        replicas = replicas_of(info.config)
        return 0 if self._tiers and replicas != self.replicas else int(info.state.get("bytes") or 0) * replicas

    def _number(self, name: str) -> int:
        """A limit, or -1 for none."""
        value = self.limits.get(name)
        return -1 if value is None else int(value)

    @property
    def _account(self) -> str:
        return f"the account's tier R{self.replicas}" if self._tiers else "the account"

    def _counted(self, config: Json, size: int) -> int:
        """A reservation as it counts: all replicas, unless the limit is that of a tier. 2.10 has slips, kept here."""
        if self._tiers:
            return size
        if self._line.version >= (2, 11, 0):
            return size * replicas_of(config)
        return size if config is self._config else size * max(replicas_of(config), self.replicas)

    def _is_file(self, info: StreamInfo) -> bool:
        return info.config.get("storage") != "memory"

    def refusal(self, need: Need, *, offline: int = 0) -> Refusal | None:
        """Why the account does not allow the stream; C(None) if it does. C(offline): more streams, known by name."""
        if self._tiers and not self.limits:
            known = ", ".join(sorted(self._tiers))
            return Refusal(
                f"the account has limits for {known}, and none for {self.replicas} replicas",
                "Set replicas to a number that has limits",
                "insufficient_resources",
                10120,
            )
        most = self._number("max_streams")
        if 0 < most <= len(self._others) + (0 if self._tiers else offline):
            return Refusal(
                f"{self._account} has {len(self._others) + offline} of at most {most} streams",
                "Raise the limit, or remove streams",
                "maximum_streams_limit",
                10027,
            )
        return self._of_config() or self._of_reservation(need) or self._of_use(need)

    def _of_config(self) -> Refusal | None:
        wanted = _reserves(self._config)
        if self.limits.get("max_bytes_required") and not wanted:
            text = f"{self._account} wants max_bytes for every stream, and this one has none"
            return Refusal(text, "Set max_bytes in config", "invalid_config", 10113)
        most = self._number(f"{self.kind}_max_stream_bytes")
        if 0 < most < wanted:
            text = f"its max_bytes is {wanted}, and {self._account} allows {most} bytes a stream"
            return Refusal(text, "Lower max_bytes in config", "insufficient_resources", 10122)
        consumers, allowed = int(self._config.get("max_consumers") or -1), self._number("max_consumers")
        if 0 < allowed < consumers:
            text = f"its max_consumers is {consumers}, and {self._account} allows {allowed}"
            return Refusal(text, "Lower max_consumers in config", "maximum_consumers_limit", 10026)
        return None

    def _of_reservation(self, need: Need) -> Refusal | None:
        limit = self._number(f"max_{self.kind}")
        if limit < 0:
            return None
        same_kind = (one for one in self._others if self._is_file(one) == self._file)
        reserved = sum(self._counted(one.config, _reserves(one.config)) for one in same_kind)
        own = _reserves(self._config) or 1
        if need.format == "V1":
            own += need.tar
        else:
            own = max(own, need.bytes)
        wanted = self._counted(self._config, own)
        if reserved + wanted <= limit:
            return None
        return self._full(f"{limit - reserved} of {limit} bytes of {self.kind} are not reserved", wanted)

    def _of_use(self, need: Need) -> Refusal | None:
        """A V1 archive may exceed what others use; only a V2 archive is counted with it."""
        left = self.left()
        if need.format != "V2" or left is None or need.bytes <= left:
            return None
        return self._full(f"{max(left, 0)} bytes of {self.kind} are left", need.bytes)

    def left(self) -> int | None:
        """Bytes that the account has not used, once the stream of that name is gone; all replicas counted."""
        limit = self._number(f"max_{self.kind}")
        if limit < 0:
            return None
        used = int(self._mine.get(self.kind) or 0) + self._planned - self._uses(self._same)
        # A tier counts all replicas as used, and its limit is for one.
        return limit * (self.replicas if self._tiers else 1) - max(used, 0)

    def _full(self, room: str, wanted: int) -> Refusal:
        reason = f"it needs {wanted} bytes of {self.kind}, and in {self._account} {room}"
        remedy = "Free room, raise the limit, or lower max_bytes in config"
        return Refusal(reason, remedy, "insufficient_resources", self._code)
