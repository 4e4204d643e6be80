# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One compressed block: Snappy's tags and S2's repeat, decoded in pure Python."""

from __future__ import annotations

from typing import Union

from .errors import ArchiveError

Buffer = Union[bytes, bytearray, memoryview]

#: The largest block S2 allows, in decoded bytes.
MAX_BLOCK = 4 * 1024 * 1024
_LENGTH_BYTES = 5


def raw_length(payload: Buffer) -> tuple[int, int]:
    """(decoded length, bytes it took) from a block's start, with nothing decoded.

    Raises ArchiveError s2_frame_invalid for a length that is cut off or above MAX_BLOCK.
    """
    value = shift = 0
    for index, byte in enumerate(payload[:_LENGTH_BYTES]):
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > MAX_BLOCK:
                raise ArchiveError("s2_frame_invalid", f"a block claims {value} bytes, more than the {MAX_BLOCK} allowed")
            return value, index + 1
        shift += 7
    raise ArchiveError("s2_frame_invalid", "a block without a valid length")


def _invalid(what: str) -> ArchiveError:
    return ArchiveError("s2_block_invalid", f"a compressed block does not decode: {what}")


def decode_block(payload: Buffer) -> bytes:
    """The decoded bytes of a block (length, then tags).

    Raises ArchiveError s2_block_invalid for tags that reach outside the block, s2_frame_invalid for its length.
    """
    src = bytes(payload)
    wanted, pos = raw_length(src)
    end = len(src)
    out = bytearray()
    done = offset = 0
    try:
        while pos < end:
            tag = src[pos]
            kind = tag & 3
            if kind == 0:
                length = (tag >> 2) + 1
                pos += 1
                if length > 60:
                    extra = length - 60
                    length = int.from_bytes(src[pos:pos + extra], "little") + 1
                    pos += extra
                stop = pos + length
                if stop > end:
                    raise _invalid("a literal is cut off")
                out += src[pos:stop]
                pos = stop
                done += length
                if done > wanted:
                    break
                continue
            if kind == 1:
                near = (tag & 0xE0) << 3 | src[pos + 1]
                length = (tag >> 2 & 7) + 4
                pos += 2
                if near:
                    offset = near
                elif length > 8:
                    extra = length - 8
                    more = int.from_bytes(src[pos:pos + extra], "little")
                    length = more + (8, 260, 65540)[extra - 1]
                    pos += extra
            elif kind == 2:
                length = (tag >> 2) + 1
                offset = src[pos + 1] | src[pos + 2] << 8
                pos += 3
            else:
                length = (tag >> 2) + 1
                offset = int.from_bytes(src[pos + 1:pos + 5], "little")
                pos += 5
            start = done - offset
            if start < 0 or not offset:
                raise _invalid("a copy from before the start")
            done += length
            if done > wanted:
                break
            if length <= offset:
                out += out[start:start + length]
            else:
                _overlapping(out, start, length)
    except IndexError:
        raise _invalid("a tag is cut off") from None
    if pos > end or done != wanted:
        raise _invalid(f"it does not fill the {wanted} bytes announced")
    return bytes(out)


def _overlapping(out: bytearray, start: int, length: int) -> None:
    """Append length bytes from start, where these reach into what is being appended: a pattern that repeats."""
    pattern = bytes(out[start:])
    if len(pattern) == 1:
        out += pattern * length
        return
    times, rest = divmod(length, len(pattern))
    out += pattern * times
    out += pattern[:rest]
