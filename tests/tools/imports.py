# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files of the collection import: for the rules about layers, and for the diagram of them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tools import checkout

PLUGINS = checkout.ROOT / "plugins"
MODULE_UTILS = PLUGINS / "module_utils"
PACKAGE = "ansible_collections.natsops.jetstream.plugins"


def imported(source: str, package: str) -> set[str]:
    """Return the absolute names a file of `package` imports, wherever in the file it does so."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parent = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(part for part in (parent, node.module) if part)
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def ring_of(name: str) -> str | None:
    """Return the ring (or `modules`) that an absolute name belongs to; None for what is not ours."""
    match = re.match(rf"{re.escape(PACKAGE)}\.(?:module_utils\.(\w+)|(modules))(?:\.|$)", name)
    return (match[1] or match[2]) if match else None


def package_of(path: Path) -> str:
    """Return the package that a file below plugins/ is in."""
    return ".".join([PACKAGE, *path.relative_to(PLUGINS).parent.parts])


def imported_by(path: Path) -> set[str]:
    """Return the absolute names that a file below plugins/ imports."""
    return imported(path.read_text(encoding="utf-8"), package_of(path))
