# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which streams a run over an account takes, and which directory may hold them."""

from __future__ import annotations

import fnmatch
import typing as t

from .._nats.errors import OptionsError


def selected(name: str, streams: t.Sequence[str], exclude: t.Sequence[str]) -> bool:
    """Whether a name matches one of the globs C(streams) and none of C(exclude)."""
    return any(fnmatch.fnmatchcase(name, glob) for glob in streams) and not any(
        fnmatch.fnmatchcase(name, glob) for glob in exclude
    )


def require_matches(names: t.Collection[str], streams: t.Sequence[str]) -> None:
    """Raise OptionsError for a stream that is asked for by its name and is not there."""
    for glob in streams:
        if not any(character in glob for character in "*?[") and glob not in names:
            raise OptionsError(
                f"There is no stream {glob} in this account; it has: {', '.join(sorted(names)[:20]) or 'none'}.",
                error="stream_not_found",
            )
