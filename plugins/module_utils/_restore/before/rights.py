# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the user may publish to, asked before anything is touched: a replacement must not find it out half way."""

from __future__ import annotations

import typing as t

from ..._archive.subjects import matches
from ..._nats.api import JetStream
from ..._nats.errors import PermissionDeniedError
from ..._nats.model import Json
from .relax import probe_name


def require_rights(js: JetStream, name: str, *, replaces: bool, keeps: bool) -> None:
    """Refuse to restore a stream without the rights for all of it. Raises PermissionDeniedError.

    C(replaces): a stream is deleted for it; C(keeps): and backed up before. Where the server did not tell the user's
    permissions, nothing is refused.
    """
    wanted = [
        f"{js.prefix}.STREAM.RESTORE.{name}",
        f"$JS.SNAPSHOT.RESTORE.{name}.data",
        f"{js.prefix}.STREAM.UPDATE.{name}",
    ]
    kept: list[str] = []
    if replaces:
        wanted += [f"{js.prefix}.STREAM.DELETE.{name}"]
        wanted += [f"{js.prefix}.STREAM.{verb}.{probe_name(name)}" for verb in ("CREATE", "DELETE")]
        if keeps:
            kept = [f"{js.prefix}.STREAM.SNAPSHOT.{name}", f"$JS.SNAPSHOT.ACK.{name}.data"]
    for subject in (*wanted, *kept):
        if not may_publish(js.permissions, subject):
            without = (
                " Or set safety_backup: false, which gives up the backup of the stream that is replaced."
                if subject in kept
                else ""
            )
            raise PermissionDeniedError(
                f"This user has no permission to publish to {subject}. Grant it (see docs/permissions.md), then run"
                f" again.{without} Nothing was touched."
            )


def may_publish(permissions: Json, subject: str) -> bool:
    """Whether permissions, as a server tells them, allow to publish to a subject without wildcards."""
    allow, deny = _patterns(permissions, "allow"), _patterns(permissions, "deny")
    return (not allow or any(matches(subject, one) for one in allow)) and not any(matches(subject, one) for one in deny)


def _patterns(permissions: Json, kind: str) -> list[str]:
    publish = permissions.get("publish")
    found: t.Any = publish.get(kind) if isinstance(publish, dict) else None
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
