# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The diagram in docs/architecture.md, drawn from the imports: `make architecture` renews it, a test compares."""

from __future__ import annotations

import re
import sys

from tools import checkout
from tools.imports import MODULE_UTILS, imported_by, ring_of

PAGE = checkout.ROOT / "docs" / "architecture.md"
_BLOCK = re.compile(r"(<!-- packages -->\n).*?(<!-- end -->)", re.DOTALL)
Graph = dict[str, set[str]]


def packages() -> Graph:
    """Return, for each package below module_utils, those that it imports."""
    graph: Graph = {}
    for path in sorted(MODULE_UTILS.rglob("*/*.py")):
        own = path.relative_to(MODULE_UTILS).parts[0]
        rings = {ring_of(name) for name in imported_by(path)}
        graph.setdefault(own, set()).update(ring for ring in rings if ring and ring != own)
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
