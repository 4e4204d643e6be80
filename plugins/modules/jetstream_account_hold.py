#!/usr/bin/python
# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep publishers off streams whose only copy is lost."""

DOCUMENTATION = r"""
module: jetstream_account_hold
short_description: Keep publishers off streams whose only copy is lost
version_added: 0.1.0
author:
  - The natsops.jetstream authors (@natsops)
description:
  - When a dead server is removed from its cluster, the streams that it alone held are made anew, empty, and take messages at
    once, with sequences from 1. A backup can then not be put in their place without losing these.
  - To be used just before M(natsops.jetstream.jetstream_peer_remove), this takes the subjects of these streams away, as far
    as a backup of them is there, so that publishing goes on failing until
    M(natsops.jetstream.jetstream_account_recover) has restored them with their own subjects.
  - A cluster that has known for some minutes that the server is gone does not update these streams any more. They are then
    deleted and made anew, empty and without publishers, which gives up what is on the disk of the dead server. So are
    those that O(placement) is used for.
  - Nothing is deleted unless a new stream can be created. The servers that answer must fit its placement, the limits of the
    account must allow it, and a trial stream with the same configuration is created and deleted again. Otherwise the stream
    is left as it is, with the reason.
  - What is done is noted first, with the configuration of the stream and its consumers, in C(.natsops-held) in the directory
    of the account's backups. M(natsops.jetstream.jetstream_account_recover) restores all that is noted there, and fails until
    it has. A run that was killed is completed by the next one.
  - Streams that any server answers for, and streams with more than one replica, are not touched.
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
  placement:
    description:
      - Where to put streams whose own placement fits no server that answers. Others keep their own.
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
    details:
      - Everything is asked that changes nothing; the trial stream is created only when the stream is really to be deleted. Each
        stream that would be deleted is named, also in a warning.
      - Whether a stream has to be deleted depends on how long the cluster has known of the loss; that may change until the
        real run.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - A stream whose subjects were taken away already is left alone.
seealso:
  - module: natsops.jetstream.jetstream_account_recover
"""

EXAMPLES = r"""
- name: Keep publishers off what the dead server alone held
  natsops.jetstream.jetstream_account_hold:
    context: production-app
    path: /var/backups/nats/APP

- name: The same, where streams were placed on servers of a zone that is gone
  natsops.jetstream.jetstream_account_hold:
    context: production-app
    path: /var/backups/nats/APP
    placement:
      tags: [zone:b]
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
  description:
    - The streams that no server answers for and that are in the backup, and those that an earlier run deleted and did not make
      anew.
  type: list
  elements: dict
  returned: success
  contains:
    stream:
      description: Name of the stream.
      type: str
    status:
      description: C(held) or C(failed); in check mode C(would_hold).
      type: str
    reason:
      description: Why it failed, or why it is deleted.
      type: str
    deleted:
      description: Whether it was deleted and made anew, empty; in check mode, whether it would be.
      type: bool
    placement:
      description: Where it is made anew, where that is O(placement) and not its own.
      type: dict
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
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.recover import HOLD, account_hold


def main():
    """Entry point."""
    run_module(HOLD, account_hold)


if __name__ == "__main__":
    main()
