# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restoring a part of a backup, or a V1 backup in ways that only V2 allows: by rewriting it into a temporary file."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import shutil
import tempfile
import threading
import time
import typing as t

from .._archive.errors import ArchiveError
from .._archive.report import ArchivedConsumer, ArchiveReport
from .._files.reading import DATA, file_size
from .._files.writing import scratch_file
from .._nats.api import JetStream
from .._nats.model import Json
from .._repository.errors import InvalidBackupError, RestoreError
from .._repository.inspect import Backup
from .._repository.manifest import ConsumerRecord, Manifest
from .._repository.open_data import open_data
from .._repository.results import RestoreResult
from .nothing import require_selected
from .plan import RestoreOptions, Target, wanted_config
from .stream import restore_stream
from .transfer import Slot

if t.TYPE_CHECKING:
    from .._archive.reader import Archive
    from .._archive.rewrite.cut import Rewritten
    from .live.safety_backup import Keeper

_HEADROOM = 16 * 1024 * 1024
# Where there is such a directory, what is open can be opened again, whatever became of its name.
_DESCRIPTORS = "/proc/self/fd"


def why_rewrite(js: JetStream, backup: Backup, options: RestoreOptions) -> str:
    """Why the archive cannot be sent as it is; empty if it can, or if rewriting would not help on this line.

    Raises RestoreError where only a part is wanted and the line cannot take the V2 archive that this makes.
    """
    part = not options.selection.everything
    config = wanted_config(backup, options)
    renamed = config["name"] != backup.stream
    if not js.line.writes_v2:
        if part:
            raise RestoreError(
                f"stream {config['name']}: until, since, subjects and exclude_subjects need nats-server 2.15 or newer;"
                f" this is {js.line}. Restore the whole stream, or restore the part on a newer server.",
                error="selection_unsupported",
            )
        return ""
    if part:
        return "a part is wanted"
    if backup.format == "V1" and (renamed or config.get("storage") == "memory"):
        return "a V1 archive cannot be renamed or moved to memory"
    return ""


async def restore_selected(
    js: JetStream,
    backup: Backup,
    options: RestoreOptions,
    target: Target,
    slot: Slot,
    *,
    check: bool,
    keeper: Keeper | None = None,
    may_be_empty: bool = False,
) -> RestoreResult:
    """L(restore_stream), of the part that the options select. In check mode nothing is written, but all is read.

    Without C(may_be_empty) a selection that takes none of the messages is refused.
    """
    if not why_rewrite(js, backup, options):
        return await restore_stream(js, backup, options, target, slot, check=check, keeper=keeper)
    stop = threading.Event()
    loop = asyncio.get_running_loop()
    with _scratch(backup, options, check=check) as file:
        work = loop.run_in_executor(None, _rewritten, backup, options, file, stop.is_set)
        try:
            archive, rewritten = await asyncio.shield(work)
        except asyncio.CancelledError:
            # The file is the thread's until it has stopped.
            stop.set()
            await asyncio.wait({work})
            raise
        if not may_be_empty:
            require_selected(backup.stream, options.selection, _summary(archive, rewritten))
        derived = derive(backup, archive, rewritten, _path_of(file) if file else backup.data)
        result = await restore_stream(js, derived, options, target, slot, check=check, keeper=keeper)
    return dataclasses.replace(
        result, selected=_summary(archive, rewritten), warnings=(*result.warnings, *_notes(result, rewritten))
    )


@contextlib.contextmanager
def _scratch(backup: Backup, options: RestoreOptions, *, check: bool) -> t.Iterator[t.Any]:
    """A file that goes away with its last user, this process killed included; C(None) in check mode."""
    if check:
        yield None
        return
    place = options.temp_path or tempfile.gettempdir()
    need = int(backup.state.get("bytes") or 0) + _HEADROOM
    try:
        free = shutil.disk_usage(place).free
        if free < need:
            raise RestoreError(
                f"stream {backup.stream}: up to {need} bytes are needed in {place}, {free} are free. Set temp_path to"
                " a directory with more room.",
                error="no_space",
            )
        file = scratch_file(place, "natsops-")
    except OSError as exc:
        raise RestoreError(
            f"temp_path {place} cannot be used: {exc.strerror or exc}. Set it to a directory that can be written to.",
            error="path_not_writable",
        ) from exc
    with file:
        yield file


def _path_of(file: t.Any) -> str:
    return file.name if isinstance(file.name, str) else f"{_DESCRIPTORS}/{file.fileno()}"


def _rewritten(
    backup: Backup, options: RestoreOptions, file: t.Any, stop: t.Callable[[], bool]
) -> tuple[Archive, Rewritten]:
    with open_data(backup) as descriptor:
        held = f"{_DESCRIPTORS}/{descriptor}"
        data = held if os.path.exists(held) else backup.data
        return _rewritten_from(data, backup, options, file, stop)


def _rewritten_from(
    data: str, backup: Backup, options: RestoreOptions, file: t.Any, stop: t.Callable[[], bool]
) -> tuple[Archive, Rewritten]:
    # Few restores cut anything, and these take long to load.
    from .._archive.reader import open_archive  # noqa: PLC0415
    from .._archive.rewrite.cut import rewrite  # noqa: PLC0415

    try:
        archive = open_archive(data, stop, backup.known_bytes)
        if archive.format == "V1" and archive.index is None:
            raise RestoreError(
                f"The backup {backup.path} has no index of its messages, so that deleted ones cannot be told from"
                " others. Restore it whole and under its own name: servers rebuild the index.",
                error="index_unreadable",
            )
        return archive, rewrite(archive, options.selection, options.consumers_ahead, file, time.time_ns(), stop)
    except ArchiveError as exc:
        raise InvalidBackupError(
            f"The backup {backup.path} is not valid: {exc.error} ({exc.place}): {exc.message}. Nothing was restored."
            " Use another backup."
        ) from exc
    except OSError as exc:
        raise RestoreError(
            f"stream {backup.stream}: the part to restore cannot be written: {exc.strerror or exc}. Set temp_path to a"
            " directory with room.",
            error="no_space",
        ) from exc


def derive(backup: Backup, archive: Archive, rewritten: Rewritten, data: str) -> Backup:
    """The backup that would have been made of the selected part; C(data) is its V2 archive."""
    last = rewritten.state["last_seq"]
    report = ArchiveReport(
        "V2",
        0,
        "",
        0,
        state=rewritten.state,
        consumers=tuple(ArchivedConsumer(one.name, one.config, _summed(one.state)) for one in rewritten.consumers),
        content={"largest": rewritten.largest[0], "largest_seq": rewritten.largest[1]},
    )
    manifest = backup.manifest
    if manifest is not None:
        manifest = _derived_manifest(manifest, archive, rewritten, last)
    return dataclasses.replace(
        backup,
        state=rewritten.state,
        manifest=manifest,
        data=data,
        size=file_size(data, DATA),
        report=report,
        derived=True,
    )


def _summed(state: Json) -> Json:
    lists = {f"num_{new}": len(state.get(old) or {}) for old, new in (("pending", "ack_pending"), *_SAME)}
    return {"delivered": state["delivered"], "ack_floor": state["ack_floor"], **lists}


_SAME = (("redelivered", "redelivered"),)


def _derived_manifest(manifest: Manifest, archive: Archive, rewritten: Rewritten, last: int) -> Manifest:
    archived = {one.name: one.state for one in rewritten.consumers}
    records = []
    for record in manifest.consumers:
        if record.name in rewritten.left_out:
            continue
        records.append(_cut(record, last, archived.get(record.name)))
    # What a cluster leaves out of V2 archives is in V1's.
    server = {} if archive.format == "V1" else manifest.server
    return dataclasses.replace(
        manifest, format="V2", state=rewritten.state, exact=True, consumers=tuple(records), server=server
    )


def _cut(record: ConsumerRecord, last: int, archived: Json | None) -> ConsumerRecord:
    delivered, floor = (
        {**pair, "stream_seq": min(int(pair["stream_seq"]), last)} for pair in (record.delivered, record.ack_floor)
    )
    count = len((archived or {}).get("pending") or {}) if archived is not None else record.num_ack_pending
    return dataclasses.replace(
        record, delivered=delivered, ack_floor=floor, num_ack_pending=count, in_archive=archived is not None
    )


def _summary(archive: Archive, rewritten: Rewritten) -> Json:
    return {
        "messages": rewritten.state["messages"],
        "first_seq": rewritten.state["first_seq"],
        "last_seq": rewritten.state["last_seq"],
        "of_messages": int(archive.state.get("messages") or 0),
        "converted": archive.format == "V1",
        "consumers_moved": list(rewritten.moved),
        "consumers_left_out": list(rewritten.left_out),
    }


def _notes(result: RestoreResult, rewritten: Rewritten) -> list[str]:
    notes = []
    last = rewritten.state["last_seq"]
    if rewritten.moved:
        notes.append(f"stream {result.stream}: moved back to the cut at {last}: {', '.join(rewritten.moved)}.")
    if rewritten.left_out:
        notes.append(f"stream {result.stream}: left out, ahead of the cut at {last}: {', '.join(rewritten.left_out)}.")
    return notes
