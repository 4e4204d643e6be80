# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the runbooks: reports, accounts and their credentials, names that have to be one of several."""

from __future__ import annotations

import functools
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.natsops.jetstream.plugins.module_utils._files.names import directory_of
from ansible_collections.natsops.jetstream.plugins.module_utils._report import inputs, loss, report, words

Function = t.Callable[..., t.Any]


def _told(function: Function) -> Function:
    """The same function, with its errors as Ansible's: their text is the sentence that the user reads."""

    @functools.wraps(function)
    def filtered(*args: t.Any, **kwargs: t.Any) -> t.Any:
        try:
            return function(*args, **kwargs)
        except (inputs.InputError, report.ReportError) as exc:
            raise AnsibleFilterError(str(exc)) from exc

    return filtered


def _accounts(accounts: t.Any, name: str = "accounts", needed: bool = True) -> list[str]:
    return [entry["name"] for entry in inputs.check_accounts(accounts, name, needed=needed)]


def _account(accounts: t.Any, name: str, system: t.Any = None, ids: t.Any = None) -> report.Json:
    return inputs.connection_of(accounts, name, system or {}, ids or {})


class FilterModule:
    """Ansible asks for the filters here."""

    def filters(self) -> dict[str, Function]:
        """Filters by name."""
        own: dict[str, Function] = {
            "account": _account,
            "accounts": _accounts,
            "directory": directory_of,
            "connection": lambda options, name="connection": inputs.check_connection(options, name),
            "failure": report.sentence_of,
            "one_of": inputs.one_of,
            "report": report.make_report,
            "report_lines": words.terminal,
            "report_markdown": words.markdown,
            "restored": loss.restored_by,
        }
        return {name: _told(function) for name, function in own.items()}
