# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connection options: what a task, the environment or a C(nats) CLI context says about a server."""

from __future__ import annotations

import dataclasses
import math
import re
import typing as t

from .._files.errors import FileError, why
from .._files.reading import CERTIFICATE, SECRET, file_size
from .contexts import load_context
from .errors import OptionsError
from .pasted import told
from .urls import split_servers, take_login, without_secrets

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
        return [without_secrets(server) for server in self.servers]


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
        if merged.get("servers"):
            merged["servers"] = take_login(merged["servers"])[0]
    if given.get("servers") == []:
        raise OptionsError("servers is empty: give at least one address, or leave the option out.")
    merged.update(given)
    if given.get("user") and given.get("password") is None:
        # As the command line has it: a user alone is a token.
        merged["token"] = merged.pop("user")
    _take_login(merged)
    options = Options(**merged)
    _check(options)
    return options


def _take_login(merged: dict[str, t.Any]) -> None:
    """Who logs in, where the addresses say so, goes where the options have it."""
    servers = split_servers(merged.get("servers") or [DEFAULT_SERVER])
    merged["servers"], login = take_login(servers or (DEFAULT_SERVER,))
    if login is None:
        return
    ways = [name for name in _IDENTITIES if merged.get(name)]
    if ways:
        raise OptionsError(f"servers: an address says who logs in, and {ways[0]} does so too. Keep one of the two.")
    merged.update({name: value for name, value in dataclasses.asdict(login).items() if value is not None})


def _check_file(name: str, path: str) -> None:
    try:
        file_size(path, SECRET if name in ("credentials", "nkey_seed") else CERTIFICATE)
    except FileNotFoundError:
        raise OptionsError(f"{name}: no file {told(path)} on the host that runs the module.") from None
    except OSError as exc:
        remedy = exc.remedy if isinstance(exc, FileError) else "Give another file"
        raise OptionsError(f"{name}: the file {told(path)} cannot be read: {why(exc)}. {remedy}.") from None


def _check(options: Options) -> None:
    for name in ("credentials", "nkey_seed", "ca_cert", "client_cert", "client_key"):
        if getattr(options, name):
            _check_file(name, getattr(options, name))
    if bool(options.client_cert) != bool(options.client_key):
        raise OptionsError("client_cert and client_key belong together: give both or none.")
    if options.password and options.user is None:
        raise OptionsError("password is given without user: name the user as well.")
    ways = [n for n in _IDENTITIES if getattr(options, n)]
    if len(ways) > 1:
        raise OptionsError(f"More than one way to authenticate is given ({', '.join(ways)}): keep one.")
    if re.search(r"[\s*>]|^\.|\.$|\.\.", options.inbox_prefix) or not options.inbox_prefix:
        raise OptionsError(f"inbox_prefix {options.inbox_prefix!r} is not a valid subject prefix.")
    for name, value in (("domain", options.domain), ("api_prefix", options.api_prefix)):
        if value and re.search(r"[\s*>]" + (r"|\." if name == "domain" else ""), value):
            raise OptionsError(f"{name} {value!r} is not a valid part of a subject.")
    for name in ("connect_timeout", "request_timeout"):
        if not 0 < getattr(options, name) < math.inf:
            raise OptionsError(f"{name} must be more than 0 seconds, and finite.")
