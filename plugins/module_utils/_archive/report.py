# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a check of an archive says, and what each problem means for a restore."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ERROR, WARNING = "error", "warning"

#: id: what it means for a restore. The ids are part of the modules' results and do not change.
PROBLEMS = {
    "archive_empty": "There is nothing to restore: the backup was cut off before its first byte.",
    "archive_too_large": "It would take more memory or time than what servers write: it is no backup of the stream.",
    "not_an_archive": "No server can read the file: it is not a stream backup.",
    "s2_frame_invalid": "Servers stop reading there: the restore fails, and on 2.15 leaves a partial stream.",
    "s2_truncated": "The file is cut off: the restore fails or loses what is missing.",
    "s2_checksum": "Data was damaged: servers refuse the block and the restore fails half way.",
    "s2_block_invalid": "Data was damaged: servers cannot decode the block and the restore fails half way.",
    "v2_entry_invalid": "A 2.15 server stops at the entry: the restore fails and leaves a partial stream.",
    "v2_order": "A 2.15 server refuses entries in this order: the restore fails.",
    "v2_sequence": "A 2.15 server refuses message sequences in this order: the restore fails half way.",
    "v2_state_invalid": "A 2.15 server refuses the archive's state.json before it creates the stream.",
    "v2_consumer_invalid": "A 2.15 server refuses the consumer: the restore fails and leaves a partial stream.",
    "v2_end_missing": "The archive is cut off before its end marker: the restore fails and leaves a partial stream.",
    "v2_end_unproven": "The end marker is there, but the last message is too large to be checked by a quick look.",
    "v2_count_high": "The archive holds more messages than it says: all are restored.",
    "v2_count_low": "The archive holds fewer messages than it says: some expired, were deleted or could not be read.",
    "v1_record_invalid": "A message block is damaged: servers cut it off there and lose the messages behind it.",
    "v1_sequence": "Message sequences fall: blocks were swapped or come from another archive; servers drop messages.",
    "v1_messages_missing": "Messages that the archive's index has are not in its blocks: they do not come back.",
    "v1_checksum": "Messages are damaged: no server can read them, and an index rebuilt loses those behind them too.",
    "v1_count_low": "The stream grew while it was backed up: the newest messages are in the index only.",
    "bytes_differ": "The messages' size is not the one that was noted: some may not be those that were backed up.",
    "tar_header_invalid": "Servers stop at the tar member: the restore fails.",
    "tar_member_unsafe": "The member's name or type could write outside the stream's directory: do not restore it.",
    "tar_member_duplicate": "Two members overwrite each other: what is restored is not what was backed up.",
    "tar_member_order": "Members are not as servers write them: parts were swapped or come from another archive.",
    "tar_member_missing": "A part that every server writes is not there: the restore fails or is incomplete.",
    "tar_member_unknown": "No known server writes the member; it is restored into the stream's directory and ignored.",
    "tar_end_missing": "The file is cut off between two parts: servers restore it as if it was whole.",
    "trailing_data": "Something follows the archive's end: two archives in one file, or one overwritten in part.",
    "errors_txt": "The server could not read all of its own data and said so in the archive: messages are missing.",
    "meta_invalid": "The stream's configuration in the archive cannot be read: the restore fails.",
    "consumer_invalid": "The consumer's configuration or state cannot be read: it comes back changed or not at all.",
    "consumer_name_unsafe": "Servers cannot restore a consumer with a path separator in its name: the restore fails.",
    "state_unreadable": "The archive's own state cannot be read; servers rebuild it from the messages.",
    "backup_json_invalid": "The restore request is made from this file: without it nothing can be restored.",
    "stream_differs": "The data file belongs to another stream.",
    "state_differs": "The data file and backup.json do not belong together: other data would be restored.",
    "config_differs": "The archive was taken under another configuration than the one that would be restored.",
    "consumers_missing": "They do not come back; on interest and work-queue streams messages go with them.",
    "consumers_extra": "The archive has more consumers than backup.json counts; all are restored.",
    "consumer_ahead": "The consumer is ahead of the stream's end: it delivers nothing until the stream has caught up.",
    "consumer_filter_differs": "The consumer wants other subjects than the stream takes in: it will deliver nothing.",
    "subject_differs": "The data is another stream's, or the stream's subjects were changed later.",
}


@dataclass(frozen=True)
class Problem:
    """id: a key of PROBLEMS. place: as in "byte 12", "member meta.inf", "state.last_seq". severity: or WARNING."""

    id: str
    place: str
    message: str
    severity: str = ERROR

    @property
    def meaning(self) -> str:
        """What it means for a restore."""
        return PROBLEMS[self.id]


@dataclass(frozen=True)
class ArchivedConsumer:
    """A consumer as the archive keeps it.

    config: as in the JetStream API, empty if unreadable. state: None if the archive has none that can be read, else
    {"delivered": {"consumer_seq", "stream_seq"}, "ack_floor": the same, "num_ack_pending", "num_redelivered"}; the last
    two are None where the lists are too long to be counted.
    """

    name: str
    config: dict[str, Any]
    state: dict[str, Any] | None


@dataclass(frozen=True)
class ArchiveReport:
    """What one pass over an archive found.

    format: "V1", "V2", or None if it is neither. size: bytes of the file. sha256: of the file, in hexadecimal.
    raw_size: decoded bytes (of the frames that could be parsed). stream, config: from the archive itself, V1 only.
    state: as much as the archive itself says, with the names of the JetStream API (messages, bytes, first_seq,
    first_ts, last_seq, last_ts; V2: consumer_count as well), None if it has none. Times are RFC 3339 with nanoseconds.
    first_message, last_message: {"sequence", "subject", "time_ns"}, None where not known; V1: the first only.
    complete: every entry was read (small V2 archives), so that messages counts them; otherwise messages is None.
    snapshot_time: nanoseconds since 1970 at which the server began to write, None where not known.
    content: by a full check: messages, bytes (as a file store counts), subjects (None for more than 100,000), largest
    (bytes of the largest message), first_seq, first_ts, last_seq, last_ts, largest_seq; else None. engine: its name.
    damaged: sequences of messages whose stored checksum is wrong; by a full check of V1.
    """

    format: str | None
    size: int
    sha256: str
    raw_size: int
    stream: str | None = None
    config: dict[str, Any] | None = None
    state: dict[str, Any] | None = None
    consumers: tuple[ArchivedConsumer, ...] = ()
    first_message: dict[str, Any] | None = None
    last_message: dict[str, Any] | None = None
    complete: bool = False
    messages: int | None = None
    snapshot_time: int | None = None
    content: dict[str, Any] | None = None
    engine: str | None = None
    damaged: tuple[int, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def valid(self) -> bool:
        """No problem is an error."""
        return not any(problem.severity == ERROR for problem in self.problems)
