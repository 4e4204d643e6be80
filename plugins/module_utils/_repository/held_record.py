# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holding did to streams, on disk before it is done: a file for each, until the stream is restored.

They lie in C(.natsops-held) in the directory of the account's backups. A run that is killed at any step leaves one, and
L(recovery) brings the stream back from the backup that it names, whatever backups came since.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import typing as t

from .._files import writing
from .._files.names import child
from .._files.reading import MANIFEST_FILE, read_bytes
from .._nats.model import Json
from . import forms
from . import safety_place as safety
from .directory import check_directory_path, os_errors
from .disk import make_directories
from .errors import InvalidBackupError
from .manifest import Manifest, load_manifest, now
from .nearby import has_sets
from .selection import selected
from .sets import is_set_name

_PLACE = ".natsops-held"
#: How far it came: it could not be held and was left; its subjects were taken away; it is deleted, and made anew empty;
#: it has its data again, and not its subjects yet.
LEFT, CHANGED, DELETED, RESTORED = "left", "changed", "deleted", "restored"


@dataclasses.dataclass(frozen=True)
class Entry:
    """What was done to a stream. C(set): where its backup lies, from the directory of the account's backups on.

    C(config) and C(consumers): as in the backup. C(placement): where it is made anew, if not where its own says.
    """

    stream: str
    account: str
    cluster: str
    phase: str
    set: str
    digest: str
    config: Json
    consumers: list[Json]
    placement: Json | None
    at: str


def base_of(path: str) -> str:
    """The directory of the account's backups that C(path), itself or one of its sets, belongs to."""
    real = os.path.realpath(path)
    above = os.path.dirname(real)
    return above if is_set_name(os.path.basename(real)) and has_sets(above) else path


class Record:
    """The entries of one account; C(cluster): where it is, C(streams): globs of those that are asked for."""

    def __init__(self, path: str, account: str, cluster: str, streams: tuple[str, ...] = ("*",)) -> None:
        self.base = base_of(path)
        self._place = os.path.join(self.base, _PLACE)
        self._account = account
        self._cluster = cluster
        self._streams = streams

    def wanted(self, stream: str) -> bool:
        """Whether a stream is asked for."""
        return selected(stream, self._streams, ())

    def file(self, stream: str) -> str:
        """The file of a stream."""
        return os.path.join(self._place, f"{safety.part(stream, 'stream')}.json")

    def new(self, manifest: Manifest, path: str, phase: str, placement: Json | None) -> Entry:
        """An entry for a stream with this backup in C(path)."""
        consumers = [{"name": one.name, "config": one.config} for one in manifest.consumers]
        place = os.path.relpath(os.path.realpath(path), os.path.realpath(self.base))
        return Entry(
            manifest.stream,
            self._account,
            self._cluster,
            phase,
            place,
            manifest.digest,
            manifest.config,
            consumers,
            placement,
            now(),
        )

    def require_writable(self) -> None:
        """Raise PathError where no entry can be written."""
        check_directory_path(self._place)

    def write(self, entry: Entry) -> None:
        """Bring an entry onto the disk. Raises PathError."""
        with os_errors(self._place):
            make_directories(self._place)
            content = json.dumps(dataclasses.asdict(entry), indent=1).encode() + b"\n"
            writing.replace_file(self.file(entry.stream), content)
            writing.sync(self.base)

    def close(self, stream: str) -> None:
        """Its stream is whole: the entry goes. Raises PathError."""
        with os_errors(self._place), contextlib.suppress(FileNotFoundError):
            os.unlink(self.file(stream))
            writing.sync(self._place)

    def entries(self) -> dict[str, Entry]:
        """The entries by stream. Raises InvalidBackupError for one that cannot be read: its stream may be deleted."""
        return {entry.stream: entry for entry in self.read_all() if self.wanted(entry.stream)}

    def read_all(self) -> list[Entry]:
        """The entries, of whatever account. Raises InvalidBackupError."""
        try:
            names = sorted(os.listdir(self._place))
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise self._unreadable(self._place, exc) from exc
        return [self._read(os.path.join(self._place, name)) for name in names if not name.startswith(".")]

    def _read(self, path: str) -> Entry:
        try:
            entry = Entry(**forms.read(read_bytes(path, MANIFEST_FILE), forms.HELD))
            child(self.base, entry.stream)
        except (OSError, ValueError, TypeError) as exc:
            raise self._unreadable(path, exc) from exc
        return entry

    @staticmethod
    def _unreadable(path: str, exc: Exception) -> InvalidBackupError:
        return InvalidBackupError(
            f"{path} says which streams were held, and cannot be read: {exc}. Put that file right; or see that each"
            " stream of the backup is there and has its subjects, then remove it.",
            error="held_unreadable",
        )

    def elsewhere(self, entry: Entry) -> str:
        """Why an entry is not for this account and cluster, or nothing. What is not known counts as the same."""
        if entry.account and self._account and entry.account != self._account:
            return (
                f"it was held in the account {entry.account}, and these credentials are of {self._account}: give those"
                " of that one"
            )
        if entry.cluster in ("", self._cluster):
            return ""
        return (
            f"it was held in the cluster {entry.cluster}, and this is {self._cluster or 'another one'}: connect to"
            " that one"
        )

    def backup(self, entry: Entry) -> tuple[str, Manifest | None, str]:
        """The directory of the set with the entry's backup, its manifest, and what is wrong with it, or nothing."""
        place = os.path.normpath(os.path.join(self.base, entry.set))
        path = os.path.join(place, entry.stream)
        try:
            manifest = load_manifest(path)
        except InvalidBackupError as exc:
            return place, None, exc.message
        if manifest is None:
            return place, None, f"its backup {path} is gone"
        if manifest.digest != entry.digest:
            return place, None, f"its backup {path} is another one than when it was held"
        return place, manifest, ""


def needed_sets(base: str) -> set[str]:
    """The sets of an account's directory that streams are yet to be restored from. Raises InvalidBackupError."""
    return {entry.set for entry in Record(base, "", "").read_all()}


def phase_of(entry: Entry, phase: str, **more: t.Any) -> Entry:
    """The entry, further on."""
    return dataclasses.replace(entry, phase=phase, at=now(), **more)
