# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the files of a backup say, against its manifest and against each other."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .._archive.check.consistency import check_directory_consistency
from .._archive.report import WARNING, ArchiveReport, Problem
from .._files.errors import why
from .._files.reading import is_regular
from .._nats.model import Json
from .directory import BACKUP_JSON
from .manifest import Manifest, digest_of


def consistency(manifest: Manifest, report: ArchiveReport, content: Json) -> list[Problem]:
    """What backup.json and the archive say of each other; consumers that the manifest keeps are not lost."""
    kept = len(manifest.consumers) >= int((content.get("state") or {}).get("consumer_count") or 0)
    return [
        dataclasses.replace(problem, severity=WARNING) if problem.id == "consumers_missing" and kept else problem
        for problem in check_directory_consistency(report, content)
    ]


def against_manifest(
    path: str, manifest: Manifest, data: str, size: int, report: ArchiveReport | None, *, hashed: bool
) -> t.Iterator[Problem]:
    """How the files of a directory differ from what the manifest says of them; C(hashed): the data by its digest."""
    for expected in manifest.files:
        place = os.path.join(path, expected.name)
        if not is_regular(place):
            if expected.name == BACKUP_JSON or data:  # otherwise its absence is already told
                yield Problem("digest_differs", expected.name, "the manifest names it, and it is not there")
            continue
        actual_size = size if place == data else os.lstat(place).st_size
        if actual_size != expected.size:
            text = f"it has {actual_size} bytes, and had {expected.size} when it was backed up"
            yield Problem("digest_differs", expected.name, text)
            continue
        if place == data and report is not None:
            sha256 = report.sha256
        elif place == data and not hashed:
            sha256 = expected.sha256
        else:
            try:
                sha256 = digest_of(place).sha256
            except OSError as exc:
                yield Problem("unreadable", expected.name, why(exc))
                continue
        if sha256 != expected.sha256:
            yield Problem("digest_differs", expected.name, "its SHA-256 is not that of the manifest")
