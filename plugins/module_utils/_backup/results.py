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
    return answer


def manifest_json(manifest: Manifest) -> Json:
    """What modules return of a manifest."""
    return {
        "format": manifest.format,
        "messages": manifest.state.get("messages", 0),
        "first_seq": manifest.state.get("first_seq", 0),
        "last_seq": manifest.state.get("last_seq", 0),
        "consumers": len(manifest.consumers),
        "started": manifest.started,
        "finished": manifest.finished,
        "verified": manifest.verified,
    }


def all_warnings(results: t.Iterable[StreamResult]) -> tuple[str, ...]:
    """The warnings of all results, in order."""
    return tuple(warning for result in results for warning in result.warnings)
