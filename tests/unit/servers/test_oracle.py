# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle sees what differs, and samples are made as described."""

from __future__ import annotations

import dataclasses

import pytest

from servers import Server, oracle
from servers.catalogue import SAMPLES
from servers.fixtures import MakeServer
from servers.samples import choose, make_streams


@pytest.fixture(scope="module")
def filled(server: Server) -> tuple[Server, list[str]]:
    """A server with the standard samples."""
    return server, make_streams(server, "standard", prefix="ORA_")


def test_every_standard_sample_is_there(filled: tuple[Server, list[str]]) -> None:
    server, names = filled
    assert set(names) <= set(oracle.stream_names(server))
    assert len(names) == len(choose(server, "standard")) > 30


def test_both_ways_of_reading_agree(filled: tuple[Server, list[str]]) -> None:
    server, names = filled
    for name in names:
        pushed = oracle.dump(server, name)
        assert oracle.compare(pushed, oracle.fetch(server, name)) == []
        assert [message.seq for message in pushed] == sorted(message.seq for message in pushed)


def test_reading_leaves_no_trace(filled: tuple[Server, list[str]]) -> None:
    server, names = filled
    before = oracle.picture(server, names)
    assert oracle.compare(before, oracle.picture(server, names)) == []


def test_contents_are_the_same_on_every_run(filled: tuple[Server, list[str]], make_server: MakeServer) -> None:
    server, names = filled
    second = make_server()
    make_streams(second, "standard", prefix="ORA_")
    before, after = oracle.picture(server, names), oracle.picture(second, names)
    for name in names:
        for left, right in zip(before[name]["messages"], after[name]["messages"], strict=True):
            # What the server writes itself differs: times everywhere, the origin's creation in sourced messages.
            if b"Nats-Stream-Source" not in left.headers:
                assert dataclasses.replace(left, time_ns=0) == dataclasses.replace(right, time_ns=0)
        assert oracle.compare(before[name]["consumers"], after[name]["consumers"]) == []


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "elsewhere"},
        {"headers": b"NATS/1.0\r\nA: 2\r\n\r\n"},
        {"sha256": "0" * 64},
        {"time_ns": 1},
        {"size": 77},
    ],
    ids=lambda change: next(iter(change)),
)
def test_one_different_message_is_seen(filled: tuple[Server, list[str]], change: dict) -> None:
    server, _names = filled
    before = oracle.dump(server, "ORA_HEADERS")
    after = [*before[:3], dataclasses.replace(before[3], **change), *before[4:]]
    found = oracle.compare(before, after)
    assert len(found) == 1
    assert found[0].startswith(f"message 4: {next(iter(change))} was ")


def test_missing_new_and_doubled_messages_are_seen(filled: tuple[Server, list[str]]) -> None:
    server, _names = filled
    before = oracle.dump(server, "ORA_PLAIN")
    assert oracle.compare(before, before[:-2]) == ["2 messages are missing: sequences [249, 250]"]
    assert oracle.compare(before[1:], before) == ["1 messages are new: sequences [1]"]
    assert "twice" in oracle.compare(before, [*before, before[0]])[0]
    assert oracle.compare(before, []) != []


def test_a_message_more_on_the_server_is_seen(filled: tuple[Server, list[str]]) -> None:
    server, _names = filled
    make_streams(server, ["DENIED"], prefix="MORE_")
    before = oracle.dump(server, "MORE_DENIED")
    oracle.run(_publish(server, "more_denied.extra"))
    assert oracle.compare(before, oracle.dump(server, "MORE_DENIED")) == ["1 messages are new: sequences [21]"]


async def _publish(server: Server, subject: str) -> None:
    client = await oracle.connect(server)
    await client.request(subject, b"x", timeout=5)
    await client.close()


def test_different_consumers_are_seen(filled: tuple[Server, list[str]]) -> None:
    server, _names = filled
    before = oracle.consumers(server, "ORA_PLAIN")
    assert before["reader"]["ack_floor"] == {"consumer_seq": 40, "stream_seq": 40}
    moved = {**before, "reader": {**before["reader"], "num_ack_pending": 3}}
    assert oracle.compare(before, moved) == ["reader.num_ack_pending: was 0, is 3"]
    assert oracle.compare(before, {"reader": before["reader"]})[0].startswith("untouched is missing")


def test_the_cli_counts_the_same(filled: tuple[Server, list[str]], nats_cli: oracle.Cli) -> None:
    server, names = filled
    for name in names[:5]:
        state = nats_cli.json(server, "stream", "info", name, "--json")["state"]
        read = oracle.dump(server, name)
        assert state["messages"] == len(read)


def test_odd_states_are_what_their_names_say(filled: tuple[Server, list[str]]) -> None:
    server, _names = filled

    def state(name: str) -> tuple[int, int, int]:
        found = oracle.stream_info(server, f"ORA_{name}")["state"]
        return found["messages"], found["first_seq"], found["last_seq"]

    assert state("EMPTY") == (0, 0, 0)
    assert state("ADVANCED") == (0, 31, 30)
    assert state("FIRST_SEQ") == (12, 1000, 1011)
    assert state("HEAD_DELETED") == (25, 16, 40)
    assert state("TAIL_DELETED") == (37, 1, 40)
    assert state("LIMITED") == (25, 36, 60)
    queue = oracle.consumers(server, "ORA_WORK_QUEUE")
    assert queue["a"]["num_ack_pending"] == 11
    assert oracle.dump(server, "ORA_HEADERS")[2].headers == b"NATS/1.0\r\nA: 1\r\nA: 2\r\na: 3\r\n\r\n"
    assert max(message.size for message in oracle.dump(server, "ORA_LARGE")) == 1 << 20


def test_times_are_exact() -> None:
    assert oracle.parse_time("1970-01-01T00:00:01.000000001Z") == 10**9 + 1
    assert oracle.parse_time("1970-01-01T01:00:00.5+01:00") == 5 * 10**8
    assert oracle.parse_time("2026-11-22T16:39:33Z") == 1795365573 * 10**9
    assert oracle.parse_time("1969-12-31T23:59:59.999999999Z") == -1


def test_samples_are_chosen_by_line() -> None:
    old = Server.__new__(Server)
    old.setup = type("Setup", (), {"options": type("Options", (), {"line": (2, 10), "version": "2.10.29"})})()
    keys = {sample.key for sample in choose(old, "all")}
    assert "TTL" not in keys
    assert "PLAIN" in keys
    assert "REPLICATED" not in keys
    assert [sample.key for sample in choose(old, ["SOURCED"])] == ["ORIGIN_A", "ORIGIN_B", "SOURCED"]
    with pytest.raises(KeyError):
        choose(old, ["NO_SUCH"])
    assert all(sample.about for sample in SAMPLES.values())
