# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a playbook of the collection as an operator does, and reading its report."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integration.cluster import kit
from servers import PASSWORD, Cluster, Server
from servers.ansible import playbook_environment


@dataclass(frozen=True)
class Ran:
    """A finished playbook: exit code, all that it printed, the newest report (empty without one)."""

    code: int
    output: str
    report: dict[str, Any]

    @property
    def recap(self) -> dict[str, int]:
        """The numbers of the play recap."""
        line = self.output.rsplit("PLAY RECAP", 1)[1].splitlines()[1]
        return {key: int(value) for key, value in (word.split("=") for word in line.split(":", 1)[1].split())}


class Runbooks:
    """Runs playbooks against a cluster from a directory of its own, with the variables that all of them share."""

    def __init__(self, cluster: Cluster | Server, home: Path, **shared: Any) -> None:
        self.cluster = cluster
        self.home = home
        self.reports = home / "reports"
        self.repository = home / "repository"
        self._shared = shared

    def variables(self) -> dict[str, Any]:
        """What an inventory would hold."""
        return {
            "ansible_python_interpreter": sys.executable,
            "jetstream_system": self.cluster.connection("sys"),
            "jetstream_accounts": [
                {**entry, "servers": self.cluster.urls} for entry in kit.accounts(self.cluster, "APP", "OTHER")
            ],
            "jetstream_reports": str(self.reports),
            "jetstream_repository": str(self.repository),
            **self._shared,
        }

    def start(self, verb: str, *words: str, **own: Any) -> subprocess.Popen[str]:
        """Start a playbook."""
        extra = self.home / f"{verb}.json"
        extra.write_text(json.dumps({**self.variables(), **own}), encoding="utf-8")
        command = [sys.executable, "-m", "ansible", "playbook", f"natsops.jetstream.{verb}", "-e", f"@{extra}", *words]
        return subprocess.Popen(
            command,
            cwd=self.home,
            env=playbook_environment(self.home),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, process: subprocess.Popen[str], timeout: float = 900.0) -> Ran:
        """Wait for its end; no password may be in what it printed or reported."""
        try:
            output, _none = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert PASSWORD not in output, output
        newest = max(self.reports.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, default=None)
        text = newest.read_text(encoding="utf-8") if newest else "{}"
        assert PASSWORD not in text, text
        return Ran(process.returncode, output, json.loads(text))

    def run(self, verb: str, *words: str, **own: Any) -> Ran:
        """Run a playbook to its end."""
        return self.finish(self.start(verb, *words, **own))
