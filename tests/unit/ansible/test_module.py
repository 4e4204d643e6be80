# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The boundary: one outcome, one exit_json or fail_json; a library that is missing; secrets in addresses."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.argspec import CONNECTION, ArgumentSpec
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.module import Context, Outcome, run_module
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.errors import MissingLibraryError, NatsError
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.errors import BackupError, PathError

ROOT = Path(__file__).resolve().parents[3]
SPEC = ArgumentSpec({"word": {"type": "str"}})


def ran(work: Callable[[Context], Awaitable[Outcome]], connects: bool = False, **args: Any) -> dict[str, Any]:
    """Run C(work) as a module does and return what it prints."""
    out = io.StringIO()
    warnings._global_warnings.clear()
    # Other tests load Ansible's controller, under which a module's warnings go to the terminal.
    module_side = mock.patch.object(_internal, "is_controller", False)
    with module_side, patch_module_args(args), contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
        run_module(SPEC, work, connects=connects)
    result: dict[str, Any] = json.loads(out.getvalue())
    assert bool(ended.value.code) is bool(result.get("failed"))
    return result


def returning(outcome: Outcome) -> Callable[[Context], Awaitable[Outcome]]:
    async def work(context: Context) -> Outcome:
        return outcome

    return work


def raising(error: BaseException) -> Callable[[Context], Awaitable[Outcome]]:
    async def work(context: Context) -> Outcome:
        raise error

    return work


def test_success() -> None:
    diff = {"before": "a", "after": "b"}
    found = ran(returning(Outcome(True, {"value": 1}, diff=diff, warnings=("beware",))), _ansible_diff=True)
    assert (found["changed"], found["value"], found["diff"]) == (True, 1, diff)
    assert isinstance(found["duration"], float)
    assert "beware" in json.dumps(found["warnings"])
    assert "diff" not in ran(returning(Outcome(True, diff=diff)))


def test_failure_with_partial_results() -> None:
    failure = BackupError("3 of 4 failed", error="backup_incomplete", err_code=10008)
    found = ran(returning(Outcome(True, {"streams": [1]}, warnings=("w",), failure=failure)))
    assert {key: found[key] for key in ("failed", "changed", "msg", "error", "err_code", "streams")} == {
        "failed": True,
        "changed": True,
        "msg": "3 of 4 failed",
        "error": "backup_incomplete",
        "err_code": 10008,
        "streams": [1],
    }
    assert "duration" in found
    assert found["warnings"]


def test_an_error_that_is_raised() -> None:
    error = PathError("path x is a file.", error="path_not_directory", values={"problems": [1]})
    found = ran(raising(error))
    assert (found["failed"], found["changed"], found["error"]) == (True, False, "path_not_directory")
    assert (found["msg"], found["problems"]) == ("path x is a file.", [1])
    assert "err_code" not in found
    assert "exception" not in found
    error.changed = True
    assert ran(raising(error))["changed"] is True


def test_an_error_of_nobody() -> None:
    found = ran(raising(ZeroDivisionError("that was not foreseen")))
    assert (found["failed"], found["error"], found["changed"]) == (True, "unexpected", False)
    assert found["msg"].startswith("ZeroDivisionError: that was not foreseen")


def test_a_missing_library_that_only_some_options_need() -> None:
    found = ran(raising(MissingLibraryError("no nkeys", "nkeys")))
    assert (found["failed"], found["error"]) == (True, "missing_library")
    assert "nkeys" in found["msg"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_cancels_the_work_and_is_told(number: signal.Signals) -> None:
    import asyncio

    cleaned = []

    async def work(context: Context) -> Outcome:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(30)
        finally:
            cleaned.append(True)
        return Outcome(False)

    found = ran(work)
    assert (found["error"], cleaned) == ("interrupted", [True])
    assert number.name in found["msg"]


def test_context() -> None:
    seen: list[Context] = []

    async def work(context: Context) -> Outcome:
        seen.append(context)
        return Outcome(False)

    ran(work, word="x", _ansible_check_mode=True)
    assert (seen[0].params["word"], seen[0].check_mode, seen[0].options) == ("x", True, None)
    with pytest.raises(NatsError):
        assert seen[0].connection
    ran(work, connects=True, servers=["h:1"])
    assert seen[1].connection.servers == ("nats://h:1",)


def test_secrets_in_addresses_are_hidden() -> None:
    servers = ["nats://u:s3cret%2Fpass@h:1", "nats://u:s3cret%2Fpass@i:2"]
    found = ran(returning(Outcome(False, {"echo": "s3cret/pass and s3cret%2Fpass"})), connects=True, servers=servers)
    assert "s3cret" not in json.dumps(found)
    assert found["invocation"]["module_args"]["servers"] == ["nats://u:********@h:1", "nats://u:********@i:2"]


def test_argument_specs_merge() -> None:
    one = ArgumentSpec({"a": {"type": "str"}}, required_together=(("a", "b"),), required_by={"a": ("b",)})
    other = ArgumentSpec({"a": {"type": "int"}, "b": {"type": "str"}}, mutually_exclusive=(("a", "b"),))
    merged = one.merge(other)
    assert merged.argument_spec == {"a": {"type": "int"}, "b": {"type": "str"}}
    assert merged.to_kwargs()["required_together"] == (("a", "b"),)
    assert merged.to_kwargs()["mutually_exclusive"] == (("a", "b"),)
    assert one.argument_spec == {"a": {"type": "str"}}


def test_secret_options_are_not_logged() -> None:
    spec = CONNECTION.argument_spec
    assert {name for name, option in spec.items() if option.get("no_log")} == {"password", "token"}
    # These are paths; without the word Ansible takes them for secrets by their names.
    assert {name for name, option in spec.items() if option.get("no_log") is False} == {"nkey_seed", "client_key"}


MINIMAL: dict[str, dict[str, Any]] = {
    "jetstream_stream_backup": {"stream": "ONE", "path": "x"},
    "jetstream_stream_restore": {"path": "x"},
    "jetstream_account_backup": {"path": "x"},
    "jetstream_account_restore": {"path": "x"},
    "jetstream_backup_info": {"path": "x"},
}


@pytest.mark.parametrize("module", MINIMAL)
def test_without_nats_py(module: str, tmp_path: Path) -> None:
    """The usual message where the library is not installed; the module that needs no server needs no library."""
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / "__init__.py").write_text("raise ImportError(\"No module named 'nats'\", name='nats')\n")
    (tmp_path / "x").mkdir()
    paths = [str(tmp_path), str(ROOT / ".cache" / "collections")]
    done = subprocess.run(
        [sys.executable, str(ROOT / "plugins" / "modules" / f"{module}.py")],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {**MINIMAL[module], "path": str(tmp_path / "x")}}),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = json.loads(done.stdout)
    assert "Traceback" not in done.stderr
    if module == "jetstream_backup_info":
        assert not found.get("failed"), found
        return
    assert (found["failed"], found["error"]) == (True, "missing_library")
    assert "nats-py" in found["msg"]
    assert "Failed to import the required Python library" in found["msg"]


NASTY = "a\x1b[2Jb\x9bc\u202ed\ne\udc80"
SEED = "SUAMK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4GY"


@pytest.mark.parametrize("error", [BackupError(f"stream {NASTY}: {SEED}"), ValueError(f"{NASTY} {SEED}")])
def test_what_a_server_says_cannot_move_the_cursor_and_holds_no_secret(error: Exception) -> None:
    values = {"streams": [{"stream": NASTY, NASTY: [SEED, NASTY]}], "text": "two\nlines"}
    found = ran(returning(Outcome(False, values, warnings=(f"stream {NASTY}: {SEED}",), failure=error)))
    text = json.dumps(found, ensure_ascii=False)
    assert SEED not in text
    for character in "\x1b\x9b\u202e\udc80":
        assert character not in text
        assert json.dumps(character)[1:-1] not in text.replace("\\\\", "")
    assert "\n" not in found["msg"]
    assert "\\x1b[2J" in found["msg"]
    assert found["text"] == "two\nlines"
    assert "\n" not in json.dumps(found["warnings"], ensure_ascii=False).replace("\\\\n", "")


def test_what_the_system_refuses_is_a_sentence() -> None:
    for number, remedy in ((errno.EACCES, "Correct its owner"), (errno.EIO, "check the disk"), (errno.ENOSPC, "Free")):
        found = ran(raising(OSError(number, os.strerror(number), "/backups/ORDERS")))
        assert found["error"] == "file_refused"
        assert "exception" not in found
        for word in ("/backups/ORDERS", os.strerror(number), remedy):
            assert word in found["msg"]
    assert ran(raising(ValueError("a defect")))["error"] == "unexpected"
