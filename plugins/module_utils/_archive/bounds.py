# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an archive may cost its reader. A few bytes can decode to terabytes, so nothing is taken at its word.

docs/limits.md names these bounds for users. None of them is near what a server writes.
"""

from __future__ import annotations

import os
from typing import Any

from .._shape.document import cost, parse_json
from .errors import ArchiveError

MIB = 1024 * 1024
TOO_LARGE = "archive_too_large"
#: Memory for all consumers of an archive together, as estimated: 15,000 to 20,000 of usual ones.
MOST_METADATA = 80 * MIB
#: The same for the stream's own configuration.
MOST_CONFIG = 32 * MIB
#: Bytes of one consumer's entry that are looked at, and of a state.json.
MOST_CONSUMER = 16 * MIB
MOST_STATE = 64 * 1024
#: Headers in a tar: a message block of 8 MiB has one, a consumer three.
MOST_MEMBERS = 200_000
#: Subjects in the index of a V1 archive; of one with more, the index is not used.
MOST_SUBJECTS = 2_000_000
#: Marks of deleted messages that are held where there is no index.
MOST_TOMBSTONES = 1_000_000
#: A message block as stored, and what a compressed one becomes. Servers write 8 MiB, or one message.
MOST_BLOCK = 64 * MIB
# A consumer's entry costs this beside its JSON.
_CONSUMER = 1024
_LEAST_DECODED = 64 * MIB
_TIMES_STATE = 4
_TIMES_FILE = 100


def most_decoded(size: int, known: int) -> int:
    """To how many bytes a file of size bytes may decode, for a stream whose state says that it has known bytes.

    V1 holds deleted messages too, and compressed text can shrink a lot: what is far above all three is no backup.
    """
    return max(_LEAST_DECODED, _TIMES_FILE * size, _TIMES_STATE * known)


class Allowance:
    """Bytes that may be decoded, counted down."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._left = most

    def take(self, size: int, place: str) -> None:
        """Raise ArchiveError where size bytes more are too many."""
        self._left -= size
        if self._left < 0:
            raise too_large(f"it decodes to more than {self.most} bytes, far more than its stream has", place)


def allowance(path: str | os.PathLike[str], known: int) -> Allowance:
    """For reading a file once. Raises OSError."""
    return Allowance(most_decoded(os.path.getsize(path), known))


def too_large(what: str, place: str) -> ArchiveError:
    """The error for an archive that is beyond a bound."""
    return ArchiveError(TOO_LARGE, what, place)


class Metadata:
    """The consumers of one archive, read one after the other within a bound for all of them."""

    def __init__(self, most: int = MOST_METADATA) -> None:
        self._most = most
        self._left = most

    def take(self, size: int, place: str) -> None:
        """Count size bytes of memory. Raises ArchiveError where it is too much."""
        self._left -= size
        if self._left < 0:
            message = (
                f"its consumers would take more than {self._most} bytes of memory. Back the stream up with"
                " consumers: false if it has so many"
            )
            raise too_large(message, place)

    def object(self, data: bytes, place: str, extra: int = _CONSUMER) -> dict[str, Any]:
        """An object in JSON. Raises ValueError for anything else, ArchiveError where it is too much."""
        self.take(cost(data) + extra, place)
        value = parse_json(data, self._most)
        if not isinstance(value, dict):
            raise ValueError("not an object")
        return value
