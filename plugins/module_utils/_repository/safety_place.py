# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The place of safety backups: what a live stream held is kept there before it is replaced. Knows no server.

C(<root>/<account>/<stream>/replaced-<time>/) is a backup of a stream like any other. C(replaced-<time>.json) beside it
says how far the replacement came. Nothing there is ever written over, and nothing there is removed by this collection.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import typing as t

from .._files import names, writing
from .._files.reading import SIDE_FILE, read_bytes
from .._nats.model import Json
from .directory import Workplace, check_directory_path, interrupted_below, os_errors
from .disk import make_directories
from .errors import BackupError, LockedError, PathError
from .inspect import looks_like_backup
from .sets import holds_sets

_PREFIX = "replaced-"
_SYSTEM = "/var/lib/natsops/safety"
#: How far a replacement came, in the file beside the safety backup.
TAKEN, DELETING, REPLACED, PUT_BACK, KEPT = "taken", "deleting", "replaced", "put back", "kept"


def default_root() -> str:
    """Where safety backups go unless the user says it: a place that survives a restart, outside of all backups."""
    if os.geteuid() == 0:
        return _SYSTEM
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(state, "natsops", "safety")


def check_root(root: str, backup: str) -> None:
    """Refuse a place inside a backup, where it would be taken for a part of it. Raises PathError."""
    check_directory_path(root)
    real, held = os.path.realpath(root), os.path.realpath(backup)
    above, inside = real, ""
    while not inside:
        if above == held or looks_like_backup(above) or (os.path.isdir(above) and holds_sets(above)):
            inside = above
        elif above == os.path.dirname(above):
            break
        above = os.path.dirname(above)
    beside = os.path.dirname(real)
    with contextlib.suppress(OSError):
        if not inside and any(entry.is_dir() and holds_sets(entry.path) for entry in os.scandir(beside)):
            inside = beside
    if inside:
        raise PathError(
            f"safety_path {root} lies in the backups of {inside}: what is kept there would be taken for a part of them."
            " Give a directory outside of all backups.",
            error="path_invalid",
        )


def part(name: str, otherwise: str) -> str:
    """A name from a server as a part of a path; a hash of it where it is not plain."""
    if name and not names.wrong_in_name(name, ours=True) and len(os.fsencode(name)) < 200:
        return name
    return f"{otherwise}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


@dataclasses.dataclass(frozen=True)
class Note:
    """What the file beside a safety backup says; C(path) is the safety backup."""

    path: str
    phase: str
    created: str
    cluster: str
    lost: Json


class SafetyPlace:
    """The safety backups of one stream of one account."""

    def __init__(self, root: str, account: str, stream: str) -> None:
        self.root = root
        self.directory = os.path.join(root, part(account, "account"), part(stream, "stream"))

    def free(self) -> int:
        """Bytes that are free where it is, or will be."""
        place = self.directory
        while not os.path.isdir(place):
            place = os.path.dirname(place)
        found = os.statvfs(place)
        return found.f_bavail * found.f_frsize

    def prepare(self) -> None:
        """Make the directory for this user alone, and clear what killed runs left half written in it."""
        with os_errors(self.directory):
            make_directories(self.directory)
            for name in interrupted_below(self.directory):
                # A run that still lives keeps its own.
                with contextlib.suppress(LockedError), Workplace(os.path.join(self.directory, name)):
                    pass

    def new(self) -> str:
        """The path of a safety backup that begins now; nothing is there yet."""
        moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        number = 1
        while True:
            path = os.path.join(self.directory, f"{_PREFIX}{moment}{f'-{number}' if number > 1 else ''}")
            if not os.path.lexists(path) and not os.path.lexists(f"{path}.json"):
                return path
            number += 1

    def paths(self) -> list[str]:
        """The safety backups that are there, the oldest first."""
        try:
            found = sorted(os.listdir(self.directory))
        except OSError:
            return []
        whole = [os.path.join(self.directory, name) for name in found if name.startswith(_PREFIX)]
        return [path for path in whole if not path.endswith(".json") and os.path.isdir(path)]

    def note(self, path: str, phase: str, created: str, cluster: str, lost: Json) -> None:
        """Say how far the replacement came. Raises PathError."""
        content = {"phase": phase, "created": created, "cluster": cluster, "lost": lost}
        with os_errors(path):
            writing.replace_file(f"{path}.json", json.dumps(content, indent=1).encode() + b"\n")

    def unfinished(self, cluster: str) -> Note | None:
        """The newest replacement in this cluster that was begun and neither ended nor was undone."""
        for path in reversed(self.paths()):
            note = self._read(path)
            if note is not None and note.cluster == cluster:
                return note if note.phase == DELETING else None
        return None

    @staticmethod
    def _read(path: str) -> Note | None:
        try:
            content = json.loads(read_bytes(f"{path}.json", SIDE_FILE))
            lost = content["lost"] if isinstance(content["lost"], dict) else {}
            return Note(path, str(content["phase"]), str(content["created"]), str(content["cluster"]), lost)
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None


def refuse(stream: str, exc: Exception) -> BackupError:
    """The error where the safety backup cannot be taken: nothing was touched, and what to do."""
    message = getattr(exc, "message", str(exc))
    return BackupError(
        f"stream {stream} is not replaced, since its safety backup cannot be taken: {message} The stream is untouched."
        " With safety_backup: false it is replaced without one: then what it holds is gone if the restore fails.",
        error=getattr(exc, "error", "backup_failed"),
        err_code=getattr(exc, "err_code", None),
        values={**getattr(exc, "values", {}), "now": "old stream"},
    )


def check_room(place: SafetyPlace, need: int) -> None:
    """Refuse where the disk cannot hold it. Raises PathError."""
    free = place.free()
    if free < need:
        raise PathError(
            f"it needs up to {need} bytes in {place.root}, and {free} are free. Free space, or set safety_path.",
            error="no_space",
        )


def command(path: str, options: t.Any, *, replace: bool) -> str:
    """The command that restores a safety backup on this host, with what of the login is no secret."""
    shown = ("credentials", "nkey_seed", "ca_cert", "client_cert", "client_key", "domain", "api_prefix", "user")
    args: Json = {"path": path, "servers": options.safe_servers()}
    args.update({name: getattr(options, name) for name in shown if getattr(options, name)})
    if not options.validate_certs:
        args["validate_certs"] = False
    if options.tls_first:
        args["tls_first"] = True
    if options.inbox_prefix != "_INBOX":
        args["inbox_prefix"] = options.inbox_prefix
    if replace:
        args["on_conflict"] = "replace"
    text = json.dumps(args).replace("'", "'\\''")
    secret = " (and the password or token)" if options.password or options.token or options.user_jwt else ""
    return f"ansible localhost -m natsops.jetstream.jetstream_stream_restore -a '{text}'{secret}"
