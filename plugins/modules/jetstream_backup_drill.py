#!/usr/bin/python
# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rehearse the restore of backups in a throw-away server."""

DOCUMENTATION = r"""
module: jetstream_backup_drill
short_description: Rehearse the restore of JetStream backups
version_added: 0.1.0
author:
  - The natsops.jetstream authors (@natsops)
description:
  - Starts a private nats-server on the host that runs the module, restores backups into it, one after the other, reads every
    message back, and compares sequence, subject, headers, data and time with the archive, and consumers with theirs. The
    server ends with the module, and nothing of it is left.
  - No other server is talked to, so that a drill can run anywhere where the backups are. The private server listens on a
    random port of 127.0.0.1 and nowhere else, with users and passwords of its own.
  - A backup that is damaged or does not come back as it was is not a failure of this module; it is returned with
    RV(passed=false) and named in RV(streams). Each backup is checked before it is sent to the server.
  - When it was done, and with which result, is noted beside each backup in C(drill.json), but not in check mode.
options:
  path:
    description:
      - Directory of a stream's or an account's backup, or one that holds several.
      - Of a repository of sets, the newest whole set of each account is taken, or the one that O(set) or O(before) means.
    type: path
    required: true
  set:
    description: Name of the set to take, or V(latest). Of a repository only.
    type: str
  before:
    description: Take the newest set that was finished not after this moment, RFC 3339. Of a repository only.
    type: str
  streams:
    description: Names of the streams, or globs. A name without a glob must be there.
    type: list
    elements: str
    default: ["*"]
  exclude:
    description: Names or globs of streams to leave out.
    type: list
    elements: str
    default: []
  sample:
    description:
      - How many of them to drill, a number (as V(3)) or a share (as V(25%) or V(0.25)), so that a large repository is
        rehearsed over many runs. All by default.
      - Those that were never drilled, or longest ago, come first.
    type: str
  server_binary:
    description:
      - The nats-server to start, a path or a name to look up in E(PATH). V2 archives need 2.15 or newer.
      - Take the version that a real restore would go to; a drill proves as much for that one.
    type: str
    default: nats-server
  server_limits:
    description:
      - The block C(limits) of the private server's C(jetstream) configuration, where the servers of a real restore differ from
        the defaults. Servers of 2.15 for one allow 1000 consumers a stream, unless C(default_max_consumers) says otherwise.
    type: dict
    default: {}
  temp_path:
    description:
      - Directory for the server's store, which takes up to three times the size of the largest stream. By default the
        system's directory for temporary files.
    type: path
  verify:
    description: Level of the check before the restore, as in M(natsops.jetstream.jetstream_backup_info).
    type: str
    choices: [quick, full]
    default: quick
  stall_timeout:
    description: Seconds without progress after which the drill of a stream fails.
    type: float
    default: 30.0
  timeout:
    description: Seconds that the restore of one stream may take.
    type: float
    default: 3600.0
notes:
  - Streams come back with one replica, and without what depends on the clock (C(max_age), message TTLs, schedules), so that
    nothing expires while it is compared. Afterwards the server is asked whether it takes the whole configuration.
  - The origins of mirrors and sourcing streams are not there, which is no difference; such a stream is compared with its own
    backup.
  - Streams kept in memory come back into memory.
extends_documentation_fragment:
  - natsops.jetstream.attributes
  - natsops.jetstream.attributes.info_module
requirements:
  - nats-server on the host that runs the module
  - nats-py >= 2.8
seealso:
  - module: natsops.jetstream.jetstream_backup_info
  - module: natsops.jetstream.jetstream_backup_report
"""

EXAMPLES = r"""
- name: Rehearse the restore of an account
  natsops.jetstream.jetstream_backup_drill:
    path: /var/backups/nats/APP
    server_binary: /usr/local/bin/nats-server
  register: drill

- name: Stop if a backup did not come back as it was
  ansible.builtin.assert:
    that: drill.passed
    fail_msg: "{{ drill.streams | rejectattr('identical') | map(attribute='stream') | join(', ') }}"

- name: A tenth of a large repository every night
  natsops.jetstream.jetstream_backup_drill:
    path: /var/backups/nats
    sample: 10%
"""

RETURN = r"""
schema:
  description: Name of this form of evidence, V(natsops.drill/1); fields may be added to it.
  type: str
  returned: success
passed:
  description: Whether every backup came back identical.
  type: bool
  returned: success
path:
  description: The directory that was looked into.
  type: str
  returned: success
started_at:
  description: When the drill began, RFC 3339.
  type: str
  returned: success
finished_at:
  description: When it was over, RFC 3339.
  type: str
  returned: success
server_version:
  description: Version of the private server.
  type: str
  returned: success
cleared:
  description: Directories that killed runs had left, and that were removed.
  type: list
  elements: str
  returned: success
summary:
  description:
    - How many backups were C(identical), C(different), C(invalid), C(failed), and C(left_out) of the sample; C(messages) and
      C(bytes) that were compared; C(rto), the seconds that the checks and restores took; C(rpo), the age of the oldest backup
      in seconds, null where no manifest tells; C(rate), bytes a second; and C(seconds) of the whole drill.
  type: dict
  returned: success
streams:
  description: What became of each backup, by path.
  type: list
  elements: dict
  returned: success
  contains:
    stream:
      description: Name of the stream.
      type: str
    path:
      description: Directory of its backup.
      type: str
    account:
      description: Account of the stream, empty where no manifest tells.
      type: str
    status:
      description:
        - C(identical), C(different), C(invalid) (damaged, found before anything was restored) or C(failed) (it could not be
          restored or read).
      type: str
    restored:
      description: Whether it could be restored.
      type: bool
    identical:
      description: Whether what was restored is what was backed up.
      type: bool
    format:
      description: C(V1) or C(V2); null if it cannot be told.
      type: str
    set:
      description: Name of the set that it belongs to, empty if it belongs to none.
      type: str
    backed_up:
      description: When the backup began, RFC 3339, empty where no manifest tells.
      type: str
    age:
      description:
        - Seconds since then, or since its set last found it to be what the stream is; what came later would be lost (RPO).
          Null where no manifest tells.
      type: float
    archive_size:
      description: Size of the data file in bytes.
      type: int
    messages:
      description: Messages that were read back.
      type: int
    bytes:
      description: Their headers and data in bytes.
      type: int
    consumers:
      description: Consumers that were restored.
      type: int
    gone:
      description:
        - Messages of the archive that the stream's own configuration took away again, because the backup was made while it
          changed, or because all its consumers had acknowledged them.
      type: int
    differences:
      description: The first ten differences, each naming a message, a consumer or the configuration.
      type: list
      elements: str
    difference_count:
      description: How many there are.
      type: int
    problems:
      description: What the check before the restore found, as in M(natsops.jetstream.jetstream_backup_info).
      type: list
      elements: dict
    seconds:
      description: Seconds that C(verify), C(restore) and C(read) took.
      type: dict
    restore_seconds:
      description: Seconds of the check and the restore (RTO on this machine).
      type: float
    rate:
      description: Bytes restored a second.
      type: int
    notes:
      description: What a restore of it cannot keep.
      type: list
      elements: str
    reason:
      description: Why it failed.
      type: str
    error:
      description: Stable word for why it failed.
      type: str
    err_code:
      description: JetStream's error code.
      type: int
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
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.drill import DRILL, drill
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.module import run_module


def main():
    """Entry point."""
    run_module(DRILL, drill, connects=False)


if __name__ == "__main__":
    main()
