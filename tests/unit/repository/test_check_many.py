# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._repository import (
    check_many as checking,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._repository import (
    last_check as checked,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.check_many import Share
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.inspect import inspect

FIXTURES = Path(__file__).parents[1] / "archive" / "fixtures"


@pytest.fixture
def places(tmp_path):
    for line in ("2.14.9", "2.15.2"):
        for name in ("gaps", "compressed", "kv_settings"):
            shutil.copytree(FIXTURES / line / name, tmp_path / f"{line}-{name}")
    return sorted(map(str, tmp_path.iterdir()))


def levels(looked):
    return [one.backup.level for one in looked]


def test_everything_is_checked_and_noted(places):
    looked = checking.look(places, "full", Share(), write=True)
    assert levels(looked) == ["full"] * 6
    assert all(one.backup.valid and one.checked and not one.warning for one in looked)
    assert [one.backup.path for one in looked] == places
    again = checking.look(places, "quick", Share(), write=True)
    assert [one.checked for one in again] == [one.checked for one in looked]


def test_a_share_goes_round(places):
    seen = []
    for _run in range(3):
        looked = checking.look(places, "full", Share(fraction=0.3), write=True)
        full = [one.backup.path for one in looked if one.backup.level == "full"]
        assert len(full) == 2
        seen += full
    assert sorted(seen) == places
    checks = [(check.time, place) for place in places if (check := checked.last_check(inspect(place, "none")))]
    oldest = min(checks)[1]
    looked = checking.look(places, "full", Share(fraction=0.01), write=True)
    assert [one.backup.path for one in looked if one.backup.level == "full"] == [oldest]


def test_nothing_is_begun_after_the_time(places):
    times = iter((0.0, 1.0, 5.0, 9.0, 11.0, 12.0, 13.0))
    looked = checking.look(places, "full", Share(max_duration=10), write=True, clock=lambda: next(times))
    assert levels(looked).count("full") == 3


def test_without_leave_nothing_is_written(places):
    before = sorted(Path(places[0]).iterdir())
    assert checking.look(places, "full", Share(), write=False)[0].checked is None
    assert sorted(Path(places[0]).iterdir()) == before


def test_damage_found_once_is_remembered(places):
    data = next(Path(places[0]).glob("stream.*"))
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    assert not checking.look(places[:1], "full", Share(), write=True)[0].backup.valid
    (glance,) = checking.look(places[:1], "none", Share(), write=True)
    assert [problem.id for problem in glance.backup.problems] == ["damage_known"]
    content[len(content) // 2] ^= 1
    data.write_bytes(bytes(content) + b"")
    (repaired,) = checking.look(places[:1], "full", Share(), write=True)
    assert repaired.backup.valid
    assert checking.look(places[:1], "none", Share(), write=True)[0].backup.valid


def test_a_note_of_other_bytes_or_none_at_all_does_not_count(places):
    checking.look(places[:1], "full", Share(), write=True)
    note = Path(places[0]) / "checked.json"
    good = note.read_bytes()
    for content in (b"", b"[]", b"{}", good.replace(b'"identity": "', b'"identity": "9'), good[:-5]):
        note.write_bytes(content)
        assert checked.last_check(inspect(places[0], "none")) is None
