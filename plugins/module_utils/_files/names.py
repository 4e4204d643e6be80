# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one place where a name from a server or a file becomes a part of a path: only plain names do.

The name of an account can be any text; L(directory_of) writes it as a plain one, and L(account_of) reads it back.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import typing as t
import unicodedata
import urllib.parse

from .._text.shown import shown

_LONGEST = 255  # bytes; every usual file system has this limit
#: What this collection itself writes into the directory of an account or a stream.
_OURS = re.compile(r"latest|(?:backup|manifest|checked|drill)\.json|stream\.(?:tar|arc)\.s2|\d{8}T\d{6}Z(?:\.json)?")

# What only an account's directory with an encoded name has in it.
_ENCODED = re.compile(r"%(?:[0-9A-F]{2}|~[0-9a-f]{32}$)")
# Bytes of an account's directory: hidden ones beside it have its name and more.
_LONGEST_ACCOUNT = 220
_KEPT = 180


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


def directory_of(account: str) -> str:
    """The name of an account's directory: its own where it is plain, else with C(%XX) for what no directory may have.

    Two accounts never share one. A name too long for a directory is cut, and a digest of all of it follows C(%~).
    Raises NameRefusedError for an empty name.
    """
    if not account:
        raise NameRefusedError("The name of the account is empty.")
    name = account
    if wrong_in_name(account) or _ENCODED.search(account):
        name = _percent(account)
    if wrong_in_name(name):  # too long, or a dot or a word of ours, which quoting leaves alone
        name = f"%{ord(name[0]):02X}{name[1:]}" if name[0] != "%" else name
    if len(os.fsencode(name)) > _LONGEST_ACCOUNT:
        digest = hashlib.sha256(_bytes(account)).hexdigest()[:32]
        name = f"{re.sub('%[0-9A-F]?$', '', _percent(account)[:_KEPT])}%~{digest}"
        name = f"%2E{name[1:]}" if name.startswith(".") else name
    return name


def account_of(directory: str, known: t.Iterable[str] = ()) -> str:
    """The account that a directory's name stands for: one of the C(known) names, or what it decodes to.

    It is the directory's name itself where that is not what L(directory_of) makes of any name. Never part of a path.
    """
    for name in known:
        if name and directory_of(name) == directory:
            return name
    if not _ENCODED.search(directory):
        return directory
    try:
        name = urllib.parse.unquote(directory, errors="surrogatepass")
    except UnicodeDecodeError:
        return directory
    return name if directory_of(name) == directory else directory


def is_encoded(directory: str) -> bool:
    """Whether a directory's name is what L(directory_of) made of another name."""
    return bool(_ENCODED.search(directory))


def _percent(name: str) -> str:
    return urllib.parse.quote(_bytes(name), safe="")


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


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
