# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many streams with the same trouble: one warning, and one bounded wait for the account as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from integration import rounds
from servers.fixtures import MakeServer

# APP may use what OTHER has: its API under a prefix, and what it delivers.
SHARED: dict[str, Any] = {
    "OTHER": {
        "exports": [
            {"service": "$JS.API.>", "response_type": "stream"},
            {"service": "$JS.FC.>"},
            {"stream": "deliver.app.>"},
        ]
    },
    "APP": {
        "imports": [
            {"service": {"account": "OTHER", "subject": "$JS.API.>"}, "to": "JS.other.API.>"},
            {"service": {"account": "OTHER", "subject": "$JS.FC.>"}},
            {"stream": {"account": "OTHER", "subject": "deliver.app.>"}},
        ]
    },
}
ELSEWHERE = {"api": "JS.other.API", "deliver": "deliver.app"}


def test_origins_that_nobody_can_reach(make_server: MakeServer, tmp_path: Path) -> None:
    """No such stream, no such stream in another account, no such domain: 5 seconds in all, three warnings."""
    server = make_server(accounts=SHARED)
    rounds.ask(server, "STREAM.CREATE.ORIGIN", {"name": "ORIGIN", "subjects": ["origin.>"]}, user="other")
    made: list[dict[str, Any]] = [{"name": "REACHED", "mirror": {"name": "ORIGIN", "external": ELSEWHERE}}]
    for number in range(12):
        made += [
            {"name": f"ABSENT{number}", "mirror": {"name": "GONE"}},
            {"name": f"ELSEWHERE{number}", "sources": [{"name": f"GONE{number}", "external": ELSEWHERE}]},
            {"name": f"NOWHERE{number}", "mirror": {"name": "FAR", "external": {"api": "$JS.nowhere.API"}}},
        ]
    rounds.ask_many(server, [(f"STREAM.CREATE.{config['name']}", config) for config in made])
    rounds.backup_account(server, tmp_path / "APP")
    rounds.delete_all(server)
    result = rounds.restore_account(server, tmp_path / "APP")
    assert result["summary"]["created"] == 37
    said = rounds.warnings(result)
    assert [line.partition(" (")[0] for line in said] == ["12 streams"] * 3, said
    absent, elsewhere, nowhere = said
    assert "(ABSENT0, ABSENT1, ABSENT10, ABSENT11, ABSENT2 and 7 more): its origin GONE does not exist" in absent
    assert "GONE0, GONE1, GONE10 and 9 more at JS.other.API does not exist" in elsewhere
    assert "its origin FAR cannot be reached: nothing answers at $JS.nowhere.API" in nowhere
    assert "stream NOWHERE3: its origin FAR cannot" in rounds.of(result, "NOWHERE3")["warnings"][0]
    assert "warnings" not in rounds.of(result, "REACHED")
    # What a restore of these takes without any wait, and 5 seconds.
    rounds.delete_all(server)
    quick = rounds.restore_account(server, tmp_path / "APP", settle_timeout=0)
    assert result["duration"] < quick["duration"] + 5 + 4
