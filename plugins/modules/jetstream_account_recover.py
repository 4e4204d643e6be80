#!/usr/bin/python
# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore streams that a cluster has made anew, empty."""

DOCUMENTATION = r"""
module: jetstream_account_recover
short_description: Restore streams that a cluster has made anew, empty
version_added: 0.1.0
author:
  - The natsops.jetstream authors (@natsops)
description:
  - After the loss of a server, a cluster makes the streams and consumers that it alone held anew, empty, under the same names.
    This finds them, replaces the streams by their backups, and moves the consumers to where they were in the backup.
  - A stream counts as made anew only where that is proven. It was created at the very moment that the manifest of its backup
    tells, and its last sequence is 0, although the backup has messages; a stream never goes back by itself. Everything else is
    left alone, as are streams that were made anew and have taken messages since, which are named.
  - Gives streams that M(natsops.jetstream.jetstream_account_hold) has held their subjects back. What that module noted in
    C(.natsops-held) in the directory of the account's backups is restored from the backup that was taken then, also where the
    stream is gone, and with all its consumers. Until each of these is whole, this fails; then its note is removed.
  - It goes by what is there, so that it can be run again at any time.
options:
  path:
    description:
      - Directory of the account's backup. Where it holds sets, the newest one (C(latest)) is taken.
    type: path
    required: true
  streams:
    description: Names of the streams, or globs.
    type: list
    elements: str
    default: ["*"]
  wait_timeout:
    description: Seconds to wait until streams that were made anew have a leader.
    type: float
    default: 60.0
  placement:
    description:
      - Where to put held streams whose own placement fits no server that answers. Others keep their own.
      - Where all servers of such a stream are gone, it is deleted first; without this it is left, and the run fails.
    type: dict
    suboptions:
      cluster:
        description: Name of the cluster.
        type: str
      tags:
        description: Tags that a server must have.
        type: list
        elements: str
extends_documentation_fragment:
  - natsops.jetstream.connection
  - natsops.jetstream.attributes
  - natsops.jetstream.attributes.actiongroup
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - Where nothing was made anew, nothing is changed.
seealso:
  - module: natsops.jetstream.jetstream_peer_remove
  - module: natsops.jetstream.jetstream_account_hold
"""

EXAMPLES = r"""
- name: Restore what the removed server alone held
  natsops.jetstream.jetstream_account_recover:
    context: production-app
    path: /var/backups/nats/APP
"""

RETURN = r"""
path:
  description: Directory of the backup that was taken.
  type: str
  returned: success
account:
  description: Name of the account.
  type: str
  returned: success
streams:
  description: The streams of the backup that are not as they were; empty where all are.
  type: list
  elements: dict
  returned: success and failure of single streams
  contains:
    stream:
      description: Name of the stream.
      type: str
    status:
      description:
        - C(restored); C(behind) (it lags behind the backup and was written to, and was left alone); C(other) (another stream of
          that name); C(absent); C(unreachable); C(released) (its subjects were held); C(failed); in check mode
          C(would_restore).
      type: str
    since:
      description: When the backup began. What came later is lost.
      type: str
    messages:
      description: Messages in the backup.
      type: int
    last_seq:
      description: Last sequence of the backup.
      type: int
    live_seq:
      description: Last sequence of the stream before.
      type: int
    reason:
      description: Why it was left alone or failed.
      type: str
consumers:
  description: Consumers that were made anew on streams that were not.
  type: list
  elements: dict
  returned: success and failure of single streams
  contains:
    stream:
      description: Name of the stream.
      type: str
    consumer:
      description: Name of the consumer.
      type: str
    status:
      description: C(moved), or C(left); in check mode C(would_move).
      type: str
    seq:
      description: The sequence that it delivers next.
      type: int
    reason:
      description: Why it was left as it is.
      type: str
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
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.recover import RECOVER, account_recover


def main():
    """Entry point."""
    run_module(RECOVER, account_recover)


if __name__ == "__main__":
    main()
