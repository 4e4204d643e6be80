# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import subprocess

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._archive import reader
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.check import full
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.rewrite import cut as rewrite
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.rewrite.selection import Selection
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.subjects import matches
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.v2 import writer as v2writer
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.v2.walk import Message
from hypothesis import given
from hypothesis import strategies as st

from . import samples

GAPS = [path for path in samples.BACKUPS if path.name == "gaps"]


def written(archive, selection, path, ahead="move"):
    with open(path, "w+b") as file:
        result = rewrite.rewrite(archive, selection, ahead, file, 5)
    assert rewrite.rewrite(archive, selection, ahead, None, 5) == result
    return result


@pytest.mark.parametrize("path", samples.BACKUPS, ids=samples.name)
def test_whole_archives_come_out_as_they_were(path, tmp_path):
    archive = reader.open_archive(samples.data_file(path))
    result = written(archive, Selection(), tmp_path / "out")
    report = full.full_file(tmp_path / "out")
    assert report.problems == ()
    copy = reader.open_archive(tmp_path / "out")
    assert copy.format == "V2"
    assert list(copy.messages()) == list(archive.messages())
    assert copy.consumers == result.consumers
    assert {c.name: c.config for c in copy.consumers} == {c.name: c.config for c in archive.consumers}
    for key in ("messages", "bytes", "first_seq", "last_seq", "first_ts"):
        assert copy.state[key] == archive.state[key] or not archive.state["messages"], key
    assert copy.state["last_seq"] == archive.state["last_seq"]


@pytest.mark.parametrize("path", GAPS, ids=samples.name)
@given(
    since=st.integers(1, 45), until=st.integers(1, 45), subject=st.sampled_from(["gaps.a.*", "gaps.>", "*.b.2", "x"])
)
def test_parts(path, tmp_path_factory, since, until, subject):
    archive = reader.open_archive(samples.data_file(path))
    everything = list(archive.messages())
    selection = Selection(since_seq=since, until_seq=until, subjects=(subject,))
    out = tmp_path_factory.mktemp("part") / "out"
    result = written(archive, selection, out)
    wanted = [m for m in everything if since <= m.sequence <= until and matches(m.subject, subject)]
    copy = reader.open_archive(out)
    assert list(copy.messages()) == wanted
    assert full.full_file(out).problems == ()
    assert copy.state["last_seq"] == min(until, archive.state["last_seq"])
    kept = {m.sequence for m in wanted}
    for consumer in result.consumers:
        assert rewrite.position(consumer.state) <= copy.state["last_seq"]
        assert {int(n) for key in ("pending", "redelivered") for n in consumer.state.get(key, {})} <= kept
    excluded = rewrite.rewrite(archive, Selection(exclude=(subject,)), "move", None, 5)
    assert excluded.state["messages"] == sum(not matches(m.subject, subject) for m in everything)


@pytest.mark.parametrize("path", GAPS, ids=samples.name)
def test_consumers_ahead_of_the_cut(path, tmp_path):
    archive = reader.open_archive(samples.data_file(path))
    moved = written(archive, Selection(until_seq=8), tmp_path / "moved")
    assert (moved.moved, moved.left_out) == (("worker",), ())
    (worker,) = (c for c in moved.consumers if c.name == "worker")
    assert worker.state["delivered"]["stream_seq"] == 8
    assert sorted(worker.state["pending"]) == ["7", "8"]
    gone = written(archive, Selection(until_seq=8), tmp_path / "gone", "leave_out")
    assert (gone.moved, gone.left_out) == ((), ("worker",))
    assert [c.name for c in reader.open_archive(tmp_path / "gone").consumers] == ["filtered"]


@pytest.mark.parametrize("size", [0, 1, 300_000, 1_100_000, 2_500_000])
@pytest.mark.parametrize("left", [True, False])
def test_heads_of_any_size(size, left, tmp_path):
    """The room kept for the head is filled up with padding, which every reader of S2 skips."""
    state = {"delivered": {"consumer_seq": 1, "stream_seq": 1}, "ack_floor": {"consumer_seq": 1, "stream_seq": 1}}
    consumers = (reader.Consumer("c", {"description": "x" * size}, state),)
    stream = {"messages": 1, "first_seq": 1, "last_seq": 1, "bytes": 34}
    with open(tmp_path / "out", "w+b") as file:
        writer = v2writer.ArchiveWriter(file, consumers, 5)
        writer.message(Message(1, 7, "a", b"", 3, b"abc"))
        writer.finish(stream, consumers if left else ())
    report = full.full_file(tmp_path / "out")
    assert report.problems == ()
    assert report.content is not None
    assert report.content["messages"] == 1
    assert len(report.consumers) == left


def test_more_consumers_than_announced(tmp_path):
    pair = {"consumer_seq": 0, "stream_seq": 0}
    longer = (reader.Consumer("c", {"description": "x" * 9000}, {"delivered": pair, "ack_floor": pair}),)
    with open(tmp_path / "out", "w+b") as file:
        writer = v2writer.ArchiveWriter(file, (), 5)
        with pytest.raises(ValueError, match="longer"):
            writer.finish({"messages": 0}, longer)


@pytest.mark.parametrize(
    ("subject", "pattern", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.*", True),
        ("a.b", "a.>", True),
        ("a", "a.>", False),
        ("a.b.c", "a.*", False),
        ("a.b.c", "*.b.>", True),
        ("a.b", ">", True),
        ("a.*", "a.b", False),
        ("a.>", "a.>", True),
    ],
)
def test_matches(subject, pattern, expected):
    assert matches(subject, pattern) is expected


@pytest.mark.parametrize("path", samples.BACKUPS, ids=samples.name)
def test_the_command_line_finds_them_valid(path, nats_cli, tmp_path):
    """`nats backup validate` reads V2 only: what was V1 is judged here by something that is not ours."""
    archive = reader.open_archive(samples.data_file(path))
    result = written(archive, Selection(), tmp_path / "stream.arc.s2")
    backup = samples.load(path)
    backup["state"] = {**result.state}
    (tmp_path / "backup.json").write_text(json.dumps(backup))
    done = subprocess.run([nats_cli.path, "backup", "validate", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
