# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The V2 archive: a magic word, then entries. What they mean together is known to natswalk.py."""

from __future__ import annotations

from typing import NamedTuple, Union

from ..codec.varint import read_uvarint, read_varint, write_uvarint, write_varint
from ..errors import ArchiveError

Buffer = Union[bytes, bytearray, memoryview]

MAGIC = b"NATSARC1"
#: Limits on what an entry may announce. Servers read names up to 1 MiB and store messages up to 32 MiB.
MAX_NAME = 1 << 20
MAX_CONTENT = 1 << 26
_CONTINUED = 0x80


class Entry(NamedTuple):
    """One entry. header and payload are None where the parser was told to skip them."""

    name: bytes
    time_ns: int
    sequence: int
    header_size: int
    payload_size: int
    header: bytes | None
    payload: bytes | None
    offset: int

    @property
    def is_end(self) -> bool:
        """The end marker: all fields are zero."""
        return not (self.name or self.time_ns or self.sequence or self.header_size or self.payload_size)

    @property
    def place(self) -> str:
        return f"decoded byte {self.offset}"


def read_numbers(data: Buffer, pos: int) -> tuple[int, int, int, int, int, int]:
    """(name length, time, sequence, header size, payload size, position after) of the entry at pos.

    Raises IndexError where data ends within them, ValueError for numbers that cannot be.
    """
    # Most of them are one byte long, and calls are what costs time here.
    name = data[pos]
    pos += 1
    if name >= _CONTINUED:
        name, pos = read_uvarint(data, pos - 1)
    time_ns, pos = read_varint(data, pos)
    sequence, pos = read_uvarint(data, pos)
    header = data[pos]
    pos += 1
    if header >= _CONTINUED:
        header, pos = read_uvarint(data, pos - 1)
    payload, pos = read_uvarint(data, pos)
    if name > MAX_NAME:
        raise ValueError(f"a name of {name} bytes")
    if header + payload > MAX_CONTENT:
        raise ValueError(f"a message of {header + payload} bytes")
    return name, time_ns, sequence, header, payload, pos


def write_entry(name: bytes, time_ns: int, sequence: int, header: bytes, payload: bytes) -> bytes:
    """The bytes of one entry. All arguments empty or zero give the end marker."""
    return b"".join(
        (
            write_uvarint(len(name)),
            write_varint(time_ns),
            write_uvarint(sequence),
            write_uvarint(len(header)),
            write_uvarint(len(payload)),
            name,
            header,
            payload,
        )
    )


class EntryParser:
    """Takes decoded bytes in pieces of any size and gives the entries in them.

    It holds what is left of the last piece and one entry's collected bytes at most. headers, payloads: collect these of
    messages (entries with a sequence). keep: the most bytes of another entry's payload to collect; the rest is skipped.
    """

    def __init__(self, headers: bool = True, payloads: bool = True, keep: int = MAX_CONTENT) -> None:
        self.offset = 0
        self.ended = False
        self._headers = headers
        self._payloads = payloads
        self._keep = keep
        self._pieces: list[bytes] = []
        self._have = 0
        self._need = len(MAGIC)
        self._skip = 0
        self._started = False

    def feed(self, data: Buffer) -> list[Entry]:
        """The entries that data completes, the end marker included.

        Raises ArchiveError: not_an_archive, v2_entry_invalid, trailing_data (after the end marker).
        """
        if self._skip:
            taken = min(self._skip, len(data))
            self._skip -= taken
            self.offset += taken
            data = memoryview(data)[taken:]
        if not data:
            return []
        self._pieces.append(bytes(data))
        self._have += len(data)
        if self._have < self._need:
            return []
        joined = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        entries: list[Entry] = []
        pos = 0
        if not self._started:
            if joined[: len(MAGIC)] != MAGIC:
                raise ArchiveError("not_an_archive", "the archive does not begin with NATSARC1", "decoded byte 0")
            self._started, pos = True, len(MAGIC)
        pos = self._parse(joined, pos, entries)
        rest = joined[pos:]
        self._pieces, self._have = [rest] if rest else [], len(rest)
        self.offset += pos
        return entries

    def finish(self) -> None:
        """Raise ArchiveError v2_end_missing where the end marker has not been seen."""
        if not self.ended:
            where = self.offset + self._have
            raise ArchiveError("v2_end_missing", "the archive ends without its end marker", f"decoded byte {where}")

    def _parse(self, data: bytes, pos: int, entries: list[Entry]) -> int:
        """Append the entries in data from pos on; the position after the last."""
        end = len(data)
        self._need = 0
        while pos < end:
            if self.ended:
                raise self._invalid(pos, "there is data after the end marker", "trailing_data")
            try:
                name_size, time_ns, sequence, header_size, payload_size, start = read_numbers(data, pos)
            except IndexError:
                break
            except ValueError as error:
                raise self._invalid(pos, f"an entry announces {error}") from None
            with_header = self._headers or not sequence
            kept = payload_size if self._payloads and sequence else min(payload_size, 0 if sequence else self._keep)
            name_end = start + name_size
            header_end = name_end + header_size
            collect_end = header_end + kept if with_header or kept else name_end
            if collect_end > end:
                self._need = collect_end - pos
                break
            entry = Entry(
                data[start:name_end],
                time_ns,
                sequence,
                header_size,
                payload_size,
                data[name_end:header_end] if with_header else None,
                data[header_end : header_end + kept] if kept or not payload_size else None,
                self.offset + pos,
            )
            entries.append(entry)
            if entry.is_end:
                self.ended = True
            pos = header_end + payload_size
        if pos > end:
            self._skip, pos = pos - end, end
        return pos

    def _invalid(self, pos: int, message: str, error: str = "v2_entry_invalid") -> ArchiveError:
        return ArchiveError(error, message, f"decoded byte {self.offset + pos}")
