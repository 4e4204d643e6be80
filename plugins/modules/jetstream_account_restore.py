#!/usr/bin/python
# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore the streams of an account."""

DOCUMENTATION = r"""
module: jetstream_account_restore
short_description: Restore the JetStream streams of an account
version_added: 0.1.0
author:
  - The natsops.jetstream authors (@natsops)
description:
  - Restores all streams of a backup made by M(natsops.jetstream.jetstream_account_backup) or by the C(nats) command line, or
    those that match; origins before the mirrors and sourcing streams that copy from them.
  - A stream that fails does not stop the others; the module fails at the end, with every stream's own result. Run again, it
    does what is left.
  - Streams that the last account backup did not contain any more, or could not back up again, are left out with a warning.
options:
  path:
    description: Directory of the account's backup.
    type: path
    required: true
  streams:
    description: Names of the streams, or globs. A name without a glob must be in the backup.
    type: list
    elements: str
    default: ["*"]
  exclude:
    description: Names or globs of streams to leave out.
    type: list
    elements: str
    default: []
  parallel:
    description:
      - How many streams to restore at once, or V(auto) for as many as the servers are known to take.
      - Never more than that; a single server takes one, since several at once can kill it.
    type: str
    default: auto
  on_error:
    description: Whether to go on with other streams after one has failed.
    type: str
    choices: [continue, stop]
    default: continue
  stale:
    description:
      - Whether to restore also streams that were deleted before the account was last backed up, and older backups of those
        that the last run could not back up.
    type: bool
    default: false
  set:
    description:
      - A set of the repository, where O(path) is the directory of an account with sets, C(<repository>/<account>), by its
        name, or V(latest) for the newest whole one.
    type: str
  before:
    description:
      - Instead of O(set), a moment with its zone, as in C(2026-11-22T10:15:00Z). The newest set that was finished not after
        it is restored, so that nothing in it is younger.
    type: str
extends_documentation_fragment:
  - natsops.jetstream.restore
  - natsops.jetstream.connection
  - natsops.jetstream.attributes
  - natsops.jetstream.attributes.actiongroup
attributes:
  check_mode:
    support: full
    details:
      - The backup is verified and the target examined; nothing is created, deleted or changed.
      - Whether servers fit the placement is known to the servers only, which are asked when the restore is carried out.
  diff_mode:
    support: full
    details:
      - The configuration of the stream before and after.
  idempotent:
    support: full
    details:
      - A stream that is there as in the backup is left alone. Messages that expired or were consumed since do not count as
        differences, nor does what a mirror or a sourcing stream has taken in since, nor consumers that went on.
      - Messages that were published to a restored stream are no difference either, but with O(on_conflict=replace).
      - What a mirror or a sourcing stream has taken in is a difference once its origin goes back behind it.
seealso:
  - module: natsops.jetstream.jetstream_account_backup
  - module: natsops.jetstream.jetstream_stream_restore
"""

EXAMPLES = r"""
- name: Restore the account into an empty cluster
  natsops.jetstream.jetstream_account_restore:
    context: production-app
    path: /var/backups/nats/APP
  register: restored

- name: Say what was left out
  ansible.builtin.debug:
    msg: "{{ restored.streams | selectattr('status', 'eq', 'skipped') | map(attribute='reason') }}"
"""

RETURN = r"""
account:
  description: Name of the account.
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
      description:
        - C(created), C(replaced), C(finished) (it was there, and consumers or the configuration were completed),
          C(unchanged), C(skipped) or C(failed); in check mode C(would_create), C(would_replace) or C(would_finish).
      type: str
    reason:
      description: Why it was replaced or skipped, or failed.
      type: str
    path:
      description: Directory of its backup.
      type: str
    messages:
      description: Messages in the stream.
      type: int
    first_seq:
      description: First sequence of the stream.
      type: int
    last_seq:
      description: Last sequence of the stream.
      type: int
    consumers:
      description: Number of consumers of the stream.
      type: int
    consumers_created:
      description: Consumers that the archive lacked and that were created from the manifest.
      type: list
      elements: str
    selected:
      description: What was selected, as in M(natsops.jetstream.jetstream_stream_restore), when the archive was rewritten.
      type: dict
    safety_backup:
      description:
        - The backup of the stream that was replaced, with its C(path), C(messages), C(last_seq) and C(bytes). In check mode what
          it would cost, and the directory below which it would be made.
      type: dict
    now:
      description:
        - What exists after a replacement that failed. C(old stream) is the old one, untouched. C(old stream put back) is the old
          one, from its safety backup. C(missing), C(empty) and C(partial) are what is left where that failed too.
          C(new stream) has its messages, and failed in a later step. C(another stream) was made by somebody else meanwhile.
          C(unknown) is where the connection ended for good.
      type: str
    put_back_warnings:
      description: What could not be kept when the old stream was put back.
      type: list
      elements: str
    relaxed:
      description:
        - Fields of the configuration that are not as in the backup, since the server does not take them, each with C(field),
          C(backup), C(stream) and C(reason).
      type: list
      elements: dict
    lost:
      description: What the replaced stream held, with its C(messages), C(last_seq) and C(consumers).
      type: dict
    error:
      description: Stable word for what went wrong.
      type: str
    err_code:
      description: JetStream's error code.
      type: int
    differences:
      description: How the existing stream differs from the backup.
      type: list
      elements: str
    warnings:
      description: What one should know of it.
      type: list
      elements: str
summary:
  description: How many streams were C(created), C(replaced), C(finished), C(unchanged), C(skipped) and C(failed).
  type: dict
  returned: success and failure of single streams
set:
  description: Name of the set that was restored.
  type: str
  returned: with O(set) or O(before)
set_finished_at:
  description: When that set was finished, RFC 3339.
  type: str
  returned: with O(set) or O(before)
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
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.module import run_module
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.restore import ACCOUNT_RESTORE, account_restore


def main():
    """Entry point."""
    run_module(ACCOUNT_RESTORE, account_restore)


if __name__ == "__main__":
    main()
