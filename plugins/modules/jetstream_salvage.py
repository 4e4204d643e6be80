#!/usr/bin/python
# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Back up the streams on the disk of a server that does not start any more."""

DOCUMENTATION = r"""
module: jetstream_salvage
short_description: Back up streams from the disk of a dead server
version_added: 0.1.0
author:
  - The natsops.jetstream authors (@natsops)
description:
  - Backs up the streams that a dead server alone held, those with one replica, from its store directory, with their durable
    consumers. Streams with more replicas have other copies in the cluster.
  - The store directory is only read. A copy of these streams is served by a private nats-server on loopback, without a
    cluster, which is stopped at the end, and whose copy is removed.
  - Never start the dead server itself in its cluster again once it has been removed there; it empties its disk within two seconds.
options:
  store_dir:
    description:
      - Store directory of the dead server, or a copy of it, on the host that runs the module; what C(store_dir) in the server's
        configuration names.
    type: path
    required: true
  path:
    description: Directory for the backups, one directory for each account in it.
    type: path
    required: true
  server_binary:
    description: Program, of the same version as the dead server or newer in the same line.
    type: str
    default: nats-server
  account_names:
    description:
      - Names for directories of accounts in the store. With operator JWTs, the directories are named by the accounts' ids.
    type: dict
    default: {}
  streams:
    description: Names of the streams, or globs.
    type: list
    elements: str
    default: ["*"]
  encryption_key:
    description: Key of an encrypted store, as in the server's configuration.
    type: str
  cipher:
    description: Cipher of an encrypted store.
    type: str
    choices: [chachapoly, aes]
    default: chachapoly
  start_timeout:
    description: Seconds in which the private server has to load the streams of an account.
    type: float
    default: 120.0
extends_documentation_fragment:
  - natsops.jetstream.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - Streams that are unchanged since the last run are not backed up again.
seealso:
  - module: natsops.jetstream.jetstream_account_recover
"""

EXAMPLES = r"""
- name: Save what the dead server alone held
  natsops.jetstream.jetstream_salvage:
    store_dir: /mnt/n2/var/lib/nats
    path: /var/backups/nats-salvage/n2
    server_binary: /usr/local/bin/nats-server-2.12
"""

RETURN = r"""
path:
  description: Directory of the backups.
  type: str
  returned: success and failure of single streams
version:
  description: Version of the private server.
  type: str
  returned: success and failure of single streams
streams:
  description: The streams with one replica.
  type: list
  elements: dict
  returned: success and failure of single streams
  contains:
    account:
      description: Name of the account.
      type: str
    stream:
      description: Name of the stream.
      type: str
    status:
      description: C(transferred), C(unchanged) or C(failed); in check mode C(would_salvage).
      type: str
    messages:
      description: Messages in the stream.
      type: int
    first_seq:
      description: First sequence of the stream.
      type: int
    last_seq:
      description: Last sequence of the stream.
      type: int
    consumers:
      description: How many consumers it has.
      type: int
    bytes:
      description: Bytes transferred; in check mode those on the disk.
      type: int
    path:
      description: Directory of the backup.
      type: str
    reason:
      description: Why it failed.
      type: str
left_out:
  description: Streams with more replicas, each with C(account), C(stream), C(replicas) and its C(consumers).
  type: list
  elements: dict
  returned: success and failure of single streams
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
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.module import run_module
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.salvage import SALVAGE, salvage_store


def main():
    """Entry point."""
    run_module(SALVAGE, salvage_store, connects=False)


if __name__ == "__main__":
    main()
