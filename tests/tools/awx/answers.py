# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a launch makes of the answers to a survey: AWX's checks, and the variables that the job gets."""

from __future__ import annotations

from typing import Any


def choices(item: dict[str, Any]) -> list[str]:
    """Return the choices of a question."""
    listed = item.get("choices") or []
    return [one for one in listed.splitlines() if one.strip()] if isinstance(listed, str) else list(listed)


def problems_of(item: dict[str, Any], answers: dict[str, Any]) -> list[str]:
    """Return why AWX would refuse the launch because of this question."""
    name, kind = item["variable"], item["type"]
    if name not in answers:
        return [f"'{name}' value missing"] if item["required"] else []
    value, low, high = answers[name], item.get("min"), item.get("max")
    if kind in ("text", "textarea", "password"):
        if not isinstance(value, str):
            return [f"'{name}' is expected to be a string"]
        return _within(name, len(value), low, high)
    if kind == "integer":
        if not isinstance(value, int) or isinstance(value, bool):
            return [f"'{name}' is expected to be an integer"]
        return _within(name, value, low, high)
    if kind == "float":
        if not isinstance(value, (float, int)) or isinstance(value, bool):
            return [f"'{name}' is expected to be a number"]
        return _within(name, value, low, high)
    if kind == "multiselect":
        if not isinstance(value, list):
            return [f"'{name}' is expected to be a list"]
        return [f"'{name}': {one} is not one of the choices" for one in value if one not in choices(item)]
    return [] if value in choices(item) else [f"'{name}': {value} is not one of the choices"]


def _within(name: str, size: float, low: float | None, high: float | None) -> list[str]:
    found = [f"'{name}' is too small (at least {low})"] if low is not None and size < low else []
    return [*found, *([f"'{name}' is too large (at most {high})"] if high is not None and size > high else [])]


def launch(template: dict[str, Any], answers: dict[str, Any]) -> dict[str, Any]:
    """Return the extra variables of a job. Raises ValueError where AWX refuses the launch."""
    spec = template.get("survey_spec", {}).get("spec", []) if template.get("survey_enabled") else []
    problems = [problem for item in spec for problem in problems_of(item, answers)]
    unasked = sorted(set(answers) - {item["variable"] for item in spec})
    if unasked and not template.get("ask_variables_on_launch"):
        problems.append(f"Variables {', '.join(unasked)} are not allowed on launch")
    if problems:
        raise ValueError("; ".join(problems))
    return {**template.get("extra_vars", {}), **defaults(spec), **answers}


def defaults(spec: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the answers that AWX takes where none is given: a default that its own check refuses is not one."""
    found = {item["variable"]: item["default"] for item in spec if item.get("default") is not None}
    return {
        item["variable"]: found[item["variable"]]
        for item in spec
        if item["variable"] in found and not problems_of(item, found)
    }
