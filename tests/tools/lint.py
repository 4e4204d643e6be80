# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run every static check; this list is the one definition of them."""

from __future__ import annotations

import dataclasses
import sys

from tools import checkout, steps

PLUGINS = f"ansible_collections.{checkout.COLLECTION}.plugins"


def checks() -> list[steps.Step]:
    """Return the checks in the order they run."""
    collection = checkout.link_collection() / "ansible_collections" / checkout.NAMESPACE / checkout.NAME
    files = checkout.tracked_files()
    yaml = [str(path) for path in files if path.suffix in {".yml", ".yaml"} and path.name != "changelog.yaml"]
    shell = [str(path) for path in files if path.suffix == ".sh" or str(path) == ".ci/run"]
    python = [str(path) for path in files if path.suffix == ".py" and path.parts[0] == "tests"]
    tool = checkout.BIN.joinpath
    return [
        steps.Step("ruff check", [tool("ruff"), "check"]),
        steps.Step("ruff format", [tool("ruff"), "format", "--check"]),
        steps.Step("mypy module_utils", [tool("mypy"), "-p", f"{PLUGINS}.module_utils"]),
        steps.Step("mypy filters", [tool("mypy"), "-p", f"{PLUGINS}.filter"]),
        steps.Step("mypy tests", [tool("mypy"), *python]),
        steps.Step("yamllint", [tool("yamllint"), "--strict", *yaml, ".ansible-lint", ".yamllint"]),
        steps.Step("shellcheck", [tool("shellcheck"), *shell]),
        steps.Step("ansible-lint", [tool("ansible-lint"), "--project-dir", "."], where=collection),
        steps.Step(
            "antsibull-docs",
            [tool("antsibull-docs"), "lint-collection-docs", "--plugin-docs", "--validate-collection-refs=self", "."],
            where=collection,
        ),
        steps.Step("changelog fragments", [tool("antsibull-changelog"), "lint"]),
        steps.Step("changelog", [tool("antsibull-changelog"), "lint-changelog-yaml", "changelogs/changelog.yaml"]),
    ]


def main() -> int:
    """Run all checks, or those whose names contain one of the words given."""
    words = sys.argv[1:]
    # In a home of the project's own: antsibull logs there, Ansible keeps its state there.
    env = checkout.environment(home=checkout.CACHE / "home")
    chosen = [
        dataclasses.replace(check, environment=env)
        for check in checks()
        if not words or any(word in check.name for word in words)
    ]
    return steps.run_all("lint", chosen, quiet=True)


if __name__ == "__main__":
    sys.exit(main())
