# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How large a message may be on its way: every server between here and the stream has a limit of its own."""

from __future__ import annotations

import re

from .api import JetStream

# What every hop is expected to take. Only the limit of the first one can be asked for; a leafnode's hub that gets more
# than its limit closes the leafnode's connection, for all clients.
FAR = 64 * 1024


def far(js: JetStream) -> bool:
    """Whether data goes through a leafnode or by an imported API: past the server that we are connected to."""
    options, info = js.connection.options, js.connection.info
    if options.domain or options.api_prefix:
        return True
    return js.domain != str(info.get("domain") or "") or not info.get("jetstream")


def chunk_size(js: JetStream, wanted: int, usual: int) -> int:
    """Bytes of a chunk: C(wanted) if it is not 0, else C(usual) or less, so that each hop takes it."""
    most = wanted or (FAR if far(js) else usual)
    return max(min(most, js.connection.max_payload), 1)


def suspicion(js: JetStream, size: int) -> str:
    """What to add to an error where data stopped on a way with several hops; empty where there is one."""
    if not far(js):
        return ""
    return (
        f" The way goes through a leafnode or an imported API, in chunks of {size} bytes. A server on it whose"
        " max_payload is less closes the connection between the servers. See their logs for a maximum payload violation"
        ", and set chunk_size to less than the least max_payload on the way."
    )


# A server sends, and takes, the first chunk as soon as it has answered.
_FIRST = 5.0


def imported(js: JetStream) -> bool:
    """Whether the API is reached under a prefix of somebody's own: by an import from another account."""
    prefix = (js.connection.options.api_prefix or "$JS.API").rstrip(".")
    return not re.fullmatch(r"\$JS(?:\.[^.]+)*\.API", prefix)


def first_patience(js: JetStream, usual: float) -> float:
    """Seconds to wait for the first chunk, or for who takes it."""
    return min(usual, _FIRST) if imported(js) else usual


def unheard(js: JetStream) -> tuple[str, str]:
    """What to say, and the error's word, where the API answered and no data came or was taken after it."""
    remedy = "Use credentials of the account that owns the stream."
    word = "api_imported" if imported(js) else ""
    if word:
        text = (
            f"the API at {js.connection.options.api_prefix} answers, and no data goes through: it is imported from"
            f" another account, and such an import carries questions and answers only. {remedy}"
        )
        return text, word
    text = f"if the API is imported from another account, no data can go through. {remedy} Else run again."
    return text, word
