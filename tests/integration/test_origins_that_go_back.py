# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An origin that is restored to an earlier moment: what copies from it must neither wait nor keep what is gone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration import rounds
from servers import Options, Server, oracle, wait_for
from servers.fixtures import MakeCluster
from servers.server import Endpoint

BOTH = ["newest", pytest.param("2.12.15", marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=BOTH)
def home(request: pytest.FixtureRequest, server_version: str) -> Iterator[Server]:
    with Server(Options(version=server_version if request.param == "newest" else request.param)) as server:
        yield server


@pytest.fixture
def server(home: Server) -> Iterator[Server]:
    """The server of this module, emptied afterwards."""
    yield home
    rounds.delete_all(home)


def create(endpoint: Endpoint, name: str, **config: Any) -> None:
    whole = {"name": name, **config}
    if not {"sources", "mirror"} & config.keys():
        whole.setdefault("subjects", [f"{name}.>"])
    rounds.ask(endpoint, f"STREAM.CREATE.{name}", whole)


def publish(endpoint: Endpoint, subject: str, word: str, count: int) -> None:
    rounds.publish(endpoint, subject, *[f"{word} {number}".encode() for number in range(count)])


def texts(endpoint: Endpoint, stream: str) -> list[str]:
    """The payloads of a stream, read by a plain client."""

    async def read() -> list[str]:
        client = await oracle.connect(endpoint)
        try:
            js = client.jetstream()
            state = (await js.stream_info(stream)).state
            found = []
            for sequence in range(state.first_seq, state.last_seq + 1):
                message = await js.get_msg(stream, sequence)
                found.append((message.data or b"").decode())
            return found
        finally:
            await client.close()

    return oracle.run(read())


def wait_texts(endpoint: Endpoint, stream: str, wanted: list[str], timeout: float = 60) -> None:
    """Wait until a stream has exactly these payloads, in this order."""
    wait_for(lambda: len(texts(endpoint, stream)) >= len(wanted), timeout, f"{len(wanted)} messages in {stream}")
    assert texts(endpoint, stream) == wanted


def words(word: str, count: int) -> list[str]:
    return [f"{word} {number}" for number in range(count)]


def about(result: rounds.Result, stream: str) -> str:
    lines = rounds.warnings(result)
    return " ".join(line for line in lines if re.match(rf"(stream {stream}|\d+ streams \(.*\b{stream}\b.*\)):", line))


@pytest.mark.parametrize("how", ["replaced", pytest.param("made anew", marks=pytest.mark.slow)])
def test_live_streams_that_copied_more(server: Server, tmp_path: Path, how: str) -> None:
    """Only the origin is restored. A sourcing stream of 2.15 goes on; all others are named, with figures and a way."""
    create(server, "ORIGIN")
    create(server, "COPY", sources=[{"name": "ORIGIN"}])
    create(server, "PART", sources=[{"name": "ORIGIN", "filter_subject": "ORIGIN.x"}])
    transforms = [{"src": "ORIGIN.>", "dest": "moved.>"}]
    create(server, "MOVED", sources=[{"name": "ORIGIN", "subject_transforms": transforms}])
    create(server, "MIRROR", mirror={"name": "ORIGIN"})
    publish(server, "ORIGIN.x", "old", 20)
    rounds.wait_messages(server, "COPY", 20)
    rounds.backup_stream(server, tmp_path / "ORIGIN", "ORIGIN")
    publish(server, "ORIGIN.x", "bad", 15)
    for name in ("COPY", "PART", "MOVED", "MIRROR"):
        rounds.wait_messages(server, name, 35)
    if how == "made anew":
        rounds.delete(server, ["ORIGIN"])
    result = rounds.restore_stream(server, tmp_path / "ORIGIN", on_conflict="replace")
    publish(server, "ORIGIN.x", "new", 15)
    before, after = [*words("old", 20), *words("bad", 15)], words("new", 15)
    wait_texts(server, "ORIGIN", [*before[:20], *after])
    goes_on = server.line >= (2, 15)
    for name in ("COPY", "PART", "MOVED", "MIRROR"):
        line = about(result, name)
        assert "up to sequence 35 and is back at 20" in line, rounds.warnings(result)
        had = 35 if how == "replaced" else 0
        assert f"({had} messages before the restore, 20 after it)" in line, line
        if goes_on and name != "MIRROR":
            assert "opt_start_seq is 21" in line
            wait_texts(server, name, [*before, *after])
        else:
            assert "on_conflict replace" in line, line
    # The advice works: restored from a backup of that time, the mirror has what its origin has.
    assert rounds.messages(server, "MIRROR") == 35


def scene(endpoint: Endpoint, **options: Any) -> None:
    """An origin with a mirror, a mirror of the mirror, a stream that sources it with others, and a bucket's copies."""
    create(endpoint, "ORIGIN", **options)
    create(endpoint, "OTHER", **options)
    create(endpoint, "KV_cfg", subjects=["$KV.cfg.>"], max_msgs_per_subject=5, allow_rollup_hdrs=True, **options)
    create(endpoint, "MIRROR", mirror={"name": "ORIGIN"}, **options)
    create(endpoint, "A_MIRROR", mirror={"name": "MIRROR"}, **options)
    sources = [{"name": "ORIGIN", "filter_subject": "ORIGIN.>"}, {"name": "OTHER"}]
    create(endpoint, "SUM", sources=sources, **options)
    create(endpoint, "KV_copy", mirror={"name": "KV_cfg"}, max_msgs_per_subject=5, allow_rollup_hdrs=True, **options)
    moved = [{"src": "$KV.cfg.>", "dest": "$KV.all.>"}]
    create(endpoint, "KV_all", sources=[{"name": "KV_cfg", "subject_transforms": moved}], **options)
    write(endpoint, "old", 5)
    settle(endpoint, 5)


COPIES = {"MIRROR": 1, "A_MIRROR": 1, "SUM": 2, "KV_copy": 1, "KV_all": 1}


def write(endpoint: Endpoint, word: str, count: int) -> None:
    for subject in ("ORIGIN.x", "OTHER.x"):
        publish(endpoint, subject, word, count)
    for number in range(count):
        rounds.publish(endpoint, f"$KV.cfg.{word}{number}", f"{word} {number}".encode())


def settle(endpoint: Endpoint, count: int) -> None:
    for name, times in COPIES.items():
        rounds.wait_messages(endpoint, name, count * times, timeout=120)


def goes_back(endpoint: Endpoint, path: Path, **options: Any) -> None:
    """An account is restored to the moment before an accident, with all that copied the accident."""
    scene(endpoint, **options)
    before = oracle.picture(endpoint)
    rounds.backup_account(endpoint, path)
    assert not rounds.restore_account(endpoint, path)["changed"]
    write(endpoint, "bad", 3)
    settle(endpoint, 8)
    check = rounds.restore_account(endpoint, path, on_conflict="replace", check=True)
    assert set(rounds.statuses(check).values()) == {"would_replace"}, check
    result = rounds.restore_account(endpoint, path, on_conflict="replace")
    assert set(rounds.statuses(result).values()) == {"replaced"}, result
    assert rounds.differences(before, oracle.picture(endpoint)) == []
    write(endpoint, "new", 4)
    settle(endpoint, 9)
    for origin, copies in (("ORIGIN", ("MIRROR", "A_MIRROR")), ("KV_cfg", ("KV_copy",))):
        whole = oracle.dump(endpoint, origin)
        for copy in copies:
            assert oracle.compare(whole, oracle.dump(endpoint, copy)) == []
    for name in ("SUM", "KV_all"):
        assert not [text for text in texts(endpoint, name) if text.startswith("bad")]
        assert rounds.messages(endpoint, name) == 9 * COPIES[name]


def test_an_account_goes_back_as_a_whole(server: Server, tmp_path: Path) -> None:
    goes_back(server, tmp_path / "APP")


@pytest.mark.slow
@pytest.mark.parametrize("version", ["newest", "2.12.15"])
def test_an_account_of_a_cluster_goes_back(
    make_cluster: MakeCluster, server_version: str, version: str, tmp_path: Path
) -> None:
    cluster = make_cluster(version=server_version if version == "newest" else version)
    goes_back(cluster, tmp_path / "APP", num_replicas=3)


def test_what_a_mirror_took_in_is_a_conflict_once_its_origin_went_back(server: Server, tmp_path: Path) -> None:
    """The origin was restored before, alone, and goes on; the copies know by the messages themselves."""
    create(server, "ORIGIN")
    create(server, "MIRROR", mirror={"name": "ORIGIN"})
    create(server, "SUM", sources=[{"name": "ORIGIN"}])
    publish(server, "ORIGIN.x", "old", 10)
    for name in ("MIRROR", "SUM"):
        rounds.wait_messages(server, name, 10)
    rounds.backup_account(server, tmp_path / "APP")
    publish(server, "ORIGIN.x", "fine", 5)
    for name in ("MIRROR", "SUM"):
        rounds.wait_messages(server, name, 15)
    copies = {"streams": ["MIRROR", "SUM"]}
    for conflict in ("fail", "replace"):
        same = rounds.restore_account(server, tmp_path / "APP", on_conflict=conflict, **copies)
        assert set(rounds.statuses(same).values()) == {"unchanged"}, "the origin did not go back"
    rounds.restore_stream(server, tmp_path / "APP/ORIGIN", on_conflict="replace")
    for count in (0, 10):
        # Behind the copies at first, and then beyond them, with other messages at the same sequences.
        publish(server, "ORIGIN.x", "other", count)
        for check in (True, False):
            failed = rounds.restore_account(server, tmp_path / "APP", ok=False, check=check, **copies)
            assert rounds.statuses(failed) == {"MIRROR": "failed", "SUM": "failed"}
            assert failed["error"] == "stream_exists"
            assert "origin ORIGIN" in rounds.of(failed, "MIRROR")["reason"]
    skipped = rounds.restore_account(server, tmp_path / "APP", on_conflict="skip")
    assert rounds.statuses(skipped)["MIRROR"] == "skipped"
    result = rounds.restore_account(server, tmp_path / "APP", on_conflict="replace", **copies)
    assert rounds.statuses(result) == {"MIRROR": "replaced", "SUM": "replaced"}
    wanted = [*words("old", 10), *words("other", 10)]
    for name in ("MIRROR", "SUM"):
        wait_texts(server, name, wanted)
    assert not rounds.restore_account(server, tmp_path / "APP", **copies)["changed"]


def test_fail_names_all_that_would_go_back(server: Server, tmp_path: Path) -> None:
    create(server, "ORIGIN", description="as it was")
    create(server, "MIRROR", mirror={"name": "ORIGIN"})
    publish(server, "ORIGIN.x", "old", 10)
    rounds.wait_messages(server, "MIRROR", 10)
    rounds.backup_account(server, tmp_path / "APP")
    publish(server, "ORIGIN.x", "bad", 5)
    rounds.wait_messages(server, "MIRROR", 15)
    # So that it is a conflict on every line, whichever can tell the stream from a restored one.
    rounds.ask(server, "STREAM.UPDATE.ORIGIN", {"name": "ORIGIN", "subjects": ["ORIGIN.>"], "description": "other"})
    for check in (True, False):
        result = rounds.restore_account(server, tmp_path / "APP", ok=False, check=check)
        assert rounds.statuses(result) == {"ORIGIN": "failed", "MIRROR": "failed"}
        assert "goes back to 10" in rounds.of(result, "MIRROR")["reason"]
    # An origin that is gone is made anew from the backup: its mirror is a conflict, too.
    rounds.delete(server, ["ORIGIN"])
    result = rounds.restore_account(server, tmp_path / "APP", ok=False)
    assert rounds.statuses(result) == {"ORIGIN": "created", "MIRROR": "failed"}
    result = rounds.restore_account(server, tmp_path / "APP", on_conflict="replace")
    assert rounds.statuses(result) == {"ORIGIN": "unchanged", "MIRROR": "replaced"}


@pytest.mark.slow
def test_a_circle_goes_back(server: Server, tmp_path: Path) -> None:
    create(server, "LEFT", subjects=["left.>"])
    create(server, "RIGHT", subjects=["right.>"], sources=[{"name": "LEFT", "filter_subject": "left.>"}])
    sources = [{"name": "RIGHT", "filter_subject": "right.>"}]
    rounds.ask(server, "STREAM.UPDATE.LEFT", {"name": "LEFT", "subjects": ["left.>"], "sources": sources})
    publish(server, "left.x", "old", 5)
    publish(server, "right.x", "old", 5)
    for name in ("LEFT", "RIGHT"):
        rounds.wait_messages(server, name, 10)
    before = oracle.picture(server)
    rounds.backup_account(server, tmp_path / "APP")
    publish(server, "right.x", "bad", 3)
    for name in ("LEFT", "RIGHT"):
        rounds.wait_messages(server, name, 13)
    check = rounds.restore_account(server, tmp_path / "APP", on_conflict="replace", check=True)
    result = rounds.restore_account(server, tmp_path / "APP", on_conflict="replace")
    assert rounds.statuses(check) == {"LEFT": "would_replace", "RIGHT": "would_replace"}
    assert rounds.statuses(result) == {"LEFT": "replaced", "RIGHT": "replaced"}
    assert rounds.differences(before, oracle.picture(server)) == []
    publish(server, "left.x", "new", 2)
    publish(server, "right.x", "new", 2)
    for name in ("LEFT", "RIGHT"):
        rounds.wait_messages(server, name, 14)
        assert rounds.messages(server, name) == 14
