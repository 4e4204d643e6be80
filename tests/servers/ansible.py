# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the collection's modules as users do (ansible-playbook), or alone as a process, which is faster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
COLLECTION = "natsops.jetstream"


def collections_path() -> Path:
    """A directory in which Ansible and Python find this checkout as ansible_collections.natsops.jetstream."""
    root = CHECKOUT / ".cache" / "collections"
    link = root / "ansible_collections" / "natsops" / "jetstream"
    if not link.is_symlink():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(CHECKOUT, link.parent))
    return root


def _environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("NATS_", "ANSIBLE_"))}
    return {**kept, "PYTHONPATH": str(collections_path()), **(extra or {})}


def playbook_environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of an ansible-playbook that is kept apart from whatever is configured for this user."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("NATS_", "ANSIBLE_", "PYTHON"))}
    return {
        **kept,
        "HOME": str(home),
        "ANSIBLE_HOME": str(home / "ansible"),
        "ANSIBLE_COLLECTIONS_PATH": str(collections_path()),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
        **more,
    }


class ModuleProcess:
    """A module running as a process of its own; `wait` returns what it prints, as a dict."""

    def __init__(
        self, name: str, args: dict[str, Any], *, env: dict[str, str] | None = None, preexec: Any = None
    ) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
            json.dump({"ANSIBLE_MODULE_ARGS": args}, file)
        self._args = Path(file.name)
        self.process = subprocess.Popen(
            [sys.executable, str(CHECKOUT / "plugins" / "modules" / f"{name}.py"), str(self._args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(env),
            preexec_fn=preexec,
        )

    def wait(self, timeout: float = 120) -> dict[str, Any]:
        """The module's result; a process that was killed or printed no JSON raises AssertionError with its output."""
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"the module did not end within {timeout} s: {out}\n{err}") from None
        finally:
            self._args.unlink(missing_ok=True)
        try:
            result: dict[str, Any] = json.loads(out)
        except ValueError:
            raise AssertionError(f"exit {self.process.returncode}, no JSON: {out}\n{err}") from None
        return result

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.process.kill()
        self.process.communicate()
        self._args.unlink(missing_ok=True)


def run_module(
    name: str,
    args: dict[str, Any],
    *,
    check: bool = False,
    diff: bool = False,
    env: dict[str, str] | None = None,
    timeout: float = 120,
    preexec: Any = None,
) -> dict[str, Any]:
    """Run a module alone and return its result, failed or not; in check or diff mode as Ansible asks for them."""
    modes = {"_ansible_check_mode": check, "_ansible_diff": diff}
    return ModuleProcess(name, {**args, **modes}, env=env, preexec=preexec).wait(timeout)


@dataclass(frozen=True)
class Played:
    """A finished playbook: its exit code, everything it printed, and the registered result of each task in order."""

    code: int
    output: str
    results: list[dict[str, Any]]


def play(
    tasks: list[dict[str, Any]],
    *words: str,
    defaults: dict[str, Any] | None = None,
    env: dict[str, str] | None = None,
    timeout: float = 300,
) -> Played:
    """Run tasks (as in a playbook; a failing one does not end it) with ansible-playbook on localhost.

    `defaults` are module_defaults of the action group, `words` go on the command line (`--check`, `-vvvv`).
    """
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "results.json"
        steps = [{**task, "register": f"result_{index}", "ignore_errors": True} for index, task in enumerate(tasks)]
        names = ", ".join(f"result_{index}" for index in range(len(tasks)))
        content = "{{ [" + names + "] | to_json }}"
        steps.append(
            {"ansible.builtin.copy": {"dest": str(out), "content": content}, "check_mode": False, "diff": False}
        )
        playbook = [
            {
                "hosts": "localhost",
                "connection": "local",
                "gather_facts": False,
                "vars": {"ansible_python_interpreter": sys.executable},
                "module_defaults": {f"group/{COLLECTION}.jetstream": defaults or {}},
                "tasks": steps,
            }
        ]
        path = Path(directory) / "play.yml"
        path.write_text(json.dumps(playbook))
        settings = {
            "ANSIBLE_COLLECTIONS_PATH": str(collections_path()),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_HOME": f"{directory}/home",
            **(env or {}),
        }
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", str(path), *words]
        done = subprocess.run(
            command, capture_output=True, text=True, env=_environment(settings), timeout=timeout, check=False
        )
        if not out.exists():
            raise AssertionError(f"the playbook did not come to its end:\n{done.stdout}\n{done.stderr}")
        results = json.loads(out.read_text())
        return Played(done.returncode, done.stdout + done.stderr, results)
