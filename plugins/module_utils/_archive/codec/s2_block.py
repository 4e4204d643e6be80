# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One compressed block: Snappy's tags and S2's repeat, decoded in pure Python."""

from __future__ import annotations

from typing import Union

from ..errors import ArchiveError

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
                raise ArchiveError("s2_frame_invalid", f"a block claims {value} bytes, {MAX_BLOCK} are allowed")
            return value, index + 1
        shift += 7
    raise ArchiveError("s2_frame_invalid", "a block without a valid length")


def _invalid(what: str) -> ArchiveError:
    return ArchiveError("s2_block_invalid", f"a compressed block does not decode: {what}")


# What a tag byte says by itself. Looking it up in a list is faster than computing it.
_KIND = [tag & 3 for tag in range(256)]
_LENGTH = [(tag >> 2) + 1 for tag in range(256)]
_INLINE = [(tag >> 2) + 1 if not tag & 3 and tag >> 2 < 60 else 0 for tag in range(256)]
_NEAR_LENGTH = [(tag >> 2 & 7) + 4 for tag in range(256)]
_NEAR_OFFSET = [(tag & 0xE0) << 3 for tag in range(256)]
_HIGH = [byte << 8 for byte in range(256)]
_LITERAL, _NEAR, _FAR = range(3)
_LONGEST_INLINE_LITERAL = 60
_LONGEST_NEAR = 8
# A repeat's length by the number of bytes that hold it.
_REPEAT_BASE = (0, 8, 260, 65540)


def decode_block(payload: Buffer) -> bytes:
    """The decoded bytes of a block (length, then tags).

    Raises ArchiveError s2_block_invalid for tags that reach outside the block, s2_frame_invalid for its length.
    """
    src = bytes(payload)
    wanted, pos = raw_length(src)
    try:
        out, pos = _decode_tags(src, pos, wanted)
    except IndexError:
        raise _invalid("a tag is cut off") from None
    if pos != len(src) or len(out) != wanted:
        raise _invalid(f"it does not fill the {wanted} bytes announced")
    return bytes(out)


def _decode_tags(src: bytes, pos: int, wanted: int) -> tuple[bytearray, int]:
    """(decoded bytes, position after the last tag read). Stops at the tag that reaches wanted or goes beyond it."""
    out = bytearray()
    done = offset = 0
    inline, kinds, lengths, high = _INLINE, _KIND, _LENGTH, _HIGH
    while done < wanted:
        tag = src[pos]
        length = inline[tag]
        if length:
            pos += 1
            stop = pos + length
            out += src[pos:stop]
            pos = stop
            done += length
            if done >= wanted:
                break
            # A copy follows nearly every literal; going on here saves a turn of the loop.
            tag = src[pos]
        kind = kinds[tag]
        if kind == _FAR:
            offset = src[pos + 1] | high[src[pos + 2]]
            length = lengths[tag]
            pos += 3
        elif kind == _NEAR:
            near = _NEAR_OFFSET[tag] | src[pos + 1]
            length = _NEAR_LENGTH[tag]
            pos += 2
            if near:
                offset = near
            elif length > _LONGEST_NEAR:
                extra = length - _LONGEST_NEAR
                length = int.from_bytes(src[pos : pos + extra], "little") + _REPEAT_BASE[extra]
                pos += extra
        elif kind == _LITERAL:
            length = lengths[tag]
            pos += 1
            if length > _LONGEST_INLINE_LITERAL:
                extra = length - _LONGEST_INLINE_LITERAL
                length = int.from_bytes(src[pos : pos + extra], "little") + 1
                pos += extra
            stop = pos + length
            out += src[pos:stop]
            pos = stop
            done += length
            continue
        else:
            length = lengths[tag]
            offset = int.from_bytes(src[pos + 1 : pos + 5], "little")
            pos += 5
        if length <= offset <= done:
            start = done - offset
            out += out[start : start + length]
            done += length
            continue
        done += length
        if not 0 < offset <= len(out) or done > wanted:
            raise _invalid("a copy of nothing, from before the start or past the end")
        _overlapping(out, offset, length)
    return out, pos


def _overlapping(out: bytearray, offset: int, length: int) -> None:
    """Append length bytes from offset bytes back, where these reach into what is being appended: a repeated pattern."""
    pattern = bytes(out[-offset:])
    times, rest = divmod(length, len(pattern))
    out += pattern * times
    out += pattern[:rest]
