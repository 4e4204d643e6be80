# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The notes on held streams: on disk, of one account and cluster, and never passed over."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._repository import held_record, prune
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.errors import InvalidBackupError
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.held_record import Entry, Record
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.set_file import SetFile
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.sets import BackupSet

SET = "20261122T101500Z"


def entry(**more: object) -> Entry:
    """A note on the stream ONE."""
    values: dict[str, object] = {
        "stream": "ONE",
        "account": "APP",
        "cluster": "C1",
        "phase": held_record.DELETED,
        "set": SET,
        "digest": "0" * 64,
        "config": {"name": "ONE", "subjects": ["one.>"]},
        "consumers": [{"name": "work", "config": {"durable_name": "work"}}],
        "placement": {"tags": ["zone:b"]},
        "at": "2026-11-22T10:15:00Z",
    }
    return Entry(**{**values, **more})  # type: ignore[arg-type]


def test_a_note_is_read_as_it_was_written_until_it_is_closed(tmp_path: Path) -> None:
    record = Record(str(tmp_path), "APP", "C1")
    assert record.entries() == {}
    record.write(entry())
    assert Record(str(tmp_path), "APP", "C1").entries() == {"ONE": entry()}
    assert Record(str(tmp_path), "APP", "C1", ("OTHER",)).entries() == {}
    record.close("ONE")
    record.close("ONE")
    assert record.entries() == {}


def test_a_note_of_elsewhere_is_named(tmp_path: Path) -> None:
    assert Record(str(tmp_path), "APP", "C1").elsewhere(entry()) == ""
    assert Record(str(tmp_path), "", "C1").elsewhere(entry()) == ""
    assert "account APP" in Record(str(tmp_path), "TEST", "C1").elsewhere(entry())
    assert "cluster C1" in Record(str(tmp_path), "APP", "C2").elsewhere(entry())


@pytest.mark.parametrize(
    "change", [('"set": "20261122T101500Z"', '"set": "../../etc"'), ('"ONE"', '"../ONE"'), ("{", "")]
)
def test_a_note_that_cannot_be_believed_stops_the_run(tmp_path: Path, change: tuple[str, str]) -> None:
    record = Record(str(tmp_path), "APP", "C1")
    record.write(entry())
    file = Path(record.file("ONE"))
    file.write_text(file.read_text().replace(*change))
    with pytest.raises(InvalidBackupError, match="says which streams were held"):
        record.entries()


def test_a_backup_that_is_gone_is_named(tmp_path: Path) -> None:
    _place, manifest, wrong = Record(str(tmp_path), "APP", "C1").backup(entry())
    assert manifest is None
    assert f"{tmp_path}/{SET}/ONE is gone" in wrong


def test_a_set_that_a_held_stream_needs_stays(tmp_path: Path) -> None:
    about = SetFile("APP", "2026-11-22T10:15:00Z", complete=True, streams={})
    sets = [BackupSet(name, str(tmp_path / name), about) for name in (SET, "20261123T101500Z")]
    now = datetime.datetime(2026, 12, 1, tzinfo=datetime.timezone.utc)
    keep = prune.Keep(last=1)
    assert [one.name for one in prune.plan_prune(sets, keep, now).removed] == [SET]
    Record(str(tmp_path), "APP", "C1").write(entry())
    plan = prune.plan_prune(sets, keep, now)
    assert plan.removed == ()
    assert "held" in {one.name: why for one, why in plan.kept}[SET]
