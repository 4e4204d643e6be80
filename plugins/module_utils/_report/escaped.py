# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text as Markdown shows it: no HTML, no links, no cells, lines or headings that the text makes by itself."""

from __future__ import annotations

import re
import typing as t

from .._text.shown import shown

_SPECIAL = re.compile(r"[\\`*\[\]|]")
_AT_START = re.compile(r"[#>+=~-]|\d+[.)]")
# What GitHub and others make a link of without any sign: addresses of pages and of people.
_ADDRESS = re.compile(r"\b(https?|ftp|mailto|xmpp)(:)|\b(www)(\.)|(?<=[\w.+-])()(@)(?=\w)", re.IGNORECASE)


def _broken(match: re.Match[str]) -> str:
    sign = match[2] or match[4] or match[6]
    return f"{match[1] or match[3] or ''}&#{ord(sign)};"


def inline(value: t.Any) -> str:
    """A value in running text or in a cell of a table."""
    text = shown(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _ADDRESS.sub(_broken, _SPECIAL.sub(r"\\\g<0>", text))
    return f"\\{text}" if _AT_START.match(text) and not text[0].isdigit() else text


def code(value: t.Any) -> str:
    """A value as code."""
    text = shown(value)
    if "`" not in text:
        return f"`{text}`"
    fence = "`" * (_longest(text) + 1)
    return f"{fence} {text} {fence}"


def block(lines: t.Sequence[t.Any], language: str = "") -> list[str]:
    """Lines of code, which cannot end the block."""
    texts = [shown(line) for line in lines]
    fence = "`" * max(3, max((_longest(text) for text in texts), default=0) + 1)
    return [f"{fence}{language}", *texts, fence]


def _longest(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
