# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""jetstream_account_recover: what is not proven to be made anew is not touched; the rest is in the runbooks' tests."""

from __future__ import annotations

from pathlib import Path

from integration.cluster import kit
from servers.ansible import run_module
from servers.fixtures import MakeServer


def test_what_is_not_proven_is_left_alone(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server()
    app = kit.App(server)
    for name in ("SAME", "PURGED", "GONE", "OTHER", "HELD"):
        app.stream(name, 1)
        app.fill(name, 5)
    own = {**server.connection(), "path": str(tmp_path / "APP")}
    assert run_module("jetstream_account_backup", own)["changed"] is True
    quiet = run_module("jetstream_account_recover", own)
    assert (quiet["changed"], quiet["streams"], quiet["consumers"]) == (False, [], [])
    app.api("STREAM.PURGE.PURGED")
    app.api("STREAM.DELETE.GONE")
    # Another stream of that name, empty: it is not the one of the backup.
    app.api("STREAM.DELETE.OTHER")
    app.stream("OTHER", 1)
    config = app.api("STREAM.INFO.HELD")["config"]
    config.update(subjects=["$NATSOPS.HELD.HELD"], metadata={"natsops.held": '["HELD.>"]'})
    assert "error" not in app.api("STREAM.UPDATE.HELD", config)
    check = run_module("jetstream_account_recover", own, check=True)
    assert check["changed"] is True
    assert app.api("STREAM.INFO.HELD")["config"]["subjects"] == ["$NATSOPS.HELD.HELD"]
    result = run_module("jetstream_account_recover", own)
    assert {one["stream"]: one["status"] for one in result["streams"]} == {
        "GONE": "absent",
        "HELD": "released",
        "OTHER": "other",
    }
    assert app.api("STREAM.INFO.HELD")["config"]["subjects"] == ["HELD.>"]
    assert app.lost("HELD") == app.lost("SAME") == []
    assert app.api("STREAM.INFO.OTHER")["state"]["messages"] == 0
    assert app.api("STREAM.INFO.PURGED")["state"]["messages"] == 0
    assert app.api("STREAM.INFO.GONE")["error"]["err_code"] == 10059
    assert run_module("jetstream_account_recover", own)["changed"] is False
    app.close()
    nowhere = run_module("jetstream_account_recover", {**own, "path": str(tmp_path / "none")})
    assert nowhere["error"] == "path_not_found"
