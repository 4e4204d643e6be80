# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Saving the streams on the disk of a server that will not start again, by a private server on a copy of them."""

from __future__ import annotations

import dataclasses
import functools
import os
import shutil
import tempfile
import typing as t

from .._backup.account import AccountBackup, AccountOptions
from .._files.names import directory_of
from .._files.trees import copy_tree, remove_path
from .._nats.options import make_options
from .._nats.session import Session
from .._repository.directory import Workplace, os_errors
from .._repository.disk import make_directories
from .._repository.entries import place_of
from .._repository.errors import BackupError, PathError
from .._repository.results import StreamResult, failed
from .._repository.selection import selected
from .._repository.writer import in_thread
from .._server.local import LocalServer
from .._server.scratch import Scratch
from .store import Stored

# By what of its configuration a stream deletes messages before others.
_DELETING = (
    "allow_msg_ttl",
    "subject_delete_marker_ttl",
    "max_age",
    "max_msgs",
    "max_bytes",
    "max_msgs_per_subject",
    "allow_rollup_hdrs",
)


@dataclasses.dataclass(frozen=True)
class SalvageOptions:
    """C(names) maps directories of accounts to their names; C(key) and C(cipher) are those of an encrypted store."""

    binary: str = "nats-server"
    names: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    streams: tuple[str, ...] = ("*",)
    key: str = ""
    cipher: str = ""
    start_timeout: float = 120.0


@dataclasses.dataclass(frozen=True)
class Salvaged:
    """What became of one stream on the disk: its account by name, and the result of its backup."""

    account: str
    result: StreamResult


def account_name(options: SalvageOptions, directory: str) -> str:
    """The name of the account whose streams are in a directory."""
    return options.names.get(directory, directory)


def chosen(stored: t.Iterable[Stored], options: SalvageOptions) -> list[Stored]:
    """The streams that can be saved, and are wanted."""
    return [one for one in stored if one.alone and selected(one.stream, options.streams, ())]


def check_room(path: str, streams: t.Sequence[Stored]) -> None:
    """Refuse where copy and backup have no room. Raises PathError."""
    make_directories(os.path.dirname(path))
    need, free = 2 * sum(one.size for one in streams), shutil.disk_usage(os.path.dirname(path)).free
    if need > free:
        raise PathError(
            f"There is no room in {os.path.dirname(path)}: the copy and the backups take up to {need} bytes, {free} are"
            " free. Free space, or choose another path.",
            error="no_space",
        )


async def salvage(root: str, path: str, streams: t.Sequence[Stored], options: SalvageOptions) -> list[Salvaged]:
    """Back the streams up into C(<path>/<account>/<stream>). C(root) is read only: a copy of it is served.

    Raises what concerns all of them; the failure of a stream is in its result.
    """
    check_room(path, streams)
    results: list[Salvaged] = []
    with os_errors(path), Workplace(path) as workplace:
        for directory in sorted({one.account for one in streams}):
            own = [one for one in streams if one.account == directory]
            copy = os.path.join(workplace.stage, directory)
            await in_thread(functools.partial(_copy, root, copy, own))
            name = account_name(options, directory)
            results += [Salvaged(name, one) for one in await _serve(copy, directory, name, own, path, options)]
            remove_path(copy)
    return results


async def foresee(root: str, path: str, streams: t.Sequence[Stored], options: SalvageOptions) -> list[Salvaged]:
    """What L(salvage) would do, as far as it has to be looked for: where a stream was saved before, a server compares.

    It serves a copy in the system's temporary directory, since nothing is written at C(path).
    """
    results: list[Salvaged] = []
    for directory in sorted({one.account for one in streams}):
        name = account_name(options, directory)
        own = [one for one in streams if one.account == directory and _is_saved(place_of(path, name), one)]
        if not own:
            continue
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if sum(one.size for one in own) > free:
            note = f"it is not known whether its backup is current: no room in {tempfile.gettempdir()} for a copy."
            results += [
                Salvaged(name, StreamResult(one.stream, "would_transfer", warnings=(f"stream {one.stream}: {note}",)))
                for one in own
            ]
            continue
        scratch = Scratch(tempfile.gettempdir())
        try:
            copy = os.path.join(scratch.path, directory)
            await in_thread(functools.partial(_copy, root, copy, own))
            results += [
                Salvaged(name, one) for one in await _serve(copy, directory, name, own, path, options, check=True)
            ]
        finally:
            scratch.remove()
    return results


def _is_saved(target: str, one: Stored) -> bool:
    return os.path.lexists(place_of(target, one.stream))


def _copy(root: str, copy: str, streams: t.Sequence[Stored], stop: t.Callable[[], bool]) -> None:
    for one in streams:
        if stop():
            raise BackupError("Interrupted while the store was copied.", error="interrupted")
        copy_tree(os.path.join(root, one.path), os.path.join(copy, one.path))


async def _serve(
    copy: str,
    directory: str,
    name: str,
    streams: t.Sequence[Stored],
    path: str,
    options: SalvageOptions,
    *,
    check: bool = False,
) -> list[StreamResult]:
    """Back up one account's streams from a private server on their copy."""
    jetstream: dict[str, t.Any] = {"store_dir": copy}
    if options.key:
        jetstream.update(key=options.key, cipher=options.cipher or "chachapoly")
    target = place_of(path, directory_of(name))
    async with (
        LocalServer(
            options.binary,
            copy,
            (directory,),
            start_timeout=options.start_timeout,
            options={"jetstream": jetstream},
        ) as server,
        Session(make_options(server.connection(directory))) as session,
    ):
        there = {info.name for info in (await session.js.streams()).items}
        wanted = tuple(one.stream for one in streams if one.stream in there)
        absent = [
            failed(
                one.stream,
                os.path.join(target, one.stream),
                _refused(one, server),
            )
            for one in streams
            if one.stream not in there
        ]
        if not wanted:
            return absent
        done, _warnings = await AccountBackup(session, target, AccountOptions(streams=wanted), check=check).run()
    stored = {one.stream: one for one in streams}
    return [*(without_index(result, stored[result.stream]) for result in done), *absent]


def _refused(one: Stored, server: LocalServer) -> BackupError:
    """Why the private server does not have a stream."""
    if one.encrypted:
        return BackupError(
            f"stream {one.stream}: it is encrypted, and encryption_key is not its key. Give the key of the"
            " configuration of its server.",
            error="store_encrypted",
        )
    return BackupError(
        f"stream {one.stream}: the private nats-server {server.version} does not take it. Its log: {server.log()}",
        error="store_damaged",
    )


def without_index(result: StreamResult, one: Stored) -> StreamResult:
    """The result with a warning where messages may be back that the stream had deleted."""
    manifest = result.manifest
    if one.index or manifest is None:
        return result
    config, state = manifest.config, manifest.state
    limited = [key for key in _DELETING if config.get(key) not in (None, 0, -1, False)]
    if config.get("retention", "limits") != "limits":
        limited.append("retention")
    if not limited and not state.get("num_deleted") and int(state.get("first_seq") or 0) <= 1:
        return result
    why = f"it deletes messages ({', '.join(limited)})" if limited else "messages of it were deleted"
    text = (
        f"stream {one.stream}: its index was not on the disk, and {why}. The index was made anew from the blocks, so"
        " that messages that were deleted or had expired may be back. Compare with what its applications expect."
    )
    return dataclasses.replace(result, warnings=(*result.warnings, text))
