# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a path stands among backups: a directory too high, too low or beside is told by naming the right ones."""

from __future__ import annotations

import os
import typing as t

from .._files.names import account_of
from .errors import PathError
from .inspect import looks_like_backup
from .sets import LATEST, is_set_name, newest, sets_of

STREAM = "the backup of one stream"
STREAMS = "the backup of an account"
SETS = "the directory of an account's sets"
REPOSITORY = "a repository of several accounts"
ABOVE = "above a repository"
OTHER = ""
# How far to look, and how many directories at each step: a path can be the root of a file system.
_DEPTH = 3
_MOST = 200
_NAMED = 4


def kind(path: str, depth: int = _DEPTH) -> str:
    """What a directory is, by what lies in it: one of the words above."""
    if looks_like_backup(path):
        return STREAM
    if has_sets(path):
        return SETS
    if is_set_name(os.path.basename(path)) and os.path.isfile(f"{path}.json"):
        return STREAMS
    if not depth:
        return OTHER
    found = {kind(child, depth - 1) for child in _children(path)}
    for inner, outer in ((STREAM, STREAMS), (SETS, REPOSITORY), (STREAMS, REPOSITORY), (REPOSITORY, ABOVE)):
        if inner in found:
            return outer
    return OTHER


def has_sets(path: str) -> bool:
    """Whether a directory is that of an account in a repository; no set is opened."""
    try:
        names = os.listdir(path)
    except OSError:
        return False
    return os.path.islink(os.path.join(path, LATEST)) or any(
        is_set_name(name.removesuffix(".json")) and os.path.exists(os.path.join(path, name)) for name in names
    )


def _children(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            found = [one.path for one in entries if not one.name.startswith(".") and one.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return sorted(found)[:_MOST]


def candidates(path: str, wanted: t.Collection[str]) -> list[str]:
    """Directories of a wanted kind: those nearest below C(path), else the nearest above it and beside it."""
    level = [path]
    for _step in range(_DEPTH):
        level = [child for one in level for child in _children(one)][:_MOST]
        found = [one for one in level if kind(one) in wanted]
        if found:
            return found
    above, mistyped = path, not os.path.isdir(path) and os.path.basename(path) != LATEST
    for step in range(_DEPTH):
        above = os.path.dirname(above)
        if os.path.dirname(above) == above:
            break
        if os.path.isdir(above):
            # Farther away it is somebody else's.
            beside = [one for one in _children(above) if kind(one) in wanted] if not step else []
            if beside and mistyped:
                return beside
            if kind(above) in wanted:
                return [above]
            if beside:
                return beside
    return []


def wrong_place(path: str, wanted: t.Sequence[str], what: str, *, then: str = "") -> PathError:
    """The error for a path that is not what is wanted (C(what), for people). C(then): what else to give with it."""
    there = os.path.isdir(path)
    found = kind(path) if there else OTHER
    if not there:
        text = f"path {path} is not a directory"
        if os.path.basename(path) == LATEST and os.path.isdir(os.path.dirname(path)):
            text = f"path {path} leads to no set"
    elif found:
        text = f"path {path} is {found}, not {what}"
    else:
        text = f"path {path} holds no backup"
    right = candidates(path, wanted)
    if right:
        more = f" (there are {len(right)} such directories)" if len(right) > _NAMED else ""
        remedy = f"Give {' or '.join(right[:_NAMED])}{more}"
        if then and kind(right[0]) == SETS:
            remedy += f", {then}"
    else:
        remedy = f"Give {what}"
    return PathError(f"{text}. {remedy}.", error="path_not_backup" if there else "path_not_found")


def no_account(path: str) -> PathError:
    """The error for a path that is not the backup of an account."""
    which = "with set (latest, or a name) or before (a moment)"
    return wrong_place(path, (STREAMS, SETS), "the backup of an account", then=which)


def account_place(path: str) -> str:
    """C(path), or where nothing is there the directory beside it with the sets of the account that its name says.

    An account has a name and, in operator mode, an id: either finds the sets that were made under the other. A
    directory that is named by neither was chosen by a person for something else, such as a second copy.
    """
    if os.path.lexists(path):
        return path
    account = account_of(os.path.basename(path))
    found = []
    for place in _children(os.path.dirname(path)):
        first = newest(sets_of(place)) if has_sets(place) else None
        if first and first.about and all(map(first.about.of, (account, account_of(os.path.basename(place))))):
            found.append(place)
    return found[0] if len(found) == 1 else path


def check_account(path: str, *, sets: bool) -> None:
    """Refuse a directory above accounts; with C(sets), all but the directory of an account's sets. Raises PathError."""
    if sets and not has_sets(path):
        raise wrong_place(path, (SETS,), "the directory of an account's sets")
    if not os.path.isdir(path) or kind(path) in (REPOSITORY, ABOVE):
        raise no_account(path)


def check_backup_place(path: str, *, sets: bool) -> None:
    """Refuse to back an account up above accounts, or into a set that is finished. Raises PathError."""
    real = os.path.realpath(path)
    inside = is_set_name(os.path.basename(real)) and has_sets(os.path.dirname(real))
    if inside:
        raise PathError(
            f"path {path} is a set that is finished. Give {os.path.dirname(real)}, with sets.", error="path_not_backup"
        )
    if has_sets(path):
        if not sets:
            raise PathError(
                f"path {path} is the directory of an account's sets. Set sets, or give another directory.",
                error="path_not_backup",
            )
        return
    found = kind(path) if os.path.isdir(path) else OTHER
    if found in (REPOSITORY, ABOVE):
        right = candidates(path, (SETS, STREAMS))
        raise PathError(
            f"path {path} is {found}, not the directory of one account. Give {' or '.join(right[:_NAMED])}, or another"
            " directory in it for a new account.",
            error="path_not_backup",
        )
