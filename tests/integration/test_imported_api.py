# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An API that another account exports answers, and no data goes through: this is said soon, and nothing is left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from integration import rounds
from servers import PASSWORD, oracle
from servers.fixtures import MakeServer

from .evidence import fails, make_stream


@pytest.mark.parametrize("renamed", [True, False], ids=["prefix", "same subjects"])
def test_no_data_goes_through(make_server: MakeServer, tmp_path: Path, renamed: bool) -> None:
    taken: dict[str, Any] = {"service": {"account": "OTHER", "subject": "$JS.API.>"}}
    app: dict[str, Any] = {"imports": [{**taken, "to": "JS.other.API.>"} if renamed else taken]}
    exported = {"exports": [{"service": "$JS.API.>", "response_type": "stream"}]}
    server = make_server(accounts={"OTHER": exported, "APP": app if renamed else {**app, "jetstream": None}})
    make_stream(server, "ORDERS", user="other")
    rounds.backup_account(server, tmp_path / "good", as_user="other")
    context = {"url": server.url, "user": "app", "password": PASSWORD}
    context |= {"jetstream_api_prefix": "JS.other.API"} if renamed else {}
    (tmp_path / "context.json").write_text(json.dumps(context))
    base = {"context": str(tmp_path / "context.json"), "stall_timeout": 30 if renamed else 4}
    said = ("imported from another account", "account that owns the stream")
    back = {**base, "path": str(tmp_path / "bad")}
    fails("jetstream_account_backup", back, "api_imported" if renamed else "stalled", *said, within=15)
    assert not (tmp_path / "bad" / "ORDERS").exists()
    restore = {**base, "path": str(tmp_path / "good" / "ORDERS"), "stream": "NEW", "config": {"subjects": ["new.>"]}}
    word = "api_imported" if renamed else "restore_dropped"
    if server.line < (2, 15):
        restore |= {"stream": "ORDERS", "config": {}}
        rounds.delete(server, ["ORDERS"], user="other")
    fails("jetstream_stream_restore", restore, word, *said, within=30)
    assert [name for name in oracle.stream_names(server, "other") if name != "ORDERS"] == []
