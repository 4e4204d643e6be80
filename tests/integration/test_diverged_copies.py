# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replicas that end alike and hold different messages, on real clusters; judged by the servers and a plain client."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import threading
import time
from pathlib import Path
from typing import Any

import nats.errors
import pytest

from integration.cluster import kit
from integration.runbook import Runbooks
from servers import Cluster, Server, wait_for

MESSAGES = 400
WORD = "stream_copies_differ"


def counts(cluster: Cluster, stream: str) -> dict[str, int]:
    """How many messages each server says its own copy has."""
    found = {}
    for node in cluster.running:
        for account in node.monitor("/jsz?accounts=true&streams=true").get("account_details") or ():
            for one in account.get("stream_detail") or ():
                if one["name"] == stream:
                    found[node.name] = int(one["state"]["messages"])
    return found


def lose_a_block(node: Server, stream: str) -> None:
    """Take a block from the middle of a copy, as a damaged disk does."""
    node.stop()
    (block,) = node.store.glob(f"jetstream/*/streams/{stream}/msgs/2.blk")
    block.unlink()
    (block.parent / "index.db").unlink(missing_ok=True)
    node.start(wait=False)


def differing(cluster: Cluster, **params: Any) -> list[dict[str, Any]]:
    result = kit.run("cluster_info", cluster, **{"sample_interval": 1, **params})
    assert "error" not in result, result
    return [one for one in result["findings"] if one["id"] == WORD]


def readable(app: kit.App, stream: str) -> int:
    """How many messages a plain client is given."""

    async def read() -> int:
        subscription = await app.js.subscribe(f"{stream}.>", ordered_consumer=True)
        number = 0
        while True:
            message = await subscription.next_msg(timeout=10)
            number += 1
            if message.metadata.num_pending == 0:
                await subscription.unsubscribe()
                return number

    return int(app.call(read()))


@pytest.mark.lines
def test_a_copy_with_a_hole_is_found_and_healed(make_cluster: Any, nats_cli: Any, tmp_path: Path) -> None:
    cluster = make_cluster()
    books = Runbooks(cluster, tmp_path)
    app = kit.App(cluster)
    app.stream("HOLE", 3)
    app.consumer("HOLE", "reader", replicas=3)
    for _number in range(MESSAGES):
        app.call(app.js.publish("HOLE.x", os.urandom(50000)))
    cluster.wait_stream_current("HOLE")
    wait_for(lambda: set(counts(cluster, "HOLE").values()) == {MESSAGES}, 20, "three whole copies")
    victim = next(node for node in cluster.nodes if node.name != cluster.stream_leader("HOLE").name)
    lose_a_block(victim, "HOLE")
    cluster.wait_ready()
    cluster.wait_stream_current("HOLE")
    left = counts(cluster, "HOLE")
    assert left[victim.name] < MESSAGES
    assert sorted(left.values())[1:] == [MESSAGES] * 2
    # The worst case: the damaged copy leads.
    answer = app.api("STREAM.LEADER.STEPDOWN.HOLE", {"placement": {"preferred": victim.name}})
    if not answer.get("success"):
        pytest.fail(f"{victim.name} does not lead: {answer}")
    wait_for(lambda: cluster.stream_leader("HOLE").name == victim.name, 20, "the new leader")
    assert app.api("STREAM.INFO.HOLE")["state"]["messages"] == left[victim.name]
    missing = app.api("STREAM.MSG.GET.HOLE", {"seq": MESSAGES // 2 + 20})
    assert missing["error"]["err_code"] == 10037, missing

    assert differing(cluster, sample_interval=0) == []  # one look says nothing
    (found,) = differing(cluster)
    assert found["severity"] == "critical"
    assert found["objects"] == ["APP > HOLE"]
    assert all(f"{name} {number}" in found["detail"] for name, number in left.items())

    told = books.run("assess", assess_sample_interval=1).report
    assert WORD in [one["id"] for one in told["details"]["findings"] if one["severity"] == "critical"], told["sentence"]

    # What the finding says, word for word.
    commands = re.findall(r"nats (stream .*?)(?=\.(?: |$)| && |\. Between)", found["remedy"])
    assert len(commands) == 3, found["remedy"]
    for command in commands:
        ran = nats_cli.run(cluster, *shlex.split(command))
        assert ran.returncode == 0, ran
        cluster.stream_leader("HOLE")
        time.sleep(1)
    cluster.wait_stream_current("HOLE")
    wait_for(lambda: counts(cluster, "HOLE") == dict.fromkeys(left, MESSAGES), 30, "three whole copies again")
    assert differing(cluster) == []
    told = books.run("assess", assess_sample_interval=1).report
    assert WORD not in [one["id"] for one in told["details"]["findings"]]
    assert readable(app, "HOLE") == MESSAGES
    info = app.api("CONSUMER.INFO.HOLE.reader")
    assert "error" not in info, info
    app.close()


@pytest.mark.slow
def test_traffic_is_no_difference(make_cluster: Any) -> None:
    """Messages come, expire, are acknowledged, purged and deleted while it looks; nothing diverges."""
    cluster = make_cluster()
    app = kit.App(cluster)
    streams: dict[str, dict[str, Any]] = {
        "WORK": {"retention": "workqueue"},
        "INTEREST": {"retention": "interest"},
        "AGED": {"max_age": 2_000_000_000},
        "KEYS": {"max_msgs_per_subject": 1},
        "ROUND": {"max_msgs": 50},
        "PLAIN": {},
    }
    for name, config in streams.items():
        app.stream(name, 3, **config)
        kit.until_placed(cluster, name, 3)
    for name in ("WORK", "INTEREST"):
        app.consumer(name, "worker", replicas=3)
    app.publish_to(*streams)

    async def work(name: str) -> None:
        subscription = await app.js.pull_subscribe(f"{name}.>", "worker")
        while working:
            try:
                for message in await subscription.fetch(5, timeout=1):
                    await message.ack()
            except nats.errors.TimeoutError:
                continue

    async def both() -> None:
        await asyncio.gather(work("WORK"), work("INTEREST"))

    working = [True]
    workers = threading.Thread(target=lambda: app.call(both(), 120))
    workers.start()
    try:
        for _round in range(5):
            assert differing(cluster, sample_interval=2) == []
    finally:
        working.clear()
        app.stop_publishing()
        workers.join()
        app.close()
