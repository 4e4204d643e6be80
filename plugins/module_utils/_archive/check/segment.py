# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A few MiB of an archive decoded, checked and counted on its own: the unit of work of a full check.

A task and its result are dicts that JSON can carry, so that they can be sent to another process. A task has path, start
and end (bytes of the file, at bounds of chunks) and offset (of the first decoded byte there), and either pieces (V1:
members or parts of them) or aligned, least and most (V2). A result has error, None or [id, place, message].
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

from ..._files.reading import DATA, open_file
from ..bounds import MOST_BLOCK, TOO_LARGE, Allowance
from ..codec.highway import Place
from ..codec.s2 import FrameParser
from ..errors import ArchiveError
from ..v1.index import BlockIndex
from ..v2.entries import read_numbers
from .engine import Engine, choose
from .tally import MOST_SUBJECT, Tally

#: What a result holds of the segment's head and of its last entry, if that goes on: all that an entry can have before
#: its content.
MARGIN = MOST_SUBJECT + 64
_READ = 256 * 1024
_COMPRESSED = b"cmp\x01"
_HASH = 8
_TIME = re.compile(rb"(?<=[\x00-\x7f])[\x80-\xff]{8}[\x01-\x7f]")
_CHAIN = 3
_MOST_TRIES = 20_000
_LONGEST_NAME_LENGTH = 3
_MOST_BAD = 1000


def run_task(task: dict[str, Any], engine: Engine) -> dict[str, Any]:
    """Do a task; damage is in the result. Raises OSError where the file cannot be read."""
    try:
        data = _decoded(task, engine)
    except ArchiveError as error:
        return {"error": [error.error, error.place, error.message], "damaged": True}
    return _entries(task, data, engine) if task.get("pieces") is None else _pieces(task, data, engine)


def _decoded(task: dict[str, Any], engine: Engine) -> bytes:
    with open_file(task["path"], DATA) as file:
        file.seek(task["start"])
        content = file.read(task["end"] - task["start"])
    parser = FrameParser(task["start"])
    view, decoded = memoryview(content), bytearray()
    for pos in range(0, len(view), _READ):
        for frame in parser.feed(view[pos : pos + _READ]):
            decoded += engine.decode(frame)
    parser.finish()
    return bytes(decoded)


def _pieces(task: dict[str, Any], data: bytes, engine: Engine) -> dict[str, Any]:
    tally, last, marks, expanded = Tally(), task["least"] - 1, 0, 0
    allowed = Allowance(task["most"])
    hashed, bad = 0, []
    for piece in task["pieces"]:
        start = piece["offset"] - task["offset"]
        content = data[start : start + piece["size"]]
        if not piece["is_block"]:
            continue
        try:
            if content.startswith(_COMPRESSED):
                content = _expanded(content, engine, allowed)
                expanded += len(content)
            key = piece.get("key")
            places: list[Place] | None = None if key is None else []
            index = index_of(piece["index"])
            last, more = engine.scan_records(content, last + 1, index, tally, task["first_seq"], places)
            marks += more
            if places:
                hashed += len(places)
                bad += engine.bad_records(content, places, tuple(key))[:_MOST_BAD]
        except ArchiveError as error:
            place = f"member {piece['name']}, byte {error.place}"
            return {"error": [error.error, place, error.message], "tally": tally.hashed().to_json(), "marks": marks}
    found = {"tally": tally.hashed().to_json(), "marks": marks, "expanded": expanded, "hashed": hashed, "bad": bad}
    return {"error": None, **found}


def index_of(content: dict[str, Any] | None) -> BlockIndex | None:
    """A block's index from a task."""
    if content is None:
        return None
    nodes = {int(base): int(bits, 16) for base, bits in content["deleted"].items()}
    return BlockIndex(content["first"], content["last"], nodes, content["span"])


def _expanded(content: bytes, engine: Engine, allowed: Allowance) -> bytes:
    """A block that its store had compressed; the last record's hash is behind the compressed part."""
    pos = len(_COMPRESSED)
    while content[pos : pos + 1] >= b"\x80":
        pos += 1
    parser, block, own = FrameParser(), bytearray(), Allowance(MOST_BLOCK)
    view = memoryview(content)[pos + 1 : -_HASH]
    try:
        for start in range(0, len(view), _READ):
            for frame in parser.feed(view[start : start + _READ]):
                own.take(frame.raw_length, "0")
                allowed.take(frame.raw_length, "0")
                block += engine.decode(frame)
        parser.finish()
    except ArchiveError as error:
        word = error.error if error.error == TOO_LARGE else "v1_record_invalid"
        raise ArchiveError(word, f"a compressed block: {error.message}", "0") from None
    return bytes(block + content[-_HASH:])


def _entries(task: dict[str, Any], data: bytes, engine: Engine) -> dict[str, Any]:
    aligned, offset = task["aligned"], task["offset"]
    begin = synchronise(data, task["least"], task["most"]) if aligned is None else aligned - offset
    result: dict[str, Any] = {"error": None, "begin": None, "size": len(data), "head": _packed(data[:MARGIN])}
    if begin is None:
        return result
    tally = Tally()
    try:
        pos, ended = engine.scan_entries(data, begin, task["least"], task["most"], tally)
    except ArchiveError as error:
        result["error"] = [error.error, f"decoded byte {offset + int(error.place or 0)}", error.message]
        pos, ended = len(data), False
    return {
        **result,
        "begin": begin + offset,
        "next": pos + offset,
        "ended": ended,
        "tail": _packed(data[pos : pos + MARGIN]),
        "tally": tally.hashed().to_json(),
    }


def _packed(data: bytes) -> str:
    return base64.b64encode(data).decode()


def synchronise(data: bytes, least: int, most: int) -> int | None:
    """Where an entry seems to begin, by three in a row that fit; None if none is found. The caller must prove it."""
    for tries, found in enumerate(_TIME.finditer(data)):
        if tries > _MOST_TRIES:
            break
        for start in range(found.start() - 1, max(-1, found.start() - 1 - _LONGEST_NAME_LENGTH), -1):
            if _fits(data, start, least, most):
                return start
    return None


def _fits(data: bytes, pos: int, least: int, most: int) -> bool:
    for _entry in range(_CHAIN):
        try:
            name, _time, sequence, header, payload, start = read_numbers(data, pos)
        except IndexError:
            return _entry > 0
        except ValueError:
            return False
        if not least <= sequence <= most or not 0 < name <= MOST_SUBJECT:
            return _entry > 0 and not (name or sequence or header or payload or start != len(data))
        least, pos = sequence + 1, start + name + header + payload
        if pos >= len(data):
            return _entry > 0
    return True


def serve() -> None:
    """Do tasks from standard input, one a line, until it ends; their results go to standard output."""
    engine = choose(0)
    for line in sys.stdin:
        try:
            answer = run_task(json.loads(line), engine)
        except OSError as error:
            answer = {"failed": error.errno, "message": error.strerror or str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def ranges(bounds: list[tuple[int, int]], size: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Neighbouring bounds (file byte, decoded byte) joined until each pair spans size decoded bytes or more."""
    begin = bounds[0]
    for bound in bounds[1:-1]:
        if bound[1] - begin[1] >= size:
            yield begin, bound
            begin = bound
    yield begin, bounds[-1]
