# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of the role controller_content, as the controller gets it with the role's defaults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tools import checkout

ROLE = checkout.ROOT / "roles" / "controller_content"


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML with Ansible's tag for text that is not templated."""


class Unsafe(str):
    """Text that is handed on as it is."""


_Loader.add_constructor("!unsafe", lambda loader, node: Unsafe(loader.construct_scalar(node)))


def content(role: Path = ROLE) -> dict[str, Any]:
    """Return all `controller_*` variables."""
    defaults = yaml.safe_load((role / "defaults" / "main.yml").read_text(encoding="utf-8"))
    found: dict[str, Any] = {}
    for path in sorted((role / "files").glob("*.yml")):
        body = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
        twice = set(found) & set(body)
        if twice:
            raise ValueError(f"{path.name} sets {', '.join(sorted(twice))} again")
        found.update(body)
    resolved: dict[str, Any] = _resolve(found, defaults)
    return resolved


def _resolve(value: Any, defaults: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _resolve(one, defaults) for key, one in value.items()}
    if isinstance(value, list):
        return [_resolve(one, defaults) for one in value]
    if isinstance(value, str) and not isinstance(value, Unsafe):
        return re.sub(r"\{\{ (\w+)(?:\.(\w+))? \}\}", lambda match: _default(match, defaults), value)
    return str(value) if isinstance(value, Unsafe) else value


def _default(match: re.Match[str], defaults: dict[str, Any]) -> str:
    value = defaults[match[1]]
    return str(value[match[2]] if match[2] else value)
