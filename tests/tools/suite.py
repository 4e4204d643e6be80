# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that has to pass, one after the other whatever the earlier ones did, with a summary at the end."""

from __future__ import annotations

import sys

from tools import checkout, steps, tests


def main() -> int:
    """Run the whole suite."""
    checkout.link_collection()
    return steps.run_all(
        "test",
        [
            steps.Step("lint", [sys.executable, "-m", "tools.lint"]),
            steps.Step("sanity", [sys.executable, "-m", "tools.sanity"]),
            steps.Step("build", [sys.executable, "-m", "tools.build"]),
            steps.Step("execution environment", [sys.executable, "-m", "tools.ee"]),
            steps.Step("servers", tests.servers("integration")),
            steps.Step("unit tests", tests.command("unit")),
            steps.Step("integration tests", tests.command("integration")),
            steps.Step("molecule", [sys.executable, "-m", "tools.molecule", "--fast"]),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
