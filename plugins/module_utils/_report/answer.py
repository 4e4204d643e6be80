# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers to the surveys of a controller, as what the roles take."""

from __future__ import annotations

import datetime
import typing as t


def text(value: t.Any) -> str:
    """An answer as the text that was typed in.

    A controller writes answers as YAML under the tag C(!unsafe), and ansible-core 2.19 makes of C('') nothing, of
    C('10') a number, and of a moment a datetime.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return moment.isoformat().replace("+00:00", "Z")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value).strip()


def lines(value: t.Any, default: t.Sequence[str] = ()) -> list[str]:
    """An answer with one entry a line; C(default) where there is none."""
    entries = value if isinstance(value, list) else text(value).splitlines()
    return [entry for entry in map(text, entries) if entry] or list(default)
