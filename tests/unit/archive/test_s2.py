# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import tracemalloc

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.codec import s2
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.codec import s2_block as s2block
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.errors import ArchiveError
from hypothesis import given
from hypothesis import strategies as st

from . import writers

repetitive = st.lists(st.tuples(st.binary(min_size=1, max_size=12), st.integers(1, 60)), max_size=30).map(
    lambda parts: b"".join(part * times for part, times in parts)
)


def parse(stream, piece=1 << 20):
    parser = s2.FrameParser()
    frames = []
    for start in range(0, len(stream), piece):
        frames += parser.feed(stream[start : start + piece])
    parser.finish()
    return frames


@given(data=st.one_of(st.binary(max_size=400), repetitive), seed=st.integers(0, 1 << 30))
def test_blocks_round_trip(data, seed):
    assert s2block.decode_block(writers.compress(data, seed)) == data


def test_every_tag_is_written_by_the_test_compressor():
    data = (
        bytes(range(256)) * 300
        + b"ab" * 40_000
        + b"x" * 80_000
        + b"cd" * 200
        + b"efghi" * 3
        + bytes(reversed(range(256))) * 2
    )
    kinds = set()
    for seed in range(12):
        block = writers.compress(data, seed)
        assert s2block.decode_block(block) == data
        _length, pos = s2block.raw_length(block)
        while pos < len(block):
            tag = block[pos]
            kind, size = tag & 3, (tag >> 2) + 1
            repeated = kind == 1 and not tag & 0xE0 and not block[pos + 1]
            kinds.add(
                ("literal", max(0, size - 60))
                if kind == 0
                else ("repeat", max(0, (tag >> 2 & 7) - 4))
                if repeated
                else ("copy", kind)
            )
            if kind == 0:
                extra = max(0, size - 60)
                length = int.from_bytes(block[pos + 1 : pos + 1 + extra], "little") + 1 if extra else size
                pos += 1 + extra + length
            else:
                pos += (2, 3, 5)[kind - 1] + (max(0, (tag >> 2 & 7) - 4) if repeated else 0)
    literals = {("literal", form) for form in range(5)}
    assert kinds >= literals | {("copy", 1), ("copy", 2), ("copy", 3)} | {("repeat", form) for form in range(4)}


@pytest.mark.parametrize(
    ("block", "wanted"),
    [
        ("00", b""),
        ("01" + "0061", b"a"),
        ("03" + "f002616263", b"abc"),  # a literal with its length in a byte of its own
        ("08" + "046162" + "0902", b"abababab"),  # near copy
        ("08" + "046162" + "160200", b"abababab"),  # far copy
        ("08" + "046162" + "1702000000", b"abababab"),  # farthest copy
        ("0a" + "046162" + "0e0200" + "0100", b"ababababab"),  # a repeat of 4 after a copy of 4
        ("0f" + "046162" + "0e0200" + "150001", b"ab" * 7 + b"a"),  # a repeat of 8 + 1
        ("8f02" + "0061" + "020100" + "19000900", b"a" * (2 + 260 + 9)),  # a repeat of 260 + 9
        ("8c8004" + "0061" + "020100" + "1d00060000", b"a" * (2 + 65540 + 6)),  # a repeat of 65540 + 6
    ],
    ids=str,
)
def test_known_blocks(block, wanted):
    assert s2block.decode_block(bytes.fromhex(block)) == wanted


@pytest.mark.parametrize(
    "block",
    [
        "",
        "80",
        "8080808080",
        "ffffffffff01",  # no length
        "04" + "0c6161",
        "05" + "0c61616161",
        "03" + "0c61616161",  # literal cut off, too short, too long
        "05" + "0061" + "01",
        "05" + "0061" + "02",
        "05" + "0061" + "0301",  # tags cut off
        "05" + "0061" + "0102",
        "05" + "0061" + "0e0000",
        "05" + "0061" + "0e0500",
        "05" + "0061" + "0fffffffff",  # offsets
        "04" + "0c61616161" + "00",
        "05" + "0061" + "0100",
        "05" + "046162" + "0502",
        "ffff03" + "fcffffffff61",  # more than fits
    ],
)
def test_invalid_blocks(block):
    with pytest.raises(ArchiveError) as caught:
        s2block.decode_block(bytes.fromhex(block))
    assert caught.value.error in ("s2_block_invalid", "s2_frame_invalid")


@given(data=repetitive, seed=st.integers(0, 1000), position=st.integers(0, 10_000), value=st.integers(0, 255))
def test_damaged_blocks_never_crash(data, seed, position, value):
    block = bytearray(writers.compress(data, seed))
    block[position % len(block)] = value
    try:
        out = s2block.decode_block(block)
    except ArchiveError:
        return
    assert len(out) == s2block.raw_length(block)[0]


@given(data=st.binary(max_size=300))
def test_random_blocks_never_crash(data):
    try:
        out = s2block.decode_block(data)
    except ArchiveError:
        return
    assert len(out) <= s2block.MAX_BLOCK


@pytest.mark.parametrize(
    "block",
    [
        b"\xff\xff\xff\xff\x0f" + b"\x00a",  # claims 4 GiB
        b"\x81\x80\x80\x02" + b"\x00a",  # claims one byte more than is allowed
        b"\x10" + b"\x00a" + b"\x05\x01" + b"\x1d\x00\xff\xff\xff",  # 16 bytes, and a repeat of 16 MiB
    ],
)
def test_claims_allocate_nothing(block):
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError):
            s2block.decode_block(block)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@given(data=st.binary(max_size=3000), block=st.integers(1, 700), piece=st.integers(1, 900))
def test_stored_streams_in_pieces(data, block, piece):
    frames = parse(s2.encode_stored(data, block), piece)
    assert b"".join(map(s2.decode_frame, frames)) == data
    assert [frame.raw_length for frame in frames] == [
        len(data[pos : pos + block]) for pos in range(0, len(data), block)
    ]
    for frame in frames:
        s2.check_stored(frame)


def test_byte_by_byte_is_bounded():
    stream = s2.encode_stored(bytes(20_000))
    assert s2.decode_frame(parse(stream, 1)[0]) == bytes(20_000)


def test_mixed_stream():
    text = b"a line of text, " * 3000
    stream = (
        s2.S2_IDENTIFIER
        + writers.compressed_frame(text)
        + b"\xfe\x05\x00\x00xxxxx"
        + b"\x99\x00\x00\x00"
        + s2.stored_frame(b"stored")
        + s2.SNAPPY_IDENTIFIER
        + writers.compressed_frame(b"end")
    )
    frames = parse(stream, 100)
    assert [s2.decode_frame(frame) for frame in frames] == [text, b"stored", b"end"]
    assert [frame.starts_stream for frame in frames] == [True, False, True]
    assert [frame.kind for frame in frames] == [s2.COMPRESSED, s2.STORED, s2.COMPRESSED]
    assert frames[0].offset == len(s2.S2_IDENTIFIER)
    assert stream[frames[1].offset : frames[1].offset + frames[1].length] == s2.stored_frame(b"stored")


ID = s2.S2_IDENTIFIER


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (b"", "archive_empty"),
        (b"\x01\x05\x00\x00", "not_an_archive"),
        (b"hello world, this is no archive", "not_an_archive"),
        (b"\xff\x06\x00\x00S3sTwO", "not_an_archive"),
        (b"\xff\x07\x00\x00S2sTwOO", "not_an_archive"),
        (ID + b"\x02\x01\x00\x00x", "s2_frame_invalid"),
        (ID + b"\x7f\x01\x00\x00x", "s2_frame_invalid"),
        (ID + b"\x00\x04\x00\x00abcd", "s2_frame_invalid"),
        (ID + b"\x01\x03\x00\x00abc", "s2_frame_invalid"),
        (ID + b"\x00\xff\xff\xff", "s2_frame_invalid"),
        (ID + b"\x01\x05\x00\x40", "s2_frame_invalid"),
        (ID + b"\x00\x09\x00\x00abcd\xff\xff\xff\xff\x0f", "s2_frame_invalid"),
        (ID + b"\xff\x06\x00\x00S3sTwO", "s2_frame_invalid"),
        (ID + b"\x01\x09\x00\x00abcd", "s2_truncated"),
        (ID + b"\x01\x09", "s2_truncated"),
        (ID + b"\xfe\x09\x00\x00", "s2_truncated"),
        (ID[:7], "s2_truncated"),
        (ID + s2.stored_frame(b"x") + b"junk", "s2_frame_invalid"),
    ],
)
@pytest.mark.parametrize("piece", [1, 1000])
def test_invalid_streams(stream, error, piece):
    with pytest.raises(ArchiveError) as caught:
        parse(stream, piece)
    assert caught.value.error == error
    assert caught.value.place


@pytest.mark.parametrize("frame", [s2.stored_frame(b"some data"), writers.compressed_frame(b"some data" * 9)])
def test_a_flipped_bit_is_found(frame):
    stream = bytearray(ID + frame)
    stream[-1] ^= 4
    (parsed,) = parse(stream)
    with pytest.raises(ArchiveError) as caught:
        s2.decode_frame(parsed)
    assert caught.value.error in ("s2_checksum", "s2_block_invalid")
    assert caught.value.place == "byte 10"
    if parsed.kind == s2.STORED:
        with pytest.raises(ArchiveError):
            s2.check_stored(parsed)


@given(data=st.binary(max_size=200), stream=st.booleans())
def test_random_streams_never_crash(data, stream):
    try:
        frames = parse((ID if stream else b"") + data)
    except ArchiveError:
        return
    assert all(frame.raw_length <= s2block.MAX_BLOCK for frame in frames)


def test_stored_frames_are_limited():
    with pytest.raises(ValueError, match="at most"):
        s2.stored_frame(bytes(s2block.MAX_BLOCK + 1))
