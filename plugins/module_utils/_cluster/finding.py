# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a finding is."""

from __future__ import annotations

import dataclasses

CRITICAL, WARNING, INFO = "critical", "warning", "info"
SEVERITIES = (CRITICAL, WARNING, INFO)


@dataclasses.dataclass(frozen=True)
class Finding:
    """C(id) is a stable word; C(objects) are labels of servers, streams or consumers.

    C(backup) is the directory of the backup that brings back what is lost, empty where there is none.
    """

    id: str
    severity: str
    objects: tuple[str, ...]
    detail: str
    remedy: str
    backup: str = ""
