# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Contexts of the C(nats) command line: JSON files that say where and as whom to connect."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

from .._files.errors import why
from .._files.reading import CONTEXT, SECRET, read_text
from .errors import OptionsError
from .pasted import told
from .urls import split_servers

# In the order in which the command line looks for who logs in; it takes the first.
_IDENTITIES = ("user", "creds", "nkey", "user_jwt", "token")
_FIELDS = {
    "url": "servers",
    "user": "user",
    "password": "password",
    "token": "token",
    "creds": "credentials",
    "nkey": "nkey_seed",
    "user_jwt": "user_jwt",
    "user_seed": "user_seed",
    "ca": "ca_cert",
    "cert": "client_cert",
    "key": "client_key",
    "tls_first": "tls_first",
    "jetstream_domain": "domain",
    "jetstream_api_prefix": "api_prefix",
    "inbox_prefix": "inbox_prefix",
}
_FILES = ("creds", "nkey", "ca", "cert", "key")
_SECRETS = ("password", "token", "user_jwt", "user_seed")
_UNSUPPORTED = {
    "nsc": "look the credentials up with `nsc` and put their path into `creds`",
    "socks_proxy": "connect without a SOCKS proxy",
    "windows_cert_store": "use certificate files",
}
_SUFFIX = ".json"
_REFERENCES = ("op://", "nsc://", "data:", "env://", "file://")


def _problem(text: str) -> OptionsError:
    return OptionsError(text, error="invalid_context")


def context_path(context: str, environ: t.Mapping[str, str]) -> pathlib.Path:
    """The file of a context given by its name or as a path."""
    if context.endswith(".json") or os.sep in context:
        return pathlib.Path(context).expanduser()
    config = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".config")
    return pathlib.Path(config) / "nats" / "context" / f"{context}.json"


def load_context(context: str, environ: t.Mapping[str, str] | None = None) -> dict[str, t.Any]:
    """Read a context, by name or file.

    Returns the fields of C(options.Options) it sets. Raises OptionsError with the word C(invalid_context) when the
    file is missing, is no context, or needs something this collection does not do.
    """
    environ = os.environ if environ is None else environ
    path = context_path(context, environ)
    content = _read(path, context)
    for field, remedy in _UNSUPPORTED.items():
        if content.get(field):
            raise _problem(f"NATS context {path} sets {field!r}, which is not supported: {remedy}.")
    result: dict[str, t.Any] = {}
    chosen = next((field for field in _IDENTITIES if content.get(field)), None)
    for field, name in _FIELDS.items():
        value: t.Any = content.get(field)
        if not value or (field in _IDENTITIES and field != chosen):
            continue
        if not isinstance(value, bool if field == "tls_first" else str):
            raise _problem(f"NATS context {path}: {field!r} is not of the right type.")
        if field in _FILES:
            value = os.path.expanduser(_reference(path, field, str(value), environ))
        elif field in _SECRETS:
            value = _reference(path, field, str(value), environ)
        result[name] = split_servers([value]) if field == "url" else value
    if chosen == "user":
        result.setdefault("password", "")
    else:
        result.pop("password", None)
    return result


def _known(directory: pathlib.Path) -> list[str]:
    try:
        return sorted(name[: -len(_SUFFIX)] for name in os.listdir(directory) if name.endswith(_SUFFIX))
    except OSError:
        return []


def _read(path: pathlib.Path, context: str) -> dict[str, t.Any]:
    try:
        content = json.loads(read_text(path, CONTEXT))
    except FileNotFoundError:
        # The name alone could be a secret that was pasted here: it is told only where it is surely a path.
        where = f"no file {told(context)}" if os.sep in context else f"no file of that name in {path.parent}"
        raise _problem(
            f"The NATS context was not found: {where}. Known contexts: {', '.join(_known(path.parent)) or 'none'}."
        ) from None
    except OSError as exc:
        raise _problem(f"NATS context file {told(str(path))} cannot be read: {why(exc)}.") from None
    except UnicodeError:
        raise _problem(f"NATS context file {path} is not text in UTF-8. Save it as such.") from None
    except (ValueError, RecursionError):
        # Without the reason: it could quote what stands in the file.
        raise _problem(f"NATS context file {path} is not JSON.") from None
    if not isinstance(content, dict):
        raise _problem(f"NATS context file {path} is not a JSON object.")
    return content


def _reference(path: pathlib.Path, field: str, value: str, environ: t.Mapping[str, str]) -> str:
    """Follow what the command line takes for a reference to a secret kept elsewhere."""
    scheme = next((s for s in _REFERENCES if value.lower().startswith(s)), None)
    if scheme is None:
        return value
    rest = value[len(scheme) :]
    if field in _FILES and scheme == "file://":
        return rest
    if field in _SECRETS and scheme == "env://":
        if not environ.get(rest):
            raise _problem(f"NATS context {path}: {field!r} is in the environment variable {rest}, which is not set.")
        return environ[rest]
    if field in _SECRETS and scheme == "file://":
        try:
            return read_text(os.path.expanduser(rest), SECRET).rstrip("\r\n")
        except (OSError, ValueError):
            raise _problem(
                f"NATS context {path}: {field!r} is in the file {told(rest)}, which cannot be read."
            ) from None
    raise _problem(
        f"NATS context {path}: {field!r} is a reference of the kind {scheme}, which is not supported here. Put the"
        " secret into a file, or give it as an option of the module."
    )
