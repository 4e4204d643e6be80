# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong between a stream and its backup. Every error carries a stable word; see docs/errors.md."""

from __future__ import annotations

import typing as t

from .._nats.errors import NatsError


class BackupError(NatsError):
    """Base of the errors of this ring; C(values) are partial results to return beside the message."""

    error = "backup_failed"

    def __init__(
        self,
        message: str,
        *,
        error: str | None = None,
        err_code: int | None = None,
        values: dict[str, t.Any] | None = None,
    ) -> None:
        super().__init__(message, err_code=err_code, error=error)
        self.values = values or {}
        self.changed = False


class PathError(BackupError):
    """The directory of a backup cannot be used; C(error) says how: C(path_...)."""

    error = "path_invalid"


class LockedError(BackupError):
    """Another run works on the same directory."""

    error = "locked"


class LockLostError(BackupError):
    """The lock could no longer be refreshed, or another holds it; the work was stopped."""

    error = "lock_lost"


class SnapshotError(BackupError):
    """The server ended a snapshot with an error, or chunks were lost."""

    error = "snapshot_failed"


class StalledError(BackupError):
    """Nothing moved for C(stall_timeout) seconds, or the whole took more than C(timeout)."""

    error = "stalled"


class InvalidBackupError(BackupError):
    """The backup is damaged or incomplete; C(values["problems"]) lists how."""

    error = "backup_invalid"


class ConflictError(BackupError):
    """The restore's target exists and differs from the backup."""

    error = "stream_exists"


class RestoreError(BackupError):
    """The restore cannot work on this server, or the server refused it."""

    error = "restore_failed"


class VerificationError(BackupError):
    """What was written or restored is not what it should be."""

    error = "verification_failed"
