# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the runbooks about backups: what is asked for, as a plan; and what became of it, as a report."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.natsops.jetstream.plugins.module_utils._report import (
    assessment,
    backups,
    cluster_loss,
    drills,
    restores,
    verification,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._report.inputs import InputError
from ansible_collections.natsops.jetstream.plugins.module_utils._report.report import Json, plain

_VERBS: dict[str, t.Any] = {
    "assess": assessment,
    "backup": backups,
    "cluster_loss": cluster_loss,
    "drill": drills,
    "restore": restores,
    "verify": verification,
}


def _of(verb: str) -> t.Any:
    if verb not in _VERBS:
        raise AnsibleFilterError(f"There is no runbook {verb} about backups; there are {', '.join(_VERBS)}.")
    return _VERBS[verb]


def _prepare(facts: t.Any, verb: str) -> Json:
    try:
        return {"refusal": "", **_of(verb).decide(plain(facts))}
    except InputError as exc:
        return {"refusal": str(exc), "plan": [], "confirmed": False}


def _summarize(facts: t.Any, verb: str) -> Json:
    return dict(_of(verb).conclude(plain(facts)))


class FilterModule:
    """Ansible asks for the filters here."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Filters by name."""
        return {"prepare": _prepare, "summarize": _summarize}
