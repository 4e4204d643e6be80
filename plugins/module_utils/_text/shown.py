# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text from elsewhere (servers, files, names) becomes output here, and only here.

A terminal, a log and a table take a line as it is. So nothing in a shown text may move the cursor, end a line, turn the
reading direction, or be invisible.
"""

from __future__ import annotations

import re
import typing as t

# C0, DEL and C1; soft hyphen; the marks, embeddings, overrides and isolates of bidirectional text; separators of lines;
# what has no width; annotations; tags. Surrogates stand for bytes that are no UTF-8, and cannot be encoded.
_UNSEEN = (
    "\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f"
)
_IN_LINE = re.compile(f"[{_UNSEEN}]")
_IN_TEXT = re.compile(f"(?![\n\t])[{_UNSEEN}]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_DEEPEST = 64


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shown(text: object, *, lines: bool = False) -> str:
    """The text with every character that a person cannot see, or a terminal obeys, written as an escape.

    C(lines): ends of lines and tabs stay, for what has more than one line by itself.
    """
    return (_IN_TEXT if lines else _IN_LINE).sub(_escape, str(text))


def each_text(value: t.Any, change: t.Callable[[str], str], depth: int = _DEEPEST) -> t.Any:
    """A copy of a JSON-like value in which every string, keys included, went through C(change)."""
    if isinstance(value, str):
        return change(value)
    if not isinstance(value, (dict, list, tuple)):
        return value
    if depth == 0:
        return "..."
    if isinstance(value, dict):
        return {
            change(key) if isinstance(key, str) else key: each_text(one, change, depth - 1)
            for key, one in value.items()
        }
    return [each_text(one, change, depth - 1) for one in value]
