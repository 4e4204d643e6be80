# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a test server is configured with: accounts, users and their credentials, limits, TLS."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from . import credentials
from .binaries import DEFAULT_SERVER

PASSWORD = "pw-5f1c0a9e"
TOKEN = "token-5f1c0a9e"
ENCRYPTION_KEY = "store-key-5f1c0a9e"
CLUSTER_NAME = "C1"
GIB = 1 << 30


@dataclass(frozen=True)
class User:
    """A further user of an account.

    `permissions` is as in a server's configuration: `{"publish": {"allow": [...], "deny": [...]}, "subscribe": ...}`.
    """

    name: str
    account: str = "APP"
    permissions: dict[str, Any] | None = None


#: user → account; NOJS has no JetStream, SYS is the system account.
STANDARD_USERS = (User("sys", "SYS"), User("app", "APP"), User("other", "OTHER"), User("nojs", "NOJS"))


@dataclass(frozen=True)
class Options:
    """Everything that can differ between test servers; the defaults suit every line.

    auth: password (users sys, app, other, nojs, all with PASSWORD), token (one account, no system user), or jwt
        (operator mode: the same users and accounts, with credentials files).
    nkey: adds a user `app-nkey` of APP that has an nkey (with auth=password).
    tls: "server", or "mutual" for client certificates; tls_first: TLS before the INFO line.
    encryption: cipher of the store ("chacha" or "aes"). Sizes are bytes.
    accounts: laid over the accounts' configuration, deep, such as `{"APP": {"jetstream": {"max_file": 1000000}}}`
        (with auth=jwt: `{"APP": {"limits": {...}}}`, JWT claims).
    user_claims: with auth=jwt, laid over the claims of users, by name, such as `{"app": {"payload": 65536}}`,
        and with `exp` and `nbf`.
    tags, node_extra: by server name; extra, node_extra: laid over the server's configuration, deep.
    """

    version: str = DEFAULT_SERVER
    auth: Literal["password", "token", "jwt"] = "password"
    nkey: bool = False
    users: tuple[User, ...] = ()
    accounts: dict[str, Any] = field(default_factory=dict)
    tls: Literal["server", "mutual"] | None = None
    tls_first: bool = False
    jetstream: bool = True
    domain: str | None = None
    max_payload: int | None = None
    max_mem: int = GIB
    max_file: int = 64 * GIB
    encryption: Literal["aes", "chacha"] | None = None
    user_claims: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, list[str]] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    node_extra: dict[str, dict[str, Any]] = field(default_factory=dict)
    debug: bool = False

    @property
    def line(self) -> tuple[int, int]:
        """Major and minor number of the version."""
        major, minor = self.version.split(".")[:2]
        return int(major), int(minor)


@dataclass(frozen=True)
class Identity:
    """How one user proves who it is; only what applies is set."""

    user: str | None = None
    password: str | None = None
    token: str | None = None
    credentials: Path | None = None
    nkey_seed: Path | None = None


class Setup:
    """The secrets and the configuration that the servers of one set-up share."""

    def __init__(self, options: Options, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.tls: credentials.TlsFiles | None = credentials.make_tls(folder / "tls") if options.tls else None
        self._identities: dict[str, Identity] = {}
        self._shared = self._jwt() if options.auth == "jwt" else self._accounts()

    def identity(self, user: str) -> Identity:
        """Return the credentials of `user`; KeyError names those that exist."""
        if user not in self._identities:
            raise KeyError(f"no user {user!r} here; there are {sorted(self._identities)}")
        return self._identities[user]

    def nats_py(self, user: str) -> dict[str, Any]:
        """Return the keyword arguments with which nats-py connects as `user`."""
        identity = self.identity(user)
        found: dict[str, Any] = {
            "user": identity.user,
            "password": identity.password,
            "token": identity.token,
            "user_credentials": str(identity.credentials) if identity.credentials else None,
            "nkeys_seed": str(identity.nkey_seed) if identity.nkey_seed else None,
        }
        if self.tls:
            context = ssl.create_default_context(cafile=str(self.tls.ca))
            if self.options.tls == "mutual":
                context.load_cert_chain(self.tls.client_cert, self.tls.client_key)
            found |= {"tls": context, "tls_handshake_first": self.options.tls_first or None}
        return {key: value for key, value in found.items() if value is not None}

    def module_options(self, user: str) -> dict[str, Any]:
        """Return the collection's connection options for `user`, without `servers`."""
        identity = self.identity(user)
        found: dict[str, Any] = {
            "user": identity.user,
            "password": identity.password,
            "token": identity.token,
            "credentials": str(identity.credentials) if identity.credentials else None,
            "nkey_seed": str(identity.nkey_seed) if identity.nkey_seed else None,
            "domain": self.options.domain,
            "tls_first": True if self.options.tls_first else None,
        }
        if self.tls:
            found["ca_cert"] = str(self.tls.ca)
            if self.options.tls == "mutual":
                found |= {"client_cert": str(self.tls.client_cert), "client_key": str(self.tls.client_key)}
        return {key: value for key, value in found.items() if value is not None}

    def cli_arguments(self, user: str) -> list[str]:
        """Return the options of the `nats` command line for `user`, without `--server`."""
        identity = self.identity(user)
        found = {
            "--user": identity.token or identity.user,
            "--password": identity.password,
            "--creds": identity.credentials,
            "--nkey": identity.nkey_seed,
            "--js-domain": self.options.domain,
        }
        if self.tls:
            found["--tlsca"] = self.tls.ca
            if self.options.tls == "mutual":
                found |= {"--tlscert": self.tls.client_cert, "--tlskey": self.tls.client_key}
        arguments = [f"{key}={value}" for key, value in found.items() if value is not None]
        return [*arguments, "--tlsfirst"] if self.options.tls_first else arguments

    def server_config(self, name: str, store: Path, port: int, http_port: int) -> dict[str, Any]:
        """Return the configuration of one server, as a mapping to be written as JSON, which nats-server reads."""
        options = self.options
        config: dict[str, Any] = {
            "server_name": name,
            "listen": f"127.0.0.1:{port}",
            "http": f"127.0.0.1:{http_port}",
            **json.loads(json.dumps(self._shared)),
        }
        if options.jetstream:
            limits = {"max_mem": options.max_mem, "max_file": options.max_file}
            config["jetstream"] = {"store_dir": str(store), **limits}
            if options.domain:
                config["jetstream"]["domain"] = options.domain
            if options.encryption:
                config["jetstream"] |= {"key": ENCRYPTION_KEY, "cipher": options.encryption}
        if options.max_payload is not None:
            config["max_payload"] = options.max_payload
        if options.tags.get(name):
            config["server_tags"] = list(options.tags[name])
        if self.tls:
            config["tls"] = {"cert_file": str(self.tls.server_cert), "key_file": str(self.tls.server_key)}
            if options.tls == "mutual":
                config["tls"] |= {"ca_file": str(self.tls.ca), "verify": True}
            if options.tls_first:
                config["tls"]["handshake_first"] = True
        return merge(merge(config, options.extra), options.node_extra.get(name, {}))

    def _accounts(self) -> dict[str, Any]:
        options = self.options
        if options.auth == "token":
            self._identities["app"] = Identity(token=TOKEN)
            return {"authorization": {"token": TOKEN}}
        accounts: dict[str, Any] = {}
        for user in (*STANDARD_USERS, *options.users):
            account = accounts.setdefault(user.account, {"users": []})
            entry: dict[str, Any] = {"user": user.name, "password": PASSWORD}
            if user.permissions:
                entry["permissions"] = user.permissions
            account["users"].append(entry)
            self._identities[user.name] = Identity(user=user.name, password=PASSWORD)
        if options.nkey:
            key = credentials.make_key("user")
            seed = self.folder / "app.nk"
            seed.write_text(key.seed, encoding="utf-8")
            seed.chmod(0o600)
            accounts["APP"]["users"].append({"nkey": key.public})
            self._identities["app-nkey"] = Identity(nkey_seed=seed)
        if options.jetstream:
            for name, account in accounts.items():
                if name not in ("SYS", "NOJS"):
                    account["jetstream"] = "enabled"
        return {"accounts": merge(accounts, options.accounts), "system_account": "SYS"}

    def _jwt(self) -> dict[str, Any]:
        options = self.options
        operator = credentials.make_key("operator")
        users = (*STANDARD_USERS, *options.users)
        keys = {name: credentials.make_key("account") for name in dict.fromkeys(user.account for user in users)}
        preload = {}
        for name, key in keys.items():
            unlimited = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
            limits: dict[str, Any] = {**unlimited, "wildcards": True}
            if options.jetstream and name not in ("SYS", "NOJS"):
                limits |= dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)
            claims = merge({"type": "account", "limits": limits}, options.accounts.get(name, {}))
            preload[key.public] = credentials.encode_jwt(operator, key.public, name, claims)
        for user in users:
            key = credentials.make_key("user")
            claims = {"type": "user", "subs": -1, "data": -1, "payload": -1}
            for claim, section in (("pub", "publish"), ("sub", "subscribe")):
                claims[claim] = (user.permissions or {}).get(section) or {}
            claims |= options.user_claims.get(user.name, {})
            times = {name: claims.pop(name) for name in ("exp", "nbf") if name in claims}
            jwt = credentials.encode_jwt(keys[user.account], key.public, user.name, claims, **times)
            creds = credentials.write_creds(self.folder / f"{user.name}.creds", jwt, key.seed)
            self._identities[user.name] = Identity(credentials=creds)
        claims = {"type": "operator", "system_account": keys["SYS"].public}
        return {
            "operator": credentials.encode_jwt(operator, operator.public, "test operator", claims),
            "system_account": keys["SYS"].public,
            "resolver": "MEMORY",
            "resolver_preload": preload,
        }


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return `below` with `above` laid over it, mappings merged, all else replaced; None takes a key away."""
    merged = dict(below)
    for key, value in above.items():
        current = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif isinstance(current, dict) and isinstance(value, dict):
            merged[key] = merge(current, value)
        else:
            merged[key] = value
    return merged
