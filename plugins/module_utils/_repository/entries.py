# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may be in the directory of an account and in that of a stream, and under which names."""

from __future__ import annotations

import os
import typing as t

from .._files.names import NameRefusedError, alike, child, tells_case, wrong_in_name
from .._files.writing import is_temporary
from .._nats.model import Listing, StreamInfo
from .directory import CHECKED, DRILLED, STREAM_FILES
from .errors import BackupError, PathError
from .results import StreamResult, failed


def place_of(directory: str, name: str, *, ours: bool = False) -> str:
    """The path of a stream's directory: the name is the server's or a file's. Raises PathError unless it is plain."""
    try:
        return child(directory, name, ours=ours)
    except NameRefusedError as exc:
        raise PathError(
            f"stream {name!r} has no directory in {directory}: its name {wrong_in_name(name, ours=ours)}. Back it up by"
            " itself with jetstream_stream_backup, or exclude it.",
            error="name_refused",
        ) from exc


def foreign_entries(path: str) -> list[str]:
    """What is in the directory of a stream and is no part of a backup. What a killed run left of its notes is none."""
    notes = (CHECKED, DRILLED)
    return sorted(
        entry
        for entry in os.listdir(path)
        if entry not in STREAM_FILES and not any(is_temporary(entry, note) for note in notes)
    )


def unfit(directory: str, names: t.Iterable[str]) -> dict[str, StreamResult]:
    """The streams whose names cannot be those of directories, as failures. Nothing of them is touched."""
    found = {}
    for name in names:
        try:
            place_of(directory, name)
        except PathError as exc:
            found[name] = failed(name, "", exc)
    return found


def mixed_up(directory: str, names: t.Iterable[str], stage: str) -> dict[str, StreamResult]:
    """Of names that the file system of C(stage) takes for one, all but the first, as failures."""
    twins = alike(names)
    if not twins or tells_case(stage):
        return {}
    return {
        name: failed(
            name,
            "",
            PathError(
                f"stream {name}: the file system of {directory} takes its directory for that of the stream {other}."
                " Back it up by itself into another directory, or choose another file system.",
                error="name_refused",
            ),
        )
        for name, other in twins.items()
    }


def unreachable(listing: Listing[StreamInfo]) -> dict[str, BackupError]:
    """The streams that a server lists and knows nothing else of, and why."""
    reasons = dict.fromkeys(listing.missing, "no server answers for it")
    reasons.update({name: f"offline: {reason}" for name, reason in listing.offline.items()})
    return {
        name: BackupError(
            f"stream {name}: {reason}. Bring its servers back, then run again.", error="stream_unreachable"
        )
        for name, reason in reasons.items()
    }
