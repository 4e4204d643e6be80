# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of a lock across hosts, and work done under it."""

from __future__ import annotations

import math
import typing as t

from .._nats.errors import OptionsError
from .module import Context

T = t.TypeVar("T")
LOCK: dict[str, t.Any] = {
    "lock": {"type": "str", "choices": ["file", "kv"], "default": "file"},
    "lock_bucket": {"type": "str", "default": "natsops-locks"},
    "lock_key": {"type": "str", "default": "backup", "no_log": False},
    "lock_expiry": {"type": "float", "default": 60.0},
    "lock_wait": {"type": "float", "default": 0.0},
}
# Under this a slow answer would already end the work.
_SHORTEST = 3.0


def lock_streams(params: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    """The streams that are the lock itself: it changes in every run, and a restored lock would be of somebody gone."""
    if params["lock"] != "kv":
        return ()
    from .._lock.entry import stream_of  # noqa: PLC0415  few runs lock across hosts

    return (stream_of(params["lock_bucket"]),)


async def under_lock(context: Context, work: t.Callable[[], t.Awaitable[T]]) -> T:
    """Do C(work), with O(lock=kv) while an entry of the bucket is held. Check mode changes nothing and takes none."""
    params = context.params
    if params["lock"] != "kv":
        return await work()
    for name, least in (("lock_expiry", _SHORTEST), ("lock_wait", 0.0)):
        if not least <= params[name] < math.inf:
            raise OptionsError(f"{name} must be {least:g} or more and finite, not {params[name]}.")
    if not params["lock_key"] or any(char in params["lock_key"] for char in " *>\t\r\n"):
        raise OptionsError(f"{params['lock_key']!r} cannot be the key of a lock.")
    if context.check_mode:
        return await work()
    from .._lock.lock import KeyValueLock, LockOptions  # noqa: PLC0415  few runs lock across hosts

    options = LockOptions(params["lock_bucket"], params["lock_key"], params["lock_expiry"], params["lock_wait"])
    return await KeyValueLock(context.connection, options).guard(work)
