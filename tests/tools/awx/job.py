# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job as the controller runs it: credentials injected into files and variables, the playbook by ansible-runner."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tools import checkout
from tools.awx import answers, render, rules

Item = dict[str, Any]
# Seconds from the first signal to the second, where a job is cancelled.
GRACE = 10.0


class _Files:
    """The names of injected files, by their labels."""


class _Tower:
    filename: Any


def inject(kind: Item, inputs: Item, private: Path) -> tuple[dict[str, str], list[Path]]:
    """Return the environment and the files of variables that a credential gives a job; its files are written, 0600."""
    wrong = rules.credential(kind, inputs)
    if wrong:
        raise ValueError("; ".join(wrong))
    names: dict[str, Any] = {key: value for key, value in inputs.items() if isinstance(value, bool) or value}
    for field in kind["inputs"]["fields"]:
        if field.get("type") == "boolean":
            names.setdefault(field["id"], False)
        if field.get("format") == "ssh_private_key" and field["id"] in names:
            names[field["id"]] = names[field["id"]].rstrip("\n") + "\n"
    tower = _Tower()
    names["tower"] = tower
    injectors = kind["injectors"]
    files = injectors.get("file", {})
    # The database keeps the shorter names first.
    for label in sorted(files, key=lambda name: (len(name), name.encode())):
        path = _write(private / "env", render.leniently(files[label], names), 0o600)
        _single, _dot, name = label.partition(".")
        if name:
            tower.filename = getattr(tower, "filename", None) or _Files()
            setattr(tower.filename, name, str(path))
        else:
            tower.filename = str(path)
    env = {name: render.leniently(text, names) for name, text in injectors.get("env", {}).items()}
    extra = _rendered(injectors.get("extra_vars", {}), names)
    return env, [_write(private / "env", yaml.safe_dump(extra), 0o400)] if extra else []


def _rendered(node: Any, names: dict[str, Any]) -> Any:
    if isinstance(node, dict):
        return {render.leniently(key, names): _rendered(value, names) for key, value in node.items()}
    if isinstance(node, list):
        return [_rendered(value, names) for value in node]
    return render.leniently(node, names)


def _write(directory: Path, text: str, mode: int) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=directory)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    os.chmod(name, mode)
    return Path(name)


class Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """What comes from people is not templated; what the job template says is."""


class _Unsafe(str):
    pass


Dumper.add_representer(_Unsafe, lambda dumper, data: dumper.represent_scalar("!unsafe", str(data)))


def guarded(value: Any) -> Any:
    """Mark texts, as the controller does with all that is not its job template's own."""
    if isinstance(value, dict):
        return {key: guarded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [guarded(one) for one in value]
    return _Unsafe(value) if isinstance(value, str) else value


@dataclasses.dataclass(frozen=True)
class Ran:
    """A finished job: its status, its artifacts, everything it printed, and all that is left of it on the disk."""

    status: str
    code: int
    artifacts: Item
    output: str


class Job:
    """One job, in a process group of its own. Use L(finish) or L(cancel), once."""

    def __init__(
        self,
        template: Item,
        credentials: list[tuple[Item, Item]],
        given: Item,
        private: Path,
        *,
        above: Item | None = None,
        check: bool = False,
    ) -> None:
        """`given` answers the survey; `above` are artifacts and a workflow's variables, which nothing checks."""
        extra = answers.launch(template, given)
        extra |= above or {}
        env: dict[str, str] = {}
        files: list[Path] = []
        for kind, inputs in credentials:
            more, variables = inject(kind, inputs, private)
            env |= more
            files += variables
        own = template.get("extra_vars", {})
        shown = {key: value if own.get(key) == value else guarded(value) for key, value in extra.items()}
        files.insert(0, _write(private / "env", yaml.dump(shown, Dumper=Dumper), 0o600))
        words = [word for path in files for word in ("-e", f"@{path}")]
        words += ["--check"] if check or template["job_type"] == "check" else []
        (private / "env" / "cmdline").write_text(" ".join(words))
        inventory = private / "inventory"
        inventory.mkdir(exist_ok=True)
        (inventory / "hosts").write_text(
            f"localhost ansible_connection=local ansible_python_interpreter={sys.executable}\n"
        )
        self._private = private
        self._out = private / "output.txt"
        runner = [sys.executable, "-m", "ansible_runner", "run", str(private), "-p"]
        surroundings = checkout.environment(home=private / "home", **env)
        surroundings |= {
            "ANSIBLE_COLLECTIONS_PATH": str(checkout.link_collection()),
            "ANSIBLE_HOME": str(private / "home"),
        }
        surroundings = {key: value for key, value in surroundings.items() if not key.startswith("NATS_")}
        with self._out.open("w") as out:
            self.process = subprocess.Popen(
                [*runner, str(checkout.ROOT / template["playbook"]), "--ident", "job"],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=surroundings,
                cwd=private,
                start_new_session=True,
            )

    def finish(self, timeout: float = 300.0) -> Ran:
        """Wait for the end."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the job did not end: {self._out.read_text()}") from None
        status = self._private / "artifacts" / "job" / "status"
        return Ran(
            status.read_text().strip() if status.is_file() else "", code, self._artifacts(), self._out.read_text()
        )

    def _artifacts(self) -> Item:
        """What set_stats left, from the event of the play's end, as the controller reads it."""
        found: Item = {}
        for path in sorted((self._private / "artifacts" / "job" / "job_events").glob("*.json")):
            try:
                event = json.loads(path.read_text())
            except ValueError:
                continue  # written half when the job was killed
            if event.get("event") == "playbook_on_stats":
                found = event["event_data"].get("artifact_data") or {}
        return found

    def processes(self) -> list[int]:
        """The processes that belong to the job, itself and those in sessions of their own included."""
        mark = str(self._private)
        found = []
        for entry in Path("/proc").iterdir():
            try:
                environ = (entry / "environ").read_bytes() if entry.name.isdigit() else b""
            except OSError:
                continue
            if f"ANSIBLE_HOME={mark}/home".encode() in environ:
                found.append(int(entry.name))
        return found

    def cancel(self, wait: float = GRACE) -> None:
        """As the controller cancels: SIGTERM to all, and after a while SIGKILL to what is left."""
        self._signal(signal.SIGTERM)
        end = time.monotonic() + wait
        while time.monotonic() < end and self.processes():
            self.process.poll()
            time.sleep(0.1)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to all at once, as where the container is killed."""
        while self.processes():
            self._signal(signal.SIGKILL)
            self.process.poll()
            time.sleep(0.05)
        self.process.wait(10)

    def _signal(self, number: int) -> None:
        for pid in self.processes():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue


Launch = Callable[..., Job]
