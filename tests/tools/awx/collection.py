# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection awx.awx 24.6.1, out of the PyPI package that it comes in; and what its modules take."""

from __future__ import annotations

import ast
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from tools import checkout

PACKAGE, SHA256 = "ansible==12.3.0", "cd156f82fa87f7a899212b0efa9f7ca3a24d609212de9f78428a572eb01e5414"
PLACE = checkout.CACHE / "awx-24.6.1"
#: The module that each kind of content is for.
MODULES = {
    "controller_credential_types": "credential_type",
    "controller_execution_environments": "execution_environment",
    "controller_hosts": "host",
    "controller_inventories": "inventory",
    "controller_labels": "label",
    "controller_notifications": "notification_template",
    "controller_projects": "project",
    "controller_roles": "role",
    "controller_schedules": "schedule",
    "controller_templates": "job_template",
    "controller_workflows": "workflow_job_template",
}


def fetch(place: Path = PLACE) -> Path:
    """Return the collections path that holds awx.awx; it is downloaded once."""
    if (place / "ansible_collections" / "awx" / "awx" / "MANIFEST.json").is_file():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as directory:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", PACKAGE]
        subprocess.run([*pip, "--dest", directory], check=True, stdin=subprocess.DEVNULL)
        wheel = next(Path(directory).glob("*.whl"))
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != SHA256:
            raise RuntimeError(f"{wheel.name} is not the one that is pinned: {found}")
        with zipfile.ZipFile(wheel) as archive:
            prefix = "ansible_collections/awx/awx/"
            wanted = [one for one in archive.namelist() if one.startswith(prefix) and "/test" not in one]
            archive.extractall(Path(directory) / "out", wanted)
        shutil.rmtree(place, ignore_errors=True)
        (Path(directory) / "out").rename(place)
    return place


def _source(module: str) -> str:
    path = fetch() / "ansible_collections" / "awx" / "awx" / "plugins" / "modules" / f"{module}.py"
    return path.read_text(encoding="utf-8")


def argument_spec(module: str) -> dict[str, Any]:
    """Return what a module declares in its code."""
    tree = ast.parse(_source(module))
    # Names that the declaration uses, such as the choices of a kind.
    values = {
        node.targets[0].id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    names: dict[str, Any] = {"dict": dict, "list": list}
    for name in {node.id for node in ast.walk(values["argument_spec"]) if isinstance(node, ast.Name)} & set(values):
        names[name] = ast.literal_eval(values[name])
    code = compile(ast.Expression(values["argument_spec"]), module, "eval")
    found: dict[str, Any] = eval(code, {"__builtins__": {}}, names)
    return found


def documented(module: str) -> dict[str, Any]:
    """Return what a module documents, with the options below options that its code does not check."""
    for node in ast.parse(_source(module)).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DOCUMENTATION":
            return _spec(yaml.safe_load(ast.literal_eval(node.value))["options"])
    raise AssertionError(f"{module} has no documentation")


def _spec(options: dict[str, Any]) -> dict[str, Any]:
    keys = ("type", "elements", "choices", "required", "aliases")
    found = {}
    for name, option in options.items():
        found[name] = {key: option[key] for key in keys if key in option}
        if "suboptions" in option:
            found[name]["options"] = _spec(option["suboptions"])
    return found


def problems(kind: str, item: dict[str, Any]) -> list[str]:
    """Return what the module for this kind of content would not take."""
    module = MODULES[kind]
    return [
        f"awx.awx.{module}: {item.get('name')}: {message}"
        for spec in (argument_spec(module), documented(module))
        for message in ArgumentSpecValidator(spec).validate(item).error_messages
    ]
