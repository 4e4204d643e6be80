#!/usr/bin/python
# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write a page about a repository of backups."""

DOCUMENTATION = r"""
module: jetstream_backup_report
short_description: Write a page about a repository of JetStream backups
version_added: 0.1.0
author:
  - The natsops.jetstream authors (@natsops)
description:
  - "Writes what lies in a repository of backups as one page of HTML that needs no other file: streams and sets, sizes, times,
    how far each backup was verified, its last drill, and what is wrong, the worst first."
  - Beside it the same content is written as JSON and as Markdown.
  - Looks at names, sizes, manifests, and the notes that checks and drills have left; no data is read. Damage is known from
    earlier runs of M(natsops.jetstream.jetstream_backup_info) and M(natsops.jetstream.jetstream_backup_drill).
  - Times are absolute, so that the files change only when something in the repository has; a browser adds the ages.
options:
  path:
    description: Directory of a repository, or of one account's backup.
    type: path
    required: true
  dest:
    description:
      - The page to write, whose name ends in C(.html). The JSON and Markdown files have the same name with their own endings.
      - Written with mode 0600, since stream names and subjects can be confidential.
    type: path
    required: true
  title:
    description: Heading of the page.
    type: str
    default: JetStream backups
  max_age:
    description: Seconds after which a stream's newest backup counts as too old, which is a problem.
    type: float
extends_documentation_fragment:
  - natsops.jetstream.attributes
attributes:
  check_mode:
    support: full
    details:
      - Everything is looked at, nothing is written.
  diff_mode:
    support: full
    details:
      - The Markdown file before and after.
  idempotent:
    support: full
    details:
      - Files are written only if their content changes.
seealso:
  - module: natsops.jetstream.jetstream_backup_info
  - module: natsops.jetstream.jetstream_backup_drill
"""

EXAMPLES = r"""
- name: A page for the web server of the operators
  natsops.jetstream.jetstream_backup_report:
    path: /var/backups/nats
    dest: /var/log/natsops/backups.html
    max_age: 90000
  register: report

- name: Say what is wrong
  ansible.builtin.debug:
    var: report.sentence
"""

RETURN = r"""
path:
  description: The directory that was looked into.
  type: str
  returned: success
files:
  description: The three files.
  type: list
  elements: str
  returned: success
sentence:
  description: The one line that matters.
  type: str
  returned: success
summary:
  description:
    - How many C(accounts), C(streams) (with a backup in the newest set), C(sets) and C(messages); C(bytes) of the streams and
      C(disk) bytes of all data files, shared ones once; C(oldest), when the oldest of the newest backups was last found current;
      how many are C(verified_full) and C(drilled) with success; and C(problems).
  type: dict
  returned: success
problems:
  description:
    - What is wrong, the worst first, each with C(severity) (C(lost) for a damaged newest backup, C(error) or C(warning)),
      C(account), C(stream), C(set) and C(text).
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
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.backup_report import (
    BACKUP_REPORT,
    backup_report,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.module import run_module


def main():
    """Entry point."""
    run_module(BACKUP_REPORT, backup_report, connects=False)


if __name__ == "__main__":
    main()
