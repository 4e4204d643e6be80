# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a drill is to do, and what became of one backup in it."""

from __future__ import annotations

import dataclasses
import typing as t

from .._repository.inspect import Backup
from .._restore.plan import RestoreOptions
from .compare import Reading


@dataclasses.dataclass(frozen=True)
class DrillOptions:
    """C(binary): the nats-server. C(parent): where its temporary files go, empty for the system's own place.

    C(limits): of its JetStream, as in a server's configuration.
    """

    binary: str = "nats-server"
    parent: str = ""
    verify: str = "quick"
    limits: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    restore: RestoreOptions = dataclasses.field(default_factory=RestoreOptions)


@dataclasses.dataclass(frozen=True)
class Drill:
    """What became of one backup.

    C(status): C(identical), C(different), C(invalid) (found before the restore), C(failed) (it could not be restored or
    read). C(seconds): of its C(verify), C(restore) and C(read). C(differences): the first; C(count): of how many.
    """

    backup: Backup
    status: str
    reading: Reading = dataclasses.field(default_factory=Reading)
    differences: tuple[str, ...] = ()
    count: int = 0
    consumers: int = 0
    reason: str = ""
    failure: Exception | None = None
    notes: tuple[str, ...] = ()
    seconds: t.Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def restore_seconds(self) -> float:
        """What a restore of it takes on this machine: the check before it, and the restore itself."""
        return self.seconds.get("verify", 0.0) + self.seconds.get("restore", 0.0)
