# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opening a connection: credentials, TLS, the servers one after the other, each for a bounded time."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import ssl
import traceback
import typing as t

from .connection import Connection
from .errors import AuthenticationError, MissingLibraryError, TlsError
from .explain import Attempt, Trouble, explain, listing
from .logins import login_arguments
from .options import Options
from .urls import without_secrets

_READ_SIZE = 1 << 20
NATS_IMPORT_ERROR: str | None = None
try:
    import nats.aio.client as nats_client
    import nats.errors as nats_errors
    from nats.aio.client import Client
except ImportError:
    NATS_IMPORT_ERROR = traceback.format_exc()


def _tls_context(options: Options) -> ssl.SSLContext | None:
    wanted = options.ca_cert or options.client_cert or options.tls_first or not options.validate_certs
    if not wanted and not any(server.startswith(("tls://", "wss://")) for server in options.servers):
        return None
    try:
        context = ssl.create_default_context(cafile=options.ca_cert)
        if options.client_cert:
            context.load_cert_chain(options.client_cert, options.client_key)
    except (ssl.SSLError, OSError) as exc:
        files = ", ".join(file for file in (options.ca_cert, options.client_cert, options.client_key) if file)
        raise TlsError(
            f"The TLS files {files} cannot be loaded ({exc}). Check ca_cert, client_cert and client_key."
        ) from None
    if not options.validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


_NO_TLS = Trouble(
    TlsError,
    "it does not use TLS, although tls:// or certificates were given",
    "Have it set up there, or write the address as nats:// and leave the certificates out",
)


class TroubleError(Exception):
    """A server could not be connected to; C(trouble) says why."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.cause)
        self.trouble = trouble


def _insists(options: Options, server: str) -> bool:
    """Whether nothing may be sent to this server but over TLS."""
    return bool(options.ca_cert or options.client_cert or options.tls_first) or server.startswith(("tls://", "wss://"))


def _make_client(secure: bool) -> t.Any:
    """A client that believes the last INFO: once it has logged in, a server tells the limits of the account.

    With C(secure) it uses TLS where the server offers it, and else sends nothing: no password either.
    """

    class LastInfoClient(Client):
        first_info: t.Any = None

        async def _process_info(self, info: t.Any, *args: t.Any, **kwargs: t.Any) -> None:
            self.first_info = self.first_info or dict(info)
            await super()._process_info(info, *args, **kwargs)
            self._server_info = {**(self._server_info or {}), **info}
            if info.get("max_payload"):
                self._max_payload = int(info["max_payload"])

    class SecureClient(LastInfoClient):
        async def _process_info(self, info: t.Any, *args: t.Any, **kwargs: t.Any) -> None:
            if info.get("tls_available"):
                info["tls_required"] = True
            await super()._process_info(info, *args, **kwargs)

        def _connect_command(self) -> t.Any:
            if not (self._server_info or {}).get("tls_required") and not self.options["tls_handshake_first"]:
                raise TroubleError(_NO_TLS)
            return super()._connect_command()

    return SecureClient() if secure else LastInfoClient()


async def _open(options: Options, server: str, arguments: dict[str, t.Any]) -> Connection:
    jwt = arguments["user_jwt_cb"]().decode() if "user_jwt_cb" in arguments else ""
    attempt = Attempt(options, server, {}, jwt)
    client = _make_client(_insists(options, server) and not server.startswith("wss://"))
    connection = Connection(client, options)
    failures: list[Exception] = []

    async def on_error(exc: Exception) -> None:
        failures.append(exc)
        await connection.on_error(exc)

    try:
        await asyncio.wait_for(
            client.connect(
                servers=[server],
                name="natsops.jetstream",
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=max(1, int(options.connect_timeout + 0.999)),
                ping_interval=10,
                max_outstanding_pings=2,
                error_cb=on_error,
                closed_cb=connection.on_closed,
                inbox_prefix=options.inbox_prefix,
                **arguments,
            ),
            options.connect_timeout,
        )
    except asyncio.TimeoutError as exc:
        text = f"no answer within {options.connect_timeout:g} s"
        raise TroubleError(
            await _trouble(client, connection, attempt, failures[-1] if failures else exc, text)
        ) from exc
    except TroubleError:
        await _dispose(client, connection)
        raise
    except (nats_errors.Error, OSError, ValueError) as exc:
        cause = failures[-1] if failures and isinstance(exc, nats_errors.NoServersError) else exc
        if isinstance(cause, ImportError):
            raise cause from exc
        raise TroubleError(await _trouble(client, connection, attempt, cause, _said(cause))) from exc
    await connection.start()
    return connection


async def _trouble(client: t.Any, connection: Connection, attempt: Attempt, cause: Exception, text: str) -> Trouble:
    await _dispose(client, connection)
    return await explain(dataclasses.replace(attempt, info=getattr(client, "first_info", None) or {}), cause, text)


async def _dispose(client: t.Any, connection: Connection) -> None:
    await connection.close()
    # A WebSocket that was never opened leaves its session behind.
    session = getattr(getattr(client, "_transport", None), "_client", None)
    if session is not None:
        await session.close()


def _said(cause: Exception) -> str:
    if isinstance(cause, OSError) and cause.errno and cause.errno > 0 and not isinstance(cause, ssl.SSLError):
        return os.strerror(cause.errno).lower()
    return without_secrets(str(cause)) or type(cause).__name__


async def connect(options: Options) -> Connection:
    """Connect to the first server of C(options.servers) that answers; each gets C(connect_timeout) seconds, once.

    Raises MissingLibraryError, AuthenticationError (at once: the next server would say the same), TlsError and
    ConnectError; each names the servers and what they said.
    """
    if NATS_IMPORT_ERROR:
        raise MissingLibraryError("The Python library nats-py is not installed.", "nats-py")
    # The library reads 32 KiB at a time; a snapshot is megabytes, and every read costs a turn of the loop.
    nats_client.DEFAULT_BUFFER_SIZE = _READ_SIZE
    try:
        arguments = {
            "tls": _tls_context(options),
            "tls_handshake_first": options.tls_first,
            **login_arguments(options),
        }
        said: list[tuple[str, Trouble]] = []
        for server, shown in zip(options.servers, options.safe_servers()):
            try:
                return await _open(options, server, arguments)
            except TroubleError as exc:
                trouble = exc.trouble
                if trouble.kind is AuthenticationError:
                    raise AuthenticationError(f"Cannot log in to {shown}: {trouble.cause}. {trouble.remedy}.") from exc
                said.append((shown, trouble))
    except ImportError as exc:
        raise MissingLibraryError(
            f"The options need a Python library that is not installed: {exc}.", _library(exc)
        ) from exc
    raise listing(said)


def _library(exc: ImportError) -> str:
    return exc.name or ("aiohttp" if "aiohttp" in str(exc) else "nats-py")
