#!/usr/bin/python
# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remove old sets of backups."""

DOCUMENTATION = r"""
module: jetstream_backup_prune
short_description: Remove old sets of an account's backups
version_added: 0.1.0
author:
  - The natsops.jetstream authors (@natsops)
description:
  - Removes sets that M(natsops.jetstream.jetstream_account_backup) made with
    O(natsops.jetstream.jetstream_account_backup#module:sets), except those that are to be kept.
  - The newest whole set and the newest complete one always stay, and so does everything that is not a whole set.
  - What other sets share with a removed one stays on the disk.
options:
  path:
    description: Directory of an account in a repository, C(<repository>/<account>).
    type: path
    required: true
  keep_last:
    description: Keep this many of the newest sets. A set is kept if this or O(keep_days) says so.
    type: int
  keep_days:
    description: Keep the sets that were finished within this many days.
    type: float
extends_documentation_fragment:
  - natsops.jetstream.attributes
attributes:
  check_mode:
    support: full
    details:
      - Nothing is removed.
  diff_mode:
    support: none
    details:
      - RV(removed) says what is removed.
  idempotent:
    support: full
    details:
      - With O(keep_days), time goes on.
seealso:
  - module: natsops.jetstream.jetstream_account_backup
"""

EXAMPLES = r"""
- name: Keep a month, and never fewer than seven sets
  natsops.jetstream.jetstream_backup_prune:
    path: /var/backups/nats/APP
    keep_days: 31
    keep_last: 7
"""

RETURN = r"""
path:
  description: Directory of the account.
  type: str
  returned: success
removed:
  description: Names of the sets that were removed, the oldest first; in check mode of those that would be.
  type: list
  elements: str
  returned: success
kept:
  description: The other sets, each with C(set), C(finished_at) and the C(reason) why it stays.
  type: list
  elements: dict
  returned: success
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
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.backup_prune import BACKUP_PRUNE, backup_prune
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.module import run_module


def main():
    """Entry point."""
    run_module(BACKUP_PRUNE, backup_prune, connects=False)


if __name__ == "__main__":
    main()
