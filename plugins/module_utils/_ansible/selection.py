# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that select a part of a backup."""

from __future__ import annotations

import typing as t

from .._archive.rewrite.selection import Selection
from .._archive.times import parse_ns
from .._nats.errors import OptionsError

_MOST = 1 << 64


def selection(params: t.Mapping[str, t.Any]) -> Selection:
    """What until, since, subjects and exclude_subjects say. Raises OptionsError."""
    bounds: dict[str, int | None] = {}
    for name in ("since", "until"):
        text = (params[name] or "").strip()
        sequence, time_ns = _moment(name, text) if text else (None, None)
        bounds[f"{name}_seq"], bounds[f"{name}_ns"] = sequence, time_ns
    for kind in ("seq", "ns"):
        since, until = bounds[f"since_{kind}"], bounds[f"until_{kind}"]
        if since is not None and until is not None and since > until:
            raise OptionsError(f"since {params['since']} is after until {params['until']}.")
    for name in ("subjects", "exclude_subjects"):
        for subject in params[name]:
            _check_subject(name, subject)
    return Selection(**bounds, subjects=tuple(params["subjects"]), exclude=tuple(params["exclude_subjects"]))


def _moment(name: str, text: str) -> tuple[int | None, int | None]:
    if text.isascii() and text.isdigit():
        if not 0 < int(text) < _MOST:
            raise OptionsError(f"{name}: {text} is no sequence; they begin with 1.")
        return int(text), None
    try:
        return None, parse_ns(text.replace(" ", "T", 1))
    except ValueError:
        raise OptionsError(
            f"{name}: {text!r} is neither a sequence nor a time as in 2026-11-22T10:15:00Z (RFC 3339, with the zone)."
        ) from None


def _check_subject(name: str, subject: str) -> None:
    tokens = subject.split(".")
    bad = not all(tokens) or ">" in tokens[:-1] or any(character.isspace() for character in subject)
    if bad:
        raise OptionsError(f"{name}: {subject!r} is not a subject; wildcards are * for a token and > at the end.")
