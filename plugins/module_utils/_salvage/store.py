# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in the store directory of a nats-server that does not run; reads only."""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t

from .._files.reading import STORE_FILE, read_bytes
from .._repository.errors import PathError

_META = "meta.inf"
_KEY = ("meta.key",)
_INDEX = ("msgs", "index.db")


@dataclasses.dataclass(frozen=True)
class Stored:
    """A stream on the disk. C(replicas) is C(None) where its configuration cannot be read: an encrypted store.

    C(path) is relative to the directory that C(store_dir) names; C(size) is in bytes. C(index): the list of its
    messages is there, without which deleted ones cannot always be told from others.
    """

    account: str
    stream: str
    path: str
    size: int
    replicas: int | None
    consumers: tuple[str, ...] = ()
    encrypted: bool = False
    index: bool = True

    @property
    def alone(self) -> bool:
        """Whether a server without a cluster takes it: one with more replicas is refused (10074)."""
        return self.replicas in (1, None)


def _size(path: str) -> int:
    return sum(os.lstat(os.path.join(place, name)).st_size for place, _dirs, names in os.walk(path) for name in names)


def _replicas(path: str) -> int | None:
    try:
        content: t.Any = json.loads(read_bytes(os.path.join(path, _META), STORE_FILE))
        return int(content.get("num_replicas") or 1)
    except (OSError, ValueError, AttributeError):
        return None


def _directories(path: str) -> list[str]:
    if not os.path.isdir(path):
        return []
    return sorted(entry.name for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False))


def store_root(path: str) -> str:
    """The directory that C(store_dir) of the server named, from that or the C(jetstream) below it. Raises PathError."""
    if not os.path.isdir(path):
        raise PathError(
            f"store_dir {path} is not a directory. Give a copy of the dead server's store directory, or the directory"
            " itself where its disk is mounted here.",
            error="path_not_found",
        )
    if os.path.isdir(os.path.join(path, "jetstream")):
        return path
    if os.path.basename(path) == "jetstream":
        return os.path.dirname(path)
    raise PathError(
        f"store_dir {path} is not the store of a nats-server: there is no jetstream/ in it. Give what store_dir in the"
        " configuration of the server named.",
        error="store_invalid",
    )


def stored_streams(root: str) -> list[Stored]:
    """Every stream in a store, by account and name."""
    found = []
    for account in _directories(os.path.join(root, "jetstream")):
        place = os.path.join("jetstream", account, "streams")
        for stream in _directories(os.path.join(root, place)):
            path = os.path.join(place, stream)
            full = os.path.join(root, path)
            consumers = tuple(_directories(os.path.join(full, "obs")))
            encrypted, index = (os.path.lexists(os.path.join(full, *place)) for place in (_KEY, _INDEX))
            found.append(Stored(account, stream, path, _size(full), _replicas(full), consumers, encrypted, index))
    return found
