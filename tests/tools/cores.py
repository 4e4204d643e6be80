# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A short real round on every supported ansible-core, each with a Python that fits: ``python -m tools.cores [2.16 …]``.

tests/cores/round.yml is the round; each version plays it against a cluster of its own. Whatever Ansible warns of, and
every deprecation that it prints, fails the run: a user would see it with every task.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integration.cluster import kit
from servers import PASSWORD, Cluster, Options
from servers.ansible import playbook_environment
from tools import checkout, pythons, steps

ROUND = checkout.ROOT / "tests" / "cores" / "round.yml"
RUNTIME = checkout.ROOT / "tests" / "requirements-runtime.txt"
ENVIRONMENTS = checkout.CACHE / "cores"
TIMEOUT = 900.0
# A warning or deprecation, with the lines that belong to it: they end at the next task or at an empty line.
COMPLAINT = re.compile(r"^\[(?:WARNING|DEPRECATION WARNING|ERROR)\].*(?:\n(?!TASK|PLAY|\n).*)*", re.MULTILINE)

MEANT = re.compile(r"\[WARNING\]: If n\d is started again it becomes a member again")


@dataclass(frozen=True)
class Core:
    """A version of ansible-core, and the Pythons that a controller with it may have, the preferred one first."""

    version: str
    pythons: tuple[str, ...]


CORES = {
    "2.16": Core("2.16.19", ("3.10", "3.11", "3.12")),
    "2.17": Core("2.17.14", ("3.10", "3.11", "3.12")),
    "2.18": Core("2.18.19", ("3.11", "3.12", "3.13")),
    "2.19": Core("2.19.14", ("3.11", "3.12", "3.13")),
    "2.20": Core("2.20.10", ("3.12", "3.13", "3.14")),
    "2.21": Core("2.21.5", ("3.13", "3.12", "3.14")),
}
OLDEST_AND_NEWEST = (next(iter(CORES)), list(CORES)[-1])


class CoreError(Exception):
    """The round cannot be played, or did not go as it has to."""


def interpreter(line: str) -> Path:
    """The Python for a version. Raises CoreError that names those that would do."""
    wanted = CORES[line].pythons
    found = pythons.find(wanted, Path(sys.executable))
    if not found:
        raise CoreError(
            f"ansible-core {line} runs on Python {', '.join(wanted)}, and none of them is here. Install"
            f" python{wanted[0]} with its venv module, so that it is on PATH or one of pyenv's."
        )
    return next(iter(found.values()))


def requirements(line: str) -> Path:
    """The requirements of a version's environment: those of a controller, with that ansible-core.

    Without the constraints, since an old core needs older packages than the new one.
    """
    path = ENVIRONMENTS / f"{line}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    wanted = [line for line in RUNTIME.read_text(encoding="utf-8").splitlines() if not line.startswith(("#", "-c"))]
    text = "\n".join(re.sub(r"^ansible-core==.*", f"ansible-core=={CORES[line].version}", each) for each in wanted)
    if not path.is_file() or path.read_text(encoding="utf-8") != f"{text}\n":
        path.write_text(f"{text}\n", encoding="utf-8")
    return path


def environment(line: str) -> Path:
    """The Python of a version's virtual environment, made where it is not there or not as it should be."""
    place = ENVIRONMENTS / line
    maker = checkout.ROOT / "tests" / "tools" / "environment.py"
    done = subprocess.run(
        [interpreter(line), maker, place, requirements(line)], stdin=subprocess.DEVNULL, cwd=checkout.ROOT, check=False
    )
    if done.returncode:
        raise CoreError(f"the environment of ansible-core {line} could not be made in {place}")
    return place / "bin" / "python"


def variables(cluster: Cluster, work: Path) -> dict[str, Any]:
    """What an inventory would hold, and what the round needs to know."""
    connection = {user: {**cluster.connection(user), "servers": cluster.urls} for user in ("sys", "app", "other")}
    return {
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "app": connection["app"],
        "other": connection["other"],
        "jetstream_system": connection["sys"],
        "jetstream_accounts": [{"name": name, **connection[name.lower()]} for name in ("APP", "OTHER")],
        "jetstream_repository": str(work / "backups"),
        "jetstream_reports": str(work / "reports"),
        "place": str(work / "plain"),
    }


def prepare(cluster: Cluster) -> None:
    """Two streams with messages and a consumer."""
    app = kit.App(cluster)
    try:
        for name in ("ORDERS", "METRICS"):
            # A short window of de-duplication: a restore warns of a longer one.
            app.stream(name, 3, duplicate_window=100_000_000)
            app.fill(name, 50)
        app.consumer("ORDERS", "billing")
    finally:
        app.close()


def play(python: Path, cluster: Cluster, work: Path) -> str:
    """Play the round; return its output. Raises CoreError with it where a task failed."""
    extra = work / "variables.json"
    extra.touch(mode=0o600)
    extra.write_text(json.dumps(variables(cluster, work)), encoding="utf-8")
    (work / "ansible.cfg").touch()
    done = subprocess.run(
        [python, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local", "-e", f"@{extra}", ROUND],
        cwd=work,
        env=playbook_environment(
            work,
            PATH=f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            LC_ALL="C.UTF-8",
            ANSIBLE_CONFIG=str(work / "ansible.cfg"),
            ANSIBLE_DEPRECATION_WARNINGS="true",
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if done.returncode or PASSWORD in done.stdout:
        raise CoreError(f"the round ended with exit code {done.returncode}:\n{done.stdout}")
    return done.stdout


def complaints(output: str) -> list[str]:
    """Every warning, deprecation and error that was printed, but for what the plan of a removal has to say."""
    found = [match[0].strip() for match in COMPLAINT.finditer(output)]
    return [text for text in found if not MEANT.match(text)]


def run(line: str) -> str:
    """Play the round on one version; return its summary. Raises CoreError."""
    python = environment(line)
    with tempfile.TemporaryDirectory(prefix="natsops-core-") as directory, Cluster(Options(), size=4) as cluster:
        prepare(cluster)
        output = play(python, cluster, Path(directory))
    found = complaints(output)
    if found:
        raise CoreError("Ansible complained:\n" + "\n".join(dict.fromkeys(found)))
    version = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    return f"ansible-core {CORES[line].version}, Python {version}, {output.count('TASK [')} tasks, no warning"


def main(words: list[str]) -> int:
    """Play it on the versions that are named, or on all; each of them, whatever the others did."""
    unknown = [word for word in words if word not in CORES]
    if unknown:
        print(f"There is no ansible-core {unknown[0]} here; there are: {', '.join(CORES)}.", file=sys.stderr)
        return 2
    checkout.link_collection()
    outcomes = []
    for line in words or CORES:
        print(f"==> ansible-core {line}", flush=True)
        started = time.monotonic()
        code, closing = 0, ""
        try:
            closing = run(line)
        except CoreError as error:
            code = 1
            print(error, flush=True)
        outcomes.append(steps.Outcome(f"ansible-core {line}", code, time.monotonic() - started, closing))
    return steps.report("ansible-core versions", outcomes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
