# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands that a person can paste: what to run next."""

from __future__ import annotations

import json
import os
import re
import shlex
import typing as t

from .._files.names import account_of

PLAYBOOK = "ansible-playbook natsops.jetstream."
_SET = re.compile(r"\d{8}T\d{6}Z")


def run(verb: str, variables: t.Mapping[str, t.Any]) -> str:
    """The command that runs a playbook with variables."""
    return f"{PLAYBOOK}{verb} -e {shlex.quote(json.dumps(variables))}"


def replace_from(backups: t.Iterable[str]) -> list[str]:
    """The commands that put streams back from the directories of their backups: one for each set, or plain backup."""
    sets: dict[str, list[str]] = {}
    for path in backups:
        place, stream = os.path.split(path)
        sets.setdefault(place, []).append(stream)
    commands = []
    for place, streams in sorted(sets.items()):
        directory, name = os.path.split(place)
        repository, account = os.path.dirname(directory), account_of(os.path.basename(directory))
        if not _SET.fullmatch(name):
            variables = {"natsops_path": place, "natsops_streams": sorted(streams), "natsops_on_conflict": "replace"}
            commands.append(run("account_restore", variables))
            continue
        variables = {
            "restore_repository": repository,
            "restore_account": account,
            "restore_set": name,
            "restore_streams": sorted(streams),
            "restore_on_conflict": "replace",
            "restore_replace_confirm": [f"{account} > {stream}" for stream in sorted(streams)],
        }
        commands.append(run("restore", variables))
    return commands
