# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a few bytes can cost, and that nothing legitimate is near it."""

from __future__ import annotations

import dataclasses
import json
import random
import time
from pathlib import Path

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._archive import bounds, reader
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.check import quick as verify
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.check.full import full_file
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.codec.s2 import encode_stored
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.v2.entries import MAGIC, write_entry

from tools import mutations

PAIR = {"consumer_seq": 1, "stream_seq": 1}
CONFIG = {
    "ack_policy": "explicit",
    "ack_wait": 30 * 10**9,
    "deliver_policy": "all",
    "max_ack_pending": 1000,
    "max_deliver": -1,
    "max_waiting": 512,
    "replay_policy": "instant",
    "num_replicas": 0,
    "filter_subject": "a.b.c",
    "metadata": {"_nats.level": "1", "_nats.req.level": "0", "_nats.ver": "2.15.3"},
}


def archive(messages: list[tuple[int, str]], consumers: int = 0) -> bytes:
    """A V2 archive with these sequences and subjects."""
    first, last = (messages[0][0], messages[-1][0]) if messages else (1, 0)
    state = {"messages": len(messages), "first_seq": first, "last_seq": last, "consumer_count": consumers}
    parts = [MAGIC, write_entry(b"state.json", 1, 0, b"", json.dumps({**state, "bytes": 0}).encode())]
    for number in range(consumers):
        name = f"consumer-{number}"
        body = {
            "config": {**CONFIG, "durable_name": name, "name": name},
            "state": {"delivered": PAIR, "ack_floor": PAIR},
        }
        parts.append(write_entry(f"consumers/{name}".encode(), 1, 0, b"", json.dumps(body).encode()))
    now = 1_760_000_000_000_000_000
    parts += [write_entry(subject.encode(), now, sequence, b"", b"x") for sequence, subject in messages]
    return encode_stored(b"".join([*parts, write_entry(b"", 0, 0, b"", b"")]))


@pytest.mark.parametrize(
    ("what", "messages", "consumers"),
    [
        ("10,000 consumers", [(1, "a")], 10_000),
        ("100,000 subjects", [(number, f"subject.{number}") for number in range(1, 100_001)], 0),
        ("a gap of 2^40 sequences", [(1, "a"), (1 << 40, "b")], 0),
    ],
)
def test_what_is_large_and_legitimate_is_taken(
    what: str, messages: list[tuple[int, str]], consumers: int, tmp_path: Path
) -> None:
    file = tmp_path / "stream.arc.s2"
    file.write_bytes(archive(messages, consumers))
    for report in (verify.quick_file(file), full_file(file)):
        assert report.valid, (what, report.problems)
        assert len(report.consumers) == consumers
    found = reader.open_archive(file)
    assert len(found.consumers) == consumers
    assert sum(1 for _message in found.messages()) == len(messages)


@pytest.mark.parametrize("seed", range(12))
def test_bombs_are_refused_at_once(seed: int, tmp_path: Path) -> None:
    """Their memory is measured by tools/fuzz.py, which looks at each in a process of its own."""
    (tmp_path / "S").mkdir()
    mutations.archive_bomb(random.Random(seed), tmp_path / "S", tmp_path)
    file = mutations.data_of(tmp_path / "S")
    begun = time.process_time()
    verify.quick_file(file)  # which does not look into the message blocks, where one of them is
    assert not full_file(file, parallel=False).valid
    assert time.process_time() - begun < 20


def test_what_may_be_decoded_follows_from_what_is_known(tmp_path: Path) -> None:
    """Blocks of zeros that the stream does have are no bomb; for a stream that has little they are."""
    file = tmp_path / "stream.arc.s2"
    file.write_bytes(archive([(1, "a")]))
    report = dataclasses.replace(verify.quick_file(file), raw_size=80 << 20)
    assert [problem.id for problem in verify.bounded(report, known=0).problems] == [bounds.TOO_LARGE]
    assert verify.bounded(report, known=80 << 20).valid
