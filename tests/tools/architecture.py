# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The diagram in docs/architecture.md, drawn from the imports: `make architecture` renews it, a test compares."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

from tools import checkout

PAGE = checkout.ROOT / "docs" / "architecture.md"
MODULE_UTILS = checkout.ROOT / "plugins" / "module_utils"
_BLOCK = re.compile(r"(<!-- packages -->\n).*?(<!-- end -->)", re.DOTALL)
Graph = dict[str, set[str]]


def imports(path: Path) -> set[str]:
    """Return the packages below module_utils that one of its files imports."""
    here = path.relative_to(MODULE_UTILS).parent.parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*here[: len(here) - node.level + 1], *(node.module or "").split(".")]
            found.add(base[0])
    return found - {here[0], ""}


def packages() -> Graph:
    """Return, for each package, those that it imports."""
    graph: Graph = {}
    for path in sorted(MODULE_UTILS.rglob("*.py")):
        parts = path.relative_to(MODULE_UTILS).parts
        if len(parts) > 1:
            graph.setdefault(parts[0], set()).update(imports(path))
    return graph


def below(graph: Graph, name: str) -> set[str]:
    """Return all that can be reached from a package."""
    found: set[str] = set()
    left = [name]
    while left:
        new = graph[left.pop()] - found
        found |= new
        left += new
    return found


def reduced(graph: Graph) -> Graph:
    """Return the graph without each arrow that a longer way makes needless."""
    return {
        name: {one for one in others if not any(one in below(graph, other) for other in others - {one})}
        for name, others in graph.items()
    }


def draw(graph: Graph) -> str:
    """Return the graph as Mermaid draws it, from the top down."""
    lines = ["flowchart TD", "  modules[plugins/modules] --> _ansible"]
    for name, others in sorted(reduced(graph).items()):
        lines += [f"  {name} --> {other}" for other in sorted(others)]
    return "\n".join(lines)


def drawn(text: str) -> str:
    """Return the page with its diagram as it should be."""
    return _BLOCK.sub(lambda match: f"{match[1]}```mermaid\n{draw(packages())}\n```\n{match[2]}", text)


def main() -> int:
    """Renew the page."""
    PAGE.write_text(drawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
