# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one place where a name from a server or a file becomes a part of a path: only plain names do."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import typing as t
import unicodedata

from .._text.shown import shown

_LONGEST = 255  # bytes; every usual file system has this limit
#: What this collection itself writes into the directory of an account or a stream.
_OURS = re.compile(r"latest|(?:backup|manifest|checked|drill)\.json|stream\.(?:tar|arc)\.s2|\d{8}T\d{6}Z(?:\.json)?")


class NameRefusedError(ValueError):
    """A name that must not become a part of a path. C(str(error)) says what is wrong with it."""

    error = "name_refused"


def wrong_in_name(name: object, *, ours: bool = False) -> str:
    """Why a name is not plain, to stand behind "its name"; empty for a plain one.

    C(ours): names of the collection's own files are fine, as where a directory is only read.
    """
    if not isinstance(name, str):
        return "is not a text"
    if not name:
        return "is empty"
    if name in (".", ".."):
        return "means another directory"
    if "/" in name or "\\" in name or os.sep in name:
        return "has a separator of paths in it"
    if name.startswith("."):
        return "begins with a dot, as hidden files do"
    if shown(name) != name:
        return "has characters in it that cannot be seen"
    if len(os.fsencode(name)) > _LONGEST:
        return f"is longer than {_LONGEST} bytes"
    if not ours and _OURS.fullmatch(name):
        return "is that of a file or link that this collection writes there itself"
    return ""


def child(parent: str, name: object, *, ours: bool = False) -> str:
    """The path of an entry of a directory. Raises NameRefusedError for anything but a plain name."""
    wrong = wrong_in_name(name, ours=ours)
    if wrong:
        raise NameRefusedError(f"The name {shown(repr(name))} {wrong}.")
    return os.path.join(parent, str(name))


def alike(names: t.Iterable[str]) -> dict[str, str]:
    """Names that differ from an earlier one in case or in the way of writing a letter only, with that one."""
    first: dict[str, str] = {}
    found: dict[str, str] = {}
    for name in sorted(names):
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        if key in first:
            found[name] = first[key]
        first.setdefault(key, name)
    return found


def tells_case(directory: str) -> bool:
    """Whether the file system of a directory that can be written to keeps names apart that differ in case only."""
    name = f".natsops-case-{secrets.token_hex(8)}"
    place = os.path.join(directory, name)
    os.mkdir(place, 0o700)
    try:
        return not os.path.lexists(os.path.join(directory, name.upper()))
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(place)
