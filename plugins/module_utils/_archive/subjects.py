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


def matches(subject: str, pattern: str) -> bool:
    """Does pattern, which may have wildcards, take in the subject? A subject has none: * in it is a plain word."""
    if pattern == ">":
        return True
    tokens, wanted = subject.split("."), pattern.split(".")
    if wanted[-1] == ">":
        wanted.pop()
        if len(tokens) <= len(wanted):
            return False
        tokens = tokens[: len(wanted)]
    return len(tokens) == len(wanted) and all(two in ("*", one) for one, two in zip(tokens, wanted))
