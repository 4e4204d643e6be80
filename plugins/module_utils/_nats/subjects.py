# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Subjects are made of names that come from servers and files: what would be a command of its own is never sent."""

from __future__ import annotations

import re

from .._text.shown import shown
from .errors import NatsError

# A subject ends at white space, and a command at the end of a line.
_BROKEN = re.compile(r"[\x00-\x20\x7f]")


def require_sendable(*subjects: str) -> None:
    """Raise NatsError for a subject that the protocol cannot carry; an empty one is no subject, and fine."""
    for subject in subjects:
        if _BROKEN.search(subject):
            raise NatsError(
                f"A name in the subject '{shown(subject)[:200]}' has white space or control characters in it, which no"
                " server gives a stream or a consumer. Nothing was sent. Use another backup, or ask who made the name.",
                error="name_refused",
            )
