# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the backup and restore tests share: the modules as functions, and what may differ after a restore."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats.errors

from servers import Cluster, oracle, wait_for
from servers.ansible import run_module
from servers.samples import make_streams
from servers.server import Endpoint

Result = dict[str, Any]
Picture = dict[str, dict[str, Any]]


def module(
    name: str, endpoint: Endpoint, path: Path, *, check: bool = False, ok: bool = True, **options: Any
) -> Result:
    """Run `jetstream_<name>` as app; with `ok` a failure raises AssertionError with its message."""
    user = options.pop("as_user", "app")
    timeout = options.pop("process_timeout", 240)
    result = run_module(
        f"jetstream_{name}",
        {**endpoint.connection(user), "path": str(path), **options},
        check=check,
        diff=True,
        timeout=timeout,
    )
    assert bool(result.get("failed")) != ok, result.get("msg") or result
    return result


def backup_account(endpoint: Endpoint, path: Path, **options: Any) -> Result:
    """jetstream_account_backup."""
    return module("account_backup", endpoint, path, **options)


def restore_account(endpoint: Endpoint, path: Path, **options: Any) -> Result:
    """jetstream_account_restore."""
    return module("account_restore", endpoint, path, **options)


def backup_stream(endpoint: Endpoint, path: Path, stream: str, **options: Any) -> Result:
    """jetstream_stream_backup."""
    return module("stream_backup", endpoint, path, stream=stream, **options)


def restore_stream(endpoint: Endpoint, path: Path, **options: Any) -> Result:
    """jetstream_stream_restore."""
    return module("stream_restore", endpoint, path, **options)


def info(path: Path, verify: str = "quick") -> Result:
    """jetstream_backup_info."""
    result = run_module("jetstream_backup_info", {"path": str(path), "verify": verify})
    assert not result.get("failed"), result.get("msg")
    return result


def warnings(result: Result) -> list[str]:
    """The warnings of a module's result, as texts, whatever ansible-core's version makes of them."""
    return [each if isinstance(each, str) else each["event"]["msg"] for each in result.get("warnings") or []]


def own_warnings(result: Result) -> list[str]:
    """The warnings that the streams of an account module's result keep, each for itself: those shown are folded."""
    return [text for each in result["streams"] for text in each.get("warnings") or []]


def statuses(result: Result) -> dict[str, str]:
    """The status of each stream in an account module's result."""
    return {each["stream"]: each["status"] for each in result["streams"]}


def of(result: Result, stream: str) -> Result:
    """What an account module's result says of one stream."""
    return next(each for each in result["streams"] if each["stream"] == stream)


def ask(endpoint: Endpoint, subject: str, body: Any = None, user: str = "app") -> Result:
    """An API request that must succeed."""
    answer = oracle.request(endpoint, subject, body, user)
    assert "error" not in answer, (subject, answer["error"])
    return answer


def delete(endpoint: Endpoint, names: Iterable[str], user: str = "app") -> None:
    """Delete streams."""
    for name in names:
        ask(endpoint, f"STREAM.DELETE.{name}", user=user)


def delete_all(endpoint: Endpoint, user: str = "app") -> None:
    """Delete every stream of the account; the last made first, so that nothing copies meanwhile."""
    delete(endpoint, oracle.stream_names(endpoint, user), user)


def publish(endpoint: Endpoint, subject: str, *payloads: bytes, headers: dict[str, str] | None = None) -> None:
    """Publish and wait for each acknowledgement; in a cluster the interest in a new stream takes a moment to spread."""

    async def send() -> None:
        client = await oracle.connect(endpoint)
        try:
            for payload in payloads:
                for _attempt in range(200):
                    try:
                        answer = await client.request(subject, payload, timeout=5, headers=headers)
                    except nats.errors.NoRespondersError:
                        await asyncio.sleep(0.02)
                        continue
                    assert "error" not in json.loads(answer.data), answer.data
                    break
                else:
                    raise AssertionError(f"nobody stores {subject}")
        finally:
            await client.close()

    oracle.run(send())


def ask_many(endpoint: Endpoint, requests: Iterable[tuple[str, Any]]) -> list[Result]:
    """Send API requests that must succeed, over one connection, one after the other; each can be sent twice.

    A cluster on a busy machine can fail to answer while a stream's leader is being elected.
    """

    async def asked(reader: oracle.Reader, subject: str, body: Any) -> Result:
        try:
            return await reader.ask(subject, body)
        except oracle.OracleError as exc:
            if "timeout" not in str(exc):
                raise
            return await reader.ask(subject, body)

    async def send() -> list[Result]:
        client = await oracle.connect(endpoint)
        try:
            reader = oracle.connection_reader(endpoint, client)
            return [await asked(reader, subject, body) for subject, body in requests]
        finally:
            await client.close()

    return oracle.run(send())


def create_streams(endpoint: Endpoint, names: Iterable[str], **config: Any) -> None:
    """Create streams in a row, each with the subjects `<name>.>`."""
    ask_many(
        endpoint,
        ((f"STREAM.CREATE.{name}", {"name": name, "subjects": [f"{name}.>"], **config}) for name in names),
    )


def create_consumers(endpoint: Endpoint, stream: str, names: Iterable[str], **config: Any) -> None:
    """Create durable pull consumers with explicit acknowledgement in a row."""
    whole = {"ack_policy": "explicit", **config}
    ask_many(
        endpoint,
        (
            (
                f"CONSUMER.DURABLE.CREATE.{stream}.{name}",
                {"stream_name": stream, "config": {"durable_name": name, **whole}},
            )
            for name in names
        ),
    )


def take(endpoint: Endpoint, stream: str, consumer: str, count: int, *, ack: bool = True) -> list[tuple[int, int]]:
    """Fetch up to `count` messages as any client does, without waiting for new ones: (sequence, delivery) of each."""

    async def fetch() -> list[tuple[int, int]]:
        client = await oracle.connect(endpoint)
        try:
            subscription = await client.jetstream().pull_subscribe_bind(consumer, stream)
            try:
                found = await subscription.fetch(count, timeout=1.5)
            except (nats.errors.TimeoutError, asyncio.TimeoutError):
                return []
            for message in found if ack else []:
                await message.ack_sync()
            return [(message.metadata.sequence.stream, message.metadata.num_delivered or 0) for message in found]
        finally:
            await client.close()

    return oracle.run(fetch())


def messages(endpoint: Endpoint, stream: str) -> int:
    """How many messages a stream holds."""
    return int(ask(endpoint, f"STREAM.INFO.{stream}")["state"]["messages"])


def wait_messages(endpoint: Endpoint, stream: str, count: int, timeout: float = 60) -> None:
    """Wait until a stream holds this many messages, or more; then a little longer, so that too many show."""
    wait_for(lambda: messages(endpoint, stream) >= count, timeout, f"{count} messages in {stream}")
    time.sleep(1.0)


def tree(path: Path) -> dict[str, tuple[int, str]]:
    """Mode and digest of every file and directory below a directory, hidden ones too."""
    found = {}
    for each in sorted(path.rglob("*")):
        content = each.read_bytes() if each.is_file() and not each.is_symlink() else b""
        found[str(each.relative_to(path))] = (each.lstat().st_mode, hashlib.sha256(content).hexdigest())
    return found


def without_manifests(path: Path) -> None:
    """Make of our backup what the command line would have written."""
    for each in path.rglob("manifest.json"):
        each.unlink()
    path.with_name(f"{path.name}.json").unlink(missing_ok=True)


def manifest(path: Path) -> Result:
    """The manifest of a stream's backup."""
    return dict(json.loads((path / "manifest.json").read_text()))


@dataclass
class Round:
    """An account that was backed up, lost and restored: what it was, what came back, and what every step said."""

    endpoint: Endpoint
    path: Path
    names: list[str]
    before: Picture
    after: Picture = field(default_factory=dict)
    said: dict[str, Result] = field(default_factory=dict)
    wrote: list[str] = field(default_factory=list)

    @property
    def v2_cluster(self) -> bool:
        """Whether the archives are those of a clustered 2.15, which keep only acknowledgement floors."""
        return self.endpoint.line >= (2, 15) and isinstance(self.endpoint, Cluster)

    @property
    def lost(self) -> dict[str, Result]:
        """What the restore says of each stream."""
        return {each["stream"]: each for each in self.said["restore"]["streams"]}

    def differences(self) -> list[str]:
        """What is not as it was, of the streams that this line can back up."""
        kept = {name: one for name, one in self.before.items() if name in self.kept}
        return differences(kept, self.after, self.lost, v2_cluster=self.v2_cluster)

    @property
    def kept(self) -> set[str]:
        """The streams that this line can back up."""
        memory = self.endpoint.line >= (2, 15)
        return {name for name, one in self.before.items() if memory or one["config"]["storage"] != "memory"}


def go_round(endpoint: Endpoint, target: Endpoint, path: Path, which: Any = "all", **make: Any) -> Round:
    """Back up an account of odd streams, lose it, restore it into `target` (which may be the same); each step in check
    mode first and once more after it."""
    make_streams(endpoint, which, **make)
    names = oracle.stream_names(endpoint)
    one = Round(endpoint, path, names, oracle.picture(endpoint, names))
    path.parent.mkdir(parents=True, exist_ok=True)
    empty = tree(path.parent)
    for step in ("check backup", "backup", "check backup again", "backup again"):
        before = tree(path.parent)
        one.said[step] = backup_account(endpoint, path, check="check" in step)
        if tree(path.parent) != before:
            one.wrote.append(step)
    assert empty != tree(path.parent)
    one.said["restore onto the living"] = restore_account(endpoint, path)
    delete_all(endpoint)
    for step in ("check restore", "restore", "check restore again", "restore again"):
        streams, files = oracle.stream_names(target), tree(path.parent)
        one.said[step] = restore_account(target, path, check="check" in step)
        if oracle.stream_names(target) != streams:
            one.wrote.append(step)
        assert tree(path.parent) == files, step
    one.after = oracle.picture(target)
    return one


def differences(
    before: Picture, after: Picture, results: Mapping[str, Result] | None = None, *, v2_cluster: bool = False
) -> list[str]:
    """Compare pictures of streams, but for what docs say that a line cannot keep.

    2.10 miscounts what is pending for consumers that began with the last message, once a store is read anew.
    results: of the restore, by stream: consumers that it names as created stand behind their acknowledgement floor.
    v2_cluster: the archives are of a clustered 2.15, which keeps only acknowledgement floors.
    """
    made = {name: set((result or {}).get("consumers_created") or ()) for name, result in (results or {}).items()}
    return oracle.compare(
        {name: _comparable(one, one, made.get(name, set()), v2_cluster) for name, one in before.items()},
        {
            name: _comparable(one, before.get(name, one), made.get(name, set()), v2_cluster)
            for name, one in after.items()
        },
    )


def _comparable(one: dict[str, Any], reference: dict[str, Any], made: set[str], v2_cluster: bool) -> dict[str, Any]:
    config = _plain(one["config"])
    for source in config.get("sources") or []:
        source.pop("opt_start_seq", None)
    first = one["messages"][0].seq if one["messages"] else 0
    last = one["messages"][-1].seq if one["messages"] else 0
    consumers = {}
    for name, consumer in one["consumers"].items():
        policy = consumer["config"].get("ack_policy")
        if not consumer["config"].get("durable_name") and policy == "none" and name not in reference["consumers"]:
            continue
        was = reference["consumers"].get(name, consumer)
        under_way = was["delivered"]["consumer_seq"] != was["ack_floor"]["consumer_seq"]
        consumers[name] = _consumer(consumer, first, name in made, v2_cluster and under_way, bool(last))
    return {"config": config, "messages": one["messages"], "consumers": consumers}


def _consumer(consumer: dict[str, Any], first: int, made: bool, at_floor: bool, some: bool) -> dict[str, Any]:
    config = _plain(consumer["config"])
    result = {
        "config": config,
        "delivered": dict(consumer["delivered"]),
        "ack_floor": dict(consumer["ack_floor"]),
        **{key: consumer[key] for key in ("num_ack_pending", "num_redelivered", "num_pending")},
    }
    if made or at_floor:
        # It stands at its floor; pending acknowledgements and counts from there are gone.
        for key in ("delivered", "num_ack_pending", "num_redelivered", "num_pending"):
            del result[key]
    if config.get("deliver_policy") == "last":
        result.pop("num_pending", None)
    if made:
        result["ack_floor"] = {}
        for key in ("deliver_policy", "opt_start_seq", "opt_start_time"):
            config.pop(key, None)
    for key in ("delivered", "ack_floor"):
        if result.get(key) and some and result[key]["stream_seq"] < first:
            result[key] = {"stream_seq": "before the first message"}
    return result


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration without what servers note for themselves, and what says nothing."""
    plain = json.loads(json.dumps(config))
    metadata = {key: value for key, value in (plain.get("metadata") or {}).items() if not key.startswith("_nats.")}
    plain.pop("metadata", None)
    if metadata:
        plain["metadata"] = metadata
    return {key: value for key, value in plain.items() if value not in (None, 0, -1, "", [], {}, False)}
