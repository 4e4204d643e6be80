# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""jetstream_stream_backup: status and returns in every state, options, what it writes."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import rounds
from servers import Options, Server
from servers.ansible import play
from servers.samples import make_streams

MODULE = "natsops.jetstream.jetstream_stream_backup"


@pytest.fixture(scope="module", params=["2.14.10", "2.15.3"], ids=["V1", "V2"])
def home(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(Options(version=request.param)) as server:
        yield server


@pytest.fixture
def server(home: Server) -> Iterator[Server]:
    """The server of this module, emptied afterwards."""
    yield home
    rounds.delete_all(home)


def test_through_a_playbook(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["PLAIN"])
    path = tmp_path / "PLAIN"
    task = {MODULE: {"stream": "PLAIN", "path": str(path)}}
    played = play([{**task, "check_mode": True}, task, task], defaults=server.connection())
    assert played.code == 0, played.output
    check, real, again = played.results
    assert [check["status"], real["status"], again["status"]] == ["would_transfer", "transferred", "unchanged"]
    assert [check["changed"], real["changed"], again["changed"]] == [True, True, False]
    v2 = server.line >= (2, 15)
    data = "stream.arc.s2" if v2 else "stream.tar.s2"
    assert sorted(each.name for each in path.iterdir()) == ["backup.json", "manifest.json", data]
    assert (real["format"], real["messages"], real["first_seq"], real["last_seq"], real["consumers"]) == (
        "V2" if v2 else "V1",
        250,
        1,
        250,
        2,
    )
    assert real["bytes"] == (path / data).stat().st_size
    assert again["bytes"] == 0
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.iterdir()} == {0o600}
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert [each.name for each in tmp_path.iterdir()] == ["PLAIN"]


@pytest.mark.slow
def test_without_consumers(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["PLAIN"])
    path = tmp_path / "PLAIN"
    rounds.backup_stream(server, path, "PLAIN", consumers=False)
    assert not rounds.backup_stream(server, path, "PLAIN", consumers=False)["changed"]
    assert rounds.backup_stream(server, path, "PLAIN")["changed"]
    assert rounds.info(path)["backups"][0]["consumers"] == ["reader", "untouched"]


@pytest.mark.parametrize(
    "harm",
    ["flipped", "manifest", *(pytest.param(harm, marks=pytest.mark.slow) for harm in ("cut", "no backup.json"))],
)
def test_a_damaged_backup_is_made_anew(server: Server, tmp_path: Path, harm: str) -> None:
    make_streams(server, ["GAPS"])
    path = tmp_path / "GAPS"
    rounds.backup_stream(server, path, "GAPS")
    data = next(path.glob("stream.*.s2"))
    content = data.read_bytes()
    if harm == "cut":
        data.write_bytes(content[:-30])
    elif harm == "flipped":
        middle = len(content) // 2
        data.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif harm == "no backup.json":
        (path / "backup.json").unlink()
    else:
        (path / "manifest.json").write_text((path / "manifest.json").read_text().replace('"GAPS"', '"GAPZ"', 1))
    assert not rounds.info(path)["valid"]
    force = harm == "no backup.json"
    check = rounds.backup_stream(server, path, "GAPS", check=True, force=force)
    result = rounds.backup_stream(server, path, "GAPS", force=force)
    assert (check["status"], result["status"]) == ("would_transfer", "transferred")
    assert rounds.info(path)["valid"]
    assert not rounds.backup_stream(server, path, "GAPS")["changed"]


@pytest.mark.slow
def test_force_transfers_what_did_not_change(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["EMPTY"])
    rounds.backup_stream(server, tmp_path / "EMPTY", "EMPTY")
    for check in (True, False):
        assert rounds.backup_stream(server, tmp_path / "EMPTY", "EMPTY", force=True, check=check)["changed"]


@pytest.mark.slow
def test_small_chunks_and_windows(server: Server, tmp_path: Path) -> None:
    make_streams(server, ["LARGE"])
    result = rounds.backup_stream(server, tmp_path / "LARGE", "LARGE", chunk_size=1024, window_size=4096)
    assert result["messages"] == 4
    assert rounds.info(tmp_path / "LARGE")["valid"]
    rounds.delete_all(server)
    rounds.restore_stream(server, tmp_path / "LARGE", chunk_size=1024, in_flight=1)
    assert rounds.messages(server, "LARGE") == 4


def test_a_backup_goes_over_to_the_other_format(server: Server, tmp_path: Path) -> None:
    """After an upgrade only one data file is left."""
    make_streams(server, ["EMPTY"])
    path = tmp_path / "EMPTY"
    other = "2.14.10" if server.line >= (2, 15) else "2.15.3"
    with Server(Options(version=other)) as before:
        make_streams(before, ["EMPTY"])
        rounds.backup_stream(before, path, "EMPTY")
    rounds.backup_stream(server, path, "EMPTY")
    assert len(list(path.glob("stream.*.s2"))) == 1
    assert rounds.info(path)["valid"]
    assert json.loads((path / "manifest.json").read_text())["server"]["version"] == server.version
