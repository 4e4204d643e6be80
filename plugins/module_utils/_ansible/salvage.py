# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module that saves the streams on a dead server's disk."""

from __future__ import annotations

import asyncio
import dataclasses
import typing as t

from .._nats.errors import OptionsError
from .._repository.directory import normal_path
from .._repository.errors import BackupError
from .._repository.results import result_json
from .._salvage.salvage import Salvaged, SalvageOptions, account_name, chosen, foresee, salvage
from .._salvage.store import Stored, store_root, stored_streams
from .._server.errors import ServerError
from .._server.program import find_program, program_version
from .argspec import ArgumentSpec
from .backup import named, positive
from .module import Context, Outcome

SALVAGE = ArgumentSpec(
    {
        "store_dir": {"type": "path", "required": True},
        "path": {"type": "path", "required": True},
        "server_binary": {"type": "str", "default": "nats-server"},
        "account_names": {"type": "dict", "default": {}},
        "streams": {"type": "list", "elements": "str", "default": ["*"]},
        "encryption_key": {"type": "str", "no_log": True},
        "cipher": {"type": "str", "choices": ["chachapoly", "aes"], "default": "chachapoly"},
        "start_timeout": {"type": "float", "default": 120.0},
    }
)


async def salvage_store(context: Context) -> Outcome:
    """The work of jetstream_salvage."""
    params = context.params
    positive(params, "start_timeout")
    names = {str(key): str(value) for key, value in params["account_names"].items()}
    if not all(names.values()):
        raise OptionsError("account_names: the name of an account is empty. Give its name, or leave the entry out.")
    options = SalvageOptions(
        binary=params["server_binary"],
        names=names,
        streams=named(params),
        key=params["encryption_key"] or "",
        cipher=params["cipher"],
        start_timeout=params["start_timeout"],
    )
    root, path = store_root(normal_path(params["store_dir"])), normal_path(params["path"])
    if (path + "/").startswith(root + "/"):
        raise OptionsError(f"path {path} is inside of the store, which is not to be written to. Give another one.")
    try:
        version = await asyncio.get_running_loop().run_in_executor(
            None, lambda: program_version(find_program(options.binary))
        )
        stored = stored_streams(root)
        wanted = chosen(stored, options)
        if not stored:
            raise BackupError(f"There is no stream in {root}.", error="store_invalid")
        _require_key(root, wanted, options)
        results = await (foresee if context.check_mode else salvage)(root, path, wanted, options)
    except ServerError as exc:
        raise BackupError(exc.message, error=exc.error) from exc
    streams = _foreseen(wanted, results, options) if context.check_mode else [_done(one) for one in results]
    values = {
        "path": path,
        "version": version,
        "streams": streams,
        "left_out": [_left_out(one, options) for one in stored if not one.alone],
    }
    changed = any(one["status"] in ("would_salvage", "transferred") for one in streams)
    warnings = tuple(f"{one.account}: {text}" for one in results for text in one.result.warnings)
    return Outcome(changed, values, warnings=warnings, failure=_failure(results))


def _require_key(root: str, wanted: t.Sequence[Stored], options: SalvageOptions) -> None:
    encrypted = [one for one in wanted if one.encrypted]
    if encrypted and not options.key:
        raise BackupError(
            f"The store {root} is encrypted ({len(encrypted)} of {len(wanted)} streams). Set encryption_key and cipher"
            " to what the configuration of its server has in its jetstream block.",
            error="store_encrypted",
        )


def _foreseen(
    wanted: t.Sequence[Stored], looked: t.Sequence[Salvaged], options: SalvageOptions
) -> list[dict[str, t.Any]]:
    settled = {(one.account, one.result.stream): one for one in looked if not one.result.changed}
    found = [(one, settled.get((account_name(options, one.account), one.stream))) for one in wanted]
    return [_done(known) if known else _would(one, options) for one, known in found]


def _would(one: Stored, options: SalvageOptions) -> dict[str, t.Any]:
    return {
        "account": account_name(options, one.account),
        "stream": one.stream,
        "status": "would_salvage",
        "bytes": one.size,
        "consumers": len(one.consumers),
    }


def _done(one: Salvaged) -> dict[str, t.Any]:
    return {"account": one.account, **result_json(one.result)}


def _left_out(one: Stored, options: SalvageOptions) -> dict[str, t.Any]:
    values = dataclasses.asdict(one)
    return {
        "account": account_name(options, one.account),
        **{key: values[key] for key in ("stream", "replicas")},
        "consumers": list(one.consumers),
    }


def _failure(results: t.Sequence[Salvaged]) -> BackupError | None:
    bad = [one for one in results if one.result.status == "failed"]
    if not bad:
        return None
    keyless = [one for one in bad if getattr(one.result.failure, "error", "") == "store_encrypted"]
    told = [f"{one.account} > {one.result.reason}" for one in bad if one not in keyless][:5]
    if keyless:
        names = ", ".join(f"{one.account} > {one.result.stream}" for one in keyless[:5])
        more = f" and {len(keyless) - 5} more" if len(keyless) > 5 else ""
        told.insert(0, f"encryption_key is not the key of the encrypted streams {names}{more}.")
    if len(keyless) == len(results):
        return BackupError(
            f"None of the {len(results)} streams could be saved: {told[0]} Give the key of the configuration of their"
            " server.",
            error="store_encrypted",
        )
    text = " ".join(told)
    return BackupError(f"{len(bad)} of {len(results)} streams could not be saved. {text}", error="salvage_incomplete")
