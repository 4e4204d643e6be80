# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workflows as Mermaid graphs, in docs/awx.md between marks: `make awx-content` writes them, a test compares."""

from __future__ import annotations

import re
import sys
from typing import Any

from tools import checkout
from tools.awx import graph, load

PAGE = checkout.ROOT / "docs" / "awx.md"
_BLOCK = re.compile(r"(<!-- graph: (?P<name>[^>]+?) -->\n).*?(<!-- end -->)", re.DOTALL)
_EDGES = {"success_nodes": "-->", "always_nodes": "-.->|always|", "failure_nodes": "-.->|failure|"}


def draw(workflow: dict[str, Any], templates: dict[str, dict[str, Any]]) -> str:
    """Return one workflow as a graph; what changes something has a thick frame."""
    lines = ["flowchart LR"]
    thick = []
    for node in workflow["workflow_nodes"]:
        name, job = node["identifier"], node["unified_job_template"]
        if graph.is_approval(node):
            lines.append(f'  {name}{{{{"{job["name"]}<br>no answer in {job["timeout"] // 60} minutes: no"}}}}')
            continue
        lines.append(f'  {name}["{job["name"]}"]')
        if graph.destructive(templates[job["name"]]):
            thick.append(name)
    for node in workflow["workflow_nodes"]:
        for kind, to in graph.edges(node):
            arrow = "-->|yes|" if graph.is_approval(node) and kind == "success_nodes" else _EDGES[kind]
            lines.append(f"  {node['identifier']} {arrow} {to}")
    lines += [f"  style {name} stroke-width:4px" for name in thick]
    return "\n".join(lines)


def drawn(text: str, content: dict[str, Any]) -> str:
    """Return the page with its graphs as they should be."""
    templates = {item["name"]: item for item in content["controller_templates"]}
    workflows = {item["name"]: item for item in content["controller_workflows"]}

    def block(match: re.Match[str]) -> str:
        picture = draw(workflows[match["name"]], templates)
        return f"{match[1]}```mermaid\n{picture}\n```\n{match[3]}"

    return _BLOCK.sub(block, text)


def names(text: str) -> list[str]:
    """Return the workflows that the page shows."""
    return [match["name"] for match in _BLOCK.finditer(text)]


def main() -> int:
    """Renew the page."""
    PAGE.write_text(drawn(PAGE.read_text(encoding="utf-8"), load.content()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
