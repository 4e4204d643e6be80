# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runbook verify: good backups are named good, and every kind of bad one is found and named."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from integration.runbook import Runbooks
from servers import PASSWORD
from servers.ansible import run_module
from servers.fixtures import MakeServer
from servers.samples import make_streams


def test_verify_tells_good_backups_from_bad_ones(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server()
    make_streams(server, ["PLAIN", "EMPTY"])
    repository = tmp_path / "repository"
    login = {"servers": [server.url], "user": "app", "password": PASSWORD}
    for account in ("APP", "COPY"):
        done = run_module("jetstream_account_backup", {**login, "path": str(repository / account), "sets": True})
        assert done.get("changed"), done
    runbooks = Runbooks.__new__(Runbooks)
    runbooks.home, runbooks.reports, runbooks.repository = tmp_path, tmp_path / "reports", repository
    shared: dict[str, Any] = {
        "jetstream_accounts": [{"name": "APP"}, {"name": "COPY"}],
        "jetstream_repository": str(repository),
        "jetstream_reports": str(runbooks.reports),
    }
    runbooks.variables = lambda: shared  # type: ignore[method-assign]
    good = runbooks.run("verify")
    assert (good.code, good.report["outcome"]) == (0, "done"), good.output
    assert good.report["sentence"] == "4 backups of 2 accounts checked (full): all are as they were made."
    archive = next((repository / "COPY" / "latest").resolve().glob("PLAIN/stream.*"))
    body = bytearray(archive.read_bytes())
    body[len(body) // 2] ^= 1
    archive.write_bytes(body)
    shared["jetstream_accounts"].append({"name": "NONE"})
    bad = runbooks.run("verify")
    assert (bad.code, bad.report["outcome"]) == (2, "failed"), bad.output
    assert "COPY > PLAIN" in bad.report["sentence"]
    assert "NONE" in bad.report["sentence"]
    assert "APP >" not in bad.report["sentence"]
    shutil.rmtree(repository / "APP")
    shared["jetstream_accounts"] = []
    wrong = runbooks.run("verify")
    assert (wrong.code, wrong.report["outcome"]) == (2, "refused"), wrong.output
    assert "verify_accounts is empty" in wrong.report["sentence"]
