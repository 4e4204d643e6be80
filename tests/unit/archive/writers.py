# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writers for tests: blocks with every kind of S2 tag, V2 archives and V1 tars with any content."""

from __future__ import annotations

import io
import json
import random
import tarfile

from ansible_collections.natsops.jetstream.plugins.module_utils._archive.codec import crc32c, s2, varint
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.v2 import entries as natsarc

TIME = 1_795_000_000_123_456_789


def literal(data, rng):
    """data as literals, each in a randomly chosen form of the length."""
    out = bytearray()
    while data:
        part = data[: rng.choice((1, 7, 60, 61, 256, 300, 70_000))]
        data = data[len(part) :]
        size = len(part) - 1
        least = 0 if size < 60 else 1 if size < 1 << 8 else 2 if size < 1 << 16 else 3
        form = rng.randint(least, 4)
        if form == 0:
            out.append(size << 2)
        else:
            out.append((59 + form) << 2)
            out += size.to_bytes(form, "little")
        out += part
    return bytes(out)


def repeat(length):
    """A repeat of the last offset over length bytes."""
    for form, base, limit in ((1, 8, 1 << 8), (2, 260, 1 << 16), (3, 65540, 1 << 24)):
        if 4 <= length <= 8:
            return bytes(((length - 4) << 2 | 1, 0))
        if base <= length < base + limit:
            return bytes(((4 + form) << 2 | 1, 0)) + (length - base).to_bytes(form, "little")
    raise ValueError(length)


def copy(offset, length, last, rng):
    """One tag for a copy of up to length bytes, and the bytes it covers."""
    if offset == last and length >= 4 and rng.random() < 0.7:
        return repeat(length), length
    forms = ["far"] if offset < 1 << 16 else []
    forms += ["farthest"]
    forms += ["near"] * 3 if offset < 1 << 11 and length >= 4 else []
    form = rng.choice(forms)
    if form == "near":
        size = min(length, rng.randint(4, 11))
        return bytes((offset >> 8 << 5 | (size - 4) << 2 | 1, offset & 0xFF)), size
    size = min(length, rng.randint(1, 64))
    kind, width = (2, 2) if form == "far" else (3, 4)
    return bytes(((size - 1) << 2 | kind,)) + offset.to_bytes(width, "little"), size


def compress(data, seed=0):
    """A valid S2 block of data, with every kind of tag, chosen at random."""
    rng = random.Random(seed)
    out = bytearray(varint.write_uvarint(len(data)))
    seen: dict[bytes, int] = {}
    start = pos = last = 0
    while pos < len(data):
        key = data[pos : pos + 4]
        before = seen.get(key)
        if len(key) == 4:
            seen[key] = pos
        if before is None:
            pos += 1
            continue
        out += literal(data[start:pos], rng)
        length = 4
        while pos + length < len(data) and data[before + length] == data[pos + length] and length < 1 << 20:
            length += 1
        while length:
            tag, size = copy(pos - before, length, last, rng)
            last = pos - before
            out += tag
            length -= size
            pos += size
            before += size
        start = pos
    out += literal(data[start:], rng)
    return bytes(out)


def compressed_frame(data, seed=0):
    content = crc32c.masked(crc32c.crc32c(data)).to_bytes(4, "little") + compress(data, seed)
    return b"\x00" + len(content).to_bytes(3, "little") + content


def compressed_stream(data, block=1 << 16):
    return s2.S2_IDENTIFIER + b"".join(compressed_frame(data[pos : pos + block]) for pos in range(0, len(data), block))


def consumer_entry(name, **changes):
    pair = {"consumer_seq": 0, "stream_seq": 0}
    content = {"config": {"name": name, "ack_policy": "explicit"}, "state": {"delivered": pair, "ack_floor": pair}}
    return natsarc.write_entry(b"consumers/" + name.encode(), TIME, 0, b"", json.dumps({**content, **changes}).encode())


def v2_state(stored, consumers=0, **changes):
    sequences = [message[0] for message in stored]
    state = {
        "messages": len(stored),
        "bytes": 1,
        "first_seq": sequences[0] if sequences else 0,
        "first_ts": "0001-01-01T00:00:00Z",
        "last_seq": sequences[-1] if sequences else 0,
        "last_ts": "0001-01-01T00:00:00Z",
        "consumer_count": consumers,
    }
    return {**state, **changes}


def v2_raw(messages=(), consumers=(), state=None, end=True):
    """The decoded bytes of a V2 archive. messages: (sequence, subject, header, payload)."""
    state = state or v2_state(messages, len(consumers))
    return b"".join(
        (
            natsarc.MAGIC,
            natsarc.write_entry(b"state.json", TIME, 0, b"", json.dumps(state).encode()),
            *(consumer_entry(name) for name in consumers),
            *(
                natsarc.write_entry(subject.encode(), TIME + sequence, sequence, header, payload)
                for sequence, subject, header, payload in messages
            ),
            natsarc.write_entry(b"", 0, 0, b"", b"") if end else b"",
        )
    )


def v1_index(messages=2, size=80, first=1, last=2, version=3):
    numbers = (messages, size, first, TIME, last, TIME + 1)
    signed = (False, False, False, True, False, True)
    encoded = (
        varint.write_varint(number) if sign else varint.write_uvarint(number)
        for number, sign in zip(numbers, signed, strict=True)
    )
    return bytes((11, version)) + b"".join(encoded) + bytes(24)


def v1_members(name="ORDERS", consumers=("c1",), blocks=1):
    """The members of a V1 archive as a server orders them: a list of (name, content)."""
    members = [
        ("meta.inf", json.dumps({"Created": "2026-01-01T00:00:00Z", "name": name, "subjects": ["o.>"]}).encode())
    ]
    members += [("meta.sum", b"0" * 16)]
    record = (
        (60).to_bytes(4, "little") + (1).to_bytes(8, "little") + TIME.to_bytes(8, "little") + b"\x03\x00o.1" + bytes(35)
    )
    members += [(f"msgs/{number}.blk", record * 30) for number in range(1, blocks + 1)]
    members += [("msgs/index.db", v1_index())]
    for consumer in consumers:
        members += [(f"obs/{consumer}/meta.inf", json.dumps({"Name": consumer, "name": consumer}).encode())]
        members += [
            (f"obs/{consumer}/meta.sum", b"0" * 16),
            (f"obs/{consumer}/o.dat", bytes((22, 2, 1, 1, 2, 2, 0, 0))),
        ]
    return members


def v1_raw(members, kind=tarfile.REGTYPE, mtime=TIME / 1e9):
    """The decoded bytes of a V1 archive with these members, closed by two zero blocks as Go's writer does."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.type = len(content), mtime, kind
            tar.addfile(info, io.BytesIO(content))
        size = tar.offset
    return file.getvalue()[:size] + bytes(1024)
