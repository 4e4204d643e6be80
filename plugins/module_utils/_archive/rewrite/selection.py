# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which messages of an archive are wanted. Apart from what cuts archives, for every run asks it and few cut."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..subjects import matches

if t.TYPE_CHECKING:
    from ..v2.walk import Message


@dataclass(frozen=True)
class Selection:
    """What to take. Sequences, times (ns) are inclusive, None is no bound. subjects: NATS wildcards, empty is all."""

    since_seq: int | None = None
    since_ns: int | None = None
    until_seq: int | None = None
    until_ns: int | None = None
    subjects: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Selection()

    def after_begin(self, message: Message) -> bool:
        """Is it not before the first wanted moment?"""
        if self.since_seq is not None and message.sequence < self.since_seq:
            return False
        return self.since_ns is None or message.time_ns >= self.since_ns

    def before_end(self, message: Message) -> bool:
        """Is it not after the last wanted moment?"""
        if self.until_seq is not None and message.sequence > self.until_seq:
            return False
        return self.until_ns is None or message.time_ns <= self.until_ns

    def takes(self, subject: str) -> bool:
        """Is the subject wanted?"""
        wanted = not self.subjects or any(matches(subject, pattern) for pattern in self.subjects)
        return wanted and not any(matches(subject, pattern) for pattern in self.exclude)
