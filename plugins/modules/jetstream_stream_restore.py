#!/usr/bin/python
# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore one JetStream stream."""

DOCUMENTATION = r"""
module: jetstream_stream_restore
short_description: Restore a JetStream stream from a directory
version_added: 0.1.0
author:
  - The natsops.jetstream authors (@natsops)
description:
  - Restores a stream and its consumers from a backup made by M(natsops.jetstream.jetstream_stream_backup) or by the C(nats)
    command line.
  - The backup is verified first, and what can make the restore impossible is looked for before anything is touched.
  - The restored stream is compared with the backup. What could not be kept is said in warnings.
  - A restore that fails, or is killed, leaves no partial stream behind once it has been run again.
options:
  path:
    description: Directory of the stream's backup.
    type: path
    required: true
  stream:
    description:
      - Name to restore it under, if not its own. It takes nats-server 2.15 or newer; a V1 archive (written by older ones) is
        converted into V2 for that.
      - Its subjects stay, so that beside the original O(config) must set others.
    type: str
    aliases: [name]
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
  - module: natsops.jetstream.jetstream_stream_backup
  - module: natsops.jetstream.jetstream_account_restore
"""

EXAMPLES = r"""
- name: Restore the orders
  natsops.jetstream.jetstream_stream_restore:
    servers: nats://127.0.0.1:4222
    path: /var/backups/nats/APP/ORDERS

- name: Restore them as they were before the accident, without what was only telemetry
  natsops.jetstream.jetstream_stream_restore:
    path: /var/backups/nats/APP/ORDERS
    on_conflict: replace
    until: "2026-11-22T10:15:00Z"
    exclude_subjects: [orders.telemetry.>]

- name: Restore them beside the live ones, to look into them
  natsops.jetstream.jetstream_stream_restore:
    path: /var/backups/nats/APP/ORDERS
    stream: ORDERS_OLD
    replicas: 1
    config:
      subjects: [old.orders.>]
"""

RETURN = r"""
stream:
  description: Name of the stream.
  type: str
  returned: success
status:
  description:
    - C(created), C(replaced), C(finished) (it was there, and consumers or the configuration were completed), C(unchanged) or
      C(skipped); in check mode C(would_create), C(would_replace) or C(would_finish).
  type: str
  returned: success
reason:
  description: Why it was replaced or skipped.
  type: str
  returned: when it was
path:
  description: Directory of the backup.
  type: str
  returned: success
messages:
  description: Messages in the stream.
  type: int
  returned: success
first_seq:
  description: First sequence of the stream.
  type: int
  returned: success
last_seq:
  description: Last sequence of the stream.
  type: int
  returned: success
consumers:
  description: Number of consumers of the stream.
  type: int
  returned: success
consumers_created:
  description: Consumers that the archive lacked and that were created from the manifest.
  type: list
  elements: str
  returned: success
selected:
  description:
    - What was selected, C(messages), C(first_seq) and C(last_seq), out of C(of_messages); whether a V1 archive was
      C(converted) into V2; the names of consumers that were ahead of O(until), C(consumers_moved) and
      C(consumers_left_out).
  type: dict
  returned: when the archive was rewritten
safety_backup:
  description:
    - The backup of the stream that was replaced, with its C(path), C(messages), C(last_seq) and C(bytes). In check mode what
      it would cost, and the directory below which it would be made.
  type: dict
  returned: when a stream is replaced
now:
  description:
    - What exists after a replacement that failed. C(old stream) is the old one, untouched. C(old stream put back) is the old
      one, from its safety backup. C(missing), C(empty) and C(partial) are what is left where that failed too.
      C(new stream) has its messages, and failed in a later step. C(another stream) was made by somebody else meanwhile.
      C(unknown) is where the connection ended for good.
  type: str
  returned: failure, when a stream was to be replaced
put_back_warnings:
  description: What could not be kept when the old stream was put back.
  type: list
  elements: str
  returned: failure, when the old stream was put back
relaxed:
  description:
    - Fields of the configuration that are not as in the backup, since the server does not take them, each with C(field),
      C(backup), C(stream) and C(reason).
  type: list
  elements: dict
  returned: when there are any
lost:
  description: What the replaced stream held, with its C(messages), C(last_seq) and C(consumers).
  type: dict
  returned: when a stream was, or in check mode would be, replaced
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
differences:
  description: How the existing stream differs from the backup.
  type: list
  elements: str
  returned: failure with RV(error=stream_exists)
problems:
  description: What is wrong with the backup, as in M(natsops.jetstream.jetstream_backup_info).
  type: list
  elements: dict
  returned: failure with RV(error=backup_invalid)
"""

from ansible_collections.natsops.jetstream.plugins.module_utils._ansible import python  # noqa: F401 - first  # pylint: disable=unused-import
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.module import run_module
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.restore import STREAM_RESTORE, stream_restore


def main():
    """Entry point."""
    run_module(STREAM_RESTORE, stream_restore)


if __name__ == "__main__":
    main()
