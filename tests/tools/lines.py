# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the integration tests marked `lines` once on every supported server line, and print a table."""

from __future__ import annotations

import sys

from servers.binaries import LINES
from tools import checkout, steps, tests


def main() -> int:
    """Run the marked tests per line; words given are passed on to pytest."""
    checkout.link_collection()
    command = tests.command("integration", "-m", "lines", "-q", *sys.argv[1:])
    servers = steps.Step("servers", tests.servers("integration", "lines"))
    return steps.run_all(
        "server lines",
        [
            servers,
            *(
                steps.Step(version, command, environment=checkout.environment(NATSOPS_TEST_VERSION=version))
                for version in LINES
            ),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
