# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of options that modules about clusters share."""

from __future__ import annotations


class ModuleDocFragment:
    """What a dead server held: O(accounts), O(last_picture), O(backups); specified in _ansible/cluster.py."""

    DOCUMENTATION = r"""
options:
  accounts:
    description:
      - Credentials of accounts, one entry each. Live servers list live copies only, so what a dead server alone held can
        be asked of its accounts only, and must be asked before the server is removed.
      - An entry takes the connection options. Those that say how to reach the servers are taken from the module's own
        where an entry does not have them; nothing is taken from the environment.
      - Give every account that uses JetStream.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the account.
        type: str
        required: true
      servers:
        description:
          - Addresses of NATS servers. They are tried in order, each once, for O(accounts[].connect_timeout) seconds.
          - A C(tls://) address insists on TLS. Without a scheme, C(nats://) is meant.
          - If neither this nor O(accounts[].context) is given, C(nats://127.0.0.1:4222).
        type: list
        elements: str
      context:
        description:
          - A context of the C(nats) command line, by its name or as the path of its JSON file.
          - The other options, where given, come before what the context says.
        type: str
      user:
        description:
          - User name.
        type: str
      password:
        description:
          - Password of O(accounts[].user).
        type: str
      token:
        description:
          - Authentication token.
        type: str
      credentials:
        description:
          - Path of a credentials file (JWT and nkey seed) on the host that runs the module.
        type: path
      nkey_seed:
        description:
          - Path of a file with an nkey seed on the host that runs the module.
        type: path
      ca_cert:
        description:
          - Path of a PEM file with the certificate authorities to trust. Without it, those of the system.
        type: path
      client_cert:
        description:
          - Path of the client's certificate, with O(accounts[].client_key).
        type: path
      client_key:
        description:
          - Path of the private key of O(accounts[].client_cert).
        type: path
      validate_certs:
        description: Whether the server's certificate must be valid. Only for tests.
        type: bool
      tls_first:
        description: Whether the TLS handshake comes before the server's greeting.
        type: bool
      domain:
        description:
          - JetStream domain to talk to.
        type: str
      inbox_prefix:
        description:
          - Prefix of the subjects on which answers arrive, where permissions allow only that. Normally C(_INBOX).
        type: str
      connect_timeout:
        description: Seconds to wait for each of O(accounts[].servers).
        type: float
      request_timeout:
        description: Seconds to wait for the answer to one request.
        type: float
  last_picture:
    description:
      - Path of a JSON file, on the host that runs the module, with an earlier result of
        M(natsops.jetstream.jetstream_cluster_info). It tells what a server held when it was last seen alive.
    type: path
  backups:
    description:
      - Directories of backups on the host that runs the module, of a stream, an account, or a repository
        (C(<repository>/<account>/<set>) with C(latest)), of which the newest set of each account counts.
      - What is in them and has no live copy may have been on the dead server, as of the time of the backup. They do not
        tell which server had it, nor what was made since then, so they add to O(accounts) and O(last_picture) and do
        not replace them.
    type: list
    elements: path
    default: []
"""
