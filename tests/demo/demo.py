# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration behind `make demo`: an account loses all its streams and gets them back.

A cluster of three nats-servers on loopback, streams of several kinds, and the collection's own playbooks through
ansible-playbook. What was lost and what came back is read by plain nats-py consumers, not by the collection. Exit code
0 means that everything is as it should be; everything that was started is stopped, whatever happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nats
import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, KeyValueConfig, StreamConfig, StreamSource
from nats.js.client import JetStreamContext

from servers import BinaryError, Cluster, Endpoint, Options, ServerError, oracle

CHECKOUT = Path(__file__).resolve().parents[2]
PLAYBOOK_TIMEOUT = 180.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What the consumers take and acknowledge before the backup, and so where they go on after the restore.
TAKEN = {
    ("ORDERS", "billing"): 1200,
    ("ORDERS", "shipping"): 500,
    ("METRICS", "dashboard"): 1000,
    ("JOBS", "workers"): 150,
}
ABOUT = {
    "ORDERS": "3 replicas",
    "METRICS": "1 replica",
    "KV_SETTINGS": "key-value bucket, 3 replicas",
    "ORDERS_COPY": "mirror of ORDERS",
    "AUDIT": "sources from ORDERS and METRICS",
    "JOBS": "work queue, 3 replicas",
}

Picture = dict[str, dict[str, Any]]


class DemoError(Exception):
    """Something was not as it should be."""


def expect(truth: bool, otherwise: str) -> None:
    """Raise DemoError unless `truth`."""
    if not truth:
        raise DemoError(otherwise)


class Story:
    """Prints numbered sentences, each with the time its step took."""

    def __init__(self) -> None:
        self._number = 0
        self._since = time.monotonic()

    def tell(self, sentence: str) -> None:
        """Print the next sentence."""
        now = time.monotonic()
        self._number += 1
        print(f"{self._number:2}. {sentence} ({now - self._since:.1f} s)", flush=True)
        self._since = now


# --- the streams


async def _publish(js: JetStreamContext, messages: Sequence[tuple[str, bytes, dict[str, str] | None]]) -> None:
    """Publish in order, at most 256 under way; the first one again until the new stream's servers listen."""
    for _attempt in range(100):
        with contextlib.suppress(nats.errors.NoRespondersError, nats.js.errors.NoStreamResponseError):
            await js.publish(messages[0][0], messages[0][1], headers=messages[0][2])
            break
        await asyncio.sleep(0.05)
    for start in range(1, len(messages), 256):
        batch = messages[start : start + 256]
        acks = [await js.publish_async(subject, data, headers=headers) for subject, data, headers in batch]
        await asyncio.gather(*acks)


async def _fetch(subscription: JetStreamContext.PullSubscription, count: int) -> list[Msg]:
    """Fetch up to `count` messages, again while the interest in a new consumer has not spread through the cluster."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return await subscription.fetch(count, timeout=10)
        except (nats.js.errors.ServiceUnavailableError, nats.errors.NoRespondersError):
            expect(time.monotonic() < deadline, "nobody serves a consumer")
        await asyncio.sleep(0.05)


async def _take(js: JetStreamContext, stream: str, durable: str, count: int, **config: Any) -> None:
    """Make a durable pull consumer that has taken and acknowledged `count` messages."""
    await js.add_consumer(stream, ConsumerConfig(durable_name=durable, ack_wait=30, **config))
    subscription = await js.pull_subscribe_bind(durable, stream)
    while count:
        for message in await _fetch(subscription, min(count, 250)):
            await message.ack_sync(timeout=10)
            count -= 1
    await subscription.unsubscribe()


async def _make_streams(cluster: Cluster) -> None:
    client = await nats.connect(cluster.urls, **cluster.auth("app"))
    try:
        js = client.jetstream(timeout=15)
        await js.add_stream(StreamConfig("ORDERS", subjects=["orders.>"], num_replicas=3))
        await js.add_stream(StreamConfig("METRICS", subjects=["metrics.>"], num_replicas=1))
        await js.add_stream(StreamConfig("JOBS", subjects=["jobs"], num_replicas=3, retention="workqueue"))  # type: ignore[arg-type]
        await js.add_stream(StreamConfig("ORDERS_COPY", mirror=StreamSource("ORDERS"), num_replicas=1))
        sources = [StreamSource("ORDERS"), StreamSource("METRICS")]
        await js.add_stream(StreamConfig("AUDIT", sources=sources, num_replicas=3))
        settings = await js.create_key_value(KeyValueConfig("SETTINGS", history=5, replicas=3))
        await _publish(
            js,
            [
                (
                    f"orders.{('new', 'paid', 'shipped')[n % 3]}",
                    json.dumps({"order": n, "amount": n * 7 % 1000}).encode() + b" " * (n % 200),
                    {"Nats-Msg-Id": f"order-{n}", "Customer": f"Zoë {n % 40}"} if n % 2 else None,
                )
                for n in range(3000)
            ],
        )
        await _publish(js, [(f"metrics.cpu.{n % 8}", os.urandom(100), None) for n in range(1000)])
        await _publish(js, [("jobs", f"job {n}".encode(), None) for n in range(400)])
        for n in range(200):
            await settings.put(f"user.{n % 60}", f"value {n}".encode())
        await settings.delete("user.7")
        await _take(js, "ORDERS", "billing", TAKEN["ORDERS", "billing"])
        await _take(js, "ORDERS", "shipping", TAKEN["ORDERS", "shipping"], filter_subject="orders.shipped")
        await _take(js, "METRICS", "dashboard", TAKEN["METRICS", "dashboard"])
        await _take(js, "JOBS", "workers", TAKEN["JOBS", "workers"])
        for stream, count in (("ORDERS_COPY", 3000), ("AUDIT", 4000)):
            await _wait_messages(js, stream, count)
    finally:
        await client.close()


async def _wait_messages(js: JetStreamContext, stream: str, count: int, timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while (found := (await js.stream_info(stream)).state.messages) < count:
        expect(time.monotonic() < deadline, f"{stream} has {found} of {count} messages after {timeout:g} s")
        await asyncio.sleep(0.1)


async def _delete_streams(cluster: Cluster) -> None:
    client = await nats.connect(cluster.urls, **cluster.auth("app"))
    try:
        js = client.jetstream(timeout=15)
        for stream in ABOUT:
            await js.delete_stream(stream)
    finally:
        await client.close()


async def _go_on(cluster: Cluster) -> None:
    """Show that the account is alive: consumers go on where they were, and a new order reaches every copy, once."""
    client = await nats.connect(cluster.urls, **cluster.auth("app"))
    try:
        js = client.jetstream(timeout=15)
        for (stream, durable), sequence in (("ORDERS", "billing"), 1201), (("JOBS", "workers"), 151):
            subscription = await js.pull_subscribe_bind(durable, stream)
            (message,) = await _fetch(subscription, 1)
            got = message.metadata.sequence.stream
            expect(got == sequence, f"{durable} was given message {got} of {stream}, not {sequence}")
            await message.nak()
        await js.publish("orders.new", b"the first order after the loss")
        for stream, count in (("ORDERS", 3001), ("ORDERS_COPY", 3001), ("AUDIT", 4001)):
            await _wait_messages(js, stream, count)
        await asyncio.sleep(1)  # a second copy would come right behind the first
        for stream, count in (("ORDERS_COPY", 3001), ("AUDIT", 4001)):
            found = (await js.stream_info(stream)).state.messages
            expect(found == count, f"{stream} has {found} messages, not {count}")
    finally:
        await client.close()


# --- what is in them


def fingerprint(messages: Sequence[oracle.Message]) -> str:
    """Return one SHA-256 over sequence, time, subject, headers and data of all messages."""
    digest = hashlib.sha256()
    for message in messages:
        digest.update(repr(message).encode())
    return digest.hexdigest()


def differences(before: Picture, after: Picture) -> list[str]:
    """Return in words what differs; where sources go on from is set by the restore, and is no difference."""

    def settled(picture: Picture) -> Picture:
        found = json.loads(json.dumps({name: each["config"] for name, each in picture.items()}))
        for config in found.values():
            for source in config.get("sources") or []:
                source.pop("opt_start_seq", None)
        return {name: {**each, "config": found[name]} for name, each in picture.items()}

    return oracle.compare(settled(before), settled(after))


# --- the playbooks


class Playbooks:
    """Runs the collection's playbooks with ansible-playbook, kept apart from whatever is configured for this user."""

    def __init__(self, work: Path, endpoint: Endpoint) -> None:
        self._work = work
        self.backup = work / "backup" / "APP"
        link = work / "collections" / "ansible_collections" / "natsops" / "jetstream"
        link.parent.mkdir(parents=True)
        link.symlink_to(CHECKOUT)
        # Ansible would read a "$" in this checkout's own path as the beginning of a variable.
        (work / "callbacks").symlink_to(Path(__file__).resolve().parent / "callbacks")
        self._variables = work / "variables.json"
        self._variables.touch(mode=0o600)
        values = {
            "natsops_connection": endpoint.connection("app"),
            "natsops_path": str(self.backup),
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        }
        self._variables.write_text(json.dumps(values), encoding="utf-8")
        (work / "ansible.cfg").touch()

    def _environment(self, results: Path) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("NATS", "ANSIBLE_", "PYTHON"))}
        return {
            **kept,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "LC_ALL": "C.UTF-8",
            "HOME": str(self._work),
            "ANSIBLE_CONFIG": str(self._work / "ansible.cfg"),
            "ANSIBLE_HOME": str(self._work / "ansible"),
            "ANSIBLE_COLLECTIONS_PATH": str(self._work / "collections"),
            "ANSIBLE_CALLBACK_PLUGINS": str(self._work / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "natsops_results",
            "ANSIBLE_NOCOLOR": "true",
            "NATSOPS_RESULTS": str(results),
        }

    def run(self, name: str) -> dict[str, Any]:
        """Run a playbook and return the result of its one task. Raises DemoError with its output if it fails."""
        results = self._work / "results.jsonl"
        results.unlink(missing_ok=True)
        # Not by the program ansible-playbook: its first line names the interpreter, and a path can be too odd for that.
        command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local"]
        command += ["-e", f"@{self._variables}", f"natsops.jetstream.{name}"]
        with subprocess.Popen(
            command,
            cwd=self._work,
            env=self._environment(results),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=PLAYBOOK_TIMEOUT)
            except BaseException:
                kill_tree(process.pid)
                raise
        expect(process.returncode == 0, f"ansible-playbook {name} ended with {process.returncode}:\n{output}")
        entries = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
        expect(len(entries) == 1 and entries[0]["status"] == "ok", f"{name} did not run one task:\n{output}")
        found: dict[str, Any] = entries[0]["result"]
        return found


def kill_tree(pid: int) -> None:
    """Kill a process and all that came from it: Ansible's workers and modules have sessions of their own."""
    children = []
    with contextlib.suppress(OSError):
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if path.read_text(encoding="utf-8").rpartition(")")[2].split()[1] == str(pid):
                    children.append(int(path.parent.name))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    for child in children:
        kill_tree(child)


# --- the story


def check_run(result: dict[str, Any], changed: bool, **summary: int) -> None:
    """Compare what Ansible returned with what ought to be: `changed`, and how many streams ended how."""
    expect(result["changed"] is changed, f"changed is {result['changed']}, not {changed}: {result['summary']}")
    wanted = {**dict.fromkeys(result["summary"], 0), **summary}
    expect(result["summary"] == wanted, f"the streams ended as {result['summary']}, not {wanted}")


def describe(picture: Picture) -> Iterator[str]:
    """Return the table of what was read."""
    yield f"    {'stream':<12} {'messages':>8}  {'SHA-256 of them':<16}  {'consumers':<18}  what it is"
    for name, each in picture.items():
        digest, names = fingerprint(each["messages"])[:16], ", ".join(each["consumers"]) or "-"
        yield f"    {name:<12} {len(each['messages']):>8}  {digest}  {names:<18}  {ABOUT[name]}"


def demonstrate(cluster: Cluster, work: Path, tell: Callable[[str], None]) -> None:
    """Tell the story. Raises DemoError where something is not as it should be."""
    count = len(ABOUT)
    asyncio.run(_make_streams(cluster))
    before = oracle.picture(cluster, list(ABOUT))
    total = sum(len(each["messages"]) for each in before.values())
    tell(f"{count} streams hold {total} messages and {len(TAKEN)} consumers; a plain consumer has read them all:")
    print("\n".join(describe(before)), flush=True)

    playbooks = Playbooks(work, cluster)
    result = playbooks.run("account_backup")
    check_run(result, True, transferred=count)
    tell(f"natsops.jetstream.account_backup: changed; {count} streams backed up and verified, {result['bytes']} bytes")

    result = playbooks.run("account_backup")
    check_run(result, False, unchanged=count)
    expect(result["bytes"] == 0, f"{result['bytes']} bytes were transferred again")
    tell("natsops.jetstream.account_backup, again: not changed; nothing was transferred")

    asyncio.run(_delete_streams(cluster))
    left = oracle.stream_names(cluster)
    expect(not left, f"the streams {left} are still there")
    tell("All streams are deleted: the account is empty")

    result = playbooks.run("account_restore")
    check_run(result, True, created=count)
    made = [name for stream in result["streams"] for name in stream["consumers_created"]]
    expect(not made, f"the consumers {made} did not come from the archive")
    warnings = [warning for stream in result["streams"] for warning in stream.get("warnings", [])]
    tell(f"natsops.jetstream.account_restore: changed; {count} streams created, origins before their copies")

    result = playbooks.run("account_restore")
    check_run(result, False, unchanged=count)
    tell("natsops.jetstream.account_restore, again: not changed; what is there was recognised")

    after = oracle.picture(cluster, list(ABOUT))
    found = differences(before, after)
    expect(not found, "what came back differs:\n" + "\n".join(found))
    tell(
        f"A plain consumer has read all {total} messages again; they, the configurations and the consumers are the same"
    )

    asyncio.run(_go_on(cluster))
    tell("Consumers go on where they were, and a new order reaches the mirror and the sourcing stream, once")
    print("\nOf what no restore can bring back, or what one has to know, account_restore warned:")
    print("\n".join(grouped(warnings)))


def grouped(warnings: Sequence[str]) -> Iterator[str]:
    """Return the warnings as wrapped lines, those of several streams that say the same together."""
    streams: dict[str, list[str]] = {}
    for warning in warnings:
        subject, _, text = warning.removeprefix("stream ").partition(": ")
        streams.setdefault(text, []).append(subject)
    for text, subjects in streams.items():
        yield from textwrap.wrap(f"{', '.join(subjects)}: {text}", 116, initial_indent="  - ", subsequent_indent="    ")


def interrupted(number: int, _frame: Any) -> None:
    """Turn a signal into an exception, so that everything is stopped on the way out, undisturbed by a second one."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(signal.Signals(number).name)


def main() -> int:
    """Run the demonstration; 0 if everything was as it should be."""
    for number in SIGNALS:
        signal.signal(number, interrupted)
    started = time.monotonic()
    story = Story()
    try:
        with tempfile.TemporaryDirectory(prefix="natsops-demo-") as directory, Cluster(Options(), size=3) as cluster:
            ports = ", ".join(str(node.port) for node in cluster.nodes)
            story.tell(f"A JetStream cluster of 3 nats-servers {cluster.version} is up on 127.0.0.1, ports {ports}")
            demonstrate(cluster, Path(directory), story.tell)
    except KeyboardInterrupt as exc:
        print(f"\nInterrupted by {exc or 'SIGINT'}; everything that was started is stopped.", file=sys.stderr)
        return 130
    except (DemoError, BinaryError, ServerError, oracle.OracleError) as exc:
        print(f"\nFAILED: {exc}", file=sys.stderr)
        return 1
    print(f"Everything was as it should be, and is stopped again: {time.monotonic() - started:.0f} s in all.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
