# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options that the restore modules share."""

from __future__ import annotations


class ModuleDocFragment:
    """What to make of a backup; the specification is in module_utils/_ansible/restore.py."""

    DOCUMENTATION = r"""
options:
  on_conflict:
    description:
      - What to do where a stream of that name exists and differs from the backup. One that is the same is left alone.
      - V(replace) deletes it and restores the backup, after the backup was verified, and after it was proven that a stream
        with the wanted replicas, placement and storage can be created. In check mode, C(lost) in the result says what would be lost.
    type: str
    choices: [fail, skip, replace]
    default: fail
  config:
    description:
      - Fields of the stream's configuration to lay over the stored one, with the names of the JetStream API. A null removes
        a field. Times are in nanoseconds, as in the API.
      - The name, replicas, placement and storage have options of their own.
    type: dict
    default: {}
  replicas:
    description: Number of replicas, instead of the stored one.
    type: int
  placement:
    description: Placement, instead of the stored one.
    type: dict
    suboptions:
      cluster:
        description: Name of the cluster.
        type: str
      tags:
        description: Tags that the servers must have.
        type: list
        elements: str
  storage:
    description: Kind of storage, instead of the stored one. Into memory only from V2 archives.
    type: str
    choices: [file, memory]
  drop_unsupported:
    description:
      - Whether to leave out fields of the configuration that the server's version does not know. Otherwise they are named
        and the restore is refused.
    type: bool
    default: false
  verify:
    description:
      - How the backup is checked before anything is touched. V(quick) checks SHA-256 and size against the manifest, the
        frames of the archive, the checksums of blocks that are stored uncompressed, and its head and end. V(full) decodes
        every block as well, compares its checksum, parses every record and counts the messages.
    type: str
    choices: [quick, full]
    default: quick
  in_flight:
    description: Chunks to send before the first of them is acknowledged, from 1 to 1024.
    type: int
    default: 64
  chunk_size:
    description: Size of a chunk in bytes, from 1024 to 1048576 and the server's C(max_payload).
    type: int
    default: 131072
  stall_timeout:
    description: Seconds without an acknowledgement after which the restore fails.
    type: float
    default: 30.0
  timeout:
    description: Seconds that the restore of one stream may take.
    type: float
    default: 3600.0
  settle_timeout:
    description: Seconds to give a restored mirror or sourcing stream to reach its origins, before a warning says it did not.
    type: float
    default: 60.0
"""
