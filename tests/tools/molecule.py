# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run molecule scenarios, a role each, against servers on this machine: all, those named, or with `--fast` a few."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tools import checkout, steps, tests

SCENARIOS = checkout.ROOT / "extensions" / "molecule"
#: Those that `make test` runs.
FAST = ("backup", "restore", "cluster_loss")
PARALLEL = 2


def scenarios() -> list[str]:
    """Return the names of all scenarios."""
    return sorted(path.parent.name for path in SCENARIOS.glob("*/molecule.yml"))


def run(name: str) -> steps.Outcome:
    """Run one scenario in a home of its own, so that several can run at once; show its output if it fails."""
    home = checkout.CACHE / "molecule" / name
    shutil.rmtree(home, ignore_errors=True)
    env = checkout.environment(home=home)
    env.update(
        NATSOPS_PYTHON=sys.executable,
        # The scenario's variables and Ansible's own files, apart from those of other scenarios.
        MOLECULE_EPHEMERAL_DIRECTORY=str(home / "run"),
        ANSIBLE_HOME=str(home / "ansible"),
        ANSIBLE_NOCOLOR="1",
    )
    where = checkout.link_collection() / "ansible_collections" / checkout.NAMESPACE / checkout.NAME / "extensions"
    command = [str(checkout.BIN / "molecule"), "--base-config", str(SCENARIOS / "config.yml"), "test", "-s", name]
    return steps.run(steps.Step(name, command, where, env), quiet=True)


def main() -> int:
    """Run them, two at a time."""
    words = sys.argv[1:]
    chosen = list(FAST) if words == ["--fast"] else words or scenarios()
    unknown = sorted(set(chosen) - set(scenarios()))
    if unknown:
        print(f"there is no scenario {', '.join(unknown)}; there are {', '.join(scenarios())}")
        return 2
    obtained = subprocess.run(
        tests.servers("integration"), cwd=checkout.ROOT, env=checkout.environment(), check=False
    ).returncode
    if obtained:
        return obtained
    with ThreadPoolExecutor(PARALLEL) as pool:
        outcomes = list(pool.map(run, chosen))
    return steps.report("molecule", outcomes)


if __name__ == "__main__":
    sys.exit(main())
