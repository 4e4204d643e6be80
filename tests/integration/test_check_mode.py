# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode says what the real run then does, for every module and state, and writes nothing anywhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from servers import Options, Server, oracle

from .evidence import (
    account,
    api,
    backed_up,
    data_of,
    flip,
    make_stream,
    publish,
    run_here,
    tree,
    works,
)
from .foretelling import said


@pytest.fixture(scope="module")
def running(server_version: str) -> Iterator[Server]:
    with Server(Options(version=server_version)) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """The server with the streams ONE (with a consumer), TWO and THREE."""
    for name in oracle.stream_names(running):
        api(running, f"STREAM.DELETE.{name}")
    for name in ("ONE", "TWO", "THREE"):
        make_stream(running, name)
    consumer = {"durable_name": "worker", "ack_policy": "explicit"}
    api(running, "CONSUMER.DURABLE.CREATE.ONE.worker", {"stream_name": "ONE", "config": consumer})
    return running


def both(server: Server, module: str, args: dict[str, Any], root: Path) -> dict[str, Any]:
    """Run in check mode, hold that nothing was written, run for real, hold that it was foretold; return the result."""
    files, streams = tree(root), account(server)
    foretold = run_here(module, {**server.connection(), **args}, check=True)
    assert tree(root) == files
    assert account(server) == streams
    done = run_here(module, {**server.connection(), **args})
    assert said(foretold) == said(done), (foretold.get("msg"), done.get("msg"))
    assert "exception" not in done
    if not done["changed"] and not done.get("failed"):
        assert account(server) == streams
    return done


# --- backups

Prepare = Callable[[Server, Path], Any]


def again(server: Server, path: Path, **more: Any) -> None:
    backed_up(server, "ONE", path, **more)


def debris(path: Path) -> None:
    """What a killed run leaves beside a backup."""
    stage = path.parent / f".{path.name}.natsops-stage-abc123"
    (stage / "ONE").mkdir(parents=True)
    (stage / "ONE" / "data").write_bytes(b"half")
    (path.parent / f".{path.name}.natsops-lock").write_text("process 1 on nowhere\n")


def after(*steps: Prepare) -> Prepare:
    def prepare(server: Server, path: Path) -> None:
        for step in steps:
            step(server, path)

    return prepare


STREAM_BACKUPS: dict[str, tuple[Prepare, dict[str, Any], tuple[bool, str]]] = {
    "fresh": (lambda s, p: None, {}, (True, "transferred")),
    "an empty directory": (lambda s, p: p.mkdir(), {}, (True, "transferred")),
    "unchanged": (again, {}, (False, "unchanged")),
    "unchanged, forced": (again, {"force": True}, (True, "transferred")),
    "a new message": (after(again, lambda s, p: publish(s, "one.new")), {}, (True, "transferred")),
    "a consumer less": (after(again, lambda s, p: api(s, "CONSUMER.DELETE.ONE.worker")), {}, (True, "transferred")),
    "without consumers": (again, {"consumers": False}, (True, "transferred")),
    "another description": (
        after(
            again,
            lambda s, p: api(s, "STREAM.UPDATE.ONE", {"name": "ONE", "subjects": ["one.>"], "description": "new"}),
        ),
        {},
        (True, "transferred"),
    ),
    "flipped": (after(again, lambda s, p: flip(data_of(p), 30)), {}, (True, "transferred")),
    "data gone": (after(again, lambda s, p: data_of(p).unlink()), {}, (True, "transferred")),
    "no manifest": (after(again, lambda s, p: (p / "manifest.json").unlink()), {}, (True, "transferred")),
    "debris": (after(again, lambda s, p: debris(p)), {}, (False, "unchanged")),
    "debris alone": (lambda s, p: debris(p), {}, (True, "transferred")),
}


@pytest.mark.parametrize("state", STREAM_BACKUPS)
def test_stream_backup(state: str, server: Server, tmp_path: Path) -> None:
    prepare, more, (changed, status) = STREAM_BACKUPS[state]
    path = tmp_path / "one"
    prepare(server, path)
    before = tree(path)
    result = both(server, "jetstream_stream_backup", {"stream": "ONE", "path": str(path), **more}, tmp_path)
    assert (result["changed"], result["status"]) == (changed, status)
    if not changed:
        assert tree(path) == before
    assert works("jetstream_backup_info", {"path": str(path), "verify": "quick"})["valid"] is True
    assert [p.name for p in tmp_path.iterdir()] == ["one"]


def whole(server: Server, path: Path, **more: Any) -> None:
    works("jetstream_account_backup", {**server.connection(), "path": str(path), **more})


def gone(server: Server, path: Path) -> None:
    api(server, "STREAM.DELETE.TWO")


def foreign(server: Server, path: Path) -> None:
    (path / "TWO" / "thesis.txt").write_text("years of work")


T3 = ("transferred",) * 3
ACCOUNT_BACKUPS: dict[str, tuple[Prepare, dict[str, Any], tuple[bool, dict[str, str]]]] = {
    "fresh": (lambda s, p: None, {}, (True, {"ONE": "transferred", "THREE": "transferred", "TWO": "transferred"})),
    "unchanged": (whole, {}, (False, {"ONE": "unchanged", "THREE": "unchanged", "TWO": "unchanged"})),
    "one changed": (
        after(whole, lambda s, p: publish(s, "two.x")),
        {},
        (True, {"ONE": "unchanged", "THREE": "unchanged", "TWO": "transferred"}),
    ),
    "one damaged": (
        after(whole, lambda s, p: flip(data_of(p / "TWO"), 20)),
        {},
        (True, {"ONE": "unchanged", "THREE": "unchanged", "TWO": "transferred"}),
    ),
    "one new": (
        after(whole, lambda s, p: make_stream(s, "NEW")),
        {},
        (True, {"NEW": "transferred", "ONE": "unchanged", "THREE": "unchanged", "TWO": "unchanged"}),
    ),
    "one gone": (after(whole, gone), {}, (False, {"ONE": "unchanged", "THREE": "unchanged"})),
    "one gone, pruned": (after(whole, gone), {"prune": True}, (True, {"ONE": "unchanged", "THREE": "unchanged"})),
    "some": (whole, {"streams": ["T*"], "exclude": ["*O"]}, (False, {"THREE": "unchanged"})),
    "one cannot": (
        after(whole, lambda s, p: publish(s, "one.x"), foreign),
        {},
        (True, {"ONE": "transferred", "THREE": "unchanged", "TWO": "failed"}),
    ),
    "debris": (
        after(whole, lambda s, p: debris(p)),
        {},
        (False, {"ONE": "unchanged", "THREE": "unchanged", "TWO": "unchanged"}),
    ),
}


@pytest.mark.parametrize("state", ACCOUNT_BACKUPS)
def test_account_backup(state: str, server: Server, tmp_path: Path) -> None:
    prepare, more, (changed, statuses) = ACCOUNT_BACKUPS[state]
    path = tmp_path / "all"
    prepare(server, path)
    result = both(server, "jetstream_account_backup", {"path": str(path), **more}, tmp_path)
    assert result["changed"] is changed
    assert {s["stream"]: s["status"] for s in result["streams"]} == statuses
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all", "all.json"]


# --- restores


def without(*names: str) -> Prepare:
    def prepare(server: Server, path: Path) -> None:
        for name in names:
            api(server, f"STREAM.DELETE.{name}")

    return prepare


def other_one(server: Server, path: Path) -> None:
    publish(server, "one.new")


def interrupted(server: Server, path: Path) -> None:
    """What a killed restore leaves on a server: a part of the stream, with the mark of a restore."""
    without("ONE")(server, path)
    make_stream(server, "ONE", messages=0, metadata={"natsops.restore": "0123456789abcdef0123456789abcdef"})


def broken(server: Server, path: Path) -> None:
    flip(data_of(path), 40)


NEW = {"status": "created"}
STREAM_RESTORES: dict[str, tuple[Prepare, dict[str, Any], tuple[bool, str]]] = {
    "absent": (without("ONE"), {}, (True, "created")),
    "there": (lambda s, p: None, {}, (False, "unchanged")),
    "differs": (other_one, {}, (False, "stream_exists")),
    "differs, skipped": (other_one, {"on_conflict": "skip"}, (False, "skipped")),
    "differs, replaced": (other_one, {"on_conflict": "replace"}, (True, "replaced")),
    "there, replaced": (lambda s, p: None, {"on_conflict": "replace"}, (False, "unchanged")),
    "other description wanted": (lambda s, p: None, {"config": {"description": "new"}}, (False, "stream_exists")),
    "other description wanted, replaced": (
        lambda s, p: None,
        {"config": {"description": "new"}, "on_conflict": "replace"},
        (True, "replaced"),
    ),
    "consumer gone": (lambda s, p: api(s, "CONSUMER.DELETE.ONE.worker"), {}, (True, "finished")),
    "interrupted": (interrupted, {}, (True, "created")),
    "damaged": (after(without("ONE"), broken), {}, (False, "backup_invalid")),
    "damaged, there": (broken, {"on_conflict": "replace"}, (False, "backup_invalid")),
    "subjects taken": (
        after(without("ONE"), lambda s, p: make_stream(s, "TAKEN", subjects=["one.0", "taken.>"])),
        {},
        (False, "subject_overlap"),
    ),
}


@pytest.mark.parametrize("state", STREAM_RESTORES)
def test_stream_restore(state: str, server: Server, tmp_path: Path) -> None:
    prepare, more, (changed, status) = STREAM_RESTORES[state]
    path = backed_up(server, "ONE", tmp_path / "one")
    prepare(server, path)
    files = tree(tmp_path)
    result = both(server, "jetstream_stream_restore", {"path": str(path), **more}, tmp_path)
    assert (result["changed"], result.get("error") or result["status"]) == (changed, status)
    assert tree(tmp_path) == files
    if changed:
        rest = {key: value for key, value in more.items() if key != "on_conflict"}
        assert both(server, "jetstream_stream_restore", {"path": str(path), **rest}, tmp_path)["changed"] is False


def test_stream_restore_under_another_name(tmp_path: Path) -> None:
    with Server(Options()) as server:  # the newest line: V1 archives keep their name
        make_stream(server, "ONE")
        path = backed_up(server, "ONE", tmp_path / "one")
        args = {"path": str(path), "stream": "COPY", "config": {"subjects": ["copy.>"]}, "storage": "memory"}
        assert both(server, "jetstream_stream_restore", args, tmp_path)["status"] == "created"
        assert both(server, "jetstream_stream_restore", args, tmp_path)["status"] == "unchanged"


def stale(server: Server, path: Path) -> None:
    """TWO was deleted, and a later backup of the account knows it."""
    without("TWO")(server, path)
    whole(server, path)


def exchanged(server: Server, path: Path) -> None:
    shutil.copy(data_of(path / "THREE"), data_of(path / "TWO"))


ALL = {"ONE": "unchanged", "THREE": "unchanged", "TWO": "unchanged"}
ACCOUNT_RESTORES: dict[str, tuple[Prepare, dict[str, Any], tuple[bool, dict[str, str]]]] = {
    "all absent": (without("ONE", "TWO", "THREE"), {}, (True, dict.fromkeys(ALL, "created"))),
    "all there": (lambda s, p: None, {}, (False, ALL)),
    "one absent": (without("TWO"), {}, (True, {**ALL, "TWO": "created"})),
    "one differs": (after(other_one, without("TWO")), {}, (True, {**ALL, "ONE": "failed", "TWO": "created"})),
    "one differs, stop": (other_one, {"on_error": "stop", "streams": ["ONE"]}, (False, {"ONE": "failed"})),
    "one differs, skipped": (other_one, {"on_conflict": "skip"}, (False, {**ALL, "ONE": "skipped"})),
    "one differs, replaced": (other_one, {"on_conflict": "replace"}, (True, {**ALL, "ONE": "replaced"})),
    "one exchanged": (
        after(without("TWO"), exchanged, without("THREE")),
        {},
        (True, {"ONE": "unchanged", "THREE": "created", "TWO": "failed"}),
    ),
    "consumer gone": (
        lambda s, p: api(s, "CONSUMER.DELETE.ONE.worker"),
        {},
        (True, {**ALL, "ONE": "finished"}),
    ),
    "interrupted": (interrupted, {}, (True, {**ALL, "ONE": "created"})),
    "some": (without("ONE", "TWO"), {"streams": ["*O"]}, (True, {"TWO": "created"})),
    "one stale": (stale, {}, (False, {**ALL, "TWO": "skipped"})),
    "one stale, wanted": (stale, {"stale": True}, (True, {**ALL, "TWO": "created"})),
    "an empty directory": (lambda s, p: (p / "MEM").mkdir(), {}, (False, {**ALL, "MEM": "skipped"})),
    "one directory gone": (lambda s, p: shutil.rmtree(p / "TWO"), {}, (False, {**ALL, "TWO": "failed"})),
}


@pytest.mark.parametrize("state", ACCOUNT_RESTORES)
def test_account_restore(state: str, server: Server, tmp_path: Path) -> None:
    prepare, more, (changed, statuses) = ACCOUNT_RESTORES[state]
    path = tmp_path / "all"
    whole(server, path)
    if "stale" in state:
        kept = tmp_path / "kept"
        shutil.copytree(path / "TWO", kept)
        stale(server, path)
        if not (path / "TWO").exists():
            os.rename(kept, path / "TWO")
        shutil.rmtree(kept, ignore_errors=True)
    else:
        prepare(server, path)
    files = tree(tmp_path)
    result = both(server, "jetstream_account_restore", {"path": str(path), **more}, tmp_path)
    assert result["changed"] is changed
    assert {s["stream"]: s["status"] for s in result["streams"]} == statuses
    assert bool(result.get("failed")) is ("failed" in statuses.values())
    assert tree(tmp_path) == files


def test_info_writes_nothing(server: Server, tmp_path: Path) -> None:
    whole(server, tmp_path / "all")
    flip(data_of(tmp_path / "all" / "TWO"), 30)
    for level in ("none", "quick"):
        args = {"path": str(tmp_path / "all"), "verify": level}
        files = tree(tmp_path)
        results = [run_here("jetstream_backup_info", args, check=check) for check in (True, False)]
        for result in results:
            result.pop("duration")
        assert results[0] == results[1]
        assert results[0]["changed"] is False
        assert results[0]["valid"] is (level == "none")
        assert tree(tmp_path) == files
