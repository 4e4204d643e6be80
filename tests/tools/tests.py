# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the unit or the integration tests in our surroundings: ``python -m tools.tests unit [pytest words]``."""

from __future__ import annotations

import subprocess
import sys

from tools import checkout


def command(kind: str, *words: str) -> list[str]:
    """Return the pytest command for a kind of tests."""
    return [sys.executable, "-m", "pytest", f"tests/{kind}", *words]


def main() -> int:
    """Run pytest, its output and exit code as they are."""
    checkout.link_collection()
    done = subprocess.run(command(*sys.argv[1:]), cwd=checkout.ROOT, env=checkout.environment(), check=False)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
