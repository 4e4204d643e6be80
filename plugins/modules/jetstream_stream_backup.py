#!/usr/bin/python
# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Back up one JetStream stream."""

DOCUMENTATION = r"""
module: jetstream_stream_backup
short_description: Back up a JetStream stream into a directory
version_added: 0.1.0
author:
  - The natsops.jetstream authors (@natsops)
description:
  - Takes a snapshot of a stream, with its consumers, into a directory on the host that runs the module.
  - A stream whose configuration, state and consumers are those of the backup already there is not transferred again.
  - The new backup is written beside the old one, checked, and then takes its place in one step. A run that fails or is
    killed leaves the earlier backup as it was.
  - The C(nats) command line can restore such a directory.
options:
  stream:
    description: Name of the stream.
    type: str
    required: true
    aliases: [name]
  path:
    description:
      - Directory of the backup. It is made if needed, mode 0700; files in it are 0600.
      - It must be empty, or hold a backup of the same stream, and must not be a symbolic link.
    type: path
    required: true
extends_documentation_fragment:
  - natsops.jetstream.backup
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
      - By the stream's state; a stream that was written to in between is backed up again.
seealso:
  - module: natsops.jetstream.jetstream_stream_restore
  - module: natsops.jetstream.jetstream_account_backup
"""

EXAMPLES = r"""
- name: Back up the orders
  natsops.jetstream.jetstream_stream_backup:
    servers: nats://127.0.0.1:4222
    credentials: /etc/nats/backup.creds
    stream: ORDERS
    path: /var/backups/nats/APP/ORDERS
  register: backup

- name: Tell how much there is
  ansible.builtin.debug:
    msg: "{{ backup.messages }} messages up to {{ backup.last_seq }}, {{ backup.bytes }} bytes moved"
"""

RETURN = r"""
stream:
  description: Name of the stream.
  type: str
  returned: success
status:
  description: C(transferred), C(unchanged), or in check mode C(would_transfer).
  type: str
  returned: success
suspect:
  description: Why the backup may hold less than the stream should have, since its server lost, damaged or left out messages. C(kind),
    C(count) of these messages (0 if unknown), C(of) how many the stream counts, C(sequences) as far as they are known, and C(text).
  type: dict
  returned: when it is
reason:
  description: Why the stream was transferred.
  type: str
  returned: when it was
path:
  description: Directory of the backup.
  type: str
  returned: success
format:
  description: C(V1) (a tar archive, written by servers before 2.15) or C(V2).
  type: str
  returned: success, outside check mode or when unchanged
messages:
  description: Messages in the stream when its backup began.
  type: int
  returned: success, outside check mode or when unchanged
first_seq:
  description: First sequence of the stream.
  type: int
  returned: success, outside check mode or when unchanged
last_seq:
  description: Last sequence of the stream.
  type: int
  returned: success, outside check mode or when unchanged
consumers:
  description: Number of consumers in the backup.
  type: int
  returned: success, outside check mode or when unchanged
bytes:
  description: Bytes transferred; 0 when nothing had changed.
  type: int
  returned: success
started_at:
  description: When the backup began, RFC 3339.
  type: str
  returned: success, outside check mode or when unchanged
finished_at:
  description: When the backup was complete, RFC 3339.
  type: str
  returned: success, outside check mode or when unchanged
verified:
  description: Level of the check that the backup passed.
  type: str
  returned: success, outside check mode or when unchanged
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
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.backup import STREAM_BACKUP, stream_backup
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.module import run_module


def main():
    """Entry point."""
    run_module(STREAM_BACKUP, stream_backup)


if __name__ == "__main__":
    main()
