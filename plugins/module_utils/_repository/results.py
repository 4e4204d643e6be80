# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of streams that were backed up or restored, and how modules return it."""

from __future__ import annotations

import dataclasses
import typing as t

from .._nats.model import Json
from .manifest import Manifest


@dataclasses.dataclass(frozen=True)
class StreamResult:
    """What became of one stream.

    C(status): C(transferred), C(unchanged), C(skipped), C(failed), and in check mode C(would_transfer).
    """

    stream: str
    status: str
    path: str = ""
    manifest: Manifest | None = None
    bytes: int = 0
    reason: str = ""
    warnings: tuple[str, ...] = ()
    failure: Exception | None = None

    @property
    def changed(self) -> bool:
        """Whether data was, or in check mode would be, transferred."""
        return self.status in ("transferred", "would_transfer")


@dataclasses.dataclass(frozen=True)
class RestoreResult:
    """What became of one stream.

    C(status): C(created), C(replaced), C(finished), C(unchanged), C(skipped), C(failed); in check mode C(would_create),
    C(would_replace), C(would_finish). C(before) and C(after) are configurations, for the diff. C(ends_at): the last
    sequence of what was, or would be, restored.
    """

    stream: str
    status: str
    path: str
    reason: str = ""
    state: Json = dataclasses.field(default_factory=dict)
    consumers: int = 0
    consumers_created: tuple[str, ...] = ()
    would_lose: Json | None = None
    safety_backup: Json | None = None
    now: str = ""
    relaxed: tuple[Json, ...] = ()
    selected: Json | None = None
    before: Json = dataclasses.field(default_factory=dict)
    after: Json = dataclasses.field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    failure: Exception | None = None
    ends_at: int | None = None

    @property
    def changed(self) -> bool:
        """Whether the stream was, or in check mode would be, created or changed."""
        return self.status.startswith("would_") or self.status in ("created", "replaced", "finished")


def failed(stream: str, path: str, failure: Exception) -> StreamResult:
    """The result of a stream that could not be backed up."""
    return StreamResult(stream, "failed", path, reason=str(failure), failure=failure)


def failure_json(failure: Exception | None) -> Json:
    """C(error) and C(err_code) of a failure; empty without one."""
    if failure is None:
        return {}
    answer: Json = {"error": getattr(failure, "error", "unexpected")}
    if getattr(failure, "err_code", None) is not None:
        answer["err_code"] = failure.err_code  # type: ignore[attr-defined]
    return answer


def result_json(result: StreamResult) -> Json:
    """A backed-up stream's result as modules return it."""
    answer: Json = {"stream": result.stream, "status": result.status, "path": result.path, "bytes": result.bytes}
    if result.reason:
        answer["reason"] = result.reason
    if result.warnings:
        answer["warnings"] = list(result.warnings)
    answer.update(failure_json(result.failure))
    if result.manifest is not None:
        answer.update(manifest_json(result.manifest))
        if result.manifest.suspect:
            answer["suspect"] = {**result.manifest.suspect.dump(), "text": result.manifest.suspect.text}
    return answer


def manifest_json(manifest: Manifest) -> Json:
    """What modules return of a manifest."""
    return {
        "format": manifest.format,
        "messages": manifest.state.get("messages", 0),
        "first_seq": manifest.state.get("first_seq", 0),
        "last_seq": manifest.state.get("last_seq", 0),
        "consumers": len(manifest.consumers),
        "started_at": manifest.started_at,
        "finished_at": manifest.finished_at,
        "verified": manifest.verified,
    }


def all_warnings(results: t.Iterable[StreamResult]) -> tuple[str, ...]:
    """The warnings of all results, in order."""
    return tuple(warning for result in results for warning in result.warnings)


def restore_json(result: RestoreResult) -> Json:
    """A restored stream's result as modules return it."""
    answer: Json = {
        "stream": result.stream,
        "status": result.status,
        "path": result.path,
        "messages": int(result.state.get("messages") or 0),
        "first_seq": int(result.state.get("first_seq") or 0),
        "last_seq": int(result.state.get("last_seq") or 0),
        "consumers": result.consumers,
        "consumers_created": list(result.consumers_created),
    }
    if result.reason:
        answer["reason"] = result.reason
    if result.would_lose is not None:
        answer["lost"] = result.would_lose
    if result.safety_backup:
        answer["safety_backup"] = result.safety_backup
    if result.now:
        answer["now"] = result.now
    if result.relaxed:
        answer["relaxed"] = list(result.relaxed)
    if result.selected is not None:
        answer["selected"] = result.selected
    if result.warnings:
        answer["warnings"] = list(result.warnings)
    values = getattr(result.failure, "values", {}) or {}
    kept = ("differences", "now", "lost", "safety_backup", "put_back_warnings")
    answer.update({key: values[key] for key in kept if values.get(key)})
    answer.update(failure_json(result.failure))
    return answer
