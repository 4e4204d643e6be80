# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What applications that run on do not notice of a stream that was replaced under them. Pure functions."""

from __future__ import annotations

from ..._repository.inspect import Backup
from ..plan import Plan

#: How the names of the streams begin in which servers keep what MQTT clients left.
MQTT = "$MQTT_"


def notes(plan: Plan, backup: Backup) -> tuple[str, ...]:
    """Warnings of a stream that is about to be replaced by its backup."""
    if plan.existing is None:
        return ()
    found = []
    last, now = int(backup.state.get("last_seq") or 0), int(plan.existing.state.get("last_seq") or 0)
    if now > last:
        found.append(
            f"stream {plan.name}: it goes back from sequence {now} to {last}. Ordered consumers and key-value watchers"
            f" of applications that run on wait for the sequence behind the last one that they saw: they miss up to"
            f" {now - last} new messages. Restart these applications."
        )
    if plan.name.startswith(MQTT):
        found.append(
            f"stream {plan.name}: servers keep the retained messages and sessions of MQTT in memory and do not see that"
            " their stream was replaced. Restart the servers one by one, else retained messages are not delivered."
        )
    return tuple(found)
