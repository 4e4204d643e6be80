# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the unit or the integration tests in our surroundings: ``python -m tools.tests unit [pytest words]``."""

from __future__ import annotations

import os
import subprocess
import sys

from tools import checkout

# What the tests start, obtained beforehand: building a server takes longer than a test may.
SERVERS = {"unit": ("2.15.3",), "integration": ("2.15.3", "2.14.10", "2.12.15", "2.10.29", "cli")}


def command(kind: str, *words: str) -> list[str]:
    """Return the pytest command for a kind of tests, or for those of them that `words` name by their paths."""
    named = any(word.startswith(f"tests/{kind}") for word in words)
    chosen = any(word.startswith("-m") for word in words)
    # Most of an integration test is waiting for servers, so that files run side by side.
    parallel = (
        ["-n", "3", "--dist", "loadfile", "--no-loadscope-reorder", "--durations", "30"]
        if kind == "integration" and not named
        else []
    )
    return [
        *(sys.executable, "-m", "pytest"),
        *parallel,
        *([] if named else [f"tests/{kind}"]),
        *([] if chosen else ["-m", "not slow"]),
        *words,
    ]


def servers(kind: str, *more: str) -> list[str]:
    """Return the command that obtains the servers of a kind of tests."""
    chosen = os.environ.get("NATSOPS_TEST_VERSION")
    wanted = dict.fromkeys([*SERVERS[kind], *more, *([chosen] if chosen else [])])
    return [sys.executable, "-m", "servers.binaries", *wanted]


def main() -> int:
    """Run pytest, its output and exit code as they are."""
    checkout.link_collection()
    kind, *words = sys.argv[1:]
    for each in (servers(kind), command(kind, *words)):
        done = subprocess.run(each, cwd=checkout.ROOT, env=checkout.environment(), check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
