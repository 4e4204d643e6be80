# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The diff of a restore shows what the user's configuration says, not what servers note in it."""

from __future__ import annotations

from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.restore import _diff
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.results import RestoreResult

NOTED = {"_nats.level": "5", "_nats.ver": "2.15.2"}


def test_what_servers_note_is_no_difference() -> None:
    before = {"name": "S", "metadata": {**NOTED, "owner": "one"}}
    after = {"name": "S", "metadata": {"_nats.req.level": "0", "owner": "two"}}
    (shown,) = _diff([RestoreResult("S", "replaced", "/b/S", before=before, after=after)])
    assert shown["before"] == {"name": "S", "metadata": {"owner": "one"}}
    assert shown["after"] == {"name": "S", "metadata": {"owner": "two"}}


def test_metadata_with_notes_only_is_not_shown() -> None:
    (shown,) = _diff([RestoreResult("S", "created", "/b/S", after={"name": "S", "metadata": NOTED})])
    assert shown["before"] == {}
    assert shown["after"] == {"name": "S"}


def test_only_streams_that_change_are_shown() -> None:
    assert _diff([RestoreResult("S", "unchanged", "/b/S"), RestoreResult("T", "skipped", "/b/T")]) == []
