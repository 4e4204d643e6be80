# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tar of a V1 archive, walked block by block: only blocks with headers or wanted content are decoded."""

from __future__ import annotations

from typing import Callable, NamedTuple

from ..bounds import MOST_MEMBERS, too_large
from ..errors import ArchiveError

_BLOCK = 512
_ZERO = bytes(_BLOCK)
_CHECKSUM = slice(148, 156)
_MOST_PAX = 64 * 1024
_REGULAR = b"0\x00"
_HEADER, _PAX, _CONTENT, _END, _PADDING = range(5)


class Member(NamedTuple):
    """A file in the tar. head: as many of its first bytes as were wanted. mtime_ns: nanoseconds since 1970.

    offset: of its first byte in the tar.
    """

    name: str
    size: int
    mtime_ns: int
    head: bytes
    offset: int = 0


class TarWalker:
    """Takes the decoded blocks of a tar in order, and gives its members once their wanted head is in.

    wants: asked (name, size) for each member, how many bytes of its content are wanted. It may raise ArchiveError.
    sink: given (name, piece) for the content beyond that, in order; without one, blocks with nothing else are skipped.
    """

    def __init__(self, wants: Callable[[str, int], int], sink: Callable[[str, memoryview], None] | None = None) -> None:
        self.offset = 0
        self._wants = wants
        self._sink = sink
        self._content = 0
        self._phase = _HEADER
        self._got = bytearray()
        self._need = _BLOCK
        self._skip = 0
        self._pax: dict[str, str] = {}
        self._member = Member("", 0, 0, b"")
        self._first = True
        self._headers = 0

    def feed(self, raw_length: int, decode: Callable[[], bytes]) -> list[Member]:
        """The members that the next block completes; decode is called only where the block is needed.

        Raises ArchiveError: not_an_archive (the very first header is none), tar_header_invalid, tar_member_unsafe,
        trailing_data, and what wants or decode raise.
        """
        if self._skip >= raw_length and (self._sink is None or not self._content):
            self._skip -= raw_length
            self.offset += raw_length
            return []
        data = decode()
        members: list[Member] = []
        pos, end = self._pass_over(data, 0), len(data)
        while pos < end:
            if self._phase == _PADDING:
                if data.count(0, pos) != end - pos:
                    raise ArchiveError("trailing_data", "there is data after the end of the tar", self._place)
                self.offset += end - pos
                break
            taken = min(self._need - len(self._got), end - pos)
            self._got += data[pos : pos + taken]
            pos += taken
            self.offset += taken
            if len(self._got) == self._need:
                self._step(members)
                pos = self._pass_over(data, pos)
        return members

    def _pass_over(self, data: bytes, pos: int) -> int:
        """The position after what is left of a member's content and padding in data; the content goes to the sink."""
        moved = min(self._skip, len(data) - pos)
        taken = min(self._content, moved)
        if taken and self._sink is not None:
            self._sink(self._member.name, memoryview(data)[pos : pos + taken])
        self._content -= taken
        self._skip -= moved
        self.offset += moved
        return pos + moved

    def finish(self) -> None:
        """Raise ArchiveError tar_end_missing where the tar's two closing blocks have not been seen."""
        if self._phase == _PADDING:
            return
        if self._skip or self._phase == _CONTENT:
            raise ArchiveError("tar_end_missing", f"the tar ends within {self._member.name[:200]!r}", self._place)
        raise ArchiveError("tar_end_missing", "the tar ends without the two blocks that close it", self._place)

    @property
    def _place(self) -> str:
        return f"decoded byte {self.offset}"

    def _step(self, members: list[Member]) -> None:
        got, self._got = bytes(self._got), bytearray()
        if self._phase == _HEADER:
            self._header(got, members)
        elif self._phase == _PAX:
            self._pax = _pax_records(got, self._place)
            self._expect(_HEADER, _BLOCK)
        elif self._phase == _CONTENT:
            self._emit(got, members)
        elif got != _ZERO:
            raise ArchiveError("tar_header_invalid", "one zero block where two close a tar", self._place)
        else:
            self._phase = _PADDING

    def _expect(self, phase: int, need: int) -> None:
        self._phase, self._need = phase, need

    def _emit(self, head: bytes, members: list[Member]) -> None:
        members.append(self._member._replace(head=head))
        size = self._member.size
        self._content = size - len(head)
        self._skip = size + -size % _BLOCK - len(head)
        self._expect(_HEADER, _BLOCK)

    def _header(self, block: bytes, members: list[Member]) -> None:
        if block == _ZERO and not self._first:
            self._expect(_END, _BLOCK)
            return
        self._headers += 1
        if self._headers > MOST_MEMBERS:
            raise too_large(f"its tar has more than {MOST_MEMBERS} members", self._place)
        name, size, mtime, kind = self._parse_header(block)
        self._first = False
        if kind == ord("x"):
            if size > _MOST_PAX or self._pax:
                raise ArchiveError(
                    "tar_header_invalid", f"an extended header of {size} bytes, or a second one", self._place
                )
            self._phase, self._need = _PAX, size + -size % _BLOCK
            if not size:
                raise ArchiveError("tar_header_invalid", "an empty extended header", self._place)
            return
        pax, self._pax = self._pax, {}
        name = pax.get("path", name)
        try:
            size = _decimal(pax["size"]) if "size" in pax else size
            mtime_ns = _nanoseconds(pax["mtime"]) if "mtime" in pax else mtime * 1_000_000_000
        except ValueError:
            message = "an extended header with a number that is none"
            raise ArchiveError("tar_header_invalid", message, self._place) from None
        if kind not in _REGULAR:
            raise ArchiveError("tar_member_unsafe", f"{name[:200]!r} is not a plain file", f"member {name[:200]}")
        self._member = Member(name, size, mtime_ns, b"", self.offset)
        wanted = min(size, self._wants(name, size))
        if wanted:
            self._expect(_CONTENT, wanted)
        else:
            self._emit(b"", members)

    def _parse_header(self, block: bytes) -> tuple[str, int, int, int]:
        error = "not_an_archive" if self._first else "tar_header_invalid"
        try:
            total = sum(block) - sum(block[_CHECKSUM]) + len(block[_CHECKSUM]) * ord(" ")
            if block[257:263] != b"ustar\0" or _octal(block[_CHECKSUM]) != total:
                raise ValueError
            name, prefix = _text(block[:100]), _text(block[345:500])
            return f"{prefix}/{name}" if prefix else name, _octal(block[124:136]), _octal(block[136:148]), block[156]
        except ValueError:
            what = "the content is neither NATSARC1 nor a tar" if self._first else "a tar header is damaged"
            raise ArchiveError(error, what, self._place) from None


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _octal(field: bytes) -> int:
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise ValueError
    return int(digits or b"0", 8)


def _decimal(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise ValueError
    return int(text)


def _nanoseconds(text: str) -> int:
    whole, _dot, fraction = text.partition(".")
    return _decimal(whole) * 1_000_000_000 + _decimal(fraction[:9].ljust(9, "0") if fraction else "0")


def _pax_records(data: bytes, place: str) -> dict[str, str]:
    records: dict[str, str] = {}
    pos = 0
    while pos < len(data) and data[pos]:
        size, space, _rest = data[pos : pos + 8].partition(b" ")
        end = pos + int(size) if size.isdigit() else 0
        record = data[pos + len(size) + 1 : end]
        key, equals, value = record.partition(b"=")
        if not space or not equals or record[-1:] != b"\n" or end > len(data):
            raise ArchiveError("tar_header_invalid", "an extended header is damaged", place)
        records[key.decode("utf-8", "surrogateescape")] = value[:-1].decode("utf-8", "surrogateescape")
        pos = end
    return records
