# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the backup and restore tests share: the modules as functions, and what may differ after a restore."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from servers import oracle
from servers.ansible import run_module
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


def differences(
    before: Picture, after: Picture, results: Mapping[str, Result] | None = None, *, v2_cluster: bool = False
) -> list[str]:
    """Compare pictures of streams, but for what docs say that a line cannot keep.

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
        consumers[name] = _consumer(consumer, first, name in made, v2_cluster, bool(last))
    return {"config": config, "messages": one["messages"], "consumers": consumers}


def _consumer(consumer: dict[str, Any], first: int, made: bool, v2_cluster: bool, some: bool) -> dict[str, Any]:
    config = _plain(consumer["config"])
    result = {
        "config": config,
        "delivered": dict(consumer["delivered"]),
        "ack_floor": dict(consumer["ack_floor"]),
        **{key: consumer[key] for key in ("num_ack_pending", "num_redelivered", "num_pending")},
    }
    if made or v2_cluster:
        # It stands at its floor; pending acknowledgements and counts from there are gone.
        for key in ("delivered", "num_ack_pending", "num_redelivered", "num_pending"):
            del result[key]
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
