# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last step of everything that a module returns: nothing in it moves a cursor, and no secret is in it."""

from __future__ import annotations

import os
import typing as t

from .._files.errors import FileError, why
from .._nats.contexts import context_path
from .._nats.pasted import looks_like_path
from .._nats.urls import secrets_in as secrets_in_addresses
from .._text.secrets import secrets_in, without_secrets
from .._text.shown import each_text, shown

_FILES = ("credentials", "nkey_seed", "ca_cert", "client_cert", "client_key")
# Shorter ones would be blotted out in the middle of every other word.
_SHORTEST = 4


def line(text: object) -> str:
    """One line for people: a message, a warning."""
    return shown(without_secrets(str(text)))


def values(content: t.Any) -> t.Any:
    """Results: every text in them, keys too."""
    return each_text(content, lambda text: shown(without_secrets(text), lines=True))


def hidden_in(params: t.Mapping[str, t.Any]) -> set[str]:
    """What of a task's options must be in no output: in addresses, by its form, or pasted where a path belongs."""
    found = secrets_in(dict(params))
    for place in (params, *(params.get("accounts") or ())):
        if not isinstance(place, t.Mapping):
            continue
        found |= secrets_in_addresses(place.get("servers") or ())
        given = {name: place.get(name) for name in _FILES}
        found |= {value for value in given.values() if isinstance(value, str) and not looks_like_path(value)}
        context = place.get("context")
        if isinstance(context, str) and not looks_like_path(context) and not _is_context(context):
            found.add(context)
    # In a list of options, the log of the host writes the ends of lines as escapes: so each line counts by itself too.
    found |= {part.strip() for value in found for part in value.splitlines()}
    return {value for value in found if len(value) >= _SHORTEST}


def _is_context(name: str) -> bool:
    try:
        return context_path(name, os.environ).is_file()
    except (OSError, ValueError):
        return False


def refusal_of_the_system(failure: OSError) -> FileError:
    """What the system refused, as a sentence: a file, a directory or a disk, which is no defect of the collection."""
    told = FileError(failure.errno or 0, why(failure), str(failure.filename or "The system refused"))
    told.__cause__ = failure
    return told
