# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module that removes old sets."""

from __future__ import annotations

import asyncio
import math

from .._nats.errors import OptionsError
from .._repository.directory import normal_path
from .._repository.nearby import SETS, account_place, has_sets, wrong_place
from .._repository.prune import Keep, prune
from .._repository.sets import check_repository
from .argspec import ArgumentSpec
from .module import Context, Outcome

BACKUP_PRUNE = ArgumentSpec(
    {
        "path": {"type": "path", "required": True},
        "keep_last": {"type": "int"},
        "keep_days": {"type": "float"},
    },
    required_one_of=(("keep_last", "keep_days"),),
)


async def backup_prune(context: Context) -> Outcome:
    """The work of jetstream_backup_prune."""
    return await asyncio.get_running_loop().run_in_executor(None, _prune, context)


def _prune(context: Context) -> Outcome:
    last, days = context.params["keep_last"], context.params["keep_days"]
    if last is not None and last < 1:
        raise OptionsError(f"keep_last must be 1 or more, not {last}: the newest set always stays.")
    if days is not None and not 0 <= days < math.inf:
        raise OptionsError(f"keep_days must be 0 or more and finite, not {days}.")
    path = account_place(normal_path(context.params["path"]))
    if not has_sets(path):
        raise wrong_place(path, (SETS,), "the directory of an account's sets")
    check_repository(path)
    done = prune(path, Keep(last, days), check=context.check_mode)
    values = {
        "path": path,
        "removed": [one.name for one in done.removed],
        "kept": [{"set": one.name, "finished_at": one.finished_at, "reason": reason} for one, reason in done.kept],
    }
    return Outcome(bool(done.removed), values)
