# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recognising secrets by their form, wherever they stand in a text, so that they are never printed."""

from __future__ import annotations

import re
import typing as t

HIDDEN = "(hidden)"

# A seed is S, the letter of its kind, and base32; a pasted one may have lost a few characters.
_SEED = r"(?<![A-Z0-9])S[ACNOUX][A-Z2-7]{38,}={0,6}"
_JWT = r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"
# PEM and the files of credentials: up to the line that ends it or, where that is cut off, to the end of the text.
_BLOCK = r"-{3,} ?BEGIN [A-Z0-9 ]{3,60}-{3,}.*?(?:-{3,} ?END [A-Z0-9 ]{3,60}-{3,}|\Z)"
_SECRET = re.compile(f"{_BLOCK}|{_JWT}|{_SEED}", re.DOTALL)


def without_secrets(text: str) -> str:
    """The text with every seed, JWT and PEM block left out."""
    return _SECRET.sub(HIDDEN, text)


def secrets_in(value: t.Any) -> set[str]:
    """Every secret in the strings of a JSON-like value."""
    if isinstance(value, str):
        return {match[0] for match in _SECRET.finditer(value)}
    if isinstance(value, dict):
        return {secret for pair in value.items() for one in pair for secret in secrets_in(one)}
    if isinstance(value, (list, tuple)):
        return {secret for one in value for secret in secrets_in(one)}
    return set()
