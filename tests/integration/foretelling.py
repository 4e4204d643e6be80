# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparing what check mode said with what the real run did."""

from __future__ import annotations

from typing import Any

FORESEEN = {
    "would_transfer": "transferred",
    "would_salvage": "transferred",
    "would_create": "created",
    "would_replace": "replaced",
    "would_finish": "finished",
    "would_restore": "restored",
    "would_hold": "held",
    "would_move": "moved",
}
#: Figures of a summary that depend on how fast it went.
CLOCK = ("rto", "rpo", "rate", "seconds")


def said(result: dict[str, Any], *, sentences: bool = True) -> dict[str, Any]:
    """What of a result check mode must foretell: what changes, what is refused and why, what becomes of each thing.

    A refusal is foretold word for word, with the same sentence; without C(sentences), by the words for machines alone.
    """
    lists = [result.get(key) for key in ("streams", "consumers")]
    things = [one for found in lists if isinstance(found, list) for one in found if isinstance(one, dict)]
    things = things or ([result] if "status" in result else [])
    return {
        "changed": result["changed"],
        "failed": bool(result.get("failed")),
        "error": result.get("error"),
        "msg": result.get("msg") if sentences and result.get("failed") else None,
        "refusals": result.get("refusals"),
        "things": [
            {
                "name": (one.get("account"), one.get("stream"), one.get("consumer")),
                "status": FORESEEN.get(str(one.get("status")), one.get("status")),
                "reason": one.get("reason") if sentences and one.get("status") in ("failed", "skipped") else None,
                **{key: one.get(key) for key in ("error", "lost")},
            }
            for one in things
        ],
        "summary": {key: value for key, value in (result.get("summary") or {}).items() if key not in CLOCK},
        **{key: result.get(key) for key in ("removed", "valid", "passed", "findings")},
    }
