# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who logs in, as the client library wants it; secrets in files are read and checked before anything is sent."""

from __future__ import annotations

import base64
import re
import typing as t

from .._files.errors import why
from .._files.reading import SECRET, read_text
from . import tokens
from .errors import AuthenticationError
from .options import Options
from .pasted import told

# JWT and seed stand between lines of dashes; the texts in these are not looked at by other clients either.
_BLOCK = re.compile(r"^-{3,}[^\n]*-{3,}\s*\n\s*(\S+)\s*\n\s*-{3,}", re.MULTILINE)


def _read(path: str, option: str) -> str:
    try:
        return read_text(path, SECRET)
    except OSError as exc:
        raise AuthenticationError(f"The {option} file {told(path)} cannot be read: {why(exc)}.") from None
    except ValueError:
        raise AuthenticationError(
            f"The {option} file {path} is not text in UTF-8. Save it as such, or create it anew with `nsc`."
        ) from None


def _what(text: str) -> str:
    """What a file holds that holds no credentials, for people; nothing of it is shown."""
    stripped = text.strip()
    if not stripped:
        return "is empty"
    if stripped.startswith("{"):
        return "holds JSON. If it is a context of the `nats` command line, give it as context"
    if "CERTIFICATE" in stripped or "PRIVATE KEY" in stripped:
        return "holds certificates or keys of TLS. Those are given as ca_cert, client_cert and client_key"
    if tokens.kind_of_key(stripped.splitlines()[-1].strip()) and len(stripped.splitlines()) < 4:
        return "holds a key alone. A user's seed is given as nkey_seed"
    if tokens.parse(stripped):
        return "holds a JWT alone, without the seed"
    return "does not hold a JWT and a seed"


def _article(kind: str) -> str:
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"


def _signer(seed: str, whence: str, subject: str = "") -> t.Callable[[str], bytes]:
    """What signs a server's challenge, for the user C(subject).

    Raises AuthenticationError for what is no seed of that user, ImportError without nkeys.
    """
    import nkeys  # noqa: PLC0415 - needed by few, and then it must be there

    def pair() -> t.Any:
        return nkeys.from_seed(bytearray(seed.encode()))

    kind = tokens.kind_of_key(seed)
    if kind not in ("", "user") and seed.startswith("S"):
        raise AuthenticationError(f"{whence} holds the seed of {_article(kind)}. To connect takes that of a user.")
    try:
        own = pair()
        public = own.public_key.decode()
        own.wipe()
    except (nkeys.NkeysError, ValueError):
        raise AuthenticationError(f"{whence} holds no valid seed. Create it anew, or name another.") from None
    if subject not in ("", public):
        raise AuthenticationError(f"{whence} holds the JWT of one user and the seed of another. Create it anew.")
    return lambda nonce: base64.b64encode(pair().sign(nonce.encode()))


def login_arguments(options: Options) -> dict[str, t.Any]:
    """Keyword arguments for the client's connect. Raises AuthenticationError and ImportError."""
    jwt, seed, whence = options.user_jwt, options.user_seed, "The context"
    if options.credentials:
        text = _read(options.credentials, "credentials")
        found = _BLOCK.findall(text)
        if len(found) < 2:
            raise AuthenticationError(
                f"The credentials file {options.credentials} {_what(text)}. Create it anew with `nsc`, or name another."
            )
        (jwt, seed), whence = found[:2], f"The credentials file {options.credentials}"
    elif options.nkey_seed:
        # Other tools let comments and an end of line stand beside the seed.
        text = _read(options.nkey_seed, "nkey_seed")
        if len(_BLOCK.findall(text)) > 1:
            raise AuthenticationError(
                f"The nkey_seed file {options.nkey_seed} holds a JWT and a seed. Give it as credentials."
            )
        lines = [line.strip() for line in text.splitlines()]
        seed = next((line for line in lines if line.startswith("S")), "")
        _signer(seed, f"The nkey_seed file {options.nkey_seed}")
        return {"nkeys_seed_str": seed}
    if jwt:
        claims = tokens.parse(jwt)
        if claims is not None and claims.kind not in ("", "user"):
            raise AuthenticationError(
                f"{whence} holds the JWT of {_article(claims.kind)}. To connect takes that of a user."
            )
        subject = claims.subject if claims is not None and claims.kind else ""
        token = jwt.encode()
        # Without a seed it is a bearer token: the server asks for no signature.
        sign = _signer(seed, whence, subject) if seed else lambda _nonce: b""
        return {"user_jwt_cb": lambda: bytearray(token), "signature_cb": sign}
    given = (("user", options.user), ("password", options.password), ("token", options.token))
    return {name: value for name, value in given if value is not None}
