# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifest beside a backup: what was backed up, from where, and the digests that hold its files together."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import hashlib
import json
import os
import typing as t

from .._files.reading import DATA, MANIFEST_FILE, open_file, read_bytes
from .._nats.model import ConsumerInfo, Json
from .._shape.schema import check
from . import forms
from .directory import MANIFEST
from .errors import InvalidBackupError
from .suspect import Suspicion

FORMAT = 1


def now() -> str:
    """The time, RFC 3339 in UTC."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def canonical(content: t.Any) -> bytes:
    """JSON with one spelling for one value, for digests."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def readable(content: t.Mapping[str, t.Any]) -> bytes:
    """JSON with a line for each key: an indenting json is slow, which many streams feel."""
    lines = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


@dataclasses.dataclass(frozen=True)
class FileDigest:
    """A file of the backup: its size in bytes and SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class ConsumerRecord:
    """A consumer as it was when its stream was backed up.

    C(in_archive) is false for those that the server left out of the snapshot: a restore makes them from here.
    """

    name: str
    config: Json
    delivered: Json
    ack_floor: Json
    num_ack_pending: int
    num_redelivered: int
    created: str
    in_archive: bool
    num_pending: int = 0

    @classmethod
    def archived(cls, name: str, config: Json, state: Json) -> ConsumerRecord:
        """A consumer as an archive has it."""
        return cls(
            name=name,
            config=config,
            delivered=sequences(state.get("delivered") or {}),
            ack_floor=sequences(state.get("ack_floor") or {}),
            num_ack_pending=int(state.get("num_ack_pending") or 0),
            num_redelivered=int(state.get("num_redelivered") or 0),
            created="",
            in_archive=True,
        )

    @classmethod
    def of(cls, info: ConsumerInfo, *, in_archive: bool) -> ConsumerRecord:
        return cls(
            name=info.name,
            config=info.config,
            delivered=sequences(info.delivered),
            ack_floor=sequences(info.ack_floor),
            num_ack_pending=info.num_ack_pending,
            num_redelivered=info.num_redelivered,
            created=info.created,
            in_archive=in_archive,
            num_pending=info.num_pending,
        )


def sequences(pair: Json) -> Json:
    """C({"consumer_seq", "stream_seq"}) without the time of the last activity."""
    return {"consumer_seq": int(pair.get("consumer_seq") or 0), "stream_seq": int(pair.get("stream_seq") or 0)}


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Everything known of one backed-up stream. Times are RFC 3339; C(verified) is the level of the last check.

    C(exact) is false where the stream changed while it was backed up, so that there may be fewer messages. C(kept_all)
    is true where figures prove that none of its messages went away meanwhile. C(suspect) says what is wrong with it.
    """

    stream: str
    account: str
    format: str
    files: tuple[FileDigest, ...]
    config: Json
    state: Json
    exact: bool
    created: str
    consumers: tuple[ConsumerRecord, ...]
    with_consumers: bool
    server: Json
    started_at: str
    finished_at: str
    verified: str
    max_payload: int
    kept_all: bool = False
    suspect: Suspicion | None = None

    def _body(self) -> Json:
        """The content without the digest; shallow, since it is only written out."""
        body = {"manifest": FORMAT, **vars(self)}
        body.pop("digest", None)
        body["files"] = [vars(entry) for entry in self.files]
        body["consumers"] = [vars(entry) for entry in self.consumers]
        body["suspect"] = self.suspect.dump() if self.suspect else None
        return body

    def dump(self) -> bytes:
        """The file's content; a digest over all of it, the digests of the files included, closes it."""
        return readable({**self._body(), "digest": self.digest})

    @functools.cached_property
    def digest(self) -> str:
        """Identifies this backup: it changes with any byte of any file."""
        return hashlib.sha256(canonical(self._body())).hexdigest()

    @classmethod
    def load(cls, content: bytes, path: str) -> Manifest:
        """Read it back. Raises InvalidBackupError for anything that L(dump) did not write."""
        try:
            body = forms.document(content)
            if body.get("manifest") != FORMAT:
                raise InvalidBackupError(
                    f"{path} has the format {body.get('manifest')!r}; this version knows {FORMAT}.",
                    error="manifest_unknown",
                )
            digest = body.pop("digest", None)
            if hashlib.sha256(canonical(body)).hexdigest() != digest:
                raise InvalidBackupError(f"{path} was changed after it was written.", error="manifest_invalid")
            del body["manifest"]
            # Manifests of versions before the first release; their digest stays the one that sets know.
            body.update({f"{name}_at": body.pop(name) for name in ("started", "finished") if name in body})
            check(body, forms.MANIFEST)
            body["files"] = tuple(FileDigest(**entry) for entry in body["files"])
            body["consumers"] = tuple(ConsumerRecord(**entry) for entry in body["consumers"])
            body["suspect"] = Suspicion.load(body.get("suspect"))
            manifest = cls(**body)
            vars(manifest)["digest"] = digest
            return manifest
        except ValueError as exc:
            raise InvalidBackupError(f"{path} cannot be read as a manifest: {exc}.", error="manifest_invalid") from None


def load_manifest(directory: str) -> Manifest | None:
    """The manifest in a directory, or C(None) where there is none. Raises InvalidBackupError."""
    path = os.path.join(directory, MANIFEST)
    try:
        content = read_bytes(path, MANIFEST_FILE)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise InvalidBackupError(f"{path} cannot be read: {exc.strerror}.", error="manifest_invalid") from None
    return Manifest.load(content, path)


def digest_of(path: str) -> FileDigest:
    """Size and SHA-256 of a file."""
    hasher = hashlib.sha256()
    size = 0
    with open_file(path, DATA) as file:
        while block := file.read(1 << 20):
            hasher.update(block)
            size += len(block)
    return FileDigest(os.path.basename(path), size, hasher.hexdigest())
