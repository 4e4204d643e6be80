#!/usr/bin/python
# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Step down the leader of a meta group, a stream or a consumer."""

DOCUMENTATION = r"""
module: jetstream_leader_stepdown
short_description: Step down the leader of a JetStream group
version_added: 0.1.0
author:
  - The natsops.jetstream authors (@natsops)
description:
  - Makes the leader of the meta group step down, or with O(stream) that of a stream, or with O(consumer) as well that of
    a consumer, and reads back who leads afterwards.
  - For the meta group it takes the credentials of the system account, for the others those of the account.
options:
  stream:
    description: The stream whose leader, or whose consumer's leader, is meant.
    type: str
  consumer:
    description: The consumer of O(stream) whose leader is meant.
    type: str
  preferred:
    description:
      - Name of the server that shall lead. Where it does already, nothing is done. Needs nats-server 2.11 or newer.
    type: str
  wait_timeout:
    description: Seconds to wait for the new leader at most.
    type: float
    default: 10.0
  wait_interval:
    description: Seconds between two looks while waiting.
    type: float
    default: 0.25
extends_documentation_fragment:
  - natsops.jetstream.connection
  - natsops.jetstream.attributes
  - natsops.jetstream.attributes.actiongroup
attributes:
  check_mode:
    support: full
    details:
      - Without O(preferred) it cannot say who will lead.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - With O(preferred) the second run changes nothing; without it, every run moves the leader on.
"""

EXAMPLES = r"""
- name: Let another server lead the meta group before this one is removed
  natsops.jetstream.jetstream_leader_stepdown:
    context: system

- name: Let n1 lead a stream
  natsops.jetstream.jetstream_leader_stepdown:
    context: app
    stream: ORDERS
    preferred: n1
"""

RETURN = r"""
previous_leader:
  description: Who led before.
  returned: success
  type: str
leader:
  description: Who leads now.
  returned: success
  type: str
duration:
  description: How long the module took, in seconds.
  returned: always
  type: float
error:
  description: A stable word for what went wrong, or for the first reason of a refusal.
  returned: on failure
  type: str
err_code:
  description: JetStream's error code.
  returned: on failure, when JetStream answered with one
  type: int
"""

from ansible_collections.natsops.jetstream.plugins.module_utils._ansible import python  # noqa: F401 - first  # pylint: disable=unused-import
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.cluster_leader import STEPDOWN, stepdown
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.module import run_module


def main():
    """Run the module."""
    run_module(STEPDOWN, stepdown)


if __name__ == "__main__":
    main()
