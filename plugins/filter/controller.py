# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the job templates: answers to surveys, as what the roles take."""

from __future__ import annotations

import typing as t

from ansible_collections.natsops.jetstream.plugins.module_utils._report import answer


class FilterModule:
    """Ansible asks for the filters here."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Filters by name."""
        return {"answer": answer.text, "answers": answer.lines}
