# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the runbooks are given: accounts with their credentials, and names that have to be one of several."""

from __future__ import annotations

import difflib
import typing as t

from .report import Json

#: The connection options of the modules that talk to servers.
CONNECTION = (
    "servers",
    "context",
    "user",
    "password",
    "token",
    "credentials",
    "nkey_seed",
    "ca_cert",
    "client_cert",
    "client_key",
    "validate_certs",
    "tls_first",
    "domain",
    "inbox_prefix",
    "connect_timeout",
    "request_timeout",
)

_LOGIN = ("context", "user", "password", "token", "credentials", "nkey_seed")
#: What an account shares with the system account unless it says otherwise: where the servers are, not who logs in.
INHERITED = tuple(one for one in CONNECTION if one not in _LOGIN)


class InputError(ValueError):
    """A variable that is wrong; the message names it and what it may be."""


def check_connection(options: t.Any, name: str) -> Json:
    """The connection options in a variable. Raises InputError for an unknown one."""
    if not isinstance(options, t.Mapping):
        raise InputError(f"{name} must be a dict of connection options ({', '.join(CONNECTION)}).")
    odd = sorted(set(options) - set(CONNECTION))
    if odd:
        raise InputError(f"{name} has no option {', '.join(odd)}; it takes {', '.join(CONNECTION)}.")
    return dict(options)


def check_accounts(accounts: t.Any, name: str, *, needed: bool = True) -> list[Json]:
    """The accounts in a variable: each with its C(name) and connection options. Raises InputError."""
    if not isinstance(accounts, t.Sequence) or isinstance(accounts, str):
        raise InputError(f"{name} must be a list of dicts, each with name and connection options.")
    if needed and not accounts:
        raise InputError(
            f"{name} is empty: give one entry for each account, with name and its connection options, or set"
            " jetstream_accounts for all runbooks."
        )
    found: list[Json] = []
    for index, entry in enumerate(accounts):
        if not isinstance(entry, t.Mapping) or not isinstance(entry.get("name"), str) or not entry["name"].strip():
            raise InputError(f"{name}[{index}] has no name: each entry is a dict with the account's name.")
        own = str(entry["name"])
        if any(other["name"] == own for other in found):
            raise InputError(f"{name}: the account {own} is listed twice.")
        check_connection({key: value for key, value in entry.items() if key != "name"}, f"{name}[{index}] ({own})")
        found.append(dict(entry))
    return found


def connection_of(
    accounts: t.Sequence[t.Mapping[str, t.Any]],
    name: str,
    system: t.Mapping[str, t.Any],
    ids: t.Mapping[str, str] | None = None,
) -> Json:
    """The connection options of one account by its name; C(INHERITED) of C(system) where it has none of its own.

    C(ids) maps ids of accounts to names: an entry may have either. Raises InputError.
    """
    shared = {key: value for key, value in system.items() if key in INHERITED}
    for entry in accounts:
        if name in (entry.get("name"), (ids or {}).get(str(entry.get("name")))):
            return {**shared, **{key: value for key, value in entry.items() if key != "name"}}
    raise InputError(f"There is no account {name}; there are {', '.join(str(one.get('name')) for one in accounts)}.")


def one_of(value: t.Any, choices: t.Iterable[t.Any], name: str) -> str:
    """C(value) if it is one of the choices. Raises InputError with all of them, and the nearest one first."""
    known = [str(choice) for choice in choices]
    if str(value) in known:
        return str(value)
    near = difflib.get_close_matches(str(value), known, 1, 0.5)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise InputError(f"{name} is {str(value)!r}; it must be one of: {', '.join(known) or 'none there is'}.{hint}")
