# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NATS subjects with wildcards: * for one token, > for one or more at the end."""

from __future__ import annotations


def overlaps(one: str, other: str) -> bool:
    """Is there a subject that both take in? Either may have wildcards."""
    left, right = one.split("."), other.split(".")
    for mine, theirs in zip(left, right):
        if ">" in (mine, theirs):
            return True
        if mine != theirs and "*" not in (mine, theirs):
            return False
    return len(left) == len(right)
