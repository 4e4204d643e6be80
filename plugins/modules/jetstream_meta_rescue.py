#!/usr/bin/python
# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lower the quorum of a JetStream meta group that is lost for good."""

DOCUMENTATION = r"""
module: jetstream_meta_rescue
short_description: Rescue a JetStream meta group that has lost its quorum
version_added: 0.1.0
author:
  - The natsops.jetstream authors (@natsops)
description:
  - When most servers of a cluster are gone for good, lets the survivors elect a leader, for 5 minutes, so that the dead
    can be removed with M(natsops.jetstream.jetstream_peer_remove). Needs nats-server 2.15 or newer; with older ones it
    fails with the way of that line.
  - Refuses while a leader is known anywhere, while a server that is said to be dead answers anything or has an open
    connection, and while a member is neither alive nor confirmed dead. Two groups would lead at once.
  - A survivor that had died before the others would roll the whole cluster back without a word; O(known_states),
    O(last_picture) and O(backups) find that out.
options:
  confirmed_dead:
    description: The members that are surely off, by name or peer id. All members that do not answer must be in it.
    type: list
    elements: str
    required: true
  fenced:
    description:
      - Whether the servers in O(confirmed_dead) are surely off and stay off (their hosts are fenced, powered off or gone). A
        server that does not answer while others have an open connection to it may be frozen, and is refused otherwise
        (V(server_frozen)); a host that lost its power looks like that for 2 minutes at most. A server that answers is
        never taken for off.
    type: bool
    default: false
  frozen_timeout:
    description:
      - Seconds to wait at most for such connections to close before refusing; V(130) is enough for a host without power.
        It proves less than O(fenced), because those to a frozen server close as well in the end.
    type: float
    default: 0.0
  quorum_needed:
    description:
      - How many votes shall be enough. V(auto) is the number of live voters, and nothing else is accepted.
    type: str
    default: auto
  known_states:
    description:
      - What is known of the streams, as account names mapped to stream names mapped to last sequences.
      - Where all survivors are behind it, or none has a copy, the rescue is refused. Say V(0) of a stream of which nothing
        is expected, because only the dead servers held it or because it was deleted.
      - What is said here of a stream comes before O(last_picture) and O(backups).
    type: dict
  last_picture:
    description:
      - Path of a JSON file, on the host that runs the module, with an earlier result of
        M(natsops.jetstream.jetstream_cluster_info). It adds to O(known_states), but for streams that only servers had
        that are dead now.
    type: path
  backups:
    description:
      - Directories of backups on the host that runs the module, of a stream, an account, or a repository
        (C(<repository>/<account>/<set>) with C(latest)), of which the newest set of each account counts. Their manifests
        add the streams that had more than one replica to O(known_states).
    type: list
    elements: path
    default: []
  accept_stale:
    description: Whether to go on although the survivors are behind what is known.
    type: bool
    default: false
extends_documentation_fragment:
  - natsops.jetstream.connection
  - natsops.jetstream.attributes
  - natsops.jetstream.attributes.actiongroup
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
    details:
      - With a leader there is nothing to rescue.
"""

EXAMPLES = r"""
- name: Two of three servers burned down
  natsops.jetstream.jetstream_meta_rescue:
    context: system
    confirmed_dead: [n2, n3]
    backups: [/var/backups/nats]
    known_states:
      APP:
        ORDERS: 120044
"""

RETURN = r"""
leader:
  description: Who leads the meta group now; null where nobody does.
  returned: when it was planned
  type: str
quorum_needed:
  description: The quorum that was asked for.
  returned: when it was planned
  type: int
previous_quorum:
  description: The quorum before.
  returned: when it was planned
  type: int
survivors:
  description: The live voters.
  returned: when it was planned
  type: list
  elements: str
to_remove:
  description: Members to remove next, with C(peer) and, where it is known, C(name).
  returned: when it was planned
  type: list
  elements: dict
answers:
  description: What each live server answered. That the log of an empty server is empty is expected.
  returned: when it was asked for
  type: list
  elements: dict
arithmetic:
  description: How the votes were counted, in a sentence.
  returned: when it was planned
  type: str
refusals:
  description: Every reason against it, each with C(word) and C(why); empty where there is none.
  returned: when it was planned
  type: list
  elements: dict
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
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.cluster_rescue import RESCUE, rescue
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.module import run_module


def main():
    """Run the module."""
    run_module(RESCUE, rescue)


if __name__ == "__main__":
    main()
