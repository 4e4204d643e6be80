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
    deleted and made anew, empty and without publishers, which gives up what is on the disk of the dead server.
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
    support: none
    details:
      - A stream whose server is dead cannot be asked for its subjects; they are taken away again.
seealso:
  - module: natsops.jetstream.jetstream_account_recover
"""

EXAMPLES = r"""
- name: Keep publishers off what the dead server alone held
  natsops.jetstream.jetstream_account_hold:
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
  description: The streams that no server answers for and that are in the backup.
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
      description: Why it failed.
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
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.recover import HOLD, account_hold


def main():
    """Entry point."""
    run_module(HOLD, account_hold)


if __name__ == "__main__":
    main()
