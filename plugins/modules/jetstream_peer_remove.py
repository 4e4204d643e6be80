#!/usr/bin/python
# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remove a server from a JetStream cluster, or from one stream."""

DOCUMENTATION = r"""
module: jetstream_peer_remove
short_description: Remove a server from a JetStream cluster or a stream
version_added: 0.1.0
author:
  - The natsops.jetstream authors (@natsops)
description:
  - Removes a server that is gone for good from the meta group, so that its replicas are made anew on others, and waits
    until they are whole. With O(stream), removes it from the replicas of that stream only.
  - It counts the live voters by their own answers before, and refuses, with the arithmetic and with nothing touched,
    what is not safe. A removal that is sent without a quorum is carried out when the dead return, and disables them.
  - The request is sent once. Without an answer, its effect is looked for, and it is never repeated blindly.
  - See the guide on quorum in the collection's documentation.
options:
  peer:
    description: The server, by name or by peer id.
    type: str
    required: true
  stream:
    description:
      - Remove the server from this stream only. The account that owns it is the one entry of O(accounts).
      - Consumers of the stream with their only copy on that server start from the beginning, so that it is refused until
        O(accept_data_loss).
    type: str
  allow_online:
    description:
      - Whether to remove a server that is alive, or frozen, or otherwise not surely gone. Its JetStream is disabled and
        its disk emptied at its next start. Where servers are 2.15 or newer, evacuate it first.
    type: bool
    default: false
  fenced:
    description:
      - Whether the server is surely off and stays off (its host is fenced, powered off or gone). A server that does not
        answer while others have an open connection to it may be frozen, and is refused otherwise (V(server_frozen)); a
        host that lost its power looks like that for 2 minutes at most. A server that answers is never taken for off.
    type: bool
    default: false
  frozen_timeout:
    description:
      - Seconds to wait at most for such connections to close before refusing; V(130) is enough for a host without power.
        It proves less than O(fenced), because those to a frozen server close as well in the end.
    type: float
    default: 0.0
  accept_data_loss:
    description:
      - Whether to go on although only this server holds some streams or consumers, or although nobody can say what it
        held. They come back empty under the same names.
    type: bool
    default: false
  require_spare:
    description: Whether to refuse when no server is left for the replicas, instead of warning.
    type: bool
    default: false
  wait:
    description: Whether to wait until every replicated stream and consumer that can be is whole on live servers.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait at most.
    type: float
    default: 300.0
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
    support: full
    details:
      - A server that is no member changes nothing, with a warning that lists the members.
"""

EXAMPLES = r"""
- name: Remove a server whose disk is lost, and wait until all is whole again
  natsops.jetstream.jetstream_peer_remove:
    context: system
    peer: n2
    accounts:
      - name: APP
        credentials: /etc/nats/app.creds
    last_picture: /var/backups/nats/last_picture.json
    backups: [/var/backups/nats]

- name: Remove it from one stream only
  natsops.jetstream.jetstream_peer_remove:
    context: system
    peer: n2
    stream: ORDERS
    accounts:
      - name: APP
        credentials: /etc/nats/app.creds
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
lost:
  description: >-
    Streams and consumers that only this server held, gone with it, each with C(account), C(stream), C(consumer), C(source)
    of the knowledge (V(accounts), V(last_picture), V(backup) or V(servers)), C(certain), C(last_seq), C(as_of) (when that
    was so, in seconds since the epoch; null for now), C(ephemeral) (a consumer that is known not to be durable: its client
    makes it anew, and nothing is refused for it), and C(backup) (the path of the newest of O(backups) that has it) with
    C(backup_taken).
  returned: when it was planned
  type: list
  elements: dict
degraded:
  description: Streams and consumers that stay degraded, because no server takes their replicas or others are dead too.
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
members:
  description: The members, or the stream's replicas, afterwards.
  returned: when it was planned
  type: list
  elements: str
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
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.cluster_change import REMOVE, remove
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.module import run_module


def main():
    """Run the module."""
    run_module(REMOVE, remove)


if __name__ == "__main__":
    main()
