# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who logs in, as the client library wants it; secrets in files are read and checked before anything is sent."""

from __future__ import annotations

import base64
import re
import typing as t

from .errors import AuthenticationError
from .options import Options

# JWT and seed stand between lines of dashes; the texts in these are not looked at by other clients either.
_BLOCK = re.compile(r"^-{3,}[^\n]*-{3,}\s*\n\s*(\S+)\s*\n\s*-{3,}", re.MULTILINE)


def _read(path: str, option: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError):
        raise AuthenticationError(f"The {option} file {path} cannot be read as text.") from None


def _signer(seed: str, whence: str) -> t.Callable[[str], bytes]:
    """What signs a server's challenge. Raises AuthenticationError for what is no seed, ImportError without nkeys."""
    import nkeys  # noqa: PLC0415 - needed by few, and then it must be there

    def pair() -> t.Any:
        return nkeys.from_seed(bytearray(seed.encode()))

    try:
        pair().wipe()
    except (nkeys.NkeysError, ValueError):
        raise AuthenticationError(f"{whence} holds no valid seed. Create it anew, or name another.") from None
    return lambda nonce: base64.b64encode(pair().sign(nonce.encode()))


def login_arguments(options: Options) -> dict[str, t.Any]:
    """Keyword arguments for the client's connect. Raises AuthenticationError and ImportError."""
    jwt, seed, whence = options.user_jwt, options.user_seed, "The context"
    if options.credentials:
        found = _BLOCK.findall(_read(options.credentials, "credentials"))
        if len(found) < 2:
            raise AuthenticationError(
                f"The credentials file {options.credentials} does not hold a JWT and a seed. Create it anew with `nsc`,"
                " or name another."
            )
        (jwt, seed), whence = found[:2], f"The credentials file {options.credentials}"
    elif options.nkey_seed:
        # Other tools let comments and an end of line stand beside the seed.
        lines = [line.strip() for line in _read(options.nkey_seed, "nkey_seed").splitlines()]
        seed = next((line for line in lines if line.startswith("S")), "")
        _signer(seed, f"The nkey_seed file {options.nkey_seed}")
        return {"nkeys_seed_str": seed}
    if jwt:
        token = jwt.encode()
        # Without a seed it is a bearer token: the server asks for no signature.
        sign = _signer(seed, whence) if seed else lambda _nonce: b""
        return {"user_jwt_cb": lambda: bytearray(token), "signature_cb": sign}
    given = (("user", options.user), ("password", options.password), ("token", options.token))
    return {name: value for name, value in given if value is not None}
