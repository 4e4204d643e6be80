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
from .._cluster.states import Key, State, time_ns
from .._nats.errors import OptionsError
from .argspec import ArgumentSpec
from .cluster import read_last_picture
from .cluster_backups import Known, older_backups
from .module import Context

GIVEN_UP = ArgumentSpec({"given_up": {"type": "list", "elements": "str", "default": []}})
_BETWEEN, _AT = " > ", " @ "


def given_up(context: Context, accounts: t.Mapping[str, str]) -> list[Accepted]:
    """The streams of O(given_up), with or without C(@ SEQUENCE) and C(@ TIME). Raises OptionsError for what is none.

    C(accounts) maps ids to names.
    """
    found = [_given_up(label) for label in context.params["given_up"]]
    return [dataclasses.replace(one, account=accounts.get(one.account, one.account)) for one in found]


def _given_up(label: str) -> Accepted:
    account, between, rest = label.rpartition(_BETWEEN)
    stream, *limits = (one.strip() for one in rest.split(_AT))
    sequence, until = (*limits, "", "")[:2]
    told = time_ns(until)
    named = between and account.strip() and stream
    limited = len(limits) <= 2 and bool(limits) == sequence.isdecimal() and bool(until) == bool(told)
    if not (named and limited):
        raise OptionsError(
            f"given_up: {label!r} does not name a stream. Write it as the findings do: ACCOUNT > STREAM. If only"
            " the messages after a sequence are given up: ACCOUNT > STREAM @ SEQUENCE; if only those that were"
            " stored before a time: ACCOUNT > STREAM @ SEQUENCE @ 2026-11-22T10:15:00Z."
        )
    return Accepted(account.strip(), stream, int(sequence) if limits else None, told / 1e9 if told else None)


def losses(
    context: Context,
    live: t.Iterable[State],
    accounts: t.Mapping[str, str],
    from_backups: Known,
    *,
    known_elsewhere: t.Container[Key] = (),
    unlisted: str = "",
    only: str = "",
) -> tuple[list[Finding], list[str]]:
    """Findings about streams that lost messages, and warnings about backups that cannot be used.

    C(accounts) maps ids to names; C(from_backups) is what O(backups) gives.
    C(only) is the account that C(live) is about, where it is about one.
    """
    backups, warnings = from_backups
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
        older=older_backups(context, accounts),
        known_elsewhere=known_elsewhere,
        unlisted=unlisted,
        accepted=given_up(context, accounts),
    )
    return found, warnings
