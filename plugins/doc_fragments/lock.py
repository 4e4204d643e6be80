# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the lock between runs."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of the lock; their specification is in module_utils/_ansible/lock.py."""

    DOCUMENTATION = r"""
options:
  lock:
    description:
      - What keeps two runs apart, beside the locks of files in the directory, which there are always.
      - V(file) adds nothing, and is enough where all runs are on one host.
      - V(kv) holds an entry of a JetStream key-value bucket in the account itself while the run lasts. It keeps runs on different
        hosts apart, such as those on the execution nodes of a controller. The bucket is not backed up.
    type: str
    choices: [file, kv]
    default: file
  lock_bucket:
    description:
      - Bucket of the lock. It is made if it is not there, with three replicas in a cluster that has servers for them.
    type: str
    default: natsops-locks
  lock_key:
    description:
      - Key of the lock in its bucket. Runs that may go on at the same time, into different directories, take different ones.
    type: str
    default: backup
  lock_expiry:
    description:
      - Seconds after which the lock of a run that says nothing any more is free. At least 3.
      - A run that cannot refresh its lock stops itself before that, with C(error=lock_lost).
    type: float
    default: 60.0
  lock_wait:
    description:
      - Seconds to wait for a lock that another run holds. After them the run fails with C(error=locked), and names the holder.
    type: float
    default: 0.0
"""
