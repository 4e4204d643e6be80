#!/usr/bin/python
# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Move everything off a server of a JetStream cluster."""

DOCUMENTATION = r"""
module: jetstream_peer_evacuate
short_description: Move all streams and consumers off a server
version_added: 0.1.0
author:
  - The natsops.jetstream authors (@natsops)
description:
  - Moves all streams and consumers off a server with nothing lost, before maintenance or before it is removed, and waits
    until it is empty and all is whole elsewhere. Needs nats-server 2.15 or newer on all servers; with older ones it fails
    and says how to do it there.
  - A dead server can be evacuated too. Replicated streams are then whole on others at once, but for those with a consumer
    whose only copy is on it, and what it alone holds is moved off with its data when it comes back;
    M(natsops.jetstream.jetstream_peer_remove) would destroy that.
  - Refuses where streams would be cut down or would stay, which the server does without a word.
options:
  peer:
    description: The server, by name or by peer id.
    type: str
    required: true
  wait:
    description: Whether to wait until the server is empty.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait at most.
    type: float
    default: 600.0
  wait_interval:
    description: Seconds between two looks while waiting.
    type: float
    default: 1.0
extends_documentation_fragment:
  - natsops.jetstream.cluster
  - natsops.jetstream.connection
  - natsops.jetstream.attributes
  - natsops.jetstream.attributes.actiongroup
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - A server that holds nothing, and one whose streams are all being moved off already, is not changed. For a dead one
        of which only what it alone held is left, or might be, it is asked for again and reported as changed, because no
        server tells whether it was asked for before.
"""

EXAMPLES = r"""
- name: Empty a server before its maintenance
  natsops.jetstream.jetstream_peer_evacuate:
    context: system
    peer: n2
"""

RETURN = r"""
peer:
  description: Id of the server in raft groups.
  returned: when the server is known
  type: str
server:
  description: Name of the server; empty where nobody knows it.
  returned: when the server is known
  type: str
needed:
  description: Whether there was anything to do.
  returned: when it was planned
  type: bool
arithmetic:
  description: How the votes were counted, in a sentence.
  returned: when it was planned
  type: str
  sample: "Meta group: 4 members (n1, n2, n3, n4), 3 of them answer (n1, n3, n4), 3 are needed (half of 4, rounded down, plus 1)."
refusals:
  description: Every reason against it, each with C(word) and C(why); empty where there is none.
  returned: when it was planned
  type: list
  elements: dict
streams:
  description: Streams that had a copy, or a consumer's copy, on the server.
  returned: when it was planned
  type: list
  elements: str
left:
  description:
    - How many streams and consumers the server still has.
    - For a server that does not list them, how many it was last known to hold that no other server is seen to have.
    - Null where nobody can say.
  returned: when it was waited for
  type: int
unproven:
  description: What had a copy on the server and is not seen on another server, and why; empty after a success.
  returned: when it was waited for
  type: dict
degraded:
  description: Streams that cannot be moved, or not by waiting.
  returned: when it was planned
  type: list
  elements: str
reasons:
  description: Why each of RV(degraded) stays so.
  returned: when it was waited for
  type: dict
pending:
  description: Streams and consumers that were not whole when the wait ended, and why.
  returned: when it was waited for
  type: dict
whole:
  description: How many replicated streams and consumers are whole.
  returned: when it was waited for
  type: int
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
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.cluster_evacuate import EVACUATE, evacuate
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.module import run_module


def main():
    """Run the module."""
    run_module(EVACUATE, evacuate)


if __name__ == "__main__":
    main()
