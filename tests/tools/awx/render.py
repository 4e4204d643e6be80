# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates as AWX renders them: in a sandbox; when they are stored, a name that is not known is an error."""

from __future__ import annotations

from typing import Any

import jinja2
from jinja2 import StrictUndefined
from jinja2.exceptions import SecurityError, TemplateSyntaxError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment


class _Unset:
    """The file names before any file is there: to use one is an error."""

    def __str__(self) -> str:
        raise UndefinedError("no file of that name is injected")

    def __getattr__(self, name: str) -> Any:
        raise UndefinedError(f"no file {name} is injected")


class _Files:
    pass


class _Tower:
    def __init__(self, filename: Any) -> None:
        self.filename = filename

    def __str__(self) -> str:
        raise UndefinedError("tower itself is no value")


def example(fields: list[str], files: list[str]) -> dict[str, Any]:
    """Return the names that injectors may use, with values that stand for any."""
    if files == ["template"]:
        filename: Any = "EXAMPLE_FILENAME"
    elif files:
        filename = _Files()
        for name in files:
            setattr(filename, name.partition(".")[2], "EXAMPLE_FILENAME")
    else:
        filename = _Unset()
    return {**dict.fromkeys(fields, "EXAMPLE"), "tower": _Tower(filename)}


def strictly(template: str, names: dict[str, Any]) -> str:
    """Render, or return what AWX would refuse it for as ValueError."""
    try:
        return ImmutableSandboxedEnvironment(undefined=StrictUndefined).from_string(template).render(names)
    except (UndefinedError, SecurityError, TemplateSyntaxError) as exc:
        raise ValueError(str(exc)) from exc


def leniently(template: str, names: dict[str, Any]) -> str:
    """Render as a job's injectors are: what is not known is nothing."""
    return ImmutableSandboxedEnvironment(undefined=jinja2.Undefined).from_string(template).render(names)


def message_names(approval: bool) -> dict[str, Any]:
    """Return what a notification's message can use. That of an approval knows of no job, whatever the check says."""
    names: dict[str, Any] = {"job_metadata": "{}"}
    if approval:
        return {**names, "approval_status": "x", "approval_node_name": "x", "workflow_url": "https://x"}
    job = {
        "name": "x",
        "status": "x",
        "artifacts": {"natsops_x": {"sentence": 'a "b"'}},
        "id": 1,
        "job_explanation": "",
    }
    return {**names, "job": job, "job_friendly_name": "Job", "url": "https://x"}
