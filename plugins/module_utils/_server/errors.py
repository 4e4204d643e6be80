# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong with a private server. Every error carries a stable word; see docs/errors.md."""

from __future__ import annotations


class ServerError(Exception):
    """The private server could not be had. C(str(error)) is a sentence for people, C(error) a stable word."""

    error = "server_failed"

    def __init__(self, message: str, *, error: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if error is not None:
            self.error = error
