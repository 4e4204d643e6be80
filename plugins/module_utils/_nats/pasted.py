# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an option's value that ought to be a path is told: a secret that was pasted there by mistake is not printed."""

from __future__ import annotations

import os
import re

from .._text.secrets import HIDDEN, secrets_in
from .._text.shown import shown

_UNTOLD = "(not shown, since it may be a secret)"
_LIKE_A_FILE = re.compile(r"[\w./~+@-]{1,200}\.(?:creds|nk|nkey|seed|jwt|pem|crt|cer|cert|key|json|txt)")


def looks_like_path(value: str) -> bool:
    """Whether a value is a path: something is there, its directory exists, or it ends as such files do."""
    if not value or secrets_in(value) or shown(value) != value:
        return False
    try:
        if os.path.lexists(os.path.expanduser(value)):
            return True
    except ValueError:
        return False
    directory = os.path.dirname(os.path.expanduser(value))
    inside = os.path.isabs(directory) and directory != os.sep and os.path.isdir(directory)
    return inside or bool(_LIKE_A_FILE.fullmatch(value))


def told(value: str) -> str:
    """The value for a message."""
    return value if looks_like_path(value) else HIDDEN if secrets_in(value) else _UNTOLD
