# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counting the messages in a piece of an archive without building them, which is what a full check spends time on."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from array import array
from dataclasses import dataclass, field
from typing import Any

from ..codec.highway import Place
from ..errors import ArchiveError
from ..v1.index import BlockIndex
from ..v2.entries import read_numbers

#: Subjects are counted up to here; beyond, a check says that there are more rather than hold them all.
MOST_SUBJECTS = 100_000
MOST_SUBJECT = 65535
_MOST_CONTENT = 1 << 26
_RECORD = struct.Struct("<IQqH")
_RECORD_LEAST = _RECORD.size + 8
_MOST_RECORD = 32 * 1024 * 1024
_HAS_HEADER, _TOMBSTONE, _ERASED = 1 << 31, 1 << 62, 1 << 63
# The five numbers before an entry's content; each group but the time's is a varint of a size that can be.
_NUMBERS = re.compile(
    rb"([\x80-\xff]{0,2}[\x00-\x7f])[\x80-\xff]{0,9}[\x00-\x7f]([\x80-\xff]{0,9}[\x00-\x7f])"
    rb"([\x80-\xff]{0,3}[\x00-\x7f])([\x80-\xff]{0,3}[\x00-\x7f])"
)


@dataclass
class Tally:
    """What is in a run of messages.

    first, last: (sequence, time in ns), None without messages. size: bytes as a file store counts them. plain: bytes of
    subjects, headers and payloads. largest: (bytes of headers and payload, sequence). subjects: None for too many.
    """

    messages: int = 0
    size: int = 0
    plain: int = 0
    first: tuple[int, int] | None = None
    last: tuple[int, int] | None = None
    largest: tuple[int, int] = (0, 0)
    subjects: set[bytes] | None = field(default_factory=set)

    def add(self, other: Tally) -> None:
        """Take in the tally of what follows. Its subjects must be hashed, as L(to_json) does, or from one process."""
        self.messages += other.messages
        self.size += other.size
        self.plain += other.plain
        self.first = self.first or other.first
        self.last = other.last or self.last
        if other.largest[0] > self.largest[0]:
            self.largest = other.largest
        if self.subjects is not None:
            if other.subjects is None:
                self.subjects = None
            else:
                self.subjects |= other.subjects
                self._cap()

    def hashed(self) -> Tally:
        """The same with each subject as a hash of 8 bytes, which is little to hold and to hand over."""
        if self.subjects is not None:
            self.subjects = {hashlib.blake2b(subject, digest_size=8).digest() for subject in self.subjects}
        return self

    def _cap(self) -> None:
        if self.subjects is not None and len(self.subjects) > MOST_SUBJECTS:
            self.subjects = None

    def to_json(self) -> dict[str, Any]:
        """For another process; hashed first."""
        subjects = None if self.subjects is None else base64.b64encode(b"".join(sorted(self.subjects))).decode()
        return {**vars(self), "subjects": subjects}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Tally:
        packed = content["subjects"]
        subjects = None
        if packed is not None:
            numbers = array("Q", base64.b64decode(packed))
            subjects = {number.to_bytes(8, _ORDER) for number in numbers}
        pairs = {key: tuple(content[key]) if content[key] else None for key in ("first", "last")}
        return cls(**{**content, **pairs, "largest": tuple(content["largest"]), "subjects": subjects})


_ORDER: Any = "little" if array("H", b"\1\0")[0] == 1 else "big"


def _number(text: bytes) -> int:
    value = shift = 0
    for byte in text:
        value |= (byte & 0x7F) << shift
        shift += 7
    return value


class _Numbers(dict[bytes, int]):
    """Varints of up to two bytes, by how they are written."""

    def __missing__(self, text: bytes) -> int:
        value = _number(text)
        if len(text) <= 2:
            self[text] = value
        return value


_KNOWN = _Numbers()


def scan_entries(data: bytes, pos: int, least: int, most: int, tally: Tally) -> tuple[int, bool]:
    """Count the V2 messages in data from pos on: (position after the last whole one, is that the end marker's end).

    least, most: bounds of the sequences. Raises ArchiveError v2_entry_invalid, v2_sequence with the position as place.
    """
    match, known = _NUMBERS.match, _KNOWN
    end, count, size_all, plain = len(data), 0, 0, 0
    subjects = tally.subjects
    begin = pos
    last_pos = -1
    largest, largest_at = tally.largest
    try:
        while pos < end:
            found = match(data, pos)
            if found is None:
                _explain(data, pos)
                break
            name_text, sequence_text, header_text, payload_text = found.groups()
            sequence = 0
            shift = 0
            for byte in sequence_text:
                sequence |= (byte & 0x7F) << shift
                shift += 7
            name_size, header, content = known[name_text], known[header_text], known[payload_text]
            start = found.end()
            content += header
            if name_size > MOST_SUBJECT or content > _MOST_CONTENT:
                raise ArchiveError("v2_entry_invalid", "an entry announces more than a message can hold", str(pos))
            stop = start + name_size + content
            if stop > end:
                break
            if not least <= sequence <= most:
                if not sequence and start - pos == 5 and stop == start and data[pos:start] == bytes(5):
                    return start, True
                message = f"message {sequence} is where one from {least} to {most} should be"
                raise ArchiveError("v2_sequence", message, str(pos))
            least = sequence + 1
            if subjects is not None:
                subjects.add(data[start : start + name_size])
            size_all += name_size + content + (34 if header else 30)
            plain += name_size + content
            if content > largest:
                largest, largest_at = content, sequence
            if last_pos < 0:
                begin = pos
            last_pos = pos
            count += 1
            pos = stop
        return pos, False
    finally:
        if count:
            tally.add(
                Tally(count, size_all, plain, _at(data, begin), _at(data, last_pos), (largest, largest_at), set())
            )


def _at(data: bytes, pos: int) -> tuple[int, int]:
    _name, time_ns, sequence, _header, _payload, _pos = read_numbers(data, pos)
    return sequence, time_ns


def _explain(data: bytes, pos: int) -> None:
    """Raise for numbers that cannot be; return for those that are only cut off."""
    try:
        read_numbers(data, pos)
    except IndexError:
        return
    except ValueError as error:
        raise ArchiveError("v2_entry_invalid", f"an entry announces {error}", str(pos)) from None
    raise ArchiveError("v2_entry_invalid", "an entry announces more than a message can hold", str(pos))


def _ignore(_place: Place) -> None:
    pass


def scan_records(
    data: bytes,
    least: int,
    index: BlockIndex | None,
    tally: Tally,
    first_seq: int = 0,
    places: list[Place] | None = None,
) -> tuple[int, int]:
    """Count the messages of a whole V1 message block: (highest sequence stored in it, marks of deleted messages).

    least: the lowest sequence it may begin with. index: what the stream's index says of the block; without it, all
    count that are not erased. places: gets where each message is. Raises ArchiveError v1_record_invalid, v1_sequence
    with the position as place.
    """
    unpack, pos, end = _RECORD.unpack_from, 0, len(data)
    last, marks, subjects = least - 1, 0, tally.subjects
    note = places.append if places is not None else _ignore
    count = size_all = plain = 0
    first_at = last_at = None
    largest, largest_at = tally.largest
    while pos < end:
        if end - pos < _RECORD_LEAST:
            raise ArchiveError("v1_record_invalid", f"the block ends {end - pos} bytes into a record", str(pos))
        length, sequence, time_ns, subject_size = unpack(data, pos)
        with_header = length & _HAS_HEADER
        length &= ~_HAS_HEADER
        stop = pos + length
        content = length - _RECORD_LEAST - subject_size - (4 if with_header else 0)
        if content < 0 or length > _MOST_RECORD or stop > end:
            raise ArchiveError("v1_record_invalid", f"a record of {length} bytes", str(pos))
        if sequence >= _TOMBSTONE:
            marks += 1 if sequence & _TOMBSTONE else 0
        elif index is not None and (sequence < first_seq or not index.holds(sequence)):
            pass
        elif sequence <= last:
            if sequence:
                raise ArchiveError("v1_sequence", f"message {sequence} comes after {last}", str(pos))
        else:
            if with_header:
                start = pos + _RECORD.size + subject_size
                if int.from_bytes(data[start : start + 4], "little") > content:
                    raise ArchiveError("v1_record_invalid", "headers longer than their record", str(pos))
            note(Place(sequence, pos, length, subject_size, bool(with_header)))
            last = sequence
            last_at = sequence, time_ns
            first_at = first_at or last_at
            if subjects is not None:
                subjects.add(data[pos + _RECORD.size : pos + _RECORD.size + subject_size])
            if content > largest:
                largest, largest_at = content, sequence
            count += 1
            size_all += length
            plain += content + subject_size
        pos = stop
    tally.add(Tally(count, size_all, plain, first_at, last_at, (largest, largest_at), set()))
    return last, marks
