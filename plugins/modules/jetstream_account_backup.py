#!/usr/bin/python
# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Back up the streams of an account."""

DOCUMENTATION = r"""
module: jetstream_account_backup
short_description: Back up the JetStream streams of an account
version_added: 0.1.0
author:
  - The natsops.jetstream authors (@natsops)
description:
  - Takes snapshots of all streams of an account, or of those that match, several at once, each into a directory of its
    own name below O(path), and each whole or not at all.
  - Streams that did not change since their last backup are not transferred again.
  - A stream that fails does not stop the others; the module fails at the end, with every stream's own result.
  - The file C(<path>.json) beside the directory says which streams belong to it. Streams that were deleted since are
    named in a warning and are not restored by M(natsops.jetstream.jetstream_account_restore).
  - Streams are independent of each other, so there is no point in time for the account as a whole; the start and end of
    each is recorded.
options:
  path:
    description:
      - Directory of the account's backup, mode 0700. It must be empty, or hold nothing but backups of streams.
    type: path
    required: true
  streams:
    description: Names of the streams, or globs. A name without a glob must exist.
    type: list
    elements: str
    default: ["*"]
  exclude:
    description: Names or globs of streams to leave out.
    type: list
    elements: str
    default: []
  parallel:
    description: How many streams to transfer at once.
    type: int
    default: 4
  on_error:
    description: Whether to go on with other streams after one has failed.
    type: str
    choices: [continue, stop]
    default: continue
  prune:
    description: Whether to remove the backups below O(path) of streams that are no more.
    type: bool
    default: false
  sets:
    description:
      - Whether O(path) is the account's directory in a repository of sets, C(<repository>/<account>). A run that finds a
        change makes a new set there, named by its time, in which everything that did not change is linked from the newest
        set, and exchanges the link C(latest). A run that finds none makes no set, and notes in the newest one when that was.
      - A set holds all streams that there are. One that O(streams) or O(exclude) leave out, or that fails, is carried on from
        the set before. A stream that was deleted is not.
    type: bool
    default: false
  allow_empty:
    description:
      - With O(sets), whether to make a set without streams where the newest set has some. Otherwise that is refused, since a
        cluster that lost everything looks just like that.
    type: bool
    default: false
extends_documentation_fragment:
  - natsops.jetstream.backup
  - natsops.jetstream.lock
  - natsops.jetstream.connection
  - natsops.jetstream.attributes
  - natsops.jetstream.attributes.actiongroup
attributes:
  check_mode:
    support: full
    details:
      - Nothing is written, no snapshot is taken.
  diff_mode:
    support: none
    details:
      - A backup has no text that could be compared.
  idempotent:
    support: full
    details:
      - By the streams' states; streams that were written to in between are backed up again.
seealso:
  - module: natsops.jetstream.jetstream_account_restore
  - module: natsops.jetstream.jetstream_backup_info
"""

EXAMPLES = r"""
- name: Back up everything but scratch streams
  natsops.jetstream.jetstream_account_backup:
    context: production-app
    path: /var/backups/nats/APP
    exclude:
      - SCRATCH_*
  register: backup

- name: Tell what was moved
  ansible.builtin.debug:
    var: backup.summary
"""

RETURN = r"""
account:
  description: What the server calls the account, which is its id in operator mode.
  type: str
  returned: success and failure of single streams
account_name:
  description: Name of the account; its id where the server does not tell the name (before 2.12, in operator mode).
  type: str
  returned: success and failure of single streams
path:
  description: Directory of the backup.
  type: str
  returned: success and failure of single streams
streams:
  description: What became of each stream, by name.
  type: list
  elements: dict
  returned: success and failure of single streams
  contains:
    stream:
      description: Name of the stream.
      type: str
    status:
      description: C(transferred), C(unchanged), C(skipped), C(failed), or in check mode C(would_transfer).
      type: str
    reason:
      description: Why the stream was transferred, skipped or could not be backed up.
      type: str
    path:
      description: Directory of its backup.
      type: str
    bytes:
      description: Bytes transferred.
      type: int
    format:
      description: C(V1) or C(V2).
      type: str
    messages:
      description: Messages in the stream when its backup began.
      type: int
    first_seq:
      description: First sequence of the stream.
      type: int
    last_seq:
      description: Last sequence of the stream.
      type: int
    consumers:
      description: Number of consumers in the backup.
      type: int
    started_at:
      description: When its backup began, RFC 3339.
      type: str
    finished_at:
      description: When its backup was complete, RFC 3339.
      type: str
    verified:
      description: Level of the check that it passed.
      type: str
    suspect:
      description: Why the backup may hold less than the stream should have (C(kind), C(count), C(of), C(sequences), C(text)).
      type: dict
    error:
      description: Stable word for what went wrong.
      type: str
    err_code:
      description: JetStream's error code.
      type: int
    warnings:
      description: What one should know of it.
      type: list
      elements: str
summary:
  description: How many streams were C(transferred), C(unchanged), C(skipped) and C(failed).
  type: dict
  returned: success and failure of single streams
bytes:
  description: Bytes transferred.
  type: int
  returned: success and failure of single streams
set:
  description: Name of the set that holds the result; empty in check mode where a new one would be made.
  type: str
  returned: with O(sets)
duration:
  description: Seconds the module took.
  type: float
  returned: always
error:
  description: Stable word for what went wrong, see docs/errors.md.
  type: str
  returned: failure
err_code:
  description: JetStream's error code.
  type: int
  returned: failure, if JetStream gave one
"""

from ansible_collections.natsops.jetstream.plugins.module_utils._ansible import python  # noqa: F401 - first  # pylint: disable=unused-import
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.backup import ACCOUNT_BACKUP, account_backup
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.module import run_module


def main():
    """Entry point."""
    run_module(ACCOUNT_BACKUP, account_backup)


if __name__ == "__main__":
    main()
