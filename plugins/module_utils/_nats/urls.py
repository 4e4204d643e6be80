# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses of servers: taken apart and checked, so that who logs in is never part of what is shown."""

from __future__ import annotations

import dataclasses
import re
import typing as t
import urllib.parse

from .errors import OptionsError

SCHEMES = ("nats", "tls", "ws", "wss")
_SECRET = re.compile(r"//[^\s,]*@")


def without_secrets(text: str) -> str:
    """A text in which every address has lost its user, password or token."""
    return _SECRET.sub("//", text)


def secrets_in(servers: t.Iterable[str]) -> set[str]:
    """The passwords and tokens in addresses, as written and as meant; also of addresses that are wrong otherwise."""
    found = set()
    for server in split_servers(str(server) for server in servers):
        has_user, at, _place = server.partition("://")[2].rpartition("@")
        if at:
            user, colon, password = has_user.partition(":")
            secret = password if colon else user
            found |= {secret, urllib.parse.unquote(secret)} - {""}
    return found


@dataclasses.dataclass(frozen=True)
class Login:
    """What an address says of who logs in: user and password, or a token alone."""

    user: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)
    token: str | None = dataclasses.field(default=None, repr=False)


def split_servers(servers: t.Iterable[str]) -> tuple[str, ...]:
    """Addresses as URLs: commas split, white space dropped, C(nats://) added where no scheme is given."""
    found = [part.strip() for server in servers for part in server.split(",") if part.strip()]
    return tuple(part if "://" in part else f"nats://{part}" for part in found)


def take_apart(server: str) -> tuple[str, Login | None]:
    """An address without its user part, and that part. Raises OptionsError for what is no address of a server."""
    shown = without_secrets(server)
    try:
        parts = urllib.parse.urlsplit(server)
        user_part, has_user, place = parts.netloc.rpartition("@")
        host, port = parts.hostname, urllib.parse.urlsplit(f"//{place}").port
    except ValueError:
        host, port, parts = None, None, urllib.parse.urlsplit("nats:")
    if not host or parts.scheme not in SCHEMES or port == 0 or "@" in parts.path:
        raise OptionsError(
            f"servers: {shown!r} is not the address of a server. Write it as nats://host:port (or tls://, ws://, wss://);"
            " in a user or password, write reserved characters such as '@', ':' and '/' percent-encoded."
        )
    clean = urllib.parse.urlunsplit(parts._replace(netloc=place))
    if not has_user:
        return clean, None
    user, has_password, password = user_part.partition(":")
    if not has_password:
        return clean, Login(token=urllib.parse.unquote(user))
    return clean, Login(urllib.parse.unquote(user), urllib.parse.unquote(password))


def take_login(servers: t.Iterable[str]) -> tuple[tuple[str, ...], Login | None]:
    """Addresses without their user parts, and who they say logs in. Raises OptionsError where they disagree."""
    taken = [take_apart(server) for server in servers]
    logins = list(dict.fromkeys(login for _server, login in taken if login))
    if len(logins) > 1:
        raise OptionsError(
            "servers: the addresses name different users. Leave them out there and give user and password, or token."
        )
    return tuple(server for server, _login in taken), logins[0] if logins else None
