# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong in looking at a cluster and changing its membership."""

from __future__ import annotations

import typing as t

from .._nats.errors import NatsError


class ClusterError(NatsError):
    """Base of this package's errors. C(changed) and C(values) are what was done and is known by then."""

    def __init__(
        self,
        message: str,
        *,
        error: str | None = None,
        err_code: int | None = None,
        changed: bool = False,
        values: dict[str, t.Any] | None = None,
    ) -> None:
        super().__init__(message, err_code=err_code, error=error)
        self.changed = changed
        self.values = values or {}


class NotClusteredError(ClusterError):
    """A standalone server has no membership to change."""

    error = "not_clustered"


class UnknownServerError(ClusterError):
    """A selector names no server."""

    error = "unknown_server"


class UnknownDomainError(ClusterError):
    """No server of the JetStream domain answers."""

    error = "unknown_domain"


class RefusedError(ClusterError):
    """The plan is not safe; nothing was touched. C(error) is the word of the first reason."""


class NotWholeError(ClusterError):
    """The change was made, but its result was not seen everywhere in time."""

    error = "not_whole"


class NotConfirmedError(ClusterError):
    """A request got no answer and its effect was not seen: it may still be applied."""

    error = "not_confirmed"


class LastPictureError(ClusterError):
    """The file with an earlier picture cannot be used."""

    error = "invalid_picture"
