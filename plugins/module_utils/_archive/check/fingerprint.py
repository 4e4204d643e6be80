# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two sequences of messages compared by the digests of their parts, so that each side can be read by a process."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import IO, Callable, NamedTuple, cast

from ..errors import ArchiveError
from ..reader import Archive, open_archive

#: Messages whose sequences differ only in the last bits are of one part, on either side, whatever else is missing.
BITS = 10
#: Bytes of a file from which a process of its own pays.
WORTH_A_PROCESS = 8 * 1024 * 1024

Fields = tuple[int, int, bytes, bytes, bytes]


class Part(NamedTuple):
    """Messages with sequences from number << BITS on: how many, their bytes, and a digest over all of each."""

    number: int
    messages: int
    size: int
    digest: str


def fields(archive: Archive, stop: Callable[[], bool] | None = None) -> Iterator[Fields]:
    """Sequence, time, subject, header and payload of each message. Raises ArchiveError, OSError."""
    for message in archive.messages(stop=stop):
        subject = message.subject.encode("utf-8", "surrogateescape")
        yield message.sequence, message.time_ns, subject, message.header, message.payload or b""


def parts(messages: Iterable[Fields]) -> Iterator[Part]:
    """Fold messages by rising sequence."""
    number, count, size, hasher = -1, 0, 0, hashlib.sha256()
    for sequence, time_ns, subject, header, payload in messages:
        if sequence >> BITS != number:
            if count:
                yield Part(number, count, size, hasher.hexdigest())
            number, count, size, hasher = sequence >> BITS, 0, 0, hashlib.sha256()
        hasher.update(
            b"%d %d %d %d %d " % (sequence, time_ns, len(subject), len(header), len(payload)) + subject + header
        )
        hasher.update(payload)
        count += 1
        size += len(header) + len(payload)
    if count:
        yield Part(number, count, size, hasher.hexdigest())


class Fingerprint:
    """The parts of an archive, read from now on: by a process of its own where the archive is large."""

    def __init__(self, path: str, *, process: bool, known: int = 0) -> None:
        self._path = path
        self._known = known
        self._process: subprocess.Popen[str] | None = None
        if process:
            code = f"from {__name__} import serve; serve()"
            search = os.pathsep.join(entry for entry in sys.path if entry)
            self._process = subprocess.Popen(
                [sys.executable, "-c", code, str(known), path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": search},
                text=True,
            )

    def parts(self, stop: Callable[[], bool] | None = None) -> Iterator[Part]:
        """The parts by rising number; a stop ends them early. Raises ArchiveError for damage, OSError."""
        if self._process is None:
            yield from parts(fields(open_archive(self._path, known=self._known), stop))
            return
        for line in cast(IO[str], self._process.stdout):
            answer = json.loads(line)
            if "error" in answer:
                raise ArchiveError(**answer)
            if "end" in answer:
                return
            yield Part(**answer)
        raise OSError("The process that read the archive is gone.")

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def serve() -> None:
    """Print the parts of the archive named by the last argument, one a line, and end with the process that asked."""
    asking = os.getppid()
    last: dict[str, object] = {"end": True}
    try:
        for part in parts(fields(open_archive(sys.argv[-1], known=int(sys.argv[-2])), lambda: os.getppid() != asking)):
            sys.stdout.write(json.dumps(part._asdict()) + "\n")
    except ArchiveError as exc:
        last = {"error": exc.error, "message": exc.message, "place": exc.place}
    sys.stdout.write(json.dumps(last) + "\n")
    sys.stdout.flush()
