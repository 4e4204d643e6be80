# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one error of this package."""

from __future__ import annotations


class ArchiveError(Exception):
    """Archive bytes that no server wrote.

    error: a stable word, one of report.PROBLEMS.
    message: what is wrong, for people.
    place: where in the archive ("byte 123", "member meta.inf"), may be empty.
    """

    def __init__(self, error: str, message: str, place: str = "") -> None:
        super().__init__(message)
        self.error = error
        self.message = message
        self.place = place
