# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the runbooks about servers: what to do, decided from what modules told; and what was done, as a report."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.natsops.jetstream.plugins.module_utils._report import (
    evacuation,
    node_loss,
    node_loss_report,
    quorum_loss,
    quorum_loss_report,
    salvage,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._report.inputs import InputError
from ansible_collections.natsops.jetstream.plugins.module_utils._report.report import Json, plain

# What decides, and what reports.
_VERBS: dict[str, tuple[t.Any, t.Any]] = {
    "evacuate": (evacuation, evacuation),
    "node_loss": (node_loss, node_loss_report),
    "quorum_loss": (quorum_loss, quorum_loss_report),
    "salvage": (salvage, salvage),
}


def _of(verb: str) -> tuple[t.Any, t.Any]:
    if verb not in _VERBS:
        raise AnsibleFilterError(f"There is no runbook {verb}; there are {', '.join(_VERBS)}.")
    return _VERBS[verb]


def _decide(facts: t.Any, verb: str) -> Json:
    try:
        return {"refusal": "", **_of(verb)[0].decide(plain(facts))}
    except InputError as exc:
        return {"refusal": str(exc), "action": "none", "confirmed": False, "plan": []}


def _conclude(facts: t.Any, verb: str) -> Json:
    return dict(_of(verb)[1].conclude(plain(facts)))


class FilterModule:
    """Ansible asks for the filters here."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Filters by name."""
        return {"decide": _decide, "conclude": _conclude, "safe_to_stop": evacuation.safe_to_stop}
