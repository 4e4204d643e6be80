# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finding the manifests of an account's newest backup."""

from __future__ import annotations

import os

from . import set_file as setfile
from .errors import InvalidBackupError
from .inspect import looks_like_backup
from .manifest import Manifest, load_manifest
from .nearby import ABOVE, REPOSITORY, SETS, STREAM, STREAMS, kind, wrong_place
from .selection import selected
from .sets import newest as newest_set
from .sets import sets_of


def newest(path: str) -> str:
    """The directory with the streams: the newest set where C(path) holds sets, else C(path). Raises PathError."""
    if not os.path.isdir(path) or kind(path) in (STREAM, REPOSITORY, ABOVE):
        raise wrong_place(path, (STREAMS, SETS), "the backup of an account")
    whole = newest_set(sets_of(path))
    return whole.path if whole else path


def manifests(path: str, streams: tuple[str, ...] = ("*",)) -> tuple[dict[str, Manifest], list[str]]:
    """The manifests of the streams that belong to the backup in C(path), by stream; and what cannot be judged, and why.

    Backups of the C(nats) command line have no manifest, and nothing in them tells when their stream was created.
    """
    described = setfile.load(path)
    found: dict[str, Manifest] = {}
    without: list[str] = []
    for name in sorted(os.listdir(path)):
        directory = os.path.join(path, name)
        if name.startswith(".") or not looks_like_backup(directory) or not selected(name, streams, ()):
            continue
        if described is not None and name not in described.streams:
            continue
        try:
            manifest = load_manifest(directory)
        except InvalidBackupError as exc:
            without.append(f"{name}: {exc.message}")
            continue
        if manifest is None:
            without.append(f"{name}: its backup has no manifest, so that nothing says when the stream was created.")
        else:
            found[name] = manifest
    return found, without
