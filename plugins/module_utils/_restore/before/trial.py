# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking a server whether it would take a stream, before the one that is there is deleted.

L(ask) changes nothing, so check mode asks too: a restore of a stream that exists is refused, and it is refused for that
only after every check of its configuration and of the limits. L(prove) makes a stream beside the other and deletes it.
"""

from __future__ import annotations

import contextlib
import json
import typing as t

from ..._nats.api import JetStream
from ..._nats.errors import ApiError, NatsError, PermissionDeniedError
from ..._nats.model import Json, StreamInfo
from ..._repository.errors import RestoreError
from ..._repository.inspect import Backup
from ..._repository.manifest import ConsumerRecord
from .relax import probe_config, relax, relax_after

# Full, by what the stream to be replaced still holds too.
_FULL = (10028, 10047)
_STREAM_FULL = 10027
# No server has this tag: where the stream is gone by now, a cluster finds no place for another one.
_NOWHERE = {"tags": ["natsops-nowhere"]}
_NO_PEERS = 10005
_EXISTS = (10058, 10130)
_ATTEMPTS = 4
# Consumers of so many kinds are tried.
_MOST_KINDS = 32
_OWN = ("name", "durable_name", "filter_subject", "filter_subjects", "deliver_subject", "metadata", "opt_start_time")


async def ask(js: JetStream, backup: Backup, config: Json, existing: StreamInfo, *, is_origin: bool) -> None:
    """Ask whether a stream that exists could be restored with C(config). Raises RestoreError, and changes nothing."""
    relaxed = relax(config, backup, js.line, is_origin=is_origin)
    for _attempt in range(_ATTEMPTS):
        try:
            await question(js, relaxed.request, existing)
            return
        except ApiError as exc:
            again = None if exc.err_code in (*_FULL, _STREAM_FULL) else relax_after(exc, relaxed)
            if again is None:
                raise _refused(config["name"], exc) from exc
            relaxed = again


def _refused(name: str, exc: ApiError) -> RestoreError:
    return RestoreError(
        f"stream {name} is not replaced: the server refuses to restore it with this configuration: {exc.description}"
        f" ({exc.err_code}). The stream is untouched. Change config, replicas or storage, or raise the limit.",
        error=exc.error if exc.error != "api_error" else "restore_failed",
        err_code=exc.err_code,
    )


async def question(js: JetStream, config: Json, existing: StreamInfo) -> None:
    """One question. Raises ApiError for what the server has against the configuration."""
    request = {"config": {**config, **({"placement": _NOWHERE} if js.clustered else {})}, "state": {}}
    try:
        subject = await js.restore(config["name"], request, timeout=max(10.0, js.connection.options.request_timeout))
    except ApiError as exc:
        if exc.err_code in (*_EXISTS, _NO_PEERS):
            return
        less = _without(config, existing)
        if exc.err_code not in _FULL or less is None:
            raise
        if less != config:
            # The reservation of the stream that will be gone counts in what the server has given away.
            await question(js, less, existing)
        return
    # It was deleted meanwhile. A chunk that wants no answer ends the restore that has just begun.
    with contextlib.suppress(NatsError):
        await js.connection.publish(subject, b"-")
    text = "it was deleted by somebody else meanwhile"
    raise ApiError(f"stream {config['name']}: {text}", err_code=10059, code=404, description=text)


def _without(config: Json, existing: StreamInfo) -> Json | None:
    """C(config) that reserves only what it needs beyond the stream there; the same where it needs no less.

    C(None) where there is nothing to ask: the stream there reserves less than nothing that would help.
    """
    wanted, held = (int(one.get("max_bytes") or -1) for one in (config, existing.config))
    if held <= 0 or wanted <= 0 or config.get("storage", "file") != existing.config.get("storage", "file"):
        return None
    return {**config, "max_bytes": max(wanted - held, 1)}


async def prove(js: JetStream, records: t.Sequence[ConsumerRecord], config: Json, existing: StreamInfo | None) -> None:
    """Make an empty stream like the one to restore, with its consumers, and delete it. Raises RestoreError."""
    probe = probe_config(config)
    name = probe["name"]
    for reserve in _reserves(config, existing):
        try:
            await js.create_stream({**probe, **reserve})
            break
        except ApiError as exc:
            if exc.err_code == _STREAM_FULL or (exc.err_code in _FULL and not _more(reserve)):
                return  # there is room only once the other is gone: that much was asked for
            if exc.err_code in _FULL:
                continue
            raise RestoreError(
                f"stream {config['name']} is not replaced: a stream with the same configuration cannot be created"
                f" ({exc.description}). The stream is untouched; change replicas, placement, storage or config.",
                error=exc.error,
                err_code=exc.err_code,
            ) from exc
    try:
        for number, consumer in enumerate(_kinds(records)):
            await _try_consumer(js, name, consumer, number, config["name"])
    finally:
        with contextlib.suppress(NatsError):
            await js.delete_stream(name)


def _reserves(config: Json, existing: StreamInfo | None) -> list[Json]:
    """What to reserve for the probe: what is needed beyond the stream that will be gone, then as little as can be."""
    wanted = int(config.get("max_bytes") or -1)
    if wanted <= 0:
        return [{}]
    same = existing is not None and config.get("storage", "file") == existing.config.get("storage", "file")
    held = max(int(existing.config.get("max_bytes") or -1), 0) if same and existing else 0
    return [{"max_bytes": size} for size in dict.fromkeys((max(wanted - held, 1), 1))]


def _more(reserve: Json) -> bool:
    return int(reserve.get("max_bytes") or 0) > 1


def _kinds(records: t.Sequence[ConsumerRecord]) -> list[tuple[str, Json]]:
    """One consumer of each kind: those that differ only in what no limit is about are of one."""
    kinds: dict[str, tuple[str, Json]] = {}
    for record in records:
        if record.config.get("sourcing") or record.config.get("direct"):
            continue
        kept = {key: value for key, value in record.config.items() if key not in _OWN and value is not None}
        kept["push"] = bool(record.config.get("deliver_subject"))
        kinds.setdefault(json.dumps(kept, sort_keys=True), (record.name, record.config))
    return list(kinds.values())[:_MOST_KINDS]


async def _try_consumer(js: JetStream, probe: str, consumer: tuple[str, Json], number: int, stream: str) -> None:
    name, whole = consumer
    config = {key: value for key, value in whole.items() if key not in _OWN and value is not None}
    for key in ("opt_start_seq", "deliver_policy"):
        config.pop(key, None)
    config["durable_name"] = f"natsops_{number}"
    config["filter_subject"] = f"{probe}.natsops.{number}"
    if whole.get("deliver_subject"):
        config["deliver_subject"] = f"{probe}_to.{number}"
    try:
        await js.create_consumer(probe, config)
    except PermissionDeniedError:
        return  # those of an archive come back without that permission
    except ApiError as exc:
        raise RestoreError(
            f"stream {stream} is not replaced: the server would refuse its consumer {name}: {exc.description}"
            f" ({exc.err_code}). The stream is untouched. Raise the limit, or change config.",
            error=exc.error if exc.error != "api_error" else "consumer_refused",
            err_code=exc.err_code,
        ) from exc


def consumers_of(backup: Backup) -> t.Iterator[tuple[str, Json]]:
    """Name and configuration of each consumer that a client made."""
    for record in backup.consumers:
        if not record.config.get("sourcing") and not record.config.get("direct"):
            yield record.name, record.config
