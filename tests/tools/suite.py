# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that has to pass, all of it whatever fails, with a summary at the end."""

from __future__ import annotations

import sys
import time

from tools import checkout, cores, steps, tests


def main() -> int:
    """Run the whole suite."""
    checkout.link_collection()
    started = time.monotonic()
    # None of these waits for anything but a processor; the integration tests mostly wait, and get the machine alone.
    outcomes = steps.run_side_by_side(
        [
            steps.Step("servers", tests.servers("integration")),
            steps.Step("sanity", [sys.executable, "-m", "tools.sanity"]),
            steps.Step("unit tests", tests.command("unit")),
        ],
        [
            steps.Step("lint", [sys.executable, "-m", "tools.lint"]),
            steps.Step("build", [sys.executable, "-m", "tools.build"]),
            steps.Step("execution environment", [sys.executable, "-m", "tools.ee"]),
            # These need a processor most of the time as well, for Ansible.
            steps.Step("oldest and newest core", [sys.executable, "-m", "tools.cores", *cores.OLDEST_AND_NEWEST]),
            steps.Step("molecule", [sys.executable, "-m", "tools.molecule", "--fast"]),
        ],
    )
    outcomes.append(steps.run(steps.Step("integration tests", tests.command("integration"))))
    return steps.report("test", outcomes, time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(main())
