# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""msgs/index.db of a V1 archive, whole: which sequences of each message block are still there."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Callable

from ..bounds import MOST_MEMBERS, MOST_SUBJECTS
from ..codec.varint import read_uvarint, read_varint
from .state import decode_index

_SET_MAGIC = 22
_SET_HEAD = struct.Struct("<BBII")
# Version 1 of the encoded sets has 64 words a node, version 2 has 32.
_WORDS = {1: 64, 2: 32}
# The last record's hash, with its block's number before it, then the file's own.
_LAST_HASH = _CLOSING_HASH = 8
_HEAD_NUMBERS = 6


@dataclass(frozen=True)
class BlockIndex:
    """A message block as the index has it. deleted: first sequence of a run of bits → bits, one a deleted sequence."""

    first: int
    last: int
    deleted: dict[int, int] = field(default_factory=dict)
    span: int = 2048

    def holds(self, sequence: int) -> bool:
        """Is this message there, and not deleted?"""
        if not self.first <= sequence <= self.last:
            return False
        if not self.deleted:
            return True
        base = sequence - sequence % self.span
        return not self.deleted.get(base, 0) >> (sequence - base) & 1


@dataclass(frozen=True)
class StreamIndex:
    """first_seq: of the stream. subjects: how many are in it. blocks: by the number in their file's name."""

    first_seq: int
    last_seq: int
    subjects: int
    blocks: dict[int, BlockIndex]

    def holds(self, block: int, sequence: int) -> bool:
        """Is this message of this block part of the stream?"""
        found = self.blocks.get(block)
        return found is not None and sequence >= self.first_seq and found.holds(sequence)

    def task(self, block: int) -> dict[str, Any]:
        """A block's index as JSON can carry it; one that holds nothing for a block that was removed meanwhile."""
        found = self.blocks.get(block, BlockIndex(1, 0))
        deleted = {str(base): f"{bits:x}" for base, bits in found.deleted.items()}
        return {"first": found.first, "last": found.last, "deleted": deleted, "span": found.span}


def decode_blocks(data: bytes) -> StreamIndex:
    """The content of msgs/index.db, versions 1 to 4. Raises ValueError for anything else."""
    state = decode_index(data)
    version, pos = data[1], 2
    end = len(data) - _CLOSING_HASH
    try:
        for number in range(_HEAD_NUMBERS):
            # The two times are signed, which takes as many bytes.
            pos = (read_varint if number in (3, 5) else read_uvarint)(data, pos)[1]
        subjects, pos = _skip_subjects(data, pos, version, end)
        blocks, pos = _blocks(data, pos, version, end)
        pos = read_uvarint(data, pos)[1] + _LAST_HASH
    except (IndexError, struct.error):
        raise ValueError("the index is cut off") from None
    if pos != end:
        raise ValueError("the index does not end where it should")
    return StreamIndex(state["first_seq"], state["last_seq"], subjects, blocks)


def _counted(data: bytes, pos: int, end: int, most: int = 1 << 32) -> tuple[int, int]:
    count, pos = read_uvarint(data, pos)
    if count > min(end - pos, most):
        raise ValueError("the index announces more entries than it has bytes, or than are read")
    return count, pos


def _skip_subjects(data: bytes, pos: int, version: int, end: int) -> tuple[int, int]:
    count, pos = _counted(data, pos, end, MOST_SUBJECTS)
    for _subject in range(count):
        size, pos = _counted(data, pos, end)
        if not size:
            continue
        total, pos = read_uvarint(data, pos + size)
        for _number in range(2 if total > 1 or version >= 4 else 1):
            pos = read_uvarint(data, pos)[1]
    return count, pos


def _blocks(data: bytes, pos: int, version: int, end: int) -> tuple[dict[int, BlockIndex], int]:
    count, pos = _counted(data, pos, end, MOST_MEMBERS)
    blocks: dict[int, BlockIndex] = {}
    unsigned: Callable[[bytes, int], tuple[int, int]] = read_uvarint
    for _block in range(count):
        number, pos = unsigned(data, pos)
        _size, pos = unsigned(data, pos)
        first, pos = unsigned(data, pos)
        _time, pos = read_varint(data, pos)
        last, pos = unsigned(data, pos)
        _time, pos = read_varint(data, pos)
        deleted, pos = unsigned(data, pos)
        for _number in range(min(version, 3) - 1):
            pos = unsigned(data, pos)[1]
        nodes: dict[int, int] = {}
        span = 2048
        if deleted:
            nodes, span, pos = _sequence_set(data, pos, end)
        blocks[number] = BlockIndex(first, last, nodes, span)
    return blocks, pos


def _sequence_set(data: bytes, pos: int, end: int) -> tuple[dict[int, int], int, int]:
    magic, version, count, _size = _SET_HEAD.unpack_from(data, pos)
    words = _WORDS.get(version)
    if magic != _SET_MAGIC or words is None:
        raise ValueError("a set of deleted messages of an unknown version")
    pos += _SET_HEAD.size
    node = 8 + words * 8 + 2
    if count * node > end - pos:
        raise ValueError("a set of deleted messages is cut off")
    nodes = {}
    for start in range(pos, pos + count * node, node):
        base = int.from_bytes(data[start : start + 8], "little")
        nodes[base] = int.from_bytes(data[start + 8 : start + 8 + words * 8], "little")
    return nodes, words * 64, pos + count * node
