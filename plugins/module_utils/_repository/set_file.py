# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file beside an account's backup that says which streams belong to it, and how the last run left each."""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t

from .._files.names import wrong_in_name
from .._files.reading import SET_FILE, read_bytes
from .._files.writing import replace_file
from .._nats.model import Json
from .._shape.schema import check, record, whole
from .._text.shown import shown
from . import forms
from .errors import InvalidBackupError
from .manifest import now
from .results import StreamResult

FORMAT = 1
_NUMBERED = record({"set": whole})


@dataclasses.dataclass(frozen=True)
class Member:
    """A stream of the set. C(digest) is that of its manifest, empty if there is none; C(reason) says why not.

    C(status): C(current), C(carried) (from an earlier set, since the last try failed), C(skipped), C(failed).
    C(current_at): when the backup was last found to be what the stream is, RFC 3339; empty where that is not known.
    C(suspect): the backup may hold less than the stream should have.
    """

    status: str
    digest: str = ""
    reason: str = ""
    current_at: str = ""
    suspect: bool = False


@dataclasses.dataclass(frozen=True)
class SetFile:
    """C(complete): every stream that the last run was to back up is there and current.

    C(checked): when a run last found nothing to add; for a set of a repository. C(account) is what the server calls
    the account; C(account_name) is its name, where that is another one and is known.
    """

    account: str
    finished_at: str
    complete: bool
    streams: t.Mapping[str, Member]
    checked: str = ""
    account_name: str = ""

    def of(self, account: str) -> bool:
        """Whether it is of an account, which is given by its name or its id."""
        return bool(account) and account in (self.account, self.account_name)


def set_path(path: str) -> str:
    """The set's file for the directory C(path): beside it, since the directory may hold nothing but streams."""
    return f"{path}.json"


def load(path: str) -> SetFile | None:
    """The set's file of the directory C(path), C(None) where there is none. Raises InvalidBackupError."""
    place = set_path(path)
    try:
        body = forms.document(read_bytes(place, SET_FILE))
        if check(body, _NUMBERED)["set"] != FORMAT:
            found = f"{body.get('set')!r:.80}"
            raise InvalidBackupError(f"{place} has the unknown format {found}.", error="manifest_unknown")
        if "finished_at" not in body and "finished" in body:
            body["finished_at"] = body["finished"]  # before the first release
        check(body, forms.SET)
        members = {name: Member(**member) for name, member in body["streams"].items()}
        _require_places(members)
        more = (body.get("checked") or "", body.get("account_name") or "")
        return SetFile(body["account"], body["finished_at"], body["complete"], members, *more)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise InvalidBackupError(f"{place} cannot be read: {exc.strerror}.", error="manifest_invalid") from None
    except ValueError as exc:
        raise InvalidBackupError(
            f"{place} cannot be read as the file of an account's backup: {exc}. Restore its streams one by one, or"
            " remove it to restore every directory.",
            error="manifest_invalid",
        ) from None


def _require_places(members: t.Mapping[str, Member]) -> None:
    """Raise ValueError where a stream that has a directory is listed under a name that no directory can have.

    A stream that was refused for its name is listed as well, and has no directory.
    """
    for name, member in members.items():
        wrong = wrong_in_name(name, ours=True)
        if wrong and (member.status not in ("failed", "skipped") or member.digest):
            raise ValueError(f"it lists the stream {shown(name)!r}, whose name {wrong}")


def update(path: str, account: str, results: t.Sequence[StreamResult], existing: t.Collection[str]) -> None:
    """Write the set's file after a run over some or all streams, unless it would say the same as before.

    Streams that this run did not look at stay as they were; those that are no more (not in C(existing)) leave.
    """
    try:
        before = load(path)
    except InvalidBackupError:
        before = None
    members = {name: member for name, member in before.streams.items() if name in existing} if before else {}
    for result in results:
        members[result.stream] = member_of(result)
    complete = is_complete(members)
    if before and dict(before.streams) == members and before.account == account and before.complete == complete:
        return
    store(path, SetFile(account, now(), complete, members))


def member_of(result: StreamResult) -> Member:
    """What a run says of a stream."""
    manifest = result.manifest
    digest = manifest.digest if manifest else ""
    status = "current" if result.status in ("transferred", "unchanged") else result.status
    suspect = bool(manifest and manifest.suspect)
    return Member(status, digest, "" if status == "current" else result.reason, suspect=suspect)


def is_complete(members: t.Mapping[str, Member]) -> bool:
    """Whether every stream is current, but for those that cannot be backed up at all."""
    return all(member.status in ("current", "skipped") for member in members.values())


def store(path: str, about: SetFile, *, within: int | None = None) -> None:
    """Write the set's file in one step; C(within): the descriptor of the directory that it is in."""
    body: Json = {
        "set": FORMAT,
        "account": about.account,
        "finished_at": about.finished_at,
        "complete": about.complete,
        "streams": {name: _member_json(member) for name, member in sorted(about.streams.items())},
    }
    if about.checked:
        body["checked"] = about.checked
    if about.account_name not in ("", about.account):
        body["account_name"] = about.account_name
    replace_file(os.path.abspath(set_path(path)), json.dumps(body, indent=1).encode() + b"\n", within=within)


def _member_json(member: Member) -> Json:
    body = dataclasses.asdict(member)
    if not member.current_at:
        del body["current_at"]
    if not member.suspect:
        del body["suspect"]
    return body
