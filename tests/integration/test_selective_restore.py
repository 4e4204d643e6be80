# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A part of a backup, and V1 backups in ways that only V2 allows, restored on 2.15 and compared with what was there."""

from __future__ import annotations

import datetime
import hashlib
import json
from pathlib import Path

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._archive import reader
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.rewrite import cut as rewrite
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.rewrite.selection import Selection

from servers import Options, Server, oracle
from servers.ansible import run_module
from servers.samples import make_streams

FIXTURES = Path(__file__).parents[1] / "unit" / "archive" / "fixtures"
KEYS = ["GAPS", "HEADERS", "WORK_QUEUE", "KV"]


class Source:
    """A server's backups, and what a plain consumer saw in the streams."""

    def __init__(self, version: str, root: Path) -> None:
        self.path = root / version
        with Server(Options(version=version)) as server:
            make_streams(server, KEYS)
            self.before = oracle.picture(server)
            done = run_module(
                "jetstream_account_backup",
                {**server.connection("app"), "path": str(self.path), "verify": "full"},
            )
            assert not done.get("failed"), done
        for name, seen in self.before.items():
            assert len(seen["messages"]) > 3, name


LINES = ["2.10.29", pytest.param("2.14.10", marks=pytest.mark.slow), "2.15.3"]


@pytest.fixture(scope="module", params=LINES)
def source(request, tmp_path_factory):
    return Source(request.param, tmp_path_factory.mktemp("selective"))


@pytest.fixture(scope="module")
def target():
    with Server(Options(version="2.15.3")) as server:
        yield server


def moment(time_ns: int) -> str:
    whole, rest = divmod(time_ns, 10**9)
    text = datetime.datetime.fromtimestamp(whole, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}Z"


def restore(target, path, **options):
    check = options.pop("check", False)
    return run_module(
        "jetstream_stream_restore", {**target.connection("app"), "path": str(path), **options}, check=check
    )


def delete(target, name):
    oracle.request(target, f"STREAM.DELETE.{name}")


@pytest.mark.parametrize("name", ["GAPS", "HEADERS"])
def test_under_another_name_cut_at_a_time(source, target, name):
    seen = source.before[name]["messages"]
    cut = seen[len(seen) * 2 // 3]
    wanted = [message for message in seen if message.time_ns <= cut.time_ns]
    options = {"stream": "CUT", "config": {"subjects": ["cut.>"]}, "until": moment(cut.time_ns)}
    try:
        assert restore(target, source.path / name, **options, check=True)["status"] == "would_create"
        assert "CUT" not in oracle.stream_names(target)
        done = restore(target, source.path / name, **options)
        assert done["status"] == "created", done
        assert done["selected"]["messages"] == len(wanted) < len(seen)
        assert done["selected"]["converted"] == (source.path.name != "2.15.3")
        assert oracle.compare(wanted, oracle.fetch(target, "CUT")) == []
        for consumer in oracle.consumers(target, "CUT").values():
            assert consumer["delivered"]["stream_seq"] <= cut.seq
        assert not restore(target, source.path / name, **options)["changed"]
        assert not restore(target, source.path / name, **options, check=True)["changed"]
    finally:
        delete(target, "CUT")


def test_some_subjects_from_a_sequence_on(source, target):
    seen = source.before["GAPS"]["messages"]
    subject = seen[-1].subject
    first = seen[len(seen) // 3].seq
    rest = [message for message in seen if message.seq >= first]
    try:
        for option, wanted in (
            ("subjects", [message for message in rest if message.subject == subject]),
            ("exclude_subjects", [message for message in rest if message.subject != subject]),
        ):
            options = {"since": str(first), option: [subject]}
            done = restore(target, source.path / "GAPS", **options)
            assert done["status"] == "created", done
            assert wanted
            assert oracle.compare(wanted, oracle.fetch(target, "GAPS")) == []
            assert oracle.stream_info(target, "GAPS")["state"]["last_seq"] == seen[-1].seq
            assert not restore(target, source.path / "GAPS", **options)["changed"]
            delete(target, "GAPS")
    finally:
        delete(target, "GAPS")


def test_nothing_left_of_it(source, target):
    done = restore(target, source.path / "GAPS", subjects=["no.such.subject"])
    assert (done["failed"], done["error"], done["changed"]) == (True, "nothing_selected", False), done
    assert oracle.stream_names(target) == []


def test_moved_to_memory(source, target):
    try:
        done = restore(target, source.path / "HEADERS", storage="memory")
        assert done["status"] == "created", done
        assert oracle.stream_info(target, "HEADERS")["config"]["storage"] == "memory"
        assert oracle.compare(source.before["HEADERS"]["messages"], oracle.fetch(target, "HEADERS")) == []
        assert not restore(target, source.path / "HEADERS", storage="memory")["changed"]
    finally:
        delete(target, "HEADERS")


def test_consumers_of_a_converted_backup(source, target):
    """Renamed whole: positions, pending acknowledgements and delivery counts come along."""
    name = next(
        name for name, seen in source.before.items() if any(c["num_ack_pending"] for c in seen["consumers"].values())
    )
    before = source.before[name]
    try:
        done = restore(target, source.path / name, stream="RENAMED", config={"subjects": ["renamed.>"]})
        assert done["status"] == "created", done
        after = oracle.consumers(target, "RENAMED")
        keys = ("delivered", "ack_floor", "num_ack_pending", "num_redelivered")
        assert set(after) == set(before["consumers"])
        first = before["messages"][0].seq
        # 2.15 moves consumers that are before the first message up to it.
        within = {n: c for n, c in before["consumers"].items() if c["ack_floor"]["stream_seq"] >= first - 1}
        assert within
        for n, c in within.items():
            assert {key: after[n][key] for key in keys} == {key: c[key] for key in keys}
        assert oracle.compare(before["messages"], oracle.fetch(target, "RENAMED")) == []
    finally:
        delete(target, "RENAMED")


def test_consumers_ahead_of_the_cut(source, target):
    name, seen = next(
        (name, seen)
        for name, seen in source.before.items()
        if any(c["delivered"]["stream_seq"] > seen["messages"][0].seq for c in seen["consumers"].values())
    )
    first = seen["messages"][0]
    ahead = sorted(n for n, c in seen["consumers"].items() if c["delivered"]["stream_seq"] > first.seq)
    try:
        for option, listed in (("move", "consumers_moved"), ("leave_out", "consumers_left_out")):
            options = {"until": str(first.seq), "consumers_ahead": option}
            done = restore(target, source.path / name, **options)
            assert done["status"] == "created", done
            assert sorted(done["selected"][listed]) == ahead
            after = oracle.consumers(target, name)
            assert set(after) == set(seen["consumers"]) - set(ahead if option == "leave_out" else ())
            assert all(c["delivered"]["stream_seq"] <= first.seq for c in after.values())
            assert oracle.compare(seen["messages"][:1], oracle.fetch(target, name)) == []
            assert not restore(target, source.path / name, **options)["changed"]
            delete(target, name)
    finally:
        delete(target, name)


def test_an_account_as_of_a_moment(source, target):
    cut = sorted(message.time_ns for seen in source.before.values() for message in seen["messages"])
    until = cut[len(cut) // 2]
    args = {**target.connection("app"), "path": str(source.path), "until": moment(until)}
    try:
        done = run_module("jetstream_account_restore", args)
        assert not done.get("failed"), done
        for name, seen in source.before.items():
            wanted = [message for message in seen["messages"] if message.time_ns <= until]
            assert oracle.compare(wanted, oracle.fetch(target, name)) == [], name
        assert not run_module("jetstream_account_restore", args)["changed"]
    finally:
        for name in source.before:
            delete(target, name)


def test_an_older_server_is_refused(source):
    with Server(Options(version="2.14.10")) as older:
        done = restore(older, source.path / "GAPS", until="5")
        assert done["failed"]
        assert done["error"] == "selection_unsupported"
        assert "2.15" in done["msg"]
        if source.path.name != "2.15.3":
            done = restore(older, source.path / "GAPS", stream="OTHER")
            assert done["error"] == "rename_unsupported"
        assert oracle.stream_names(older) == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"until": "0"}, "no sequence"),
        ({"until": "yesterday"}, "neither a sequence nor a time"),
        ({"until": "2026-11-22T10:15:00"}, "with the zone"),
        ({"since": "9", "until": "8"}, "is after"),
        ({"subjects": ["a..b"]}, "not a subject"),
        ({"exclude_subjects": ["a.>.b"]}, "not a subject"),
        ({"subjects": ["a"], "temp_path": "/nowhere/at/all"}, "temp_path"),
    ],
)
def test_bad_options(source, target, options, text):
    done = restore(target, source.path / "GAPS", **options)
    assert done["failed"]
    assert text in done["msg"]
    assert oracle.stream_names(target) == []


@pytest.mark.parametrize("line", ["2.10.29", pytest.param("2.14.9", marks=pytest.mark.slow), "2.15.2"])
def test_the_command_line_restores_what_was_rewritten(line, target, nats_cli, tmp_path):
    """The other reader of V2 takes what is written here, and the server behind it."""
    fixture = FIXTURES / line / "gaps"
    (data,) = fixture.glob("stream.*")
    archive = reader.open_archive(data)
    with open(tmp_path / "stream.arc.s2", "w+b") as file:
        rewritten = rewrite.rewrite(archive, Selection(), "move", file, 1)
    content = json.loads((fixture / "backup.json").read_text())
    (tmp_path / "backup.json").write_text(json.dumps({**content, "state": rewritten.state}))
    try:
        nats_cli.run(target, "backup", "validate", tmp_path)
        nats_cli.run(target, "backup", "restore", "stream", tmp_path)
        found = oracle.fetch(target, "GAPS")
        wanted = list(archive.messages())
        assert [(m.seq, m.time_ns, m.subject, m.headers) for m in found] == [
            (m.sequence, m.time_ns, m.subject, m.header) for m in wanted
        ]
        assert [m.sha256 for m in found] == [hashlib.sha256(m.payload or b"").hexdigest() for m in wanted]
        (worker,) = (consumer for consumer in archive.consumers if consumer.name == "worker")
        there = oracle.consumers(target, "GAPS")["worker"]
        assert (there["delivered"], there["ack_floor"]) == (worker.state["delivered"], worker.state["ack_floor"])
        assert there["num_ack_pending"] == len(worker.state["pending"])
        assert there["num_redelivered"] == len(worker.state["redelivered"])
    finally:
        delete(target, "GAPS")
