# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading a backup directory, whoever wrote it, and checking what is in it. Knows no server."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .._archive.check.consistency import check_directory_consistency
from .._archive.check.file import check_file
from .._archive.report import ERROR, PROBLEMS, WARNING, ArchiveReport, Problem
from .._archive.times import ZERO, parse_ns
from .._files.errors import why
from .._files.reading import BACKUP_FILE, DATA, file_size, read_bytes
from .._nats.model import Json
from . import forms, suspect
from .check_files import against_manifest, consistency
from .directory import BACKUP_JSON, DATA_V1, DATA_V2, MANIFEST
from .errors import InvalidBackupError
from .manifest import ConsumerRecord, Manifest, load_manifest
from .suspect import SUSPECT

#: What is wrong with a directory, and what it means for a restore; the archive's own are in _archive/report.py.
MEANINGS = {
    **PROBLEMS,
    "backup_json_missing": "There is no backup here, or one that was cut off: nothing can be restored.",
    "data_missing": "The stream's data is not there: nothing can be restored.",
    "data_ambiguous": "Two data files: one is stale, and which cannot be told. Remove the wrong one.",
    "manifest_invalid": "The manifest is damaged, so that the other files cannot be trusted.",
    "manifest_unknown": "A newer version of the collection wrote the manifest: use that version.",
    "digest_differs": "The file is not the one that was backed up: it was damaged or exchanged.",
    "damage_known": "An earlier full check found damage, and the files are still the same: do not rely on this backup.",
    "unreadable": "The file cannot be read.",
    "suspect": "Messages that the stream should have are not in it. What is there is restored; keep earlier backups.",
    "empty_directory": "The nats command line leaves such directories for streams in memory; there is nothing in it.",
}


@dataclasses.dataclass(frozen=True)
class Backup:
    """A backup of one stream as found on disk.

    C(level) is that of the check just done. C(config) and C(state) are those of backup.json, empty if that is
    unreadable; C(report) is C(None) where the data was not read. C(derived): C(data) was made from the backup just now.
    C(place): device and inode of the directory that was looked at.
    """

    path: str
    level: str
    stream: str = ""
    config: Json = dataclasses.field(default_factory=dict)
    state: Json = dataclasses.field(default_factory=dict)
    manifest: Manifest | None = None
    data: str = ""
    size: int = 0
    report: ArchiveReport | None = None
    problems: tuple[Problem, ...] = ()
    derived: bool = False
    place: tuple[int, int] | None = None
    fitted: tuple[ConsumerRecord, ...] | None = None

    @property
    def valid(self) -> bool:
        """No problem is an error."""
        return not any(problem.severity == ERROR for problem in self.problems)

    @property
    def format(self) -> str | None:
        """C(V1), C(V2), or C(None) if the data file is neither."""
        if self.report is not None:
            return self.report.format
        return self.manifest.format if self.manifest else None

    @property
    def consumers(self) -> tuple[ConsumerRecord, ...]:
        """The consumers, from the manifest if there is one, else from the archive; those that fit a stream first."""
        if self.fitted is not None:
            return self.fitted
        if self.manifest is not None:
            return self.manifest.consumers
        if self.report is None:
            return ()
        return tuple(
            ConsumerRecord.archived(consumer.name, consumer.config, consumer.state or {})
            for consumer in self.report.consumers
        )

    @property
    def known_bytes(self) -> int:
        """The bytes that the stream has, which bound what its archive may decode to."""
        return int(self.state.get("bytes") or 0)

    @property
    def exact(self) -> bool:
        """Whether the archive is certain to hold all that the state says; without a manifest, as far as can be told."""
        if self.manifest is None and self.report is not None and self.report.format == "V1":
            own = self.report.state or {}
            return all(own.get(key) == self.state.get(key) for key in ("messages", "first_seq", "last_seq"))
        return self.manifest is None or self.manifest.exact

    @property
    def _ends(self) -> tuple[Json, Json]:
        """The states that bound the archive's end: V1 takes in messages that came after backup.json's was told."""
        own = self.report.state if self.report is not None and self.report.format == "V1" else None
        return self.state, own or {}

    @property
    def up_to(self) -> int:
        """The highest sequence that can be in the archive."""
        return max(int(state.get("last_seq") or 0) for state in self._ends)

    @property
    def newest(self) -> int:
        """The time of the last message that can be in the archive, in nanoseconds since 1970."""
        return max(parse_ns(str(state.get("last_ts") or ZERO)) for state in self._ends)

    def require_valid(self) -> None:
        """Raise InvalidBackupError with every problem unless the backup is valid."""
        errors = [problem for problem in self.problems if problem.severity == ERROR]
        if errors:
            lines = "; ".join(f"{problem.id} ({problem.place}): {problem.message}" for problem in errors)
            raise InvalidBackupError(
                f"The backup {self.path} is not valid: {lines}. {MEANINGS.get(errors[0].id, '')} Use another backup.",
                values={"problems": problems_json(self.problems)},
            )


def problems_json(problems: t.Iterable[Problem]) -> list[Json]:
    """Problems as returned by modules."""
    return [
        {
            "id": problem.id,
            "place": problem.place,
            "message": problem.message,
            "severity": problem.severity,
            "meaning": MEANINGS.get(problem.id, ""),
        }
        for problem in problems
    ]


def looks_like_backup(path: str) -> bool:
    """Whether a directory holds any file of a stream's backup."""
    return any(os.path.lexists(os.path.join(path, name)) for name in (BACKUP_JSON, DATA_V1, DATA_V2, MANIFEST))


def _read_backup_json(path: str) -> tuple[Json, list[Problem]]:
    place = os.path.join(path, BACKUP_JSON)
    try:
        raw = read_bytes(place, BACKUP_FILE)
        return forms.read(raw, forms.BACKUP_JSON), []
    except FileNotFoundError:
        return {}, [Problem("backup_json_missing", BACKUP_JSON, "there is no backup.json")]
    except OSError as exc:
        return {}, [Problem("unreadable", BACKUP_JSON, why(exc))]
    except ValueError as exc:
        return {}, [Problem("backup_json_invalid", BACKUP_JSON, str(exc) if raw else "it is empty")]


def _find_data(path: str) -> tuple[str, list[Problem]]:
    found = [name for name in (DATA_V2, DATA_V1) if os.path.lexists(os.path.join(path, name))]
    if not found:
        return "", [Problem("data_missing", path, f"there is neither {DATA_V2} nor {DATA_V1}")]
    if len(found) > 1:
        return "", [Problem("data_ambiguous", path, f"there are both {DATA_V2} and {DATA_V1}")]
    return os.path.join(path, found[0]), []


def inspect(path: str, level: str = "quick", stop: t.Callable[[], bool] | None = None) -> Backup:
    """Read the backup in a directory; damage is in C(problems), never raised.

    C(level): C(none) looks at names and sizes only, C(digest) proves that the bytes are those of the manifest, which
    were checked when it was written, C(quick) reads every byte once, C(full) decodes and counts all as well. C(stop)
    is asked now and then and ends the check with an exception when it says so.
    """
    place = _place_of(path)
    content, problems = _read_backup_json(path)
    manifest: Manifest | None = None
    try:
        manifest = load_manifest(path)
    except InvalidBackupError as exc:
        problems.append(Problem(exc.error, MANIFEST, exc.message))
    data, missing = _find_data(path)
    problems += missing
    report: ArchiveReport | None = None
    size = 0
    if data:
        try:
            size = file_size(data, DATA)
        except OSError as exc:
            problems.append(Problem("unreadable", os.path.basename(data), why(exc)))
            data = ""
    if data and level not in ("none", "digest"):
        try:
            report = check_file(data, level, stop, int((content.get("state") or {}).get("bytes") or 0))
        except OSError as exc:
            problems.append(Problem("unreadable", os.path.basename(data), why(exc)))
        else:
            problems += report.problems
    if manifest is not None:
        problems += against_manifest(path, manifest, data, size, report, hashed=level == "digest")
        if level == "full" and report is not None and content:
            problems += consistency(manifest, report, content)
    elif report is not None and content:
        problems += check_directory_consistency(report, content)
    config = content.get("config") or {}
    return Backup(
        path=path,
        level=level,
        stream=str(config.get("name") or (manifest.stream if manifest else "")),
        config=config,
        state=content.get("state") or {},
        manifest=manifest,
        data=data,
        size=size,
        report=report,
        problems=tuple(suspect.told(problems, content.get("state") or {}, report, manifest)),
        place=place,
    )


def _place_of(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def warnings_of(backup: Backup) -> list[str]:
    """The problems that are no errors, as sentences."""
    return [
        f"stream {backup.stream}: the backup is suspect: {problem.message}. {MEANINGS[SUSPECT]}"
        if problem.id == SUSPECT
        else f"{backup.path}: {problem.message} ({problem.place}). {MEANINGS.get(problem.id, '')}".strip()
        for problem in backup.problems
        if problem.severity == WARNING
    ]
