# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sets of an account in a repository: which there are, and which one is meant. Reads only.

C(<account>/<set>/) holds a directory for each stream, C(<account>/<set>.json) says that the set is whole and what
belongs to it, C(<account>/latest) leads to the newest whole one.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import re
import typing as t

from .directory import check_directory_path
from .errors import InvalidBackupError, PathError
from .inspect import looks_like_backup
from .set_file import SetFile, load

LATEST = "latest"
_NAME = re.compile(r"\d{8}T\d{6}Z")
_FORMAT = "%Y%m%dT%H%M%SZ"


@dataclasses.dataclass(frozen=True)
class BackupSet:
    """One set. C(about) is C(None) where its file is missing or damaged (C(trouble)), so that it is not whole.

    C(gone): only its file is left, without a directory.
    """

    name: str
    path: str
    about: SetFile | None = None
    trouble: str = ""
    gone: bool = False

    @property
    def whole(self) -> bool:
        """Whether its file is there: the run that made it came to its end."""
        return self.about is not None

    @property
    def complete(self) -> bool:
        """Whether moreover every stream that was to be backed up is current in it."""
        return self.about is not None and self.about.complete

    @property
    def finished_at(self) -> str:
        """When it was finished, RFC 3339; empty if it was not."""
        return self.about.finished_at if self.about else ""


def is_set_name(name: str) -> bool:
    """Whether a directory's name is that of a set."""
    return bool(_NAME.fullmatch(name))


def set_name(moment: datetime.datetime, taken: t.Collection[str]) -> str:
    """A name for a set that begins at a moment; a second later where the name is taken, and later than all others."""
    newest = max((name for name in taken if is_set_name(name)), default="")
    if newest and moment.strftime(_FORMAT) <= newest:
        after = datetime.datetime.strptime(newest, _FORMAT).replace(tzinfo=datetime.timezone.utc)
        moment = after + datetime.timedelta(seconds=1)
    return moment.strftime(_FORMAT)


def sets_of(path: str) -> list[BackupSet]:
    """The sets in an account's directory, the oldest first; none where there is no directory."""
    if not os.path.isdir(path):
        return []
    found = []
    there = set(os.listdir(path))
    names = {name.removesuffix(".json") for name in there}
    for name in sorted(filter(is_set_name, names)):
        place = os.path.join(path, name)
        if name not in there:
            found.append(BackupSet(name, place, trouble="its directory is gone", gone=True))
            continue
        if os.path.islink(place) or not os.path.isdir(place):
            continue
        try:
            found.append(BackupSet(name, place, load(place)))
        except InvalidBackupError as exc:
            found.append(BackupSet(name, place, trouble=exc.message))
    return found


def newest(sets: t.Sequence[BackupSet]) -> BackupSet | None:
    """The newest whole set."""
    return next((one for one in reversed(sets) if one.whole), None)


def choose(sets: t.Sequence[BackupSet], path: str, wanted: str = LATEST, before: str = "") -> BackupSet:
    """The set that is meant: by its name, the newest whole one, or the newest one finished not after C(before).

    C(before): RFC 3339, or in the form of a set's name. Raises PathError that names the sets there are.
    """
    whole = [one for one in sets if one.whole]
    there = ", ".join(f"{one.name} (finished {one.finished_at})" for one in whole[-10:]) or "none"
    there = f"... {there}" if len(whole) > 10 else there
    if not whole:
        half = f" {len(sets)} are not whole." if sets else ""
        raise PathError(f"There is no whole set in {path}.{half} Make a backup first.", error="set_not_found")
    if before:
        moment = parse_moment(before)
        chosen = [one for one in whole if parse_moment(one.finished_at) <= moment]
        if not chosen:
            raise PathError(
                f"No set in {path} was finished before {before}; there are: {there}.", error="set_not_found"
            )
        return chosen[-1]
    if wanted == LATEST:
        return whole[-1]
    for one in sets:
        if one.name == wanted and one.whole:
            return one
        if one.name == wanted:
            raise PathError(
                f"The set {one.path} is not whole: {one.trouble or 'its file is missing'}. There are: {there}.",
                error="set_not_found",
            )
    raise PathError(f"There is no set {wanted!r} in {path}; there are: {there}.", error="set_not_found")


def parse_moment(text: str) -> datetime.datetime:
    """A time in UTC, RFC 3339 or in the form of a set's name. Raises PathError."""
    if is_set_name(text):
        return datetime.datetime.strptime(text, _FORMAT).replace(tzinfo=datetime.timezone.utc)
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text.strip())
    try:
        if match is None:
            raise ValueError("no zone")
        clock = match[2] if match[2].count(":") > 1 else f"{match[2]}:00"
        zone = "+00:00" if match[4] == "Z" else match[4]
        fraction = f"{match[3] or '0':0<6.6}"
        return datetime.datetime.fromisoformat(f"{match[1]}T{clock}.{fraction}{zone}")
    except ValueError:
        raise PathError(
            f"{text!r} is not a moment. Give it with its zone, as in 2026-11-22T10:15:00Z or 20261122T101500Z.",
            error="invalid_options",
        ) from None


def holds_sets(path: str) -> bool:
    """Whether a directory is that of an account in a repository."""
    return bool(sets_of(path)) or os.path.islink(os.path.join(path, LATEST))


def check_repository(path: str) -> None:
    """Refuse a directory that holds the streams of a plain backup. Raises PathError."""
    check_directory_path(path)
    if not os.path.isdir(path):
        return
    for entry in os.scandir(path):
        if entry.is_dir(follow_symlinks=False) and not is_set_name(entry.name) and looks_like_backup(entry.path):
            raise PathError(
                f"path {path} holds the backup of the stream {entry.name} itself, not sets of backups. Give a"
                " directory of its own to the account's sets.",
                error="path_not_backup",
            )


def age(moment: str, now: datetime.datetime) -> float:
    """Seconds from a time, RFC 3339, to another one."""
    return (now - parse_moment(moment)).total_seconds()
