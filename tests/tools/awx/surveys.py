# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Surveys of job templates, made from the argument_specs of the roles: nothing is written twice."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import yaml

from tools import checkout

TEXT_MAX = 1024
# What AWX has no type for, or does not hand over as it was typed, is asked for under another name; the job template
# makes of it what the role takes.
TEXT_SUFFIX = "_text"


@dataclasses.dataclass(frozen=True)
class Question:
    """A question, and the variable of the template that is computed from its answer, if it has another type."""

    item: dict[str, Any]
    option: str
    expression: str = ""


def options(role: str, root: Path = checkout.ROOT) -> dict[str, dict[str, Any]]:
    """Return the options of a role's entry point main."""
    spec = yaml.safe_load((root / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    found: dict[str, dict[str, Any]] = spec["argument_specs"]["main"]["options"]
    return found


def is_asked(name: str, option: dict[str, Any]) -> bool:
    """Whether a survey asks for it: not what credentials or the inventory give, nor secrets, nor what no survey can."""
    inventory = isinstance(option.get("default"), str) and "{{" in option["default"]
    structured = option.get("type") == "dict" or (option.get("type") == "list" and option.get("elements") != "str")
    secret = option.get("no_log", False) or name.endswith(("_key", "_password", "_token", "_seed"))
    return not (inventory or structured or secret)


def survey(role: str, root: Path = checkout.ROOT) -> list[Question]:
    """Return the questions for a role, in the order of its options; none for a playbook without a role."""
    if not (root / "roles" / role).is_dir():
        return []
    return [question(name, option, role) for name, option in options(role, root).items() if is_asked(name, option)]


def question(name: str, option: dict[str, Any], role: str) -> Question:
    """Return one option as a question."""
    required = bool(option.get("required", False))
    item: dict[str, Any] = {
        "question_name": name.removeprefix(f"{role}_").replace("_", " ").capitalize(),
        "question_description": plain(option["description"]),
        "variable": name,
        "required": required,
    }
    default = option.get("default")
    kind, choices = option.get("type", "str"), option.get("choices")
    expression = ""
    if kind == "bool":
        item |= {"variable": name + TEXT_SUFFIX, "type": "multiplechoice", "choices": ["true", "false"]}
        item["default"] = "true" if default else "false"
        expression = "{{ " + name + TEXT_SUFFIX + " | bool }}"
    elif kind == "list" and choices:
        item |= {"type": "multiselect", "choices": [str(choice) for choice in choices]}
        item["default"] = "\n".join(default or [])
    elif kind == "list":
        item |= {"variable": name + TEXT_SUFFIX, "type": "textarea", "min": 1 if required else 0, "max": TEXT_MAX * 16}
        if not required:
            item["default"] = ""
        empty = f" Empty for {', '.join(default)}." if default else ""
        item["question_description"] += f" One a line.{empty}"
        fallback = f"({default!r})" if default else ""
        expression = "{{ " + name + TEXT_SUFFIX + " | default('') | natsops.jetstream.answers" + fallback + " }}"
    elif kind in ("int", "float"):
        item |= {"type": {"int": "integer", "float": "float"}[kind], "min": 0, "max": 2**31 - 1}
        if default is not None:
            item["default"] = default
    elif choices:
        item |= {"type": "multiplechoice", "choices": [str(choice) for choice in choices]}
        if default is not None:
            item["default"] = str(default)
    else:
        item |= {"variable": name + TEXT_SUFFIX, "type": "text", "min": 1 if required else 0, "max": TEXT_MAX}
        if default is not None:
            item["default"] = str(default)
        expression = "{{ " + name + TEXT_SUFFIX + " | default('') | natsops.jetstream.answer }}"
    return Question(item, name, expression)


def plain(description: str | list[str]) -> str:
    """Return documentation without its markup."""
    text = " ".join([description] if isinstance(description, str) else description)
    text = re.sub(r"[A-Z]\(([^()]*)\)", r"\1", text)
    return " ".join(text.split())


def spec(name: str, description: str, questions: list[Question]) -> dict[str, Any]:
    """Return a survey as the controller stores it."""
    return {"name": name, "description": description, "spec": [question.item for question in questions]}
