# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Comparing live streams with the backups and the picture that the options of a module name."""

from __future__ import annotations

import dataclasses
import typing as t

from .._cluster.backups import newest
from .._cluster.finding import Finding
from .._cluster.losses import Accepted, Earlier, find_losses
from .._cluster.states import Key, State
from .._nats.errors import OptionsError
from .argspec import ArgumentSpec
from .cluster import read_last_picture
from .cluster_backups import older_backup, read_backups
from .module import Context

GIVEN_UP = ArgumentSpec({"given_up": {"type": "list", "elements": "str", "default": []}})
_BETWEEN, _AT = " > ", " @ "


def given_up(context: Context) -> list[Accepted]:
    """The streams of O(given_up), with or without C(@ SEQUENCE). Raises OptionsError for what names no stream."""
    found = []
    for label in context.params["given_up"]:
        account, between, rest = label.rpartition(_BETWEEN)
        stream, at, sequence = rest.partition(_AT)
        number = sequence.strip()
        if not (between and account.strip() and stream.strip()) or bool(at) != number.isdecimal():
            raise OptionsError(
                f"given_up: {label!r} does not name a stream. Write it as the findings do: ACCOUNT > STREAM. If only"
                " the messages after a sequence are given up: ACCOUNT > STREAM @ SEQUENCE."
            )
        found.append(Accepted(account.strip(), stream.strip(), int(number) if at else None))
    return found


def losses(
    context: Context,
    live: t.Iterable[State],
    accounts: t.Mapping[str, str],
    *,
    known_elsewhere: t.Container[Key] = (),
    unlisted: str = "",
    only: str = "",
) -> tuple[list[Finding], list[str]]:
    """Findings about streams that lost messages, and warnings about backups that cannot be used.

    C(accounts) maps ids to names; C(only) is the account that C(live) is about, where it is about one.
    """
    backups, warnings = read_backups(context)
    last = read_last_picture(context)
    known = [one.earlier() for one in newest(backups, accounts)]
    pictured = [Earlier(one, last.taken) for one in last.states] if last else []
    if only:
        known = [one for one in known if one.state.account == only]
        pictured = [one for one in pictured if one.state.account == only]
    found = find_losses(
        live,
        known,
        pictured,
        older=lambda key, test: older_backup(context, key, test, accounts),
        known_elsewhere=known_elsewhere,
        unlisted=unlisted,
        accepted=[
            dataclasses.replace(one, account=accounts.get(one.account, one.account)) for one in given_up(context)
        ],
    )
    return found, warnings
