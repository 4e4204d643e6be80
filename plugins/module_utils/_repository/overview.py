# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repository of backups as one picture: accounts, their sets, and of each stream every backup. Reads only."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .._archive.report import ERROR
from .._files.names import account_of, wrong_in_name
from .._files.reading import holds
from .._nats.model import Json
from .directory import DATA_V1, DATA_V2
from .errors import InvalidBackupError
from .inspect import Backup, inspect
from .last_check import checked_json, last_check, suspicion
from .last_drill import drilled_json, last_drill
from .set_file import Member, SetFile, load
from .sets import BackupSet, newest, sets_of
from .suspect import DAMAGE

#: The "set" of an account's directory that holds its streams itself.
PLAIN = ""
#: How a stream is in a set. new: transferred for it; same: shared with the set before, nothing had changed.
STATUSES = ("new", "same", "carried", "skipped", "failed", "foreign")


class Overview:
    """Looks at accounts, each backup once however many sets share it. C(disk): bytes of all data files."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], Backup] = {}
        self.disk = 0

    def with_sets(self, directory: str) -> Json:
        """An account of a repository."""
        sets = sets_of(directory)
        first = newest(sets)
        rows: dict[str, dict[str, Json]] = {}
        earlier: dict[str, t.Any] = {}
        cells = []
        for one in sets:
            members = one.about.streams if one.about else {}
            names = {*members, *_directories(one.path)}
            for name in sorted(names):
                cell = self._cell(_place(one.path, name), members.get(name), one.about)
                key = cell.pop("key")
                cells.append((key, cell))
                if cell["status"] == "new" and key is not None and earlier.get(name) == key:
                    cell["status"] = "same"
                earlier[name] = key
                rows.setdefault(name, {})[one.name] = cell
        self._share(cells)
        listed = [_set(one, one is first) for one in sets]
        about = first.about if first else None
        account = (about.account_name or about.account) if about else ""
        return _account(directory, account, listed, rows, first.name if first else PLAIN)

    def plain(self, directory: str) -> Json:
        """An account's directory that holds its streams itself."""
        trouble = ""
        try:
            about = load(directory)
        except InvalidBackupError as exc:
            about, trouble = None, exc.message
        members = about.streams if about else {}
        rows: dict[str, dict[str, Json]] = {}
        for name in sorted({*members, *_directories(directory)}):
            cell = self._cell(_place(directory, name), members.get(name), about)
            self._share([(cell.pop("key"), cell)])
            rows[name] = {PLAIN: cell}
        only = _set(BackupSet(PLAIN, directory, about, trouble), True) if about or trouble else None
        accounts = {cell[PLAIN].get("account") for cell in rows.values()} - {None, ""}
        account = about.account if about else str(accounts.pop()) if len(accounts) == 1 else ""
        return _account(directory, account, [only] if only else [], rows, PLAIN)

    def _cell(self, path: str, member: Member | None, about: SetFile | None) -> Json:
        key, found = self._look(path) if path else (None, {})
        status = {"current": "new"}.get(member.status, member.status) if member else "foreign" if about else "new"
        cell = {"key": key, "status": status, **found}
        if member:
            cell["current_at"] = member.current_at or found.get("backed_up", "")
            if member.reason:
                cell["reason"] = member.reason
        if member and status in ("new", "carried") and not found:
            cell["problems"] = [{"id": "directory_missing", "message": "the directory of the backup is gone"}]
        return cell

    def _look(self, path: str) -> tuple[tuple[int, int] | None, Json]:
        """What identifies the data of a backup, and what is known of it; nothing where there is none."""
        key = None
        for name in (DATA_V2, DATA_V1):
            try:
                found = os.stat(os.path.join(path, name), follow_symlinks=False)
            except OSError:
                continue
            key = (found.st_dev, found.st_ino)
            break
        if key is None:
            there = os.path.isdir(path) and holds(path) is not False
            return None, describe(inspect(path, "none")) if there else {}
        if key not in self._known:
            self.disk += found.st_size
            self._known[key] = inspect(path, "none")
        return key, describe(dataclasses.replace(self._known[key], path=path))

    @staticmethod
    def _share(cells: t.Iterable[tuple[tuple[int, int] | None, Json]]) -> None:
        """Checks and drills are noted in one directory and hold for the same file in every set: the last one counts."""
        last: dict[tuple[t.Any, str], Json] = {}
        listed = [(key, cell) for key, cell in cells if key is not None]
        for key, cell in listed:
            for part in ("verified", "drill"):
                note, other = cell[part], last.get((key, part))
                if note and (other is None or note["time"] > other["time"]):
                    last[key, part] = note
        for key, cell in listed:
            for part in ("verified", "drill"):
                cell[part] = last.get((key, part))
            checked = cell["verified"]
            if checked and not checked["valid"] and not cell["problems"]:
                text = f"a full check on {checked['time'][:16]}Z found {', '.join(checked['problems'])}"
                cell.update(valid=False, problems=[{"id": "damage_known", "message": text}])
            doubts = checked and [one for one in checked.get("problems") or () if one in DAMAGE]
            if doubts and not cell["suspect"]:
                cell["suspect"] = f"a full check on {checked['time'][:16]}Z found that messages are missing or damaged"


def describe(backup: Backup) -> Json:
    """What a cell shows of a backup."""
    checked = last_check(backup)
    manifest = backup.manifest
    verified: Json | None = None
    if checked is not None:
        verified = {"level": "full", **(checked_json(checked) or {})}
    elif manifest is not None:
        verified = {"level": manifest.verified, "time": manifest.finished_at, "valid": True}
    return {
        "account": manifest.account if manifest else "",
        "backed_up": manifest.started_at if manifest else "",
        "format": backup.format,
        "messages": int(backup.state.get("messages") or 0),
        "bytes": int(backup.state.get("bytes") or 0),
        "last_ts": str(backup.state.get("last_ts") or ""),
        "size": backup.size,
        "consumers": len(backup.consumers),
        "valid": backup.valid,
        "suspect": suspicion(backup, checked),
        "problems": [{"id": one.id, "message": one.message} for one in backup.problems if one.severity == ERROR],
        "verified": verified,
        "drill": drilled_json(last_drill(backup)),
    }


def _place(directory: str, name: str) -> str:
    """Where the backup of a stream is; empty for a name that no directory can have."""
    return "" if wrong_in_name(name, ours=True) else os.path.join(directory, name)


def _directories(path: str) -> list[str]:
    if not os.path.isdir(path):
        return []
    return [
        entry.name
        for entry in os.scandir(path)
        if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
    ]


def _set(one: BackupSet, first: bool) -> Json:
    about = one.about
    return {
        "set": one.name,
        "whole": one.whole,
        "complete": one.complete,
        "newest": first,
        "finished_at": one.finished_at,
        "checked": (about.checked or about.finished_at) if about else "",
        "trouble": one.trouble or ("" if one.whole else "it was not finished"),
    }


def _account(directory: str, account: str, sets: list[Json], rows: dict[str, dict[str, Json]], first: str) -> Json:
    streams = [{"stream": name, "newest": cells.get(first), "cells": cells} for name, cells in sorted(rows.items())]
    return {
        "account": account_of(os.path.basename(directory), (account,)),
        "named": account,
        "directory": directory,
        "newest": first,
        "sets": sets,
        "streams": streams,
    }
