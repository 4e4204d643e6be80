# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that no server wrote: ways to spoil the files of a repository, chosen by a random generator."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.natsops.jetstream.plugins.module_utils._archive.codec.s2 import (
    S2_IDENTIFIER,
    FrameParser,
    decode_frame,
    encode_stored,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.codec.varint import write_uvarint
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.errors import ArchiveError
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.v2.entries import MAGIC, write_entry
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.manifest import canonical

Rng = random.Random
Mutation = Callable[[Rng, Path, Path], None]
_PIECE = 4 * 1024 * 1024
_MOST = 64 * 1024 * 1024
ODD: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1 << 62, 1 << 64, 10**19, 1.5, 1e308, "", "x" * 5000, "../../outside", "/etc/passwd"),
    *("\x1b[2J", "\u202e", "latest", [], {}, [[]], {"a": {}}, ["x"] * 3000, {"name": 5}, "2026-02-30T00:00:00Z"),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", ["a.>", ">", "*"], {str(n): n for n in range(2000)}),
)
RAW = (
    b"NaN",
    b"[" * 3000,
    b'{"a":' * 3000,
    b"9" * 6000,
    b"1e999",
    b'"\\ud800"',
    b'{"a":1,"a":2}',
    b"\xff\xfe",
    b"-" * 9,
)


def flip(rng: Rng, data: bytes) -> bytes:
    """Some bits."""
    out = bytearray(data)
    for _bit in range(rng.choice((1, 1, 2, 8, 64))):
        if out:
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def cut(rng: Rng, data: bytes) -> bytes:
    """The end is missing."""
    return data[: rng.randrange(len(data) + 1)]


def insert(rng: Rng, data: bytes) -> bytes:
    """Something is in between."""
    pos = rng.randrange(len(data) + 1)
    return data[:pos] + rng.choice((rng.randbytes(rng.randrange(1, 600)), bytes(rng.randrange(1, 70_000)))) + data[pos:]


def swap(rng: Rng, data: bytes) -> bytes:
    """Two parts have changed places."""
    one, two, three = sorted(rng.randrange(len(data) + 1) for _end in range(3))
    return data[:one] + data[two:three] + data[one:two] + data[three:]


def twice(rng: Rng, data: bytes) -> bytes:
    """A part is there twice, or the whole is."""
    one, two = sorted(rng.randrange(len(data) + 1) for _end in range(2))
    return rng.choice((data + data, data[:two] + data[one:]))


BYTES = (flip, cut, insert, swap, twice)


def decoded(data: bytes) -> bytes:
    """What an S2 stream holds; nothing where it is spoilt already, or a bomb."""
    try:
        frames = FrameParser().feed(data)
        if sum(frame.raw_length for frame in frames) > _MOST:
            return b""
        return b"".join(decode_frame(frame) for frame in frames)
    except ArchiveError:
        return b""


def zeros(size: int) -> bytes:
    """An S2 chunk of a few bytes that decodes to size zeros."""
    block = write_uvarint(size) + b"\x00\x00"
    left = size - 1
    while left:
        if left < 70_000:
            step = min(left, 64)
            block += bytes((((step - 1) << 2) | 2,)) + struct.pack("<H", 1)
        else:
            step = min(left, (1 << 24) + 65539)
            # A copy of one byte back, then S2's repeat of it.
            block += b"\x01\x01" + b"\x1d\x00" + (step - 4 - 65540).to_bytes(3, "little")
        left -= step
    crc = masked_zeros(size)
    return b"\x00" + (len(block) + 4).to_bytes(3, "little") + crc.to_bytes(4, "little") + block


_ZEROS: dict[int, int] = {}


def masked_zeros(size: int) -> int:
    """The checksum of size zeros."""
    from ansible_collections.natsops.jetstream.plugins.module_utils._archive.codec.crc32c import crc32c, masked

    if size not in _ZEROS:
        _ZEROS[size] = masked(crc32c(bytes(size)))
    return _ZEROS[size]


def data_of(stream: Path) -> Path:
    """The data file of a stream's backup."""
    found = [stream / name for name in ("stream.arc.s2", "stream.tar.s2") if os.path.lexists(stream / name)]
    return found[0] if found else stream / "stream.arc.s2"


def _small(path: Path) -> bool:
    """Whether it is a file, and no hole of a terabyte."""
    return path.is_file() and not path.is_symlink() and path.stat().st_size < _MOST


def tar_header(name: str, size: int, kind: bytes = b"0") -> bytes:
    """One header of a tar."""
    block = bytearray(512)
    block[: len(name)] = name.encode()[:100]
    block[100:108], block[124:136], block[136:148] = b"0000600\0", b"%011o\0" % (size & (8**11 - 1)), b"%011o\0" % 0
    block[156:157], block[257:265] = kind, b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def archive_bomb(rng: Rng, stream: Path, _outside: Path) -> None:
    """Archives whose cost is far above their size."""
    state = {"messages": 1, "bytes": 100, "first_seq": 1, "last_seq": 1, "consumer_count": rng.choice((1 << 63, 3000))}
    head = MAGIC + write_entry(b"state.json", 1, 0, b"", json.dumps(state).encode())
    kind = rng.randrange(8)
    if kind == 0:  # blocks of nothing
        data = S2_IDENTIFIER + encode_stored(head)[10:] + zeros(_PIECE) * rng.choice((100, 1500))
    elif kind == 1:  # consumers with large configurations
        body = b'{"config":{' + b",".join(b'"%d":{}' % n for n in range(rng.choice((10, 30_000)))) + b"}"
        body += (
            b',"state":{"delivered":{"consumer_seq":0,"stream_seq":0},"ack_floor":{"consumer_seq":0,"stream_seq":0}}}'
        )
        names = range(30 if len(body) > 10_000 else 20_000)
        data = encode_stored(head + b"".join(write_entry(b"consumers/%d" % n, 1, 0, b"", body) for n in names))
    elif kind == 2:  # members without content
        data = encode_stored(b"".join(tar_header(f"msgs/{n}.blk", 0) for n in range(rng.choice((1000, 30_000)))))
    elif kind == 3:  # one header again and again, then zeros
        data = encode_stored(tar_header("obs/a/meta.inf", 8**11 - 1)) + zeros(_PIECE) * 300
    elif kind == 4:  # extended headers
        pax = tar_header("x", 1024, b"x") + (b"30 path=" + b"a" * 21 + b"\n").ljust(1024, b"\0")
        data = encode_stored(tar_header("meta.inf", 2) + b"{}".ljust(512, b"\0") + pax * rng.choice((1, 2000)))
    elif kind == 5:  # a compressed block within the archive
        inner = b"cmp\x01" + write_uvarint(_PIECE) + S2_IDENTIFIER + zeros(_PIECE) * 500 + bytes(8)
        members = [("meta.inf", b'{"name":"S"}'), ("meta.sum", b"x"), ("msgs/1.blk", inner)]
        parts = [tar_header(name, len(body)) + body + bytes(-len(body) % 512) for name, body in members]
        data = encode_stored(b"".join(parts) + bytes(1024))
    elif kind == 6:  # a great many chunks of nothing
        data = S2_IDENTIFIER + b"\x01\x04\x00\x00\xd8\xea\x82\xa2" * 40_000
    else:  # JSON that is deep, long or odd
        body = b'{"config":' + rng.choice(RAW) + b',"state":{}}'
        data = encode_stored(head + write_entry(b"consumers/a", 1, 0, b"", body))
    path = data_of(stream)
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    path.write_bytes(data)


def raw_bytes(rng: Rng, stream: Path, _outside: Path) -> None:
    """A file as it is on the disk."""
    files = [path for path in stream.iterdir() if _small(path)]
    if files:
        path = rng.choice(files)
        path.write_bytes(rng.choice(BYTES)(rng, path.read_bytes()))


def past_the_checksum(rng: Rng, stream: Path, _outside: Path) -> None:
    """What the archive holds, under checksums that fit again."""
    path = data_of(stream)
    if _small(path):
        content = decoded(path.read_bytes())
        for _time in range(rng.choice((1, 1, 3))):
            content = rng.choice(BYTES)(rng, content)
        path.write_bytes(encode_stored(content, rng.choice((64, 4096, 1 << 20))))


def _nodes(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found.append((value, key))
        found += _nodes(item)
    return found


def json_field(rng: Rng, stream: Path, _outside: Path) -> None:
    """A field of a JSON file, under a digest that fits again."""
    account = stream.parent.parent
    files = [*stream.glob("*.json"), *account.glob("*.json")]
    path = rng.choice([one for one in files if _small(one)] or [stream / "backup.json"])
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return
    nodes = _nodes(body)
    for _time in range(rng.choice((1, 1, 2, 5))):
        if not nodes:
            break
        holder, key = rng.choice(nodes)
        if rng.random() < 0.2 and isinstance(holder, dict):
            holder.pop(key, None)
        elif rng.random() < 0.1 and isinstance(holder, dict):
            holder[rng.choice(("more", "../x", ""))] = rng.choice(ODD)
        else:
            holder[key] = rng.choice(ODD)
    if path.name == "manifest.json" and isinstance(body, dict) and rng.random() < 0.9:
        body.pop("digest", None)
        body["digest"] = hashlib.sha256(canonical(body)).hexdigest()
    text = json.dumps(body).encode()
    if rng.random() < 0.1:
        text = text.replace(b"1", rng.choice(RAW), 1)
    path.write_bytes(text)


def other_kind(rng: Rng, stream: Path, outside: Path) -> None:
    """Something else in place of a file: a link, a FIFO, a directory, a huge hole."""
    files = [path for path in (*stream.iterdir(), *stream.parent.parent.glob("*.json")) if not path.is_dir()]
    if not files:
        return
    path = rng.choice(files)
    content = path.read_bytes() if _small(path) else b""
    path.unlink()
    kind = rng.randrange(7)
    if kind == 0:
        path.symlink_to(outside / "canary")
    elif kind == 1:
        (outside / "whole").write_bytes(content)
        path.symlink_to(outside / "whole")
    elif kind == 2:
        os.mkfifo(path)
    elif kind == 3:
        path.mkdir()
    elif kind == 4:
        with path.open("wb") as file:
            file.truncate(1 << 40)
    elif kind == 5:
        os.link(outside / "canary", path)
    else:
        path.symlink_to(path.name)


def exchanged(rng: Rng, stream: Path, _outside: Path) -> None:
    """Files of two streams in each other's place, or under each other's name."""
    others = [one for one in stream.parent.iterdir() if one.is_dir() and not one.is_symlink()]
    one = rng.choice([path for path in stream.iterdir() if _small(path)] or [stream / "none"])
    two = rng.choice([path for path in rng.choice(others).iterdir() if _small(path)] or [stream / "none"])
    if _small(one) and _small(two):
        first, second = one.read_bytes(), two.read_bytes()
        one.write_bytes(second)
        two.write_bytes(first)


def in_the_account(rng: Rng, stream: Path, outside: Path) -> None:
    """Links and leftovers among the sets."""
    account = stream.parent.parent
    kind = rng.randrange(5)
    if kind == 0:
        (account / "latest").unlink(missing_ok=True)
        (account / "latest").symlink_to(rng.choice((outside, Path("latest"), Path("..", "..", "outside"))))
    elif kind == 1:
        (account / "20260101T000000Z").symlink_to(outside)
    elif kind == 2:
        (stream.parent / "LINKED").symlink_to(outside)
    elif kind == 3:
        deep = account
        for _level in range(60):
            deep = deep / "d"
        deep.mkdir(parents=True)
    else:
        (account / "20260101T000000Z.json").write_bytes(rng.choice(RAW))


def fit_again(rng: Rng, stream: Path) -> None:
    """Give the manifest the sizes and digests of what is there now, so that it vouches for it."""
    path = stream / "manifest.json"
    try:
        body = json.loads(path.read_bytes()) if _small(path) else {}
        for entry in body["files"]:
            file = stream / str(entry["name"])
            if _small(file):
                content = file.read_bytes()
                entry.update(size=len(content), sha256=hashlib.sha256(content).hexdigest())
        body.pop("digest", None)
        body["digest"] = hashlib.sha256(canonical(body)).hexdigest()
        path.write_text(json.dumps(body))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return


MUTATIONS: tuple[tuple[Mutation, int], ...] = (
    (raw_bytes, 4),
    (past_the_checksum, 6),
    (json_field, 8),
    (other_kind, 3),
    (exchanged, 2),
    (in_the_account, 1),
    (archive_bomb, 1),
)


def spoil(rng: Rng, stream: Path, outside: Path) -> list[str]:
    """Spoil a stream's backup; the names of what was done."""
    done = []
    for _time in range(rng.choice((1, 1, 1, 2, 3))):
        (mutation,) = rng.choices([one for one, _weight in MUTATIONS], [weight for _one, weight in MUTATIONS])
        # What is spoilt already may not bear another one.
        with contextlib.suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
            mutation(rng, stream, outside)
        done.append(mutation.__name__)
    if rng.random() < 0.5:
        fit_again(rng, stream)
        done.append("fit_again")
    return done
