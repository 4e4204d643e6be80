# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups as a source of what streams there were: manifests are read, data is not."""

from __future__ import annotations

import dataclasses
import functools
import os
import typing as t

from .._archive.times import parse_ns
from .._cluster.backups import KnownBackup
from .._cluster.losses import Earlier, Older
from .._cluster.states import Key, State, of_backup
from .._files.names import account_of
from .._repository.directory import normal_path, os_errors
from .._repository.errors import PathError
from .._repository.inspect import Backup, inspect, looks_like_backup
from .._repository.sets import LATEST, BackupSet, sets_of
from .argspec import ArgumentSpec
from .module import Context

BACKUPS = ArgumentSpec({"backups": {"type": "list", "elements": "path", "default": []}})
# A repository holds accounts, an account sets, a set streams.
_DEPTH = 3

#: What L(read_backups) returns.
Known = tuple[list[KnownBackup], list[str]]


def read_backups(context: Context) -> Known:
    """What the option O(backups) gives, and warnings about what cannot be used. Raises PathError."""
    known: list[KnownBackup] = []
    warnings: list[str] = []
    for given in context.params.get("backups") or ():
        path = os.path.realpath(normal_path(given))
        if not os.path.isdir(path):
            raise PathError(f"backups: {path} is not a directory.", error="path_not_found")
        with os_errors(path):
            places = list(_places(path, "", _DEPTH))
        if not places:
            raise PathError(f"backups: there is no backup of a stream in {path}.", error="path_not_backup")
        for place, account in places:
            one, why = _known(inspect(place, "none"), account)
            known.extend([one] if one else [])
            warnings.extend([f"backups: {place} cannot be used: {why}"] if why else [])
    return known, warnings


def _places(path: str, account: str, depth: int) -> t.Iterator[tuple[str, str]]:
    """Directories of streams, and the account that their place in a repository tells; there, the newest set only."""
    if looks_like_backup(path):
        yield path, account
        return
    newest = os.path.join(path, LATEST)
    if os.path.isdir(newest):
        yield from _places(os.path.realpath(newest), account_of(os.path.basename(path)), depth - 1)
    elif depth:
        for entry in sorted(os.scandir(path), key=lambda one: one.name):
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                yield from _places(entry.path, account, depth - 1)


def _known(backup: Backup, account: str) -> tuple[KnownBackup | None, str]:
    """What a backup knows, and why it is of no use."""
    manifest = backup.manifest
    forged = [problem.message for problem in backup.problems if problem.id in ("manifest_invalid", "manifest_unknown")]
    if forged:
        return None, forged[0]
    if not backup.stream:
        return None, "; ".join(problem.message for problem in backup.problems) or "it is empty."
    if manifest is None:
        if not account:
            return None, "no manifest says of which account it is, nor does its place in a repository."
        taken = os.path.getmtime(os.path.join(backup.path, "backup.json"))
        config, state, consumers, ephemeral = backup.config, backup.state, {}, frozenset[str]()
        floors: dict[str, int] = {}
    else:
        taken = parse_ns(manifest.started_at) / 1e9
        config, state = manifest.config, manifest.state
        account = manifest.account or account
        ephemeral = frozenset(one.name for one in manifest.consumers if not one.config.get("durable_name"))
        consumers = {one.name: int(one.delivered.get("stream_seq") or 0) for one in manifest.consumers}
        floors = {
            one.name: int(one.ack_floor.get("stream_seq") or 0)
            for one in manifest.consumers
            if one.name not in ephemeral
        }
    replicas, last_seq = int(config.get("num_replicas") or 1), int(state.get("last_seq") or 0)
    was = of_backup(account, backup.stream, state, floors)
    return KnownBackup(account, backup.stream, backup.path, taken, replicas, last_seq, consumers, ephemeral, was), ""


def older_backups(context: Context, accounts: t.Mapping[str, str]) -> Older:
    """Finds the newest backup of a stream, in any set of O(backups), whose state satisfies a test.

    For streams whose loss was backed up already: the newest set then has only what was left. The directories are walked
    when the first stream is asked for, and once. C(accounts) maps ids to names.
    """

    @functools.cache
    def places() -> list[tuple[str, list[BackupSet]]]:
        given = context.params.get("backups") or ()
        return [one for path in given for one in _accounts(os.path.realpath(normal_path(path)), _DEPTH)]

    def older(key: Key, test: t.Callable[[State], bool]) -> Earlier | None:
        account, stream = key
        for name, sets in places():
            for one in reversed(sets):
                path = os.path.join(one.path, stream)
                if not (one.whole and looks_like_backup(path)):
                    continue
                known, _why = _known(inspect(path, "none"), name)
                if known is None or account not in (known.account, accounts.get(known.account), name):
                    break
                found = dataclasses.replace(known, account=account).earlier()
                if test(found.state):
                    return found
        return None

    return older


def _accounts(path: str, depth: int) -> t.Iterator[tuple[str, list[BackupSet]]]:
    """The directories of accounts in a repository, or at its place: their names, and their sets."""
    sets = sets_of(path)
    if sets:
        yield account_of(os.path.basename(path)), sets
    elif depth:
        for entry in sorted(os.scandir(path), key=lambda one: one.name):
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                yield from _accounts(entry.path, depth - 1)
