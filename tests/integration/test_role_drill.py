# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runbook drill as an operator runs it: it finds what was damaged on purpose, and touches nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, cast

import pytest

from integration import rounds
from integration.runbook import Runbooks
from servers import Options, Server
from servers.binaries import nats_server
from servers.samples import make_streams


@pytest.fixture(scope="module")
def books(server_version: str, tmp_path_factory: pytest.TempPathFactory) -> Runbooks:
    home = tmp_path_factory.mktemp("drills")
    with Server(Options(version=server_version)) as server:
        make_streams(server, ["PLAIN", "HEADERS", "WORK_QUEUE"])
        for account in ("APP", "OTHER"):
            rounds.backup_account(server, home / "repository" / account, sets=True)
        books = Runbooks(
            cast(Any, server),
            home,
            jetstream_server_binary=str(nats_server(server_version)),
            jetstream_accounts=[],
            jetstream_system={},
            drill_temp_path=str(home / "temp"),
        )
    (home / "temp").mkdir()
    return books


def test_a_drill_of_a_whole_repository_and_one_that_is_damaged(books: Runbooks) -> None:
    done = books.run("drill", drill_page=str(books.reports / "page.html"))
    assert done.code == 0, done.output
    assert (done.recap["changed"], done.recap["failed"]) == (0, 0)
    assert done.report["outcome"] == "done"
    assert done.report["sentence"].startswith("6 backups came back identical:")
    assert done.report["details"]["drill"]["passed"] is True
    assert "HEADERS" in (books.reports / "page.html").read_text(encoding="utf-8")

    newest = (books.repository / "APP" / "latest").resolve()
    (data,) = (newest / "HEADERS").glob("stream.*")
    whole = data.read_bytes()
    data.write_bytes(whole[:-9])
    before = rounds.tree(books.repository)
    failed = books.run("drill", drill_streams=["HEADERS", "PLAIN"])
    data.write_bytes(whole)
    assert failed.code != 0
    assert failed.report["outcome"] == "failed"
    assert failed.report["sentence"].startswith(
        "1 of 4 backups did not come back as they were. APP > HEADERS is damaged"
    )
    assert [one["object"] for one in failed.report["results"] if one["status"] == "invalid"] == ["APP > HEADERS"]
    assert sum(one["status"] == "identical" for one in failed.report["results"]) == 3
    changed = {name for name, content in rounds.tree(books.repository).items() if before.get(name) != content}
    assert {Path(name).name for name in changed} <= {"drill.json", data.name}
    assert list((books.home / "temp").iterdir()) == []


@pytest.mark.slow
def test_check_mode_and_what_is_refused(books: Runbooks) -> None:
    before = rounds.tree(books.repository)
    planned = books.run("drill", "--check")
    assert planned.code == 0
    assert "drill: planned. 6 backups to choose from" in planned.output
    for wrong, text in (
        ({"drill_streams": ["ABSENT"]}, "there are HEADERS, PLAIN, WORK_QUEUE"),
        ({"drill_set": "20200101T000000Z"}, "There is no set"),
        ({"drill_sample": "many"}, "sample must be a number"),
        ({"drill_verify": "none"}, "quick, full"),
        ({"drill_server_binary": "/absent/nats-server"}, "no program /absent/nats-server"),
        ({"drill_repository": "/absent/place"}, "/absent/place is not a directory"),
    ):
        refused = books.run("drill", **wrong)
        assert refused.code != 0
        assert refused.report["outcome"] == "refused"
        assert text in refused.report["sentence"]
    assert rounds.tree(books.repository) == before


@pytest.mark.slow
def test_the_page(books: Runbooks) -> None:
    page = books.home / "pages" / "backups.html"
    for changed in (1, 0):
        done = books.run("report", report_page=str(page))
        assert (done.code, done.recap["changed"]) == (0, changed)
    assert json.loads(page.with_suffix(".json").read_text())["summary"]["accounts"] == 2
    shutil.rmtree(page.parent)
