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
      - V(replace_empty) does so only where the stream never had a message (its C(last_seq) is 0), as applications leave it that
        create their streams on start. Otherwise it is as V(fail).
      - While a stream is replaced its subjects are taken away first, so that no message is acknowledged and then lost.
        Publishers get an error until the new stream is there, and have to try again.
    type: str
    choices: [fail, skip, replace, replace_empty]
    default: fail
  safety_backup:
    description:
      - Whether a stream is backed up before it is replaced. If the restore then fails, the old stream is put back from that
        backup, with its consumers, and compared. The result names the place in C(safety_backup); nothing is removed from it.
      - Where it cannot be taken (no room, no permission, a stream in memory before nats-server 2.15), nothing is touched and
        the module fails. With V(false) the stream is replaced all the same, and what it holds is gone if the restore fails.
      - A stream that never had a message needs none; it is made again from its configuration.
    type: bool
    default: true
  safety_path:
    description:
      - Directory for the safety backups, on the host that runs the module. Each has a directory of its own,
        C(<safety_path>/<account>/<stream>/replaced-<time>), which this module and the C(nats) command line restore.
      - By default C(/var/lib/natsops/safety) for root, and C(~/.local/state/natsops/safety) for other users.
      - It must not lie in a backup or in the directory of an account with sets.
      - The environment variable E(NATSOPS_SAFETY_PATH) is used if it is not set.
    type: path
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
    description: Kind of storage, instead of the stored one. Into memory only on nats-server 2.15 and newer, from V1 archives too.
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
  until:
    description:
      - Restore messages up to this one only, a time as in C(2026-11-22T10:15:00Z) or, for a single stream, a sequence; both
        are inclusive. Later messages are left out, and the stream goes on behind the last of them.
      - With this, O(since), O(subjects) or O(exclude_subjects), the archive is rewritten into a temporary file, V1 into V2,
        which nats-server 2.15 and newer take. For an older one it is refused before anything is touched.
    type: str
  since:
    description: Restore messages from this one on only, a time or a sequence as in O(until).
    type: str
  subjects:
    description: Restore messages of these subjects only, with the wildcards C(*) and C(>). Empty for all.
    type: list
    elements: str
    default: []
  exclude_subjects:
    description: Leave out messages of these subjects, with the wildcards C(*) and C(>).
    type: list
    elements: str
    default: []
  consumers_ahead:
    description:
      - What becomes of consumers that were already past O(until). V(move) brings them back to it, V(leave_out) leaves them
        out. The result names them.
    type: str
    choices: [move, leave_out]
    default: move
  temp_path:
    description:
      - Directory for the temporary file of a rewritten archive, by default the system's. It takes as much room as the stream
        has bytes, and has no name, so that nothing stays behind when the run is killed.
    type: path
  in_flight:
    description:
      - Chunks to send before the first of them is acknowledged, from 1 to 1024.
      - By default as many as make 8 MiB.
    type: int
  chunk_size:
    description:
      - Size of a chunk in bytes, from 1024 to 1048576 and the C(max_payload) that the server has for the account.
      - By default 512 KiB. It is 64 KiB where the data goes through a leafnode, so with O(domain) or an API prefix. It is
        never more than that C(max_payload).
      - Every server on the way must take it. A hub that gets more than its own C(max_payload) closes the connection of the
        whole leafnode, for all clients.
    type: int
  stall_timeout:
    description: Seconds without an acknowledgement after which the restore fails.
    type: float
    default: 30.0
  timeout:
    description: Seconds that the restore of one stream may take.
    type: float
    default: 3600.0
  settle_timeout:
    description:
      - Seconds to give the replicas of a restored stream to catch up, and a mirror or sourcing stream to reach its origins,
        before a warning says that they did not.
    type: float
    default: 60.0
"""
