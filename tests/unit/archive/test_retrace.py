# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages are known again by the checksums of the archive's blocks; any change is seen."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.check.fingerprint import Fields, fields
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.check.retrace import Retraced, retrace
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.reader import open_archive

ARCHIVES = sorted((Path(__file__).parent / "fixtures" / "2.15.2").glob("*/stream.arc.s2"))


def read(path: Path) -> list[Fields]:
    return list(fields(open_archive(path)))


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.parent.name)
def test_what_servers_wrote_is_known_again(path: Path) -> None:
    messages = read(path)
    size = sum(len(header) + len(payload) for _s, _t, _subject, header, payload in messages)
    assert retrace(path, messages) == Retraced(True, len(messages), size)


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.parent.name)
def test_any_change_is_seen(path: Path) -> None:
    messages = read(path)
    for number, (sequence, time_ns, subject, header, payload) in enumerate(messages[:40]):
        for changed in (
            [(sequence, time_ns + 1, subject, header, payload)],
            [(sequence, time_ns, subject + b"x", header, payload)],
            [(sequence, time_ns, subject, header + b"x", payload)],
            [(sequence, time_ns, subject, header, b"x" + payload[1:] if payload else b"y")],
            [],
        ):
            if changed and payload[:1] == b"x" and changed[0][4] == payload and changed[0][:4] == messages[number][:4]:
                continue
            assert not retrace(path, [*messages[:number], *changed, *messages[number + 1 :]]).same
    last = messages[-1][0] if messages else 0
    assert not retrace(path, [*messages, (last + 1, 1, b"s", b"", b"")]).same


def test_all_archives_are_there() -> None:
    assert len(ARCHIVES) >= 8
