#!/usr/bin/python
# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""List and check backups of JetStream streams."""

from __future__ import annotations

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
    type: str
    choices: [none, quick]
    default: none
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
    started:
      description: When the backup began, RFC 3339; with a manifest.
      type: str
    finished:
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

from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.backup import BACKUP_INFO, backup_info
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.module import run_module


def main() -> None:
    """Entry point."""
    run_module(BACKUP_INFO, backup_info, connects=False)


if __name__ == "__main__":
    main()
