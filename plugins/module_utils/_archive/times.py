# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Times as servers write them, RFC 3339 with up to nine decimals, and as nanoseconds since 1970."""

from __future__ import annotations

import datetime
import re

#: Go's zero time, which servers write for "no message yet".
ZERO = "0001-01-01T00:00:00Z"
_FORM = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_NANOSECONDS = 1_000_000_000


def parse_ns(text: str) -> int:
    """Nanoseconds since 1970, 0 for Go's zero time. Raises ValueError for anything but RFC 3339."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"not a time: {text!r}")
    whole, fraction, zone = match.groups()
    if whole.startswith("0001-01-01T00:00:00"):
        return 0
    moment = datetime.datetime.fromisoformat(whole + ("+00:00" if zone == "Z" else zone))
    since = moment - _EPOCH
    return (since.days * 86400 + since.seconds) * _NANOSECONDS + int((fraction or "0").ljust(9, "0"))


def format_ns(time_ns: int) -> str:
    """RFC 3339 in UTC without trailing zeros, as Go writes it; Go's zero time for 0 and for what no calendar holds."""
    if not time_ns:
        return ZERO
    seconds, rest = divmod(time_ns, _NANOSECONDS)
    try:
        moment = _EPOCH + datetime.timedelta(seconds=seconds)
    except OverflowError:
        return ZERO
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return moment.replace(tzinfo=None).isoformat() + fraction + "Z"
