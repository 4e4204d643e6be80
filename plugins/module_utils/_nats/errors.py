# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong while talking to servers, as one hierarchy.

Every error carries C(error), a stable machine word from the table in docs/errors.md, and, where JetStream answered
with one, its C(err_code).
"""

from __future__ import annotations

import typing as t


class NatsError(Exception):
    """Base of all errors of this ring. C(str(error)) is a sentence for people."""

    error = "nats_error"

    def __init__(self, message: str, *, err_code: int | None = None, error: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.err_code = err_code
        if error is not None:
            self.error = error


class OptionsError(NatsError):
    """The connection options contradict each other, or name a file that cannot be used."""

    error = "invalid_options"


class MissingLibraryError(NatsError):
    """A Python library that these options need is not installed. C(library) is its name on the package index."""

    error = "missing_library"

    def __init__(self, message: str, library: str) -> None:
        super().__init__(message)
        self.library = library


class ConnectError(NatsError):
    """No server could be reached."""

    error = "connection_failed"


class AuthenticationError(NatsError):
    """A server was reached and refused the credentials."""

    error = "authentication_failed"


class TlsError(NatsError):
    """A server was reached and the TLS handshake failed."""

    error = "tls_failed"


class ConnectionLostError(NatsError):
    """The connection ended while work was under way."""

    error = "connection_lost"


class ProtocolError(NatsError):
    """An answer that the protocol does not know. C(subject): where it came from; C(detail): what is wrong with it."""

    error = "protocol_error"

    def __init__(self, what: str, subject: str, detail: str) -> None:
        opening = f"{what}: the" if what and what != subject else "The"
        super().__init__(f"{opening} answer on {subject} is not what the protocol says: {detail}.")


class RequestTimeoutError(NatsError):
    """A request got no answer in time."""

    error = "timeout"


class PermissionDeniedError(NatsError):
    """The server does not let this user publish or subscribe to a subject."""

    error = "permission_denied"


class JetStreamUnavailableError(NatsError):
    """Nothing answers the JetStream API: not enabled on the server or for the account, or another domain."""

    error = "jetstream_not_enabled"


class ApiError(NatsError):
    """JetStream answered with an error. C(err_code) is its code, C(code) the HTTP-like class of it."""

    error = "api_error"

    def __init__(self, message: str, *, err_code: int | None, code: int | None, description: str) -> None:
        super().__init__(message, err_code=err_code, error=API_ERROR_WORDS.get(err_code or 0))
        self.code = code
        self.description = description


class MisdirectedError(ApiError):
    """A cluster made an empty stream instead of a restore: another member of its group than was meant became leader."""


class SystemAccountError(JetStreamUnavailableError):
    """The user belongs to the system account, which has no streams."""

    error = "system_account"


API_ERROR_WORDS: dict[int, str] = {
    10005: "no_suitable_peers",
    10008: "no_quorum",
    10023: "insufficient_resources",
    10025: "unknown_field",
    10026: "maximum_consumers_limit",
    10027: "maximum_streams_limit",
    10028: "insufficient_resources",
    10035: "jetstream_not_enabled",
    10039: "jetstream_not_enabled",
    10047: "insufficient_resources",
    10052: "invalid_config",
    10058: "stream_exists",
    10059: "stream_not_found",
    10064: "snapshot_failed",
    10065: "subject_overlap",
    10074: "replicas_unsupported",
    10076: "jetstream_not_enabled",
    10130: "stream_exists",
    10185: "unsupported_by_server",
}


def api_error(what: str, error: dict[str, t.Any]) -> ApiError:
    """Build the error for a JetStream C(error) object: C({"code", "err_code", "description"})."""
    description = str(error.get("description", "unknown error"))
    err_code = error.get("err_code")
    return ApiError(
        f"{what}: {description} ({err_code})",
        err_code=err_code,
        code=error.get("code"),
        description=description,
    )
