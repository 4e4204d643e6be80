# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the collection's playbooks as an operator does, and reading their reports."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from servers import Cluster
from servers.ansible import CHECKOUT, playbook_environment

PLAYBOOK_TIMEOUT = 240.0


class PlaybookError(Exception):
    """A playbook ended otherwise than it should."""


class Playbooks:
    """Runs playbooks with ansible-playbook, kept apart from whatever is configured for this user."""

    def __init__(self, work: Path, cluster: Cluster) -> None:
        self._work = work
        self._cluster = cluster
        self.reports = work / "reports"
        link = work / "collections" / "ansible_collections" / "natsops" / "jetstream"
        link.parent.mkdir(parents=True)
        link.symlink_to(CHECKOUT)
        (work / "ansible.cfg").touch()

    def _variables(self) -> dict[str, Any]:
        """What an inventory would hold; the servers are those of the moment."""
        servers = {"servers": self._cluster.urls}
        picture = self.reports / "latest-picture.json"
        return {
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "jetstream_system": {**self._cluster.connection("sys"), **servers},
            "jetstream_accounts": [
                {"name": name, **self._cluster.connection(name.lower()), **servers} for name in ("APP", "OTHER")
            ],
            "jetstream_repository": str(self._work / "backups"),
            "jetstream_reports": str(self.reports),
            "jetstream_save_path": str(self._work / "survivors"),
            # The playbook assess keeps it.
            "jetstream_last_picture": str(picture) if picture.is_file() else "",
        }

    def _environment(self) -> dict[str, str]:
        return playbook_environment(
            self._work,
            PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            LC_ALL="C.UTF-8",
            # Fewer processes a task.
            ANSIBLE_PIPELINING="true",
            ANSIBLE_CONFIG=str(self._work / "ansible.cfg"),
            # A link: Ansible would read a "$" in this checkout's own path as the beginning of a variable.
            ANSIBLE_COLLECTIONS_PATH=str(self._work / "collections"),
        )

    def run(self, verb: str, outcomes: str, **own: Any) -> dict[str, Any]:
        """Run a playbook and return its report. Raises PlaybookError with the output where it ended otherwise."""
        variables = self._work / "variables.json"
        variables.touch(mode=0o600)
        variables.write_text(json.dumps({**self._variables(), **own}), encoding="utf-8")
        before = set(self.reports.glob(f"{verb}-*.json"))
        # Not by the program ansible-playbook: its first line names the interpreter, and a path can be too odd for that.
        command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local"]
        command += ["-e", f"@{variables}", f"natsops.jetstream.{verb}"]
        with subprocess.Popen(
            command,
            cwd=self._work,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, _errors = process.communicate(timeout=PLAYBOOK_TIMEOUT)
            except BaseException:
                kill_tree(process.pid)
                raise
        new = sorted(set(self.reports.glob(f"{verb}-*.json")) - before)
        if not new:
            raise PlaybookError(f"the playbook {verb} left no report:\n{output}")
        report: dict[str, Any] = json.loads(new[-1].read_text(encoding="utf-8"))
        if report["outcome"] not in outcomes.split():
            raise PlaybookError(f"the playbook {verb} ended as {report['outcome']}, not as {outcomes}:\n{output}")
        return report


def kill_tree(pid: int) -> None:
    """Kill a process and all that came from it: Ansible's workers and modules have sessions of their own."""
    children = []
    with contextlib.suppress(OSError):
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if path.read_text(encoding="utf-8").rpartition(")")[2].split()[1] == str(pid):
                    children.append(int(path.parent.name))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    for child in children:
        kill_tree(child)
