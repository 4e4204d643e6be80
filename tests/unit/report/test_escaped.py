# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports in Markdown show what names and reasons say, and do nothing of it."""

from __future__ import annotations

import re

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._report import words
from ansible_collections.natsops.jetstream.plugins.module_utils._report.escaped import block, code, inline
from ansible_collections.natsops.jetstream.plugins.module_utils._report.report import make_report

NASTY = (
    "<img src=x onerror=alert(1)> [here](https://bad.example) ![i](x) `code` a|b\n# head \x1b[2J\u202e www.bad.example"
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ORDERS_2", "ORDERS_2"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("[a](b)", "\\[a\\](b)"),
        ("a|b`c`", "a\\|b\\`c\\`"),
        ("\\[a](b)", "\\\\\\[a\\](b)"),
        ("# head", "\\# head"),
        ("see http://x and HTTPS://y", "see http&#58;//x and HTTPS&#58;//y"),
        ("www.x.example", "www&#46;x.example"),
        ("a@b.example", "a&#64;b.example"),
        ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
        ("a\nb\x1b\u202e", "a\\nb\\x1b\\u202e"),
        (None, "None"),
    ],
)
def test_running_text(text: object, shown: str) -> None:
    # The backslash of an escape is one for Markdown as well.
    assert inline(text) in (shown, shown.replace("\\n", "\\\\n").replace("\\x", "\\\\x").replace("\\u", "\\\\u"))


def test_code_cannot_be_ended_from_within() -> None:
    assert code("/a/b") == "`/a/b`"
    assert code("a`b``c") == "``` a`b``c ```"
    assert block(["x", "```", "# y\n```"], "sh") == ["````sh", "x", "```", "# y\\n```", "````"]


def test_a_whole_report() -> None:
    report = make_report(
        {
            "verb": "restore",
            "started_at": "2026-11-22T10:15:00Z",
            "sentence": NASTY,
            "warnings": [NASTY],
            "evidence": [NASTY],
            "next": [f"run {NASTY} ```"],
            "plan": [{"step": "x", "object": NASTY}],
            "lost": [{"account": NASTY, "stream": NASTY, "reason": NASTY}],
            "results": [{"step": "x", "object": NASTY, "status": "failed", "detail": NASTY}],
            "streams": [{"stream": NASTY}],
        },
        "2026-11-22T10:16:00Z",
    )
    text = words.markdown(report)
    outside = text.partition("```")[0] + text.rpartition("```")[2]
    assert not re.search(r"(?<!\\)\]\(", outside)
    for bad in ("<img", "https://", "\x1b", "\u202e", "\n# head", "www.bad"):
        assert bad not in outside, bad
    for line in words.terminal(report, place="/x/\x1b[2J"):
        assert "\x1b" not in line
        assert "\u202e" not in line
        assert "\n" not in line
