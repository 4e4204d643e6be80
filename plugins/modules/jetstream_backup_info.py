#!/usr/bin/python
# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""List and check backups of JetStream streams."""

DOCUMENTATION = r"""
module: jetstream_backup_info
short_description: List and check backups of JetStream streams
version_added: 0.1.0
author:
  - The natsops.jetstream authors (@natsops)
description:
  - Looks into the backup of a stream, of an account, or a whole directory of such backups, written by this collection or
    by the C(nats) command line, without a server.
  - A damaged backup is not a failure of this module; it is returned with RV(backups[].valid=false) and its problems.
options:
  path:
    description: Directory of a stream's or an account's backup, or one that holds several.
    type: path
    required: true
  verify:
    description:
      - V(none) looks at names, sizes and the manifest.
      - V(quick) reads every byte once and checks SHA-256 and size against the manifest, the frames of the archive, the
        checksums of blocks that are stored uncompressed, and its head and end; without a manifest, what
        C(backup.json) and the archive say of each other.
      - V(full) decodes every block and compares its checksum, parses every record, counts the messages and compares them with
        what the archive and C(backup.json) say. Large archives are decoded on all processors. When it was done, and with
        which result, is noted beside the backup in C(checked.json), but not in check mode.
    type: str
    choices: [none, quick, full]
    default: none
  max_duration:
    description:
      - Seconds after which no further full check is begun; those under way are finished. With O(verify=full) only.
      - The backups that were never checked in full, or longest ago, come first; what is left is looked at as with V(none),
        so that a large repository is checked over several runs.
    type: float
  fraction:
    description:
      - Share of the backups to check in full, more than 0 and up to 1. With O(verify=full) only; the order is that of
          O(max_duration).
    type: float
  set:
    description:
      - Of a repository with sets (see O(natsops.jetstream.jetstream_account_backup#module:sets)), look only into the one of
        this name of each account, or with V(latest) into the newest whole one of each.
    type: str
  before:
    description:
      - Of a repository with sets, look only into the newest one of each account that was finished not after this moment, as
        in C(2026-11-22T10:15:00Z).
    type: str
notes:
  - Full checks are done in Python, or for archives of 192 MiB (decoded) and more with C(numba), if that is installed for
    the module's Python. The results are the same; RV(backups[].engine) says which it was.
  - C(google-crc32c) makes the checksums faster where it is installed.
extends_documentation_fragment:
  - natsops.jetstream.attributes
  - natsops.jetstream.attributes.info_module
seealso:
  - module: natsops.jetstream.jetstream_account_backup
"""

EXAMPLES = r"""
- name: Check all backups of an account
  natsops.jetstream.jetstream_backup_info:
    path: /var/backups/nats/APP
    verify: quick
  register: backups

- name: Check a fourth of a large repository in full every night
  natsops.jetstream.jetstream_backup_info:
    path: /var/backups/nats
    verify: full
    fraction: 0.25
    max_duration: 7200

- name: Stop if one is damaged
  ansible.builtin.assert:
    that: backups.valid
    fail_msg: "{{ backups.backups | rejectattr('valid') | map(attribute='path') | join(', ') }}"
"""

RETURN = r"""
path:
  description: The directory that was looked into.
  type: str
  returned: success
valid:
  description: Whether all backups are valid; true where there are none.
  type: bool
  returned: success
checked:
  description: How many backups were checked in full.
  type: int
  returned: with O(verify=full)
sets:
  description: All sets of a repository, or of one of its accounts; by account, the oldest first.
  type: list
  elements: dict
  returned: success
  contains:
    account:
      description: Name of the account, as its directory says it.
      type: str
    account_id:
      description: What the server calls the account, which is its id in operator mode; for a whole set.
      type: str
    account_name:
      description: Name of the account where it is known, else its id; for a whole set.
      type: str
    set:
      description: Name of the set.
      type: str
    path:
      description: Its directory.
      type: str
    whole:
      description: Whether the run that made it came to its end.
      type: bool
    complete:
      description: Whether moreover every stream that was to be backed up is current in it.
      type: bool
    newest:
      description: Whether it is the newest whole one of its account.
      type: bool
    finished_at:
      description: When it was finished, RFC 3339.
      type: str
    checked:
      description: When a run last looked at the streams and found nothing to add, RFC 3339.
      type: str
    age:
      description: Seconds since RV(sets[].checked).
      type: float
    streams:
      description:
        - For each stream its C(status) (C(current), C(carried) from an earlier set since the last try failed, C(skipped) or
          C(failed)), C(current_at) (when the backup was last found to be what the stream is), C(age) (seconds since) and
          C(reason).
      type: dict
    trouble:
      description: Why it is not whole.
      type: str
backups:
  description: The backups found, by path.
  type: list
  elements: dict
  returned: success
  contains:
    path:
      description: Directory of the backup.
      type: str
    stream:
      description: Name of the stream, empty if it cannot be told.
      type: str
    format:
      description: C(V1) or C(V2); null if it cannot be told, which with O(verify=none) includes backups without manifest.
      type: str
    valid:
      description: Whether no problem is an error.
      type: bool
    level:
      description: Level of this check.
      type: str
    problems:
      description:
        - What is wrong, each with a stable C(id), the C(place), a C(message), the C(severity) (C(error) or C(warning)) and
          its C(meaning) for a restore.
      type: list
      elements: dict
    messages:
      description: Messages in the stream when its backup began.
      type: int
    bytes:
      description: Their size in bytes.
      type: int
    first_seq:
      description: First sequence of the stream.
      type: int
    last_seq:
      description: Last sequence of the stream.
      type: int
    first_ts:
      description: Time of the first message, RFC 3339.
      type: str
    last_ts:
      description: Time of the last message, RFC 3339.
      type: str
    consumers:
      description: Names of the consumers; without a manifest, only with O(verify=quick).
      type: list
      elements: str
    archive_size:
      description: Size of the data file in bytes.
      type: int
    config:
      description: Configuration of the stream.
      type: dict
    manifest:
      description: Whether there is a manifest.
      type: bool
    started_at:
      description: When the backup began, RFC 3339; with a manifest.
      type: str
    finished_at:
      description: When the backup was complete, RFC 3339; with a manifest.
      type: str
    verified:
      description: Level of the check when it was made; with a manifest.
      type: str
    account:
      description: Account of the stream; with a manifest.
      type: str
    server:
      description: Version, name, cluster and domain of the server; with a manifest.
      type: dict
    engine:
      description: What did the full check, C(python) with the number of processes, or C(numba); with O(verify=full).
      type: str
    content:
      description:
        - What a full check counted, C(messages), C(bytes) (as a file store counts them), C(subjects) (null for more than
          100,000), C(first_seq), C(first_ts), C(last_seq), C(last_ts), C(largest) and C(largest_seq) (bytes of the largest
          message, and its sequence); with O(verify=full).
      type: dict
    last_full_check:
      description: The last full check of these very files, its C(time), C(valid), C(problems) and C(engine); null without one.
      type: dict
    set:
      description: Set that it belongs to, in a repository.
      type: str
    account_directory:
      description: Name of the account's directory, in a repository.
      type: str
    account_name:
      description: Name of the account, as its directory says it; in a repository.
      type: str
    status:
      description: As in RV(sets[].streams), or C(unfinished) or C(foreign) for what belongs to no whole set; in a repository.
      type: str
    current_at:
      description: When the backup was last found to be what the stream is, RFC 3339; in a repository.
      type: str
    age:
      description: Seconds since RV(backups[].current_at).
      type: float
    reason:
      description: Why it is not current.
      type: str
    stream_created:
      description: When the stream was created, RFC 3339; with a manifest.
      type: str
duration:
  description: Seconds the module took.
  type: float
  returned: always
error:
  description: Stable word for what went wrong, see docs/errors.md.
  type: str
  returned: failure
"""

from ansible_collections.natsops.jetstream.plugins.module_utils._ansible import python  # noqa: F401 - first  # pylint: disable=unused-import
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.backup_info import BACKUP_INFO, backup_info
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.module import run_module


def main():
    """Entry point."""
    run_module(BACKUP_INFO, backup_info, connects=False)


if __name__ == "__main__":
    main()
