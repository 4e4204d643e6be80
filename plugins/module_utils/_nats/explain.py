# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a connection could not be opened: from what the library, the system or the server said to cause and remedy."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import socket
import ssl
import typing as t

from . import peer, tokens
from .errors import AuthenticationError, ConnectError, NatsError, TlsError
from .model import Json
from .options import Options
from .urls import without_secrets


@dataclasses.dataclass(frozen=True)
class Trouble:
    """One server's refusal: the class of the error it becomes, what happened, and what to do."""

    kind: type[NatsError]
    cause: str
    remedy: str


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One try to connect. C(info): the server's first INFO, empty if none came; C(jwt): the one that it was shown."""

    options: Options
    server: str
    info: Json
    jwt: str = ""

    @property
    def websocket(self) -> bool:
        """Whether it was over a WebSocket."""
        return self.server.startswith(("ws://", "wss://"))


# What a server says before it closes, in lower case: class, cause, remedy.
_SAYINGS: tuple[tuple[str, type[NatsError], str, str], ...] = (
    ("leaf node port", ConnectError, "this is its port for leaf nodes", "Give its port for clients"),
    (
        "maximum account active connections",
        ConnectError,
        "the account has as many connections as it may have",
        "Close some, or raise the limit conn of the account",
    ),
    (
        "maximum connections exceeded",
        ConnectError,
        "the server has as many connections as it may have",
        "Close some, or raise max_connections",
    ),
    ("account authentication expired", AuthenticationError, "the account's JWT expired", "Have it renewed"),
    ("authentication expired", AuthenticationError, "the user JWT expired", "Have it renewed"),
    ("authentication revoked", AuthenticationError, "the user was revoked", "Use credentials that hold"),
    (
        "tls required",
        TlsError,
        "it wants TLS, and said so too late",
        "Write the address as tls://, and give ca_cert where its authority is not a public one",
    ),
)
_REFUSED = ("authorization", "authentication")
_SYSTEM = {
    errno.ECONNREFUSED: "See that nats-server runs there and listens on that port",
    errno.ENETUNREACH: "This host has no route there: see its network, or the address",
    errno.EHOSTUNREACH: "See that the host is up, the address, and firewalls between",
    errno.ECONNRESET: "See the server's log: it, or something between, closed the connection",
}


def unwrapped(cause: BaseException) -> BaseException:
    """The error of the system or of TLS inside one of the libraries' own."""
    for name in ("certificate_error", "os_error"):
        inner = getattr(cause, name, None)
        if isinstance(inner, BaseException):
            return inner
    return cause


async def explain(attempt: Attempt, cause: BaseException | None, text: str) -> Trouble:
    """Say what went wrong; where the words do not tell, look who is on the other end. C(text): how to put it else."""
    cause = unwrapped(cause) if cause is not None else None
    options, lowered = attempt.options, text.lower()
    if isinstance(cause, (socket.gaierror, UnicodeError)) or "name or service not known" in lowered:
        return Trouble(ConnectError, "this host cannot resolve the name", "Check the name, and the host's DNS")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _certificate(attempt, cause)
    for words, kind, what, remedy in _SAYINGS:
        if words in lowered:
            return Trouble(kind, what, remedy)
    if any(word in lowered for word in _REFUSED):
        return _refused(attempt)
    number = _errno(cause)
    if number in _SYSTEM and number != errno.ECONNRESET:
        return Trouble(ConnectError, os.strerror(number).lower(), _SYSTEM[number])
    if attempt.info.get("tls_verify") and not options.client_cert:
        return Trouble(TlsError, "it wants a client certificate", "Give client_cert and client_key")
    if attempt.info.get("tls_verify") or _alert(cause):
        what = f"it refused the client certificate {options.client_cert or ''}".rstrip()
        return Trouble(TlsError, f"{what} ({_alert(cause) or text})", "See its log, and whether it knows its authority")
    found = await peer.kind_of(attempt.server, options.connect_timeout)
    return _by_peer(attempt, found) or _else(cause, text, found)


def _else(cause: BaseException | None, text: str, found: str) -> Trouble:
    if isinstance(cause, ssl.SSLError):
        return Trouble(
            TlsError,
            f"the TLS handshake failed: {cause.reason or cause}",
            "See its log, and check ca_cert, client_cert and validate_certs",
        )
    remedy = "Check the servers option and that nats-server is running"
    if found == peer.NOBODY:
        remedy = "See that the host is up, the address, and firewalls between"
    if found == peer.SILENT:
        remedy = "Something takes connections there and says nothing: a server that is frozen, or another program"
    number = _errno(cause)
    text = os.strerror(number).lower() if number else text.replace("nats: ", "")
    return Trouble(ConnectError, text, _SYSTEM.get(number, remedy))


def _errno(cause: BaseException | None) -> int:
    """The system's number for an error; of several addresses, where all failed in the same way."""
    if not isinstance(cause, OSError) or isinstance(cause, ssl.SSLError):
        return 0
    found = {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(cause))}
    return cause.errno if cause.errno and cause.errno > 0 else found.pop() if len(found) == 1 else 0


def _alert(cause: BaseException | None) -> str:
    """What the server's TLS did not like of ours."""
    reason = str(getattr(cause, "reason", "") or "")
    return (
        reason.replace("_", " ").lower() if "ALERT" in reason and "CERT" in reason + "CERT" * ("_CA" in reason) else ""
    )


# OpenSSL's numbers.
_EXPIRED, _NOT_YET, _NAME, _ADDRESS = 10, 9, 62, 64


def _certificate(attempt: Attempt, cause: ssl.SSLCertVerificationError) -> Trouble:
    options = attempt.options
    what = f"its certificate is not good ({cause.verify_message or cause.reason})"
    remedy = "See the server's certificate"
    if cause.verify_code == _EXPIRED:
        what, remedy = "its certificate has expired", "Have it renewed, and set the clock of this host if it is wrong"
    elif cause.verify_code == _NOT_YET:
        what, remedy = "its certificate is not valid yet", "Set the clock of this host, or of who issued it"
    elif cause.verify_code in (_NAME, _ADDRESS):
        what = f"its certificate is for another name ({cause.verify_message})"
        remedy = "Use a name that the certificate has"
    elif options.ca_cert:
        what = f"its certificate is not signed by the authority in {options.ca_cert} ({cause.verify_message})"
        remedy = "Give the certificate of its authority as ca_cert"
    else:
        what = f"this host does not know the authority of its certificate ({cause.verify_message})"
        remedy = "Give the certificate of that authority as ca_cert"
    return Trouble(TlsError, what, remedy)


def _refused(attempt: Attempt) -> Trouble:
    """Why a server, which does not say it, may have refused who logs in."""
    options = attempt.options
    given = "nonce" in attempt.info  # a server that knows nkeys or JWTs sends something to sign
    what = "it refused the credentials"
    claims = tokens.parse(attempt.jwt) if attempt.jwt else None
    whose = f" ({options.credentials})" if options.credentials else ""
    if claims is not None and attempt.info and not given:
        remedy = "It takes neither JWTs nor nkeys: give user and password, or token, or use another address"
    elif claims is not None:
        found = tokens.why_refused(claims, websocket=attempt.websocket)
        if found:
            return Trouble(AuthenticationError, found[0] + whose, found[1])
        until = f"until {tokens.shown(claims.expires)}" if claims.expires else "without end"
        remedy = (
            f"The user JWT{whose} holds {until}. So the user was revoked, or its account expired or is not known there."
            " The server's log says which"
        )
    elif options.nkey_seed:
        remedy = f"It does not know the nkey of {options.nkey_seed}, or it takes none at all. Have its public key added"
    elif options.user is None and options.token is None:
        what = "it refused the credentials: none were given, and it wants some"
        remedy = "Give user and password, token, credentials or nkey_seed"
    else:
        remedy = "Check token" if options.token is not None else "Check user and password"
        remedy += ". It knows nkeys or JWTs too: it may want credentials or nkey_seed" if given else ""
    return Trouble(AuthenticationError, what, remedy)


def _by_peer(attempt: Attempt, found: str) -> Trouble | None:
    """What is wrong with the address or with tls_first, seeing what answers there."""
    scheme = attempt.server.partition("://")[0]
    place = attempt.server.partition("://")[2]
    plain = scheme in ("nats", "tls")
    if found == peer.TLS_FIRST and plain and not attempt.options.tls_first:
        return Trouble(TlsError, "it wants TLS from the first byte", "Set tls_first")
    if found == peer.NATS and attempt.options.tls_first and plain:
        return Trouble(TlsError, "it does not begin with TLS", "Leave tls_first out")
    if found in (peer.NATS, peer.TLS_FIRST) and not plain:
        return Trouble(
            ConnectError,
            "this is its port for plain clients, not for WebSockets",
            f"Write the address as nats://{place}, or give its WebSocket port",
        )
    if found == peer.TLS and scheme in ("nats", "tls", "ws"):
        return Trouble(
            TlsError if plain else ConnectError,
            "what answers there begins with TLS, and is no port for plain clients",
            f"Set tls_first if it is one all the same, or write the address as wss://{place} if it is for WebSockets",
        )
    if found == peer.HTTP and scheme != "ws":
        return Trouble(
            ConnectError if plain else TlsError,
            "what answers there speaks HTTP without TLS",
            f"Give the port for clients (4222 unless set otherwise), or ws://{place} if it is for WebSockets",
        )
    if found == peer.HTTP:
        return Trouble(
            ConnectError,
            "what answers there speaks HTTP and takes no WebSockets",
            "Give the WebSocket port of nats-server",
        )
    return None


def listing(said: t.Sequence[tuple[str, Trouble]]) -> NatsError:
    """One error for all servers that were tried: what each said, and every remedy once."""
    text = "; ".join(f"{shown}: {trouble.cause}" for shown, trouble in said)
    remedies = " ".join(f"{remedy}." for remedy in dict.fromkeys(trouble.remedy for _shown, trouble in said))
    kind = TlsError if any(trouble.kind is TlsError for _shown, trouble in said) else ConnectError
    return kind(without_secrets(f"Cannot connect to NATS ({text}). {remedies}"))
