# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options that the backup modules share."""

from __future__ import annotations


class ModuleDocFragment:
    """How to take a snapshot; the specification is in module_utils/_ansible/backup.py."""

    DOCUMENTATION = r"""
options:
  consumers:
    description:
      - Whether to back up consumers as well.
      - Consumers of a stream with interest or work-queue retention are not optional, since its messages go with them.
    type: bool
    default: true
  health_check:
    description:
      - Whether servers before 2.15 check every message first.
      - A server that finds damage refuses the snapshot and forgets the messages behind the damage in its block. Take a backup
        without this option first. O(verify=full) finds such damage and changes nothing on the server.
    type: bool
    default: false
  verify:
    description:
      - How a new backup, and one that is about to be called unchanged, is checked.
      - V(quick) checks SHA-256 and size, the frames of the archive, the checksums of blocks that are stored uncompressed, and
        the archive's head and end.
      - V(full) decodes every block and compares its checksum, parses every record and counts the messages. One that is about
        to be called unchanged is checked so once; from then on its SHA-256 proves that it is still what was checked.
      - V(none) checks sizes only.
    type: str
    choices: [quick, full, none]
    default: quick
  force:
    description: Whether to transfer a stream that did not change, and to replace a damaged backup of an unknown stream.
    type: bool
    default: false
  chunk_size:
    description:
      - Size of the pieces that the server sends, in bytes, from 1024 to 1048576 and the C(max_payload) that the server has
        for the account.
      - By default 256 KiB. It is 64 KiB where the data goes through a leafnode, so with O(domain) or an API prefix. It is
        never more than that C(max_payload).
      - Every server on the way must take it. A hub that gets more than its own C(max_payload) closes the connection of the
        whole leafnode, for all clients.
    type: int
  window_size:
    description: Bytes that may be under way without acknowledgement, at most 33554432. Servers before 2.12.5 have their own.
    type: int
    default: 8388608
  stall_timeout:
    description: Seconds without data after which the backup fails.
    type: float
    default: 30.0
  timeout:
    description: Seconds that the transfer of one stream may take; 0 for no limit.
    type: float
    default: 0.0
"""
