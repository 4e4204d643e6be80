# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Consumers that a V1 archive leaves out, and what running applications meet after a restore."""

from __future__ import annotations

import asyncio
import functools
import json
from pathlib import Path
from typing import Any

import pytest

from integration import rounds
from servers import Server, User, oracle
from servers.fixtures import MakeServer

OWN = {
    "pull": {"ack_policy": "explicit", "deliver_policy": "all", "filter_subject": "one.a"},
    "push": {"ack_policy": "explicit", "deliver_policy": "all", "deliver_subject": "out.push"},
    "fresh": {"ack_policy": "explicit", "deliver_policy": "new"},
}
BARRED = User(
    "barred", permissions={"publish": {"allow": [">"], "deny": ["$JS.API.CONSUMER.RESET.>"]}, "subscribe": [">"]}
)


async def ask(client: Any, subject: str, body: Any = None) -> dict[str, Any]:
    answer = await client.request(f"$JS.API.{subject}", json.dumps(body or {}).encode(), timeout=10)
    return dict(json.loads(answer.data))


async def pulled(client: Any, consumer: str) -> Any:
    """The next message of a pull consumer."""
    inbox = client.new_inbox()
    heard = await client.subscribe(inbox)
    await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.ONE.{consumer}", b"1", reply=inbox)
    message = await heard.next_msg(5)
    await heard.unsubscribe()
    return message


def stream_with_consumers(server: Server) -> None:
    """ONE with 40 messages, and consumers in memory, which V1 archives do not have, acknowledged up to 20."""

    async def make() -> None:
        client = await oracle.connect(server, "app")
        config = {"name": "ONE", "subjects": ["one.>"]}
        assert "error" not in await ask(client, "STREAM.CREATE.ONE", config)
        heard = await client.subscribe("out.push")
        for number in range(40):
            for name in {0: ("pull", "push"), 20: ("fresh",)}.get(number, ()):
                body = {"stream_name": "ONE", "config": {"durable_name": name, "mem_storage": True, **OWN[name]}}
                assert "error" not in await ask(client, f"CONSUMER.DURABLE.CREATE.ONE.{name}", body)
            await client.request("one.a", b"%d" % (number + 1), timeout=5)
        for name, count in (("pull", 20), ("fresh", 5)):
            for _message in range(count):
                message = await pulled(client, name)
                await client.request(message.reply, b"+ACK", timeout=5)
        for _message in range(20):
            message = await heard.next_msg(5)
            await client.request(message.reply, b"+ACK", timeout=5)
        ephemeral = {"ack_policy": "none", "name": "watcher", "mem_storage": True, "inactive_threshold": 60 * 10**9}
        await ask(client, "CONSUMER.CREATE.ONE.watcher", {"stream_name": "ONE", "config": ephemeral})
        await client.close()

    oracle.run(make())


def restore(server: Server, path: Path, user: str = "app") -> tuple[dict[str, Any], list[bytes], dict[str, Any]]:
    """Restore while the application listens: the result, what the push consumer delivered, the consumers' infos."""

    async def work() -> tuple[dict[str, Any], list[bytes], dict[str, Any]]:
        client = await oracle.connect(server, "app")
        heard: list[bytes] = []

        async def take(message: Any) -> None:
            heard.append(message.data)

        await client.subscribe("out.push", cb=take)
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(None, lambda: rounds.restore_stream(server, path, as_user=user))
        for _attempt in range(50):
            if len(heard) >= 20:
                break
            await asyncio.sleep(0.1)
        listed = await ask(client, "CONSUMER.LIST.ONE")
        await client.close()
        return result, heard, {one["name"]: one for one in listed["consumers"]}

    return oracle.run(work())


@pytest.mark.parametrize(
    ("version", "user", "own"),
    [
        ("2.15.3", "app", True),
        ("2.14.10", "app", True),
        ("2.14.10", "barred", False),
        ("2.12.15", "app", False),
    ],
)
def test_consumers_that_v1_leaves_out(
    make_server: MakeServer, tmp_path: Path, version: str, user: str, own: bool
) -> None:
    source = make_server(version="2.12.15")
    stream_with_consumers(source)
    taken = rounds.backup_stream(source, tmp_path / "ONE", "ONE")
    assert (taken["format"], taken["consumers"]) == ("V1", 4)
    source.close()
    server = make_server(version=version, users=(BARRED,))
    result, heard, consumers = restore(server, tmp_path / "ONE", user)
    assert set(result["consumers_created"]) == {"pull", "push", "fresh"}
    # The running application got what was not acknowledged, and nothing from before.
    assert heard == [b"%d" % number for number in range(21, 41)]
    for name, floor in (("pull", 20), ("push", 20), ("fresh", 25)):
        config, position = consumers[name]["config"], consumers[name]["ack_floor"]["stream_seq"]
        moved = own and name != "fresh"
        expected = OWN[name]["deliver_policy"] if moved else "by_start_sequence"
        assert (config["deliver_policy"], config.get("opt_start_seq")) == (expected, None if moved else floor + 1)
        # Where it starts by a sequence, 2.12 counts nothing as acknowledged; what is delivered next is looked at below.
        assert position == (floor if version != "2.12.15" else 0)
        assert config.get("filter_subject") == OWN[name].get("filter_subject")
        assert not consumers[name].get("paused")
        # Warnings of one kind are one, which names all of their consumers.
        (text,) = [each for each in rounds.warnings(result) if "not in the archive" in each and name in each]
        assert "delivers from sequ" in text
        assert ("by_start_sequence" in text) is not moved
    if user == "barred":
        assert "CONSUMER.RESET" in " ".join(rounds.warnings(result))
    (gone,) = [text for text in rounds.warnings(result) if "ephemeral" in text]
    assert gone.startswith("stream ONE: 1 ephemeral consumers are not brought back (watcher).")

    async def following() -> list[bytes]:
        client = await oracle.connect(server, "app")
        found = [(await pulled(client, name)).data for name in ("pull", "fresh")]
        await client.close()
        return found

    assert oracle.run(following()) == [b"21", b"26"]
    assert rounds.restore_stream(server, tmp_path / "ONE")["status"] == "unchanged"


def test_what_running_applications_miss_is_told(make_server: MakeServer, tmp_path: Path) -> None:
    """An ordered consumer that runs on misses exactly as many new messages as the warning says."""
    server = make_server(version="2.15.3")

    async def work() -> None:
        client = await oracle.connect(server, "app")
        loop = asyncio.get_running_loop()
        await ask(client, "STREAM.CREATE.ONE", {"name": "ONE", "subjects": ["one.>"]})

        async def publish(*numbers: int) -> None:
            for number in numbers:
                await client.request("one.a", b"%d" % number, timeout=5)

        await publish(*range(1, 11))
        path = tmp_path / "ONE"
        await loop.run_in_executor(None, lambda: rounds.backup_stream(server, path, "ONE"))
        await publish(*range(11, 16))
        seen: list[bytes] = []

        async def take(message: Any) -> None:
            seen.append(message.data)

        await client.jetstream().subscribe("one.a", ordered_consumer=True, cb=take)
        for _attempt in range(50):
            if len(seen) == 15:
                break
            await asyncio.sleep(0.1)
        assert len(seen) == 15
        for check in (True, False):
            work = functools.partial(rounds.restore_stream, server, path, on_conflict="replace", check=check)
            result = await loop.run_in_executor(None, work)
            (text,) = [each for each in rounds.warnings(result) if "goes back" in each]
            assert "from sequence 15 to 10" in text
            assert "miss up to 5 new messages" in text
        await publish(*range(101, 111))
        # The client looks every 10 s whether its consumer is silent, and makes it anew when it was silent twice.
        for _attempt in range(450):
            if seen[-1] == b"110":
                break
            await asyncio.sleep(0.1)
        assert seen[15:] == [b"%d" % number for number in range(106, 111)]
        await client.close()

    oracle.run(work())


def test_mqtt_streams_are_told(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(version="2.15.3")
    rounds.ask(server, "STREAM.CREATE.$MQTT_rmsgs", {"name": "$MQTT_rmsgs", "subjects": ["$MQTT.rmsgs.>"]})
    rounds.publish(server, "$MQTT.rmsgs.a", b"1")
    rounds.backup_stream(server, tmp_path / "M", "$MQTT_rmsgs")
    rounds.publish(server, "$MQTT.rmsgs.b", b"2")
    result = rounds.restore_stream(server, tmp_path / "M", on_conflict="replace")
    assert any("MQTT" in text and "Restart the servers" in text for text in rounds.warnings(result))
