#!/usr/bin/python
# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look at a JetStream cluster: what is alive, what has quorum, what would be lost."""

DOCUMENTATION = r"""
module: jetstream_cluster_info
short_description: Show servers, quorum, streams and risks of a JetStream cluster
version_added: 0.1.0
author:
  - The natsops.jetstream authors (@natsops)
description:
  - Shows servers, meta group, streams and consumers as the live servers themselves tell, what is wrong or risky with its
    arithmetic and remedy, and what the loss of servers would do.
  - A server is alive because it answered. What a leader says of others is not believed, because for 10 to 25 seconds
    after a loss servers tell what is no longer true. Where something is in doubt the module looks again after
    O(sample_interval) seconds, and after about twice that where a quorum is concerned; where nothing is, one look is
    enough.
  - With O(backups) or O(last_picture) it compares every stream in them with the live one. A stream that has lost messages
    is a critical finding with the number of messages, the backup that has them, and the command that restores them.
    Consumers whose position went back are a warning.
  - With the credentials of an account instead of the system account's, it shows the streams of that account and says what
    is missing.
options:
  simulate_loss:
    description:
      - Servers to lose, by name, by peer id, or as V(tag:<tag>) for all servers with that tag. The result
        RV(simulation) says what becomes of everything.
    type: list
    elements: str
    default: []
  streams:
    description: Whether RV(streams) lists the streams and consumers. They are looked at in any case.
    type: bool
    default: true
  given_up:
    description:
      - Streams whose loss is meant or accepted, each as V(ACCOUNT > STREAM), as the findings name them. With
        V(ACCOUNT > STREAM @ SEQUENCE) only the messages after that sequence are given up, and with
        V(ACCOUNT > STREAM @ SEQUENCE @ 2026-11-22T10:15:00Z) only as backups and pictures of before that time know them.
        V(ACCOUNT) is a name or an id.
      - Without it, a stream that O(backups) or O(last_picture) know and that is missing, was made anew, or ends at a lower
        sequence is a critical finding (V(stream_lost), V(stream_recreated), V(stream_behind)).
    type: list
    elements: str
    default: []
  sample_interval:
    description:
      - Seconds between two looks where something is in doubt. Less than the default makes the result untrusted
        (RV(trusted)); V(0) looks once.
    type: float
    default: 12.0
extends_documentation_fragment:
  - natsops.jetstream.cluster
  - natsops.jetstream.connection
  - natsops.jetstream.attributes
  - natsops.jetstream.attributes.actiongroup
  - natsops.jetstream.attributes.info_module
"""

EXAMPLES = r"""
- name: Is all well, and what would the loss of an availability zone do?
  natsops.jetstream.jetstream_cluster_info:
    context: system
    simulate_loss: ["tag:az:1"]
  register: cluster

- name: Keep the picture for the day a server is gone
  ansible.builtin.copy:
    content: "{{ cluster | to_json }}"
    dest: /var/backups/nats/last_picture.json
    mode: "0600"

- name: Which streams does a dead server alone hold?
  natsops.jetstream.jetstream_cluster_info:
    context: system
    accounts:
      - name: APP
        credentials: /etc/nats/app.creds
"""

RETURN = r"""
scope:
  description: V(cluster), or V(account) with the credentials of an account.
  returned: success
  type: str
missing:
  description: What this result cannot show, in sentences.
  returned: success
  type: list
  elements: str
status:
  description: V(critical), V(warning) or V(ok), by the gravest finding.
  returned: success
  type: str
findings:
  description: What is wrong or risky, the gravest first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: A stable word.
      type: str
      sample: stream_quorum_lost
    severity:
      description: V(critical), V(warning) or V(info).
      type: str
    objects:
      description: Names of servers, streams or consumers.
      type: list
      elements: str
    detail:
      description: The arithmetic in a sentence.
      type: str
    remedy:
      description: What to do.
      type: str
    backup:
      description: Directory of the backup that brings back what is lost. Empty where there is none.
      type: str
trusted:
  description: Whether it was looked at for long enough for what is in doubt.
  returned: with system credentials
  type: bool
taken:
  description: When the last look was, in seconds since the epoch.
  returned: success
  type: float
looks:
  description: How often it was looked.
  returned: with system credentials
  type: int
watched:
  description: Seconds between the first and the last look.
  returned: with system credentials
  type: float
domain:
  description: The JetStream domain that was looked at.
  returned: with system credentials
  type: str
accounts:
  description: Accounts of which RV(streams) lists all streams with a live copy.
  returned: success
  type: list
  elements: str
account_ids:
  description: Names of accounts by their ids. Where several accounts have one name, all results have their ids for it.
  returned: success
  type: dict
servers:
  description: >-
    Every server that answered and every member that did not, with C(name), C(peer), C(id), C(alive), C(member),
    C(cluster), C(domain), C(version), C(api_level), C(tags), C(limits), C(usage), C(sync_interval), C(health),
    C(clock_skew) and more.
  returned: success
  type: list
  elements: dict
meta:
  description: >-
    The meta group with C(size), C(needed), C(live_voters), C(tolerated_failures), C(has_quorum), C(leader), C(rescue),
    C(members) and C(unsnapshotted), the number of its changes that a live server has only in its log. Null on a standalone
    server and with an account's credentials.
  returned: success
  type: dict
streams:
  description: >-
    Every stream with a live copy, with its replicas and their own C(last_seq) and C(messages), C(leader), C(live_replicas), C(needed),
    C(has_quorum), C(whole) and C(consumers).
  returned: success
  type: list
  elements: dict
only_on_dead:
  description: >-
    Streams and consumers without a live copy, as far as O(accounts), O(last_picture) and O(backups) tell, each with the
    dead C(servers) that may hold it, the C(source) of the knowledge and C(as_of) when it was so (null for now), and
    C(backup) and C(backup_taken) where one of O(backups) has it.
  returned: with system credentials
  type: list
  elements: dict
simulation:
  description: >-
    What the loss of O(simulate_loss) would do. C(safe); C(meta) with its arithmetic; C(counts); and C(effects), one for
    each stream and consumer, with C(effect) (V(survives), V(loses_redundancy), V(loses_quorum) or V(loses_data)),
    C(heals) and C(onto) which servers once the lost ones are removed, and C(needs_backup). C(unproven) says of lost servers
    that do not list what they hold what that may be; with any of them C(safe) is false.
  returned: when O(simulate_loss) is given
  type: dict
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
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.cluster_info import INFO_SPEC, info
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.module import run_module


def main():
    """Run the module."""
    run_module(INFO_SPEC, info)


if __name__ == "__main__":
    main()
