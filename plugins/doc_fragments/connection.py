# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options of every module that talks to a server."""

from __future__ import annotations


class ModuleDocFragment:
    """Connection options; their specification is in module_utils/_ansible/argspec.py."""

    DOCUMENTATION = r"""
requirements:
  - Python >= 3.9
  - nats-py >= 2.8, with its C(nkeys) extra for O(credentials) and O(nkey_seed)
options:
  servers:
    description:
      - Addresses of NATS servers. They are tried in order, each once, for O(connect_timeout) seconds.
      - With a C(tls://) address, O(ca_cert), O(client_cert) or O(tls_first), nothing is sent to a server without TLS.
      - Without a scheme, C(nats://) is meant.
      - If neither this nor O(context) is given, C(nats://127.0.0.1:4222).
      - An address may name the user, as in C(nats://user:password@host) or C(nats://token@host), with reserved characters
        percent-encoded. It is hidden in all output.
      - If not set, the value of the environment variable E(NATS_URL) is used.
    type: list
    elements: str
  context:
    description:
      - A context of the C(nats) command line, by its name or as the path of its JSON file.
      - The other options, where given, come before what the context says.
      - If not set, the value of the environment variable E(NATS_CONTEXT) is used.
    type: str
  user:
    description:
      - User name. Without O(password) it is taken for a token, as by the C(nats) command line.
      - If not set, the value of the environment variable E(NATS_USER) is used.
    type: str
  password:
    description:
      - Password of O(user).
      - If not set, the value of the environment variable E(NATS_PASSWORD) is used.
    type: str
  token:
    description:
      - Authentication token.
      - If not set, the value of the environment variable E(NATS_TOKEN) is used.
    type: str
  credentials:
    description:
      - Path of a credentials file (JWT and nkey seed) on the host that runs the module.
      - It may be a link to a file, as Kubernetes mounts secrets. A FIFO, as of a process substitution, is refused.
      - A value that is not the path of a file is in no message, since it may be the secret itself.
      - If not set, the value of the environment variable E(NATS_CREDS) is used.
    type: path
  nkey_seed:
    description:
      - Path of a file with an nkey seed on the host that runs the module.
      - If not set, the value of the environment variable E(NATS_NKEY) is used.
    type: path
  ca_cert:
    description:
      - Path of a PEM file with the certificate authorities to trust. Without it, those of the system.
      - If not set, the value of the environment variable E(NATS_CA) is used.
    type: path
  client_cert:
    description:
      - Path of the client's certificate, with O(client_key).
      - If not set, the value of the environment variable E(NATS_CERT) is used.
    type: path
  client_key:
    description:
      - Path of the private key of O(client_cert).
      - If not set, the value of the environment variable E(NATS_KEY) is used.
    type: path
  validate_certs:
    description: Whether the server's certificate must be valid. Only for tests.
    type: bool
    default: true
  tls_first:
    description: Whether the TLS handshake comes before the server's greeting.
    type: bool
  domain:
    description:
      - JetStream domain to talk to.
      - If not set, the value of the environment variable E(NATS_JS_DOMAIN) is used.
    type: str
  inbox_prefix:
    description:
      - Prefix of the subjects on which answers arrive, where permissions allow only that. Normally C(_INBOX).
      - If not set, the value of the environment variable E(NATS_INBOX_PREFIX) is used.
    type: str
  connect_timeout:
    description: Seconds to wait for each of O(servers).
    type: float
    default: 5.0
  request_timeout:
    description: Seconds to wait for the answer to one request.
    type: float
    default: 10.0
"""
