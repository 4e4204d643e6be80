# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""jetstream_backup_report: one page that needs nothing else, which changes only when the repository does."""

from __future__ import annotations

import html.parser
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from integration import rounds
from integration.rounds import Result
from servers import Options, Server
from servers.ansible import play, run_module
from servers.binaries import nats_server
from servers.samples import make_streams

VOID = {"meta", "br"}
SETS = 3


def report(path: Path, dest: Path, **options: Any) -> Result:
    return run_module("jetstream_backup_report", {"path": str(path), "dest": str(dest), **options})


class Page(html.parser.HTMLParser):
    """What a browser would make of it: tags that match, texts, and what it would load from elsewhere."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.loads: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "data", "action")]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script"):
            assert "://" not in data
            assert "url(" not in data
            return
        self.texts.append(data)
        if self.rows and "tr" in self.open:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def repository(server_version: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two accounts with three sets and a drill, and one with a plain backup."""
    root = tmp_path_factory.mktemp("report") / "backups"
    with Server(Options(version=server_version)) as server:
        make_streams(server, ["PLAIN", "KV", "WORK_QUEUE"])
        rounds.create_streams(server, ["GROWS"])
        for number in range(SETS):
            rounds.publish(server, "GROWS.x", *(b"%d" % n for n in range(5 * (number + 1))))
            for account in ("APP", "B&W"):
                rounds.backup_account(server, root / account, sets=True, verify="full" if number == 2 else "quick")
        rounds.backup_account(server, root / "PLAIN", streams=["PLAIN"])
    drilled = run_module(
        "jetstream_backup_drill",
        {"path": str(root / "APP"), "server_binary": str(nats_server(server_version)), "streams": ["GROWS"]},
    )
    assert drilled["passed"]
    return root


def copy(repository: Path, place: Path) -> Path:
    shutil.copytree(repository, place, symlinks=True)
    return place


def test_a_page_for_people(repository: Path, tmp_path: Path) -> None:
    dest = tmp_path / "out" / "backups.html"
    done = report(repository, dest, title="Backups of <b>here</b>")
    assert done["changed"] is True
    assert done["problems"] == []
    assert done["sentence"] == "All 9 streams have a newest backup without a known problem."
    assert (done["summary"]["accounts"], done["summary"]["sets"], done["summary"]["drilled"]) == (3, 2 * SETS + 1, 1)
    page = Page(dest.read_text(encoding="utf-8"))
    assert page.loads == []
    text = "".join(page.texts)
    assert "Backups of <b>here</b>" in text
    assert "B&W" in text
    grows = next(row for row in page.rows if row[0] == "GROWS" and "identical" in row[5])
    assert grows[1] == "30"
    assert grows[6:] == ["●", "●", "●"]
    assert [row[6:] for row in page.rows if row[0] == "WORK_QUEUE"] == [["○", "○", "●"]] * 2
    assert {path.name: path.stat().st_mode & 0o777 for path in dest.parent.iterdir()} == dict.fromkeys(
        ("backups.html", "backups.json", "backups.md"), 0o600
    )
    marked = dest.with_suffix(".md").read_text(encoding="utf-8")
    assert re.search(r"^\| GROWS \| 30 \| .*identical", marked, re.MULTILINE)


def test_the_files_change_only_with_the_repository(repository: Path, tmp_path: Path) -> None:
    place, dest = copy(repository, tmp_path / "backups"), tmp_path / "out.html"
    would = run_module("jetstream_backup_report", {"path": str(place), "dest": str(dest)}, check=True, diff=True)
    assert would["changed"] is True
    assert not dest.exists()
    assert "| GROWS |" in would["diff"][0]["after"]
    assert report(place, dest)["changed"] is True
    before = rounds.tree(tmp_path)
    again = report(place, dest)
    assert again["changed"] is False
    assert rounds.tree(tmp_path) == before
    (place / "APP" / "latest" / "GROWS" / "drill.json").unlink()
    assert report(place, dest)["changed"] is True


def test_what_is_wrong_comes_first(repository: Path, tmp_path: Path) -> None:
    place, dest = copy(repository, tmp_path / "backups"), tmp_path / "out.html"
    newest = (place / "APP" / "latest").resolve()
    # A cut file, which is found without reading it; damage that a check has found; a set that is gone in part; a drill
    # that failed.
    (data,) = (newest / "GROWS").glob("stream.*")
    data.write_bytes(data.read_bytes()[:-1])
    (data,) = (newest / "WORK_QUEUE").glob("stream.*")
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 8
    data.unlink()
    data.write_bytes(content)
    run_module("jetstream_backup_info", {"path": str(newest / "WORK_QUEUE"), "verify": "full"})
    shutil.rmtree(newest / "PLAIN")
    older = min((place / "B&W").glob("2*.json"))
    older.unlink()
    noted = place / "PLAIN" / "PLAIN" / "drill.json"
    manifest = rounds.manifest(place / "PLAIN" / "PLAIN")
    noted.write_text(
        json.dumps({"identity": manifest["digest"], "time": manifest["started_at"], "status": "different"})
    )
    done = report(place, dest, max_age=0.001)
    said = {(one["account"], one["stream"]): one for one in done["problems"] if "Too old" not in one["text"]}
    assert {key: one["severity"] for key, one in said.items()} == {
        ("APP", "GROWS"): "lost",
        ("APP", "WORK_QUEUE"): "lost",
        ("APP", "PLAIN"): "lost",
        ("PLAIN", "PLAIN"): "error",
        ("B&W", ""): "warning",
    }
    assert "drill" in said["PLAIN", "PLAIN"]["text"]
    assert [one["severity"] for one in done["problems"]] == sorted(
        (one["severity"] for one in done["problems"]), key=["lost", "error", "warning"].index
    )
    assert sum("Too old" in one["text"] for one in done["problems"]) >= 6
    assert "need attention. The worst: APP > GROWS: Damaged" in done["sentence"]
    page = Page(dest.read_text(encoding="utf-8"))
    assert [row[6] for row in page.rows if row[0] == "GROWS"] == ["✕", "●"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"path": "/absent/place"}, "path_not_found"),
        ({"dest": "/tmp/report.txt"}, "invalid_options"),
        ({"dest": "/proc/report.html"}, "path_not_writable"),
        ({"max_age": -1}, "invalid_options"),
    ],
)
def test_bad_options(repository: Path, tmp_path: Path, options: dict[str, Any], error: str) -> None:
    arguments = {"path": str(repository), "dest": str(tmp_path / "out.html"), **options}
    done = run_module("jetstream_backup_report", arguments)
    assert (done["failed"], done["error"]) == (True, error)


def test_a_place_without_accounts(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", repository / "PLAIN" / "PLAIN"):
        done = report(path, tmp_path / "out.html")
        assert (done["failed"], done["error"]) == (True, "path_not_backup")


def test_through_ansible(repository: Path, tmp_path: Path) -> None:
    arguments = {"path": str(repository / "APP"), "dest": str(tmp_path / "one.html")}
    (done,) = play([{"natsops.jetstream.jetstream_backup_report": arguments}]).results
    assert done["summary"]["streams"] == 4
