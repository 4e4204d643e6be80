# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The votes that a group needs."""

from __future__ import annotations


def majority(size: int) -> int:
    """The votes that a group of C(size) needs."""
    return size // 2 + 1
