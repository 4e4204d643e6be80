# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restore that restored nothing is no success."""

from __future__ import annotations

import os
import typing as t

from .._archive.rewrite.selection import Selection
from .._nats.model import Json
from .._repository.errors import PathError, RestoreError
from .._repository.inspect import looks_like_backup
from .._repository.nearby import no_account
from .._repository.results import RestoreResult
from .._repository.set_file import SetFile


def nothing_done(results: t.Sequence[RestoreResult], selection: Selection) -> RestoreError | None:
    """The error of a run over an account that restored no stream, or none of the messages that were asked for."""
    return _nothing_restored(results) or _nothing_selected(results, selection)


def _nothing_restored(results: t.Sequence[RestoreResult]) -> RestoreError | None:
    """The error where every stream was left out, so that no stream is there that the backup was to bring back.

    A stream that exists and was skipped because the user said so is there.
    """
    left_out = [result for result in results if result.status == "skipped" and not result.state]
    if not results or len(left_out) < len(results):
        return None
    reasons = " ".join(f"stream {result.stream}: {result.reason.rstrip('.')}." for result in left_out[:5])
    more = f" (and {len(left_out) - 5} more, see streams)" if len(left_out) > 5 else ""
    return RestoreError(
        f"Nothing was restored: none of the {len(results)} selected streams has a backup here that can be used."
        f" {reasons}{more} Use an earlier set or backup.",
        error="nothing_restored",
    )


def _nothing_selected(results: t.Sequence[RestoreResult], selection: Selection) -> RestoreError | None:
    """The error where the options that select messages selected none of any stream, though there are some."""
    parts = [result.selected for result in results if result.selected is not None]
    if not parts or any(part["messages"] for part in parts) or not any(part["of_messages"] for part in parts):
        return None
    if not asks(selection):
        return None
    count = sum(part["of_messages"] for part in parts)
    return RestoreError(
        f"No message was restored: the backups hold {count}, and subjects, exclude_subjects, since and until select"
        " none of them. The streams are there, empty. Correct the options, and set on_conflict to replace.",
        error="nothing_selected",
    )


def require_selected(stream: str, selection: Selection, summary: Json) -> None:
    """Refuse what would restore no message of those that are there. Raises RestoreError."""
    if summary["messages"] or not summary["of_messages"] or not asks(selection):
        return
    raise RestoreError(
        f"stream {stream}: the backup holds {summary['of_messages']} messages, and subjects, exclude_subjects, since"
        " and until select none of them. Nothing was restored. Correct them.",
        error="nothing_selected",
    )


def asks(selection: Selection) -> bool:
    """Whether messages are asked for. C(until) alone asks for a state, which may be that of an empty stream."""
    since = selection.since_seq is not None or selection.since_ns is not None
    return bool(selection.subjects or selection.exclude or since)


def nothing_there(path: str, described: SetFile | None) -> PathError:
    """Why no directory in C(path) is the backup of a selected stream."""
    there = sorted(name for name in os.listdir(path) if looks_like_backup(os.path.join(path, name)))
    if there:
        names = ", ".join(there[:10]) + (f" and {len(there) - 10} more" if len(there) > 10 else "")
        return PathError(
            f"There is no backup of a selected stream in {path}. It holds {names}.", error="path_not_backup"
        )
    if described is not None and not described.streams:
        return PathError(
            f"There is nothing to restore in {path}: when it was made ({described.finished_at}), the account had no"
            " streams. Use an earlier set.",
            error="nothing_restored",
        )
    return no_account(path)
