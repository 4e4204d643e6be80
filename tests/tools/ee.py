# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The execution environment, as far as it goes without containers: its build context, its requirements, a play."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tools import build, checkout

DEFINITION = checkout.ROOT / "execution-environment.yml"
VENV = checkout.CACHE / "venv-ee"


def check_context(scratch: Path) -> list[str]:
    """Have ansible-builder make the build context; return the steps of its container file."""
    context = scratch / "context"
    build.run(
        *(checkout.BIN / "ansible-builder", "create", "--file", DEFINITION, "--context", context),
        home=scratch,
        collections=scratch,
    )
    steps = (context / "Dockerfile").read_text(encoding="utf-8").splitlines()
    wanted = (checkout.ROOT / "meta" / "ee-requirements.txt").read_text(encoding="utf-8")
    if (context / "_build" / "requirements.txt").read_text(encoding="utf-8") != wanted:
        raise build.BuildError("the build context has other requirements than meta/ee-requirements.txt")
    if not any("nats-server" in step for step in steps):
        raise build.BuildError("the execution environment has no nats-server for the drill")
    return steps


def check_smoke(scratch: Path) -> None:
    """Install its requirements into an environment of their own and the tarball beside, and run a play there."""
    environment = Path(__file__).with_name("environment.py")
    requirements = checkout.ROOT / "tests" / "requirements-ee.txt"
    subprocess.run([sys.executable, str(environment), str(VENV), str(requirements)], check=True)
    tarball = build.build(scratch)
    collections, empty = scratch / "collections", scratch / "empty"
    empty.mkdir()
    build.run(
        *(VENV / "bin" / "ansible-galaxy", "collection", "install", tarball, "-p", collections, "--offline"),
        home=scratch,
        collections=collections,
    )
    play = scratch / "play.yml"
    play.write_text(build.PLAY, encoding="utf-8")
    extra = json.dumps({"empty": str(empty), "ansible_python_interpreter": str(VENV / "bin" / "python")})
    build.run(VENV / "bin" / "ansible-playbook", "-e", extra, play, home=scratch, collections=collections)
    # What connects needs its libraries: the error is that nobody answers, not that one is missing.
    ask = ["-m", f"{checkout.COLLECTION}.jetstream_cluster_info", "-a", "servers=nats://127.0.0.1:1"]
    done = subprocess.run(
        [str(VENV / "bin" / "ansible"), "localhost", "-e", extra, *ask],
        env=checkout.environment(home=scratch, ANSIBLE_COLLECTIONS_PATH=str(collections)),
        cwd=scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    if '"error": "connection_failed"' not in done.stdout:
        raise build.BuildError(f"a module does not run in the execution environment:\n{done.stdout}{done.stderr}")


def main() -> int:
    """Check all of it."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            steps = check_context(Path(directory))
            check_smoke(Path(directory))
        except build.BuildError as error:
            print(error, file=sys.stderr)
            return 1
    print(f"the execution environment can be made ({len(steps)} steps), and a play runs with its requirements")
    return 0


if __name__ == "__main__":
    sys.exit(main())
