# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of a repository: which is meant, which go, and what becomes of what a killed run leaves."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._repository import new_set as newset
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.errors import PathError
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.prune import Keep, plan_prune, prune
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.set_file import Member, SetFile
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.sets import (
    check_repository,
    choose,
    holds_sets,
    newest,
    parse_moment,
    set_name,
    sets_of,
)

DAYS = ["20261120T020000Z", "20261121T020000Z", "20261122T020000Z"]


def about(name: str, complete: bool = True) -> SetFile:
    """The file of a set that took ten minutes."""
    finished = f"{name[:4]}-{name[4:6]}-{name[6:8]}T{name[9:11]}:10:00.000000Z"
    return SetFile("APP", finished, complete, {"S": Member("current" if complete else "carried", "d", "", finished)})


def make_set(path: Path, name: str, complete: bool = True) -> None:
    """Put a set with one stream into an account's directory, as a run does."""
    path.mkdir(parents=True, exist_ok=True)
    stage = path.parent / f"stage-{name}"
    (stage / "S").mkdir(parents=True)
    (stage / "S" / "backup.json").write_text(name)
    newset.publish_set(str(path), str(stage), name, about(name, complete))


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """An account with a set for each of three days."""
    for name in DAYS:
        make_set(tmp_path / "repo" / "APP", name)
    return tmp_path / "repo" / "APP"


def names(path: Path) -> list[str]:
    return [one.name for one in sets_of(str(path))]


def test_published_sets_are_whole_and_latest_leads_to_the_newest(account: Path) -> None:
    assert names(account) == DAYS
    assert all(one.whole and one.complete for one in sets_of(str(account)))
    assert os.readlink(account / "latest") == DAYS[-1]
    assert sorted(entry.name for entry in account.iterdir()) == sorted([*DAYS, *(f"{n}.json" for n in DAYS), "latest"])
    assert holds_sets(str(account))
    assert not holds_sets(str(account.parent))


@pytest.mark.parametrize(
    ("wanted", "before", "chosen"),
    [
        ("latest", "", DAYS[2]),
        (DAYS[0], "", DAYS[0]),
        ("latest", "2026-11-21T02:10:00Z", DAYS[1]),
        ("latest", "2026-11-21T02:09:59Z", DAYS[0]),
        ("latest", "2026-11-21T03:10:00+01:00", DAYS[1]),
        ("latest", "20261231T000000Z", DAYS[2]),
    ],
)
def test_a_set_is_chosen_by_name_or_moment(account: Path, wanted: str, before: str, chosen: str) -> None:
    assert choose(sets_of(str(account)), str(account), wanted, before).name == chosen


@pytest.mark.parametrize(
    ("wanted", "before", "words"),
    [
        ("20261119T020000Z", "", f"no set '20261119T020000Z' .* there are: {DAYS[0]} "),
        ("latest", "2026-11-20T02:00:00Z", f"No set in .* before .* there are: {DAYS[0]} "),
        ("latest", "yesterday", "not a moment"),
        ("latest", "2026-11-20T02:00:00", "not a moment"),
    ],
)
def test_a_wrong_choice_is_refused_with_what_there_is(account: Path, wanted: str, before: str, words: str) -> None:
    with pytest.raises(PathError, match=words):
        choose(sets_of(str(account)), str(account), wanted, before)


def test_an_empty_repository_says_so(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="no whole set") as caught:
        choose(sets_of(str(tmp_path)), str(tmp_path))
    assert caught.value.error == "set_not_found"


def test_a_set_without_its_file_is_never_chosen_nor_removed(account: Path) -> None:
    (account / f"{DAYS[2]}.json").unlink()
    assert choose(sets_of(str(account)), str(account)).name == DAYS[1]
    with pytest.raises(PathError, match="is not whole"):
        choose(sets_of(str(account)), str(account), DAYS[2])
    assert newset.clear_unfinished(str(account)) == []
    prune(str(account), Keep(last=1), check=False)
    assert names(account) == DAYS[1:]


def test_a_damaged_file_is_told(account: Path) -> None:
    (account / f"{DAYS[2]}.json").write_text("{")
    damaged = sets_of(str(account))[-1]
    assert not damaged.whole
    assert "cannot be read" in damaged.trouble


def test_names_rise_whatever_the_clock_says() -> None:
    moment = datetime.datetime(2026, 11, 21, 2, 0, 0, tzinfo=datetime.timezone.utc)
    assert set_name(moment, []) == DAYS[1]
    assert set_name(moment, ["latest", "APP"]) == DAYS[1]
    assert set_name(moment, DAYS[:2]) == "20261121T020001Z"
    assert set_name(moment, DAYS) == "20261122T020001Z"


@pytest.mark.parametrize("step", ["sync_directories", "store", "_point"])
def test_a_run_killed_while_it_publishes_leaves_nothing_half(
    account: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def killed(*_args: object, **_more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(newset, step, killed)
        with pytest.raises(KeyboardInterrupt):
            make_set(account, "20261123T020000Z")
    before = newest(sets_of(str(account)))
    cleared = newset.clear_unfinished(str(account))
    assert cleared == (["20261123T020000Z"] if step == "store" else [])
    after = newest(sets_of(str(account)))
    assert before == after
    assert after is not None
    assert after.name == ("20261123T020000Z" if step == "_point" else DAYS[2])
    assert not [name for name in os.listdir(account) if "unfinished" in name]
    assert set(names(account)) <= {path.stem for path in account.glob("*.json")}


def test_a_run_killed_while_it_removes_goes_on(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(newset, "remove_tree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            newset.remove_set(str(account), DAYS[0])
    assert newset.clear_unfinished(str(account)) == [DAYS[0]]
    assert names(account) == DAYS[1:]


def test_links_share_content_and_survive_the_other(account: Path) -> None:
    target = account.parent / "S"
    size = newset.link_stream(str(account / DAYS[0] / "S"), str(target))
    one, other = account / DAYS[0] / "S" / "backup.json", target / "backup.json"
    assert size == len(DAYS[0])
    assert one.stat().st_ino == other.stat().st_ino
    newset.remove_set(str(account), DAYS[0])
    assert other.read_text() == DAYS[0]


def test_what_is_no_whole_backup_is_not_carried_on(account: Path) -> None:
    wrong = newset.link_verified(str(account / DAYS[0] / "S"), str(account.parent / "S"), "S")
    assert "JSON" in wrong
    assert not (account.parent / "S").exists()


NOW = datetime.datetime(2026, 11, 22, 12, 0, 0, tzinfo=datetime.timezone.utc)


@pytest.mark.parametrize(
    ("keep", "removed"),
    [
        (Keep(last=1), DAYS[:2]),
        (Keep(last=2), DAYS[:1]),
        (Keep(last=9), []),
        (Keep(days=0), DAYS[:2]),
        (Keep(days=2), DAYS[:1]),
        (Keep(days=3), []),
        (Keep(last=1, days=2), DAYS[:1]),
    ],
)
def test_retention(account: Path, keep: Keep, removed: list[str]) -> None:
    assert [one.name for one in plan_prune(sets_of(str(account)), keep, NOW).removed] == removed


def test_the_newest_complete_set_stays(account: Path) -> None:
    make_set(account, "20261123T020000Z", complete=False)
    done = prune(str(account), Keep(last=1), check=False)
    assert [one.name for one in done.removed] == DAYS[:2]
    assert [reason for _one, reason in done.kept] == ["it is the newest complete one", "it is the newest"]
    assert names(account) == [DAYS[2], "20261123T020000Z"]


def test_check_mode_removes_nothing(account: Path) -> None:
    assert len(prune(str(account), Keep(last=1), check=True).removed) == 2
    assert names(account) == DAYS


def test_a_plain_backup_is_no_repository(tmp_path: Path) -> None:
    (tmp_path / "S").mkdir()
    (tmp_path / "S" / "backup.json").write_text("{}")
    with pytest.raises(PathError, match="holds the backup of the stream S itself"):
        check_repository(str(tmp_path))


def test_moments() -> None:
    assert parse_moment("2026-11-22T10:15Z") == parse_moment("20261122T101500Z")
    assert parse_moment("2026-11-22 10:15:00.5+00:00").microsecond == 500000
