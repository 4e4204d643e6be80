# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restored stream gets its configuration: without the mark of the restore, and with what was relaxed for it.

What a server does not take back stays relaxed, and is told. The mark goes in any case that the server allows.
"""

from __future__ import annotations

import asyncio
import typing as t

from ..._nats.api import JetStream
from ..._nats.errors import ApiError, RequestTimeoutError
from ..._nats.model import Json, StreamInfo
from ..._repository.compare import MARKER, normal_config
from ..._repository.errors import RestoreError
from ..origins.settle import wait_for_replicas
from .consumers import settled

_ATTEMPTS = 4
_PAUSE = 0.5


async def put_back(js: JetStream, info: StreamInfo, wanted: Json, timeout: float) -> tuple[StreamInfo, list[Json]]:
    """Give a stream its configuration; returns the stream, and the fields that stay relaxed.

    Interest comes last, once every replica has every consumer: one that has not drops the messages for it, and a
    consumer that is then led there goes on behind them. Raises RestoreError where the server takes no update at all.
    """
    replicas = int(wanted.get("num_replicas") or 1)
    if replicas > 1 and info.config.get("retention") != wanted.get("retention"):
        if info.config.get("num_replicas") != replicas:
            try:
                info = await _update(js, {**info.config, "num_replicas": replicas})
            except ApiError:
                return await _one_by_one(js, info, wanted)
        await wait_for_replicas(js, info, timeout)
        await settled(js, info.name, (), timeout)
    try:
        return await _update(js, wanted), []
    except ApiError:
        return await _one_by_one(js, info, wanted)


async def _update(js: JetStream, config: Json) -> StreamInfo:
    """An update, sent again while the server has no leader to take it."""
    for attempt in range(_ATTEMPTS):
        try:
            return await js.update_stream(config)
        except (ApiError, RequestTimeoutError) as exc:
            passing = isinstance(exc, RequestTimeoutError) or exc.code == 503
            if not passing or attempt + 1 == _ATTEMPTS:
                raise
        await asyncio.sleep(_PAUSE * (attempt + 1))
    raise AssertionError("unreachable")


async def _one_by_one(js: JetStream, info: StreamInfo, wanted: Json) -> tuple[StreamInfo, list[Json]]:
    """Put back what can be: the mark first, then each field that differs. Interest comes last."""
    found = without_mark(info.config)
    differing = [key for key in sorted({*found, *wanted}) if _differ(key, found, wanted)]
    differing.sort(key=lambda key: key == "retention")
    try:
        now = await _update(js, found)
    except ApiError as exc:
        now = await _all_but_one(js, found, wanted, differing, exc)
    relaxed = []
    for key in differing:
        config = without_mark(now.config)
        if not _differ(key, config, wanted):
            continue
        try:
            now = await _update(js, _with(config, key, wanted.get(key)))
        except ApiError as exc:
            relaxed.append(still_relaxed(key, wanted.get(key), now.config.get(key), exc.description))
    return now, relaxed


async def _all_but_one(js: JetStream, found: Json, wanted: Json, keys: t.Sequence[str], first: ApiError) -> StreamInfo:
    """The stream cannot stay as it was restored either: some field has to be put back in the same step."""
    for key in keys:
        try:
            return await _update(js, _with(found, key, wanted.get(key)))
        except ApiError:
            continue
    raise RestoreError(
        f"stream {found['name']} was restored, and the server takes no update of its configuration"
        f" ({first.description}): what was relaxed for the restore stays so, and its metadata keep {MARKER}. Correct"
        " what the server says, then run again, which finishes it.",
        error=first.error,
        err_code=first.err_code,
        values={"relaxed": [still_relaxed(key, wanted.get(key), found.get(key), first.description) for key in keys]},
    ) from first


def still_relaxed(key: str, wanted: t.Any, found: t.Any, reason: str) -> Json:
    """A field that is not as in the backup, as results name it."""
    return {"field": key, "backup": wanted, "stream": found, "reason": reason}


def sentence(stream: str, field: Json) -> str:
    """The warning for such a field."""
    return (
        f"stream {stream}: {field['field']} stays {field['stream']!r} instead of {field['backup']!r}, which the server"
        f" does not take ({field['reason']}). Correct what it says, then set it by nats stream edit."
    )


def without_mark(config: Json) -> Json:
    """A configuration without the mark of a restore."""
    metadata = {key: value for key, value in (config.get("metadata") or {}).items() if key != MARKER}
    rest = {key: value for key, value in config.items() if key != "metadata"}
    return {**rest, "metadata": metadata} if metadata else rest


def _with(config: Json, key: str, value: t.Any) -> Json:
    changed = {name: other for name, other in config.items() if name != key}
    return changed if value is None else {**changed, key: value}


def _differ(key: str, one: Json, other: Json) -> bool:
    return normal_config({key: one.get(key)}) != normal_config({key: other.get(key)})
