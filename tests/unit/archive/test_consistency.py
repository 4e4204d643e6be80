# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.check import consistency
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.check import quick as verify
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.codec import s2
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.report import PROBLEMS, ArchiveReport

from . import samples, writers

EVERY = {
    samples.name(path): (verify.quick_file(samples.data_file(path)), samples.load(path)) for path in samples.BACKUPS
}
BY_LINE = itertools.groupby(samples.BACKUPS, key=lambda path: path.parent.name)
EXCHANGES = [
    (samples.name(a), samples.name(b)) for _line, paths in BY_LINE for a, b in itertools.permutations(list(paths), 2)
]
compare = consistency.check_directory_consistency


def found(problems):
    return [(problem.id, problem.severity) for problem in problems]


@pytest.mark.parametrize("name", EVERY)
def test_good_backups_agree(name):
    lost = name.endswith("interest") and not name.startswith("2.15")
    assert found(compare(*EVERY[name])) == ([("consumers_missing", "warning")] if lost else [])


@pytest.mark.parametrize(("data", "description"), EXCHANGES)
def test_exchanged_data_files_are_found(data, description):
    problems = compare(EVERY[data][0], EVERY[description][1])
    assert problems
    # A V2 mirror holds the very messages of its origin: only the consumers can tell them apart.
    if {data, description} != {"2.15.2-gaps", "2.15.2-mirror"}:
        assert "error" in [problem.severity for problem in problems]


@pytest.mark.parametrize(
    ("older", "newer"), list(itertools.permutations(["2.10.29-gaps", "2.12.15-gaps", "2.14.9-gaps"], 2))
)
def test_same_stream_and_sequences_at_other_times(older, newer):
    assert ("state_differs", "error") in found(compare(EVERY[older][0], EVERY[newer][1]))


@pytest.mark.parametrize(
    "name", ["2.10.29-gaps", "2.14.9-gaps", "2.15.2-gaps", "2.15.2-kv_settings", "2.12.15-compressed"]
)
@pytest.mark.parametrize(
    "change",
    [
        {"last_seq": 1, "messages": 1},
        {"last_seq": 1},
        {"messages": -1},
        {"messages": -1, "first_seq": 1},
        {"bytes": 10},
        {"first_ts": "2026-11-22T00:00:00.000000001Z"},
        {"last_ts": "2026-11-22T00:00:00Z"},
    ],
)
def test_older_data_under_a_newer_description(name, change):
    report, backup = EVERY[name]
    backup = copy.deepcopy(backup)
    for key, value in change.items():
        backup["state"][key] = value if isinstance(value, str) else backup["state"][key] + value
    assert ("state_differs", "error") in found(compare(report, backup))


def changed(name, state=None, config=None, **top):
    backup = copy.deepcopy(EVERY[name][1])
    backup["state"].update(state or {})
    backup["config"].update(config or {})
    return {**backup, **top}


@pytest.mark.parametrize(
    "change",
    [
        {"last_seq": 35, "messages": 30, "last_ts": "2026-11-22T00:00:00Z"},  # five were published meanwhile
        {"last_seq": 30, "messages": 34, "last_ts": "2026-11-22T00:00:00Z"},  # and as many expired
        {"first_seq": 1, "messages": 36, "first_ts": "2026-11-22T00:00:00Z"},
        {"messages": 36, "bytes": 9999},
    ],
)
def test_a_v1_stream_may_move_on_while_it_is_written(change):
    assert compare(EVERY["2.14.9-gaps"][0], changed("2.14.9-gaps", change)) == []


def test_a_v2_state_is_one_state():
    report = EVERY["2.15.2-gaps"][0]
    for change in ({"messages": 35}, {"bytes": 1}, {"first_seq": 2}, {"last_seq": 39}):
        assert found(compare(report, changed("2.15.2-gaps", change))) == [("state_differs", "error")]
        tolerated = "messages" in change or "bytes" in change
        edited = compare(report, changed("2.15.2-gaps", change, edit={"options": ["--x"]}))
        assert found(edited) == ([] if tolerated else [("state_differs", "error")])


def test_the_configuration_of_v1():
    report = EVERY["2.10.29-gaps"][0]
    assert found(compare(report, changed("2.10.29-gaps", config={"name": "OTHER"}))) == [("stream_differs", "error")]
    assert found(compare(report, changed("2.10.29-gaps", config={"max_age": 5}))) == [("config_differs", "warning")]
    assert (
        compare(report, changed("2.10.29-gaps", config={"metadata": {"a": "b"}, "placement": None, "sealed": False}))
        == []
    )
    backup = changed("2.10.29-gaps")
    del backup["config"]["max_msgs"]
    assert found(compare(report, backup)) == [("config_differs", "warning")]


def test_missing_consumers():
    report, backup = EVERY["2.14.9-interest"]
    (problem,) = compare(report, backup)
    assert "2 consumers" in problem.message
    assert "keep" in problem.message
    none = verify.QuickCheck()
    none.feed(s2.encode_stored(writers.v2_raw([(1, "interest.1", b"", b"x")])))
    alone: Any = none.finish()
    for retention, severity in (("limits", "warning"), ("interest", "error"), ("workqueue", "error")):
        described = {
            "config": {"name": "I", "subjects": ["interest.>"], "retention": retention},
            "state": {**alone.state, "consumer_count": 2},
        }
        assert found(compare(alone, described)) == [("consumers_missing", severity)]


def test_subjects_are_warnings():
    report = EVERY["2.15.2-gaps"][0]
    foreign = changed("2.15.2-gaps", config={"subjects": ["other.>"]})
    assert found(compare(report, foreign)) == [("consumer_filter_differs", "warning"), ("subject_differs", "warning")]
    for legal in (
        {"subjects": ["gaps.*.*"]},
        {"subjects": ["x", "gaps.>"]},
        {"subjects": [], "mirror": {"name": "A"}},
        {"subjects": ["x"], "sources": [{"name": "A"}]},
        {"subjects": ["x"], "subject_transform": {"src": "x", "dest": "gaps.a.1"}},
    ):
        assert compare(report, changed("2.15.2-gaps", config=legal)) == []


def test_a_consumer_ahead_of_its_stream():
    messages = [(1, "o.1", b"", b"x")]
    raw = writers.v2_raw(messages, (), writers.v2_state(messages, consumers=1), end=False)
    head = writers.v2_raw((), (), writers.v2_state(messages, consumers=1), end=False)
    pair = {"consumer_seq": 9, "stream_seq": 9}
    ahead = (
        head + writers.consumer_entry("c", state={"delivered": pair, "ack_floor": pair}) + raw[len(head) :] + bytes(5)
    )
    quick = verify.QuickCheck()
    quick.feed(s2.encode_stored(ahead))
    report = quick.finish()
    assert report.valid
    described = {"config": {"name": "O", "subjects": ["o.*"]}, "state": report.state}
    assert found(compare(report, described)) == [("consumer_ahead", "warning")]


@pytest.mark.parametrize(
    "backup",
    [
        {},
        {"config": {}, "state": {}},
        {"config": None, "state": None},
        {"config": {"name": "A"}},
        {"state": {}},
        {"config": {"name": 5}, "state": {}},
        {"config": {"name": "A"}, "state": []},
        {"config": {"name": "A"}, "state": {"messages": "5"}},
        {"config": {"name": "A"}, "state": {"last_seq": -1}},
        {"config": {"name": "A"}, "state": {"last_ts": "yesterday"}},
        {"config": {"name": "A"}, "state": {"first_ts": 5}},
        {"config": {"name": "A"}, "state": {"consumer_count": True}},
    ],
)
def test_an_unusable_description(backup):
    problems = compare(EVERY["2.15.2-gaps"][0], backup)
    assert {problem.id for problem in problems} == {"backup_json_invalid"}


def test_odd_descriptions_never_raise():
    for report in (EVERY["2.15.2-gaps"][0], EVERY["2.10.29-gaps"][0]):
        odd: Any
        for odd in ({"subjects": "gaps"}, {"subjects": [5]}, {"sources": 5}, {"retention": []}, {"subjects": {"a": 1}}):
            problems = compare(report, changed("2.10.29-gaps", config=odd))
            assert {problem.id for problem in problems} <= set(PROBLEMS)


def test_nothing_to_compare():
    assert compare(ArchiveReport(None, 0, "", 0), EVERY["2.15.2-gaps"][1]) == []


def derived(change, kept=((4, "gaps.b", b"", b"x"), (7, "gaps.b", b"", b"y")), head=None):
    """A backup as the command line's edit writes it: the archive's head is written before the result is known."""
    head = {"first_seq": 3, "last_seq": 40, "messages": 0, "bytes": 0, **(head or {})}
    quick = verify.QuickCheck()
    quick.feed(s2.encode_stored(writers.v2_raw(kept, state=writers.v2_state((), **head))))
    state = {"messages": len(kept), "bytes": 99, "first_seq": 4, "last_seq": 40, "consumer_count": 0, **change}
    return quick.finish(), {
        "config": {"name": "G", "subjects": ["gaps.>"]},
        "state": state,
        "edit": {"options": ["--x"]},
    }


@pytest.mark.parametrize(
    ("change", "head"),
    [
        ({}, {}),
        ({}, {"messages": 2, "bytes": 99}),
        ({"last_seq": 7}, {"first_seq": 1, "last_seq": 0}),  # a capture: its head knows nothing yet
    ],
)
def test_edited_backups_agree(change, head):
    report, backup = derived(change, head=head)
    assert report.problems == ()
    assert compare(report, backup) == []


def test_an_edit_that_kept_nothing_agrees():
    report, backup = derived({"first_seq": 41}, kept=())
    assert (report.problems, compare(report, backup)) == ((), [])


@pytest.mark.parametrize("change", [{"first_seq": 2}, {"first_seq": 5}, {"last_seq": 41}, {"last_seq": 39}])
def test_edited_backups_that_disagree(change):
    assert found(compare(*derived(change))) == [("state_differs", "error")]
