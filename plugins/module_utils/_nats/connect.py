# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opening a connection: credentials, TLS, the servers one after the other, each for a bounded time."""

from __future__ import annotations

import asyncio
import os
import ssl
import traceback
import typing as t

from .connection import Connection
from .errors import AuthenticationError, ConnectError, MissingLibraryError, NatsError, TlsError
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
        def _process_info(self, info: t.Any, *args: t.Any, **kwargs: t.Any) -> t.Any:
            if info.get("tls_available"):
                info["tls_required"] = True
            return super()._process_info(info, *args, **kwargs)

        def _connect_command(self) -> t.Any:
            if not (self._server_info or {}).get("tls_required") and not self.options["tls_handshake_first"]:
                raise TlsError("it does not use TLS, although tls:// or certificates were given")
            return super()._connect_command()

    return SecureClient() if secure else LastInfoClient()


async def _open(options: Options, server: str, arguments: dict[str, t.Any]) -> Connection:
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
    except asyncio.TimeoutError:
        await connection.close()
        cause = failures[-1] if failures else None
        hint = "" if options.tls_first else " (one that wants TLS first says nothing before: see tls_first)"
        text = f"no answer within {options.connect_timeout:g} s{hint if arguments['tls'] else ''}"
        raise _explain(cause, text) from cause
    except TlsError:
        await connection.close()
        raise
    except (nats_errors.Error, OSError, ValueError) as exc:
        await connection.close()
        cause = failures[-1] if failures and isinstance(exc, nats_errors.NoServersError) else exc
        if connection.info.get("tls_verify") and not options.client_cert:
            raise TlsError("it wants a client certificate; give client_cert and client_key") from exc
        raise _explain(cause, _said(cause)) from exc
    await connection.start()
    return connection


def _said(cause: Exception) -> str:
    if isinstance(cause, OSError) and cause.errno and cause.errno > 0 and not isinstance(cause, ssl.SSLError):
        return os.strerror(cause.errno).lower()
    return without_secrets(str(cause)) or type(cause).__name__


def _explain(cause: Exception | None, text: str) -> NatsError:
    if isinstance(cause, ssl.SSLError):
        return TlsError(f"the TLS handshake failed: {getattr(cause, 'verify_message', '') or cause.reason or cause}")
    lowered = text.lower()
    if "authorization" in lowered or "authentication" in lowered or "user authentication" in lowered:
        return AuthenticationError("it refused the credentials")
    return ConnectError(text.replace("nats: ", ""))


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
        said: list[tuple[str, NatsError]] = []
        for server, shown in zip(options.servers, options.safe_servers()):
            try:
                return await _open(options, server, arguments)
            except AuthenticationError as exc:
                raise AuthenticationError(
                    f"Cannot log in to {shown}: {exc.message}. Check user, password, token, credentials or nkey_seed."
                ) from exc
            except (ConnectError, TlsError) as exc:
                said.append((shown, exc))
    except ImportError as exc:
        raise MissingLibraryError(
            f"The options need a Python library that is not installed: {exc}.", _library(exc)
        ) from exc
    text = "; ".join(f"{shown}: {exc.message}" for shown, exc in said)
    if any(isinstance(exc, TlsError) for _shown, exc in said):
        raise TlsError(f"Cannot connect to NATS ({text}). Check ca_cert, the certificate's names and validate_certs.")
    raise ConnectError(f"Cannot connect to NATS ({text}). Check the servers option and that nats-server is running.")


def _library(exc: ImportError) -> str:
    return {"nkeys": "nkeys", "aiohttp": "aiohttp"}.get(exc.name or "", exc.name or "nats-py")
