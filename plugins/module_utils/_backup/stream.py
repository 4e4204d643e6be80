# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backing up one stream into one directory."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Iterable

from .._archive.check.consistency import check_directory_consistency
from .._archive.check.file import check_file
from .._archive.check.quick import settle_end
from .._archive.report import ArchiveReport
from .._files.writing import write_new
from .._nats.api import JetStream
from .._nats.hops import far
from .._nats.model import ConsumerInfo, Json, StreamInfo
from .._repository.compare import interrupted
from .._repository.directory import BACKUP_JSON, DATA_V1, DATA_V2, MANIFEST
from .._repository.errors import BackupError, SnapshotError, VerificationError
from .._repository.inspect import problems_json
from .._repository.manifest import ConsumerRecord, FileDigest, Manifest, now, readable
from .._repository.results import StreamResult
from .._repository.writer import Worker
from .completeness import Judgement, judge
from .snapshot import Receiver, Snapshot, Transfer


@dataclasses.dataclass(frozen=True)
class BackupOptions:
    """What to take and how to check it. C(config): note this configuration, not the one that the stream has now."""

    consumers: bool = True
    health_check: bool = False
    verify: str = "quick"
    force: bool = False
    config: Json | None = None
    transfer: Transfer = dataclasses.field(default_factory=Transfer)


@dataclasses.dataclass(frozen=True)
class Source:
    """A stream to back up, as the server shows it; C(consumers) is C(None) where they are not wanted."""

    info: StreamInfo
    consumers: tuple[ConsumerInfo, ...] | None
    account: str
    notes: tuple[str, ...] = ()


async def look(js: JetStream, info: StreamInfo, account: str, options: BackupOptions) -> Source:
    """Gather what a backup needs to know of a stream before it decides. Raises BackupError for what cannot be had."""
    _check_held(info)
    retention = info.config.get("retention", "limits")
    if not options.consumers:
        if retention != "limits":
            raise BackupError(
                f"stream {info.name} has {retention} retention: without its consumers a restore would drop its"
                " messages. Back it up with consumers.",
                error="consumers_required",
            )
        return Source(info, None, account)
    if not info.state.get("consumer_count"):
        return Source(info, (), account)
    listing = await js.consumers(info.name)
    notes = [
        f"stream {info.name}: no answer about consumer {name}; it cannot be compared and may be missing in the backup."
        for name in (*listing.missing, *listing.offline)
    ]
    return Source(info, listing.items, account, tuple(notes))


def line_notes(js: JetStream, infos: Iterable[StreamInfo]) -> tuple[str, ...]:
    """What is known to go wrong on this line when such streams are backed up."""
    replicated = [info.name for info in infos if int(info.config.get("num_replicas") or 1) > 1]
    if not replicated or not js.line.snapshot_can_desync:
        return ()
    note = (
        f"nats-server {js.line} can, rarely, desync the replicas of a stream that is written to while its snapshot is"
        f" taken (nats-server 7655); {len(replicated)} of these streams have replicas. Upgrade to 2.11.12, 2.12.3 or"
        " 2.14, or back up while writers pause."
    )
    return (note,)


def _check_held(info: StreamInfo) -> None:
    """Refuse a stream that is held and empty: its last backup is all there is of it. Raises BackupError."""
    if interrupted(info):
        raise BackupError(
            f"stream {info.name} is held: it is empty until jetstream_account_recover has restored it. Its last backup"
            " stays. Run that first, or node_loss or quorum_loss again.",
            error="stream_held",
        )


def check_memory(js: JetStream, info: StreamInfo) -> None:
    """Refuse a stream in memory where the line cannot back it up. Raises SnapshotError."""
    if info.config.get("storage") == "memory" and not js.line.memory_snapshots:
        raise SnapshotError(
            f"stream {info.name} is kept in memory, and nats-server {js.line} cannot back up such a stream (2.15 can)."
            " Mirror it into a stream with file storage, or upgrade.",
            error="memory_stream_unsupported",
        )


async def transfer(js: JetStream, source: Source, options: BackupOptions, stage: str, worker: Worker) -> StreamResult:
    """Take a snapshot into the empty directory C(stage) and check it. Raises the errors of this ring and of NATS."""
    started = now()
    data = os.path.join(stage, "data")
    with_consumers = options.consumers
    warnings = list(source.notes)
    try:
        snapshot = await Receiver(js, source.info.name, options.transfer, worker).receive(
            data, consumers=with_consumers, health_check=options.health_check
        )
    except SnapshotError as exc:
        # One consumer without an answer fails the whole snapshot on a clustered 2.15. The messages are worth more
        # than its position, unless it is what keeps them.
        limits = source.info.config.get("retention", "limits") == "limits"
        if "failed to get consumer state" not in exc.message or not limits:
            raise
        await worker.call(lambda: _remove(data))
        with_consumers = False
        warnings.append(
            f"{exc.message} It was taken without consumers; their configuration and positions are in the manifest."
        )
        snapshot = await Receiver(js, source.info.name, options.transfer, worker).receive(
            data, consumers=False, health_check=options.health_check
        )
    report = await worker.call(lambda: _checked(source.info.name, options, stage, snapshot))
    judgement = await judge(js, source.info, snapshot.config, snapshot.state, report, data, worker)
    if judgement.suspicion:
        warnings.append(judgement.suspicion.sentence(source.info.name))
    return await worker.call(
        lambda: _finish(js, source, options, stage, snapshot, report, judgement, started, warnings)
    )


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _exact(report: ArchiveReport, state: Json, after: Json) -> bool:
    """Whether the archive is certain to hold what the state says, no less."""
    if report.complete:
        return report.messages == int(state.get("messages") or 0)
    keys = ("messages", "first_seq", "last_seq")
    own = (report.state or {}) if report.format == "V1" else after
    return all(int(own.get(key) or 0) == int(state.get(key) or 0) for key in keys)


def _checked(name: str, options: BackupOptions, stage: str, snapshot: Snapshot) -> ArchiveReport:
    """Look at what was received. Raises VerificationError where it is no backup."""
    data = os.path.join(stage, "data")
    content: Json = {"config": options.config or snapshot.config, "state": snapshot.state}
    known = int(snapshot.state.get("bytes") or 0)
    if options.verify == "full":
        report = check_file(data, "full", known=known)
    else:
        report = settle_end(data, snapshot.writer.finish(), known=known)
    problems = [*report.problems] if options.verify != "none" else []
    if options.verify != "none":
        problems += check_directory_consistency(report, content)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors or report.format is None:
        text = "; ".join(f"{problem.id} ({problem.place}): {problem.message}" for problem in errors) or "unknown format"
        raise VerificationError(
            f"stream {name}: what the server sent is not a whole backup: {text}. The earlier backup, if any, is"
            " untouched. See the server's log, then run again.",
            values={"problems": problems_json(problems)},
        )
    return report


def _finish(
    js: JetStream,
    source: Source,
    options: BackupOptions,
    stage: str,
    snapshot: Snapshot,
    report: ArchiveReport,
    judgement: Judgement,
    started: str,
    warnings: list[str],
) -> StreamResult:
    name = source.info.name
    data = os.path.join(stage, "data")
    config = options.config or snapshot.config
    backup_json = readable({"config": config, "state": snapshot.state})
    write_new(os.path.join(stage, BACKUP_JSON), backup_json)
    target = DATA_V2 if report.format == "V2" else DATA_V1
    os.rename(data, os.path.join(stage, target))
    archived = {consumer.name for consumer in report.consumers}
    records = tuple(ConsumerRecord.of(info, in_archive=info.name in archived) for info in source.consumers or ())
    left_out = [record.name for record in records if not record.in_archive]
    if left_out:
        warnings.append(
            f"stream {name}: the server left {len(left_out)} consumer(s) out of the snapshot"
            f" ({', '.join(left_out[:5])}); their configuration and positions are in the manifest, and a restore"
            " makes them from there."
        )
    info = js.connection.info
    manifest = Manifest(
        stream=name,
        account=source.account,
        format=str(report.format),
        files=(
            FileDigest(BACKUP_JSON, len(backup_json), hashlib.sha256(backup_json).hexdigest()),
            FileDigest(target, report.size, report.sha256),
        ),
        config=config,
        state=snapshot.state,
        exact=_exact(report, snapshot.state, judgement.after),
        created=source.info.created,
        consumers=records,
        with_consumers=source.consumers is not None,
        server={key: info.get(key) for key in ("version", "server_name", "cluster", "domain") if info.get(key)},
        started_at=started,
        finished_at=now(),
        verified=options.verify,
        max_payload=0 if far(js) else js.connection.server_max_payload,
        kept_all=judgement.kept_all,
        suspect=judgement.suspicion,
    )
    write_new(os.path.join(stage, MANIFEST), manifest.dump())
    return StreamResult(name, "transferred", "", manifest, bytes=report.size, warnings=tuple(warnings))
