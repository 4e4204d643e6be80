# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user's JWT and seed say of themselves: whose they are, whether they belong together, until when they hold."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime
import json
import time
import typing as t

from .model import Json

#: The second letter of a seed or the first of a public key, and whose it is.
_KINDS = {"U": "user", "A": "account", "O": "operator", "N": "server", "C": "cluster", "X": "curve"}


@dataclasses.dataclass(frozen=True)
class Claims:
    """The part of a JWT that says when and where it holds. Times are seconds since 1970, C(None) where it has none."""

    kind: str
    subject: str
    expires: float | None
    begins: float | None
    networks: tuple[str, ...]
    hours: bool
    ways: tuple[str, ...]


def parse(jwt: str) -> Claims | None:
    """The claims of a JWT; C(None) for what is none. Nobody's signature is checked: that is the server's part."""
    parts = jwt.split(".")
    if len(parts) != 3:
        return None
    try:
        body = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        claims = body.get("nats") or {}
        return Claims(
            # Older ones have the type outside.
            kind=str(claims.get("type") or body.get("type") or ""),
            subject=str(body.get("sub") or ""),
            expires=_time(body.get("exp")),
            begins=_time(body.get("nbf")),
            networks=_texts(claims.get("src")),
            hours=bool(claims.get("times")),
            ways=_texts(claims.get("allowed_connection_types")),
        )
    except (ValueError, AttributeError, TypeError, binascii.Error, RecursionError):
        return None


def _time(value: t.Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and 0 < value < 1 << 40 else None


def _texts(value: t.Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def kind_of_key(text: str) -> str:
    """Whose a seed or a public key is, by how it is written; empty for what is neither."""
    letter = text[1:2] if text.startswith("S") else text[:1]
    return _KINDS.get(letter, "") if len(text) > 50 and text.isalnum() and text.isupper() else ""


def shown(moment: float) -> str:
    """A time as people and other tools write it."""
    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def why_refused(claims: Claims, *, websocket: bool, now: float | None = None) -> tuple[str, str] | None:
    """Cause and remedy for a server's refusal, where the JWT itself tells; C(None) where it is in order."""
    now = time.time() if now is None else now
    if claims.expires is not None and claims.expires <= now:
        return f"the user JWT expired at {shown(claims.expires)}", "Have it renewed"
    if claims.begins is not None and claims.begins > now:
        return (
            f"the user JWT holds only from {shown(claims.begins)} on",
            "Wait until then, or set the clock of this host or of the server",
        )
    way = "WEBSOCKET" if websocket else "STANDARD"
    if claims.ways and way not in claims.ways:
        return (
            f"the user JWT allows connections of the kinds {', '.join(claims.ways)} only, and this one is {way}",
            "Use another address, or have the user changed",
        )
    limits: Json = {"from the networks " + ", ".join(claims.networks): claims.networks, "at some hours": claims.hours}
    found = [text for text, given in limits.items() if given]
    if found:
        return (
            f"it refused the credentials; the user JWT allows to connect {' and '.join(found)} only",
            "Connect from there and then, or have the user changed",
        )
    return None
