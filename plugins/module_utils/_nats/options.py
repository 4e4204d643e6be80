# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connection options: what a task, the environment or a C(nats) CLI context says about a server."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import typing as t

from .errors import OptionsError

DEFAULT_SERVER = "nats://127.0.0.1:4222"
_IDENTITIES = ("user", "token", "credentials", "nkey_seed", "user_jwt")


@dataclasses.dataclass(frozen=True)
class Options:
    """Where and as whom to connect. Times are in seconds; files are paths on the host that runs the module."""

    servers: tuple[str, ...] = ()
    user: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)
    token: str | None = dataclasses.field(default=None, repr=False)
    credentials: str | None = None
    nkey_seed: str | None = None
    user_jwt: str | None = dataclasses.field(default=None, repr=False)
    user_seed: str | None = dataclasses.field(default=None, repr=False)
    ca_cert: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    validate_certs: bool = True
    tls_first: bool = False
    domain: str | None = None
    api_prefix: str | None = None
    inbox_prefix: str = "_INBOX"
    connect_timeout: float = 5.0
    request_timeout: float = 10.0

    def safe_servers(self) -> list[str]:
        """The addresses without the user part of the URL, fit for messages."""
        return [re.sub(r"//[^/@]*@", "//", server) for server in self.servers]


_CONTEXT_FIELDS = {
    "url": "servers",
    "user": "user",
    "password": "password",
    "token": "token",
    "creds": "credentials",
    "nkey": "nkey_seed",
    "user_jwt": "user_jwt",
    "user_seed": "user_seed",
    "ca": "ca_cert",
    "cert": "client_cert",
    "key": "client_key",
    "tls_first": "tls_first",
    "jetstream_domain": "domain",
    "jetstream_api_prefix": "api_prefix",
    "inbox_prefix": "inbox_prefix",
}
_CONTEXT_UNSUPPORTED = {
    "nsc": "look the credentials up with `nsc` and put their path into `creds`",
    "socks_proxy": "connect without a SOCKS proxy",
    "windows_cert_store": "use certificate files",
}


def split_servers(servers: t.Iterable[str]) -> tuple[str, ...]:
    """Addresses as URLs: commas split, white space dropped, C(nats://) added where no scheme is given."""
    found = [part.strip() for server in servers for part in server.split(",") if part.strip()]
    return tuple(part if "://" in part else f"nats://{part}" for part in found)


def _context_path(context: str, environ: t.Mapping[str, str]) -> pathlib.Path:
    as_file = pathlib.Path(context).expanduser()
    if context.endswith(".json") or os.sep in context:
        return as_file
    config = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".config")
    return pathlib.Path(config) / "nats" / "context" / f"{context}.json"


def load_context(context: str, environ: t.Mapping[str, str] | None = None) -> dict[str, t.Any]:
    """Read a context of the C(nats) CLI, by name or file.

    Returns the fields of L(Options) it sets. Raises OptionsError when the file is missing, is no context, or needs
    something this collection does not do.
    """
    path = _context_path(context, os.environ if environ is None else environ)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = sorted(p.stem for p in path.parent.glob("*.json")) if path.parent.is_dir() else []
        raise OptionsError(
            f"NATS context {context!r} not found: no file {path}. Known contexts: {', '.join(known) or 'none'}.",
            error="invalid_context",
        ) from None
    except (OSError, ValueError) as exc:
        raise OptionsError(f"NATS context file {path} cannot be read: {exc}.", error="invalid_context") from None
    if not isinstance(content, dict):
        raise OptionsError(f"NATS context file {path} is not a JSON object.", error="invalid_context")
    for field, remedy in _CONTEXT_UNSUPPORTED.items():
        if content.get(field):
            raise OptionsError(
                f"NATS context {path} sets {field!r}, which is not supported: {remedy}.", error="invalid_context"
            )
    result: dict[str, t.Any] = {}
    for field, name in _CONTEXT_FIELDS.items():
        value = content.get(field)
        if not value:
            continue
        if name in ("credentials", "nkey_seed", "ca_cert", "client_cert", "client_key"):
            value = os.path.expanduser(value)
        result[name] = split_servers([value]) if name == "servers" else value
    return result


def make_options(params: t.Mapping[str, t.Any], environ: t.Mapping[str, str] | None = None) -> Options:
    """Options from module parameters (absent or C(None) = not given), laid over those of their C(context)."""
    merged: dict[str, t.Any] = {}
    if params.get("context"):
        merged.update(load_context(params["context"], environ))
    names = {field.name for field in dataclasses.fields(Options)}
    given = {name: value for name, value in params.items() if name in names and value is not None}
    if any(given.get(name) for name in _IDENTITIES):
        # One way to log in replaces another: never the context's token beside the task's user.
        for name in (*_IDENTITIES, "password", "user_seed"):
            merged.pop(name, None)
    merged.update(given)
    merged["servers"] = split_servers(merged.get("servers") or [DEFAULT_SERVER])
    options = Options(**merged)
    _check(options)
    return options


def _check(options: Options) -> None:
    for name in ("credentials", "nkey_seed", "ca_cert", "client_cert", "client_key"):
        path = getattr(options, name)
        if path and not os.path.isfile(path):
            raise OptionsError(f"{name}: no file {path} on the host that runs the module.")
        if path and not os.access(path, os.R_OK):
            raise OptionsError(f"{name}: the file {path} cannot be read by this user.")
    if bool(options.client_cert) != bool(options.client_key):
        raise OptionsError("client_cert and client_key belong together: give both or none.")
    if options.password and not options.user:
        raise OptionsError("password is given without user: name the user as well.")
    ways = [n for n in _IDENTITIES if getattr(options, n)]
    if len(ways) > 1:
        raise OptionsError(f"More than one way to authenticate is given ({', '.join(ways)}): keep one.")
    if re.search(r"[\s*>]|^\.|\.$|\.\.", options.inbox_prefix) or not options.inbox_prefix:
        raise OptionsError(f"inbox_prefix {options.inbox_prefix!r} is not a valid subject prefix.")
    for name in ("connect_timeout", "request_timeout"):
        if getattr(options, name) <= 0:
            raise OptionsError(f"{name} must be more than 0 seconds.")
