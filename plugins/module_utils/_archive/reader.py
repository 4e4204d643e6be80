# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Any archive, whoever wrote it, through one interface: state, consumers, and every message in order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Callable, Union

from .._files.reading import DATA, open_file
from .bounds import MOST_CONFIG, MOST_TOMBSTONES, Allowance, Metadata, allowance, too_large
from .codec.s2 import Frame, FrameParser, decode_frame
from .errors import ArchiveError
from .v1.block import BlockParser, live
from .v1.index import StreamIndex, decode_blocks
from .v1.state import decode_consumer_positions, decode_index, decode_json
from .v1.tarball import TarWalker
from .v2.entries import MAGIC
from .v2.walk import Message, read_entries, subject_text, walk

Path = Union[str, os.PathLike[str]]
Stop = Union[Callable[[], bool], None]

_READ = 256 * 1024
_MOST_META = 32 * 1024 * 1024
# What a byte of a consumer's positions becomes, at most, where each message has an object of its own.
_POSITION_COST = 120
_BLOCK = "msgs/", ".blk"
_INDEX = "msgs/index.db"


@dataclass(frozen=True)
class Consumer:
    """A consumer with all that the archive knows.

    config: as in the JetStream API. state: "delivered" and "ack_floor" with {"consumer_seq", "stream_seq"} each; where
    there are any, "pending" {stream sequence: {"Sequence", "Timestamp"}} and "redelivered" {stream sequence: times}.
    """

    name: str
    config: dict[str, Any]
    state: dict[str, Any]


@dataclass(frozen=True)
class Archive:
    """An opened archive; nothing is held but its head. Its messages can be read any number of times.

    format: "V1" or "V2". state: with the names of the JetStream API, empty if the archive has none that can be read.
    config: of the stream, V1 only. index: V1 only, None if it cannot be read; then tombstones are the deleted messages.
    known: the bytes that the stream has, for what may be decoded.
    """

    path: Path
    format: str
    state: dict[str, Any]
    consumers: tuple[Consumer, ...]
    config: dict[str, Any] | None = None
    index: StreamIndex | None = None
    tombstones: frozenset[int] = frozenset()
    known: int = 0

    def messages(self, payloads: bool = True, stop: Stop = None) -> Iterator[Message]:
        """Every message by rising sequence. stop is asked now and then; True ends the walk early.

        payload is None where not asked for (V2 only; V1 has it in hand). Raises ArchiveError for damage, OSError.
        """
        if self.format == "V2":
            return walk(self.path, payloads=payloads, stop=stop, allowed=allowance(self.path, self.known))
        return _v1_messages(self, stop)


def frames_of(path: Path, stop: Stop = None, allowed: Allowance | None = None) -> Iterator[Frame]:
    """The frames of an S2 file. Raises ArchiveError, where it is cut off too, but not if stop ended it."""
    parser = FrameParser()
    with open_file(path, DATA) as file:
        while data := file.read(_READ):
            if stop is not None and stop():
                return
            for frame in parser.feed(data):
                if allowed is not None:
                    allowed.take(frame.raw_length, frame.place)
                yield frame
    parser.finish()


def open_archive(path: Path, stop: Stop = None, known: int = 0) -> Archive:
    """Read an archive's head. known: the bytes that the stream has, as its state says.

    Raises ArchiveError for damage in what it reads, OSError.
    """
    head = b""
    for frame in frames_of(path, stop):
        head += decode_frame(frame)
        if len(head) >= len(MAGIC):
            break
    return _open_v2(path, known) if head.startswith(MAGIC) else _open_v1(path, stop, known)


def _open_v2(path: Path, known: int) -> Archive:
    consumers: list[Consumer] = []
    state: dict[str, Any] = {}
    for entry, order in read_entries(path, payloads=False, allowed=allowance(path, known)):
        state = order.state or state
        if entry.sequence or entry.is_end:
            for one, content in zip(order.consumers, order.contents):
                if (one.state or {}).get("num_ack_pending") is None:
                    raise too_large(f"the state of the consumer {one.name[:200]!r} is too long", entry.place)
                consumers.append(Consumer(one.name, content["config"], content["state"]))
            break
    return Archive(path, "V2", state, tuple(consumers), known=known)


def _open_v1(path: Path, stop: Stop, known: int) -> Archive:
    found: dict[str, bytes] = {}
    held = Allowance(_MOST_META)

    def wants(name: str, size: int) -> int:
        wanted = name in ("meta.inf", _INDEX) or (name.startswith("obs/") and name.endswith(("/meta.inf", "/o.dat")))
        if wanted and name != _INDEX:
            held.take(size + len(name), f"member {name[:200]}")
        return min(size, _MOST_META) if wanted else 0

    walker = TarWalker(wants)
    for frame in frames_of(path, stop, allowance(path, known)):
        for member in walker.feed(frame.raw_length, lambda frame=frame: decode_frame(frame)):  # type: ignore[misc]
            if wants(member.name, member.size):
                found[member.name] = member.head
    walker.finish()
    index: StreamIndex | None = None
    state: dict[str, Any] = {}
    try:
        index, state = decode_blocks(found.get(_INDEX, b"")), decode_index(found[_INDEX])
    except (KeyError, ValueError):
        tombstones = _tombstones(path, stop, known)
    else:
        tombstones = frozenset()
    try:
        config = decode_json(found["meta.inf"], MOST_CONFIG) if "meta.inf" in found else None
    except ValueError as error:
        raise ArchiveError("meta_invalid", f"the stream's configuration cannot be read: {error}", "meta.inf") from None
    consumers = tuple(_v1_consumers(found))
    state = {**state, "consumer_count": len(consumers)}
    return Archive(path, "V1", state, consumers, config, index, tombstones, known)


def _v1_consumers(found: dict[str, bytes]) -> Iterator[Consumer]:
    metadata = Metadata()
    for member, content in found.items():
        if not member.startswith("obs/") or not member.endswith("/meta.inf"):
            continue
        name = member.split("/")[1]
        try:
            config = metadata.object(content, member)
            positions = found.get(f"obs/{name}/o.dat", b"")
            metadata.take(len(positions) * _POSITION_COST, member)
            state = decode_consumer_positions(positions)
        except ValueError as error:
            raise ArchiveError("consumer_invalid", f"the consumer {name!r} cannot be read: {error}", member) from None
        yield Consumer(name, {key: value for key, value in config.items() if key not in ("Created", "Name")}, state)


def block_number(name: str) -> int | None:
    """The number of a message block by its member's name, None for any other member."""
    number = name[len(_BLOCK[0]) : -len(_BLOCK[1])]
    fits = name.startswith(_BLOCK[0]) and name.endswith(_BLOCK[1]) and number.isascii() and number.isdigit()
    return int(number) if fits and len(number) < 11 else None


def block_pieces(path: Path, stop: Stop = None, allowed: Allowance | None = None) -> Iterator[tuple[str, memoryview]]:
    """The content of all message blocks of a V1 file in order, as (member, piece). Raises ArchiveError, OSError."""
    pieces: list[tuple[str, memoryview]] = []
    walker = TarWalker(lambda _name, _size: 0, lambda name, piece: pieces.append((name, piece)))
    for frame in frames_of(path, stop, allowed):
        walker.feed(frame.raw_length, lambda frame=frame: decode_frame(frame))  # type: ignore[misc]
        yield from (pair for pair in pieces if block_number(pair[0]) is not None)
        pieces.clear()
    if stop is None or not stop():
        walker.finish()


def files_size(path: Path) -> int:
    """The size of all files in a V1 file, in bytes. Raises ArchiveError, OSError."""
    walker, size = TarWalker(lambda _name, _size: 0), 0
    for frame in frames_of(path):
        members = walker.feed(frame.raw_length, lambda frame=frame: decode_frame(frame))  # type: ignore[misc]
        size += sum(member.size for member in members)
    return size


def _parsed(path: Path, stop: Stop, known: int) -> Iterator[tuple[BlockParser, Iterator[Any]]]:
    parser: BlockParser | None = None
    allowed = allowance(path, known)
    expanded = Allowance(allowed.most)
    for name, piece in block_pieces(path, stop, allowed):
        if parser is None or parser.name != name:
            if parser is not None:
                yield parser, parser.finish()
            parser = BlockParser(name, expanded)
        yield parser, parser.feed(piece)
    if parser is not None and (stop is None or not stop()):
        yield parser, parser.finish()


def _tombstones(path: Path, stop: Stop, known: int) -> frozenset[int]:
    found: set[int] = set()
    for parser, records in _parsed(path, stop, known):
        for _record in records:
            pass
        found.update(parser.tombstones)
        parser.tombstones.clear()
        if len(found) > MOST_TOMBSTONES:
            raise too_large(f"it marks more than {MOST_TOMBSTONES} deleted messages, and has no index", parser.name)
    return frozenset(found)


def _v1_messages(archive: Archive, stop: Stop) -> Iterator[Message]:
    last = 0
    for parser, records in _parsed(archive.path, stop, archive.known):
        block = block_number(parser.name) or 0
        for record in records:
            if not live(record, block, archive.index, archive.tombstones):
                continue
            sequence, time_ns, subject, header, payload, _size = record
            if sequence <= last:
                place = f"member {parser.name}"
                raise ArchiveError("v1_sequence", f"message {sequence} comes after {last}", place)
            last = sequence
            yield Message(sequence, time_ns, subject_text(subject), header, len(payload), payload)
        parser.tombstones.clear()
