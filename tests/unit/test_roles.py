# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every role: its options are described once, its playbook is short, its runbook is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools import checkout

ROOT = checkout.ROOT
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
#: Those that are no runbooks: what all share, and what puts them into a controller.
SHARED, CONTROLLER = "common", "controller_content"
VERBS = [path for path in ROLES if path.name not in (SHARED, CONTROLLER)]
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
STAGES = ("preflight", "plan", "confirm", "act", "verify", "compare", "report")

each_role = pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
each_verb = pytest.mark.parametrize("role", VERBS, ids=lambda path: path.name)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def task_files(role: Path) -> list[Path]:
    return sorted((role / "tasks").glob("*.yml"))


def tasks_in(content: Any) -> list[dict[str, Any]]:
    """All tasks of a list, those in blocks included."""
    found = []
    for task in content or ():
        found.append(task)
        for part in ("block", "rescue", "always"):
            found += tasks_in(task.get(part))
    return found


@each_role
def test_defaults_are_those_of_the_specification(role: Path) -> None:
    specs = load(role / "meta" / "argument_specs.yml")["argument_specs"]
    options = {name: option for spec in specs.values() for name, option in (spec.get("options") or {}).items()}
    described = {name: option["default"] for name, option in options.items() if "default" in option}
    assert (load(role / "defaults" / "main.yml") or {}) == described
    for name, option in options.items():
        assert option.get("description"), name
        assert ("default" in option) != bool(option.get("required")), f"{name} has neither or both"


@each_role
def test_of_a_loop_only_its_results_are_handed_on(role: Path) -> None:
    """A loop over nothing has a key that ansible-core 2.21 warns of, whoever copies the whole."""
    tasks = [task for path in task_files(role) for task in tasks_in(load(path))]
    loops = {task["register"] for task in tasks if "register" in task and "loop" in task}
    text = "\n".join(path.read_text(encoding="utf-8") for path in task_files(role))
    for name in loops:
        whole = re.findall(rf"^.*\b{name}\b(?!\.|:).*$", text, re.MULTILINE)
        assert [line.strip() for line in whole if f"register: {name}" not in line] == []


@each_role
def test_every_variable_carries_the_name_of_the_role(role: Path) -> None:
    specs = load(role / "meta" / "argument_specs.yml")["argument_specs"]
    names = {name for spec in specs.values() for name in (spec.get("options") or {})}
    assert all(name.startswith(f"{role.name}_") for name in names)
    text = "\n".join(path.read_text(encoding="utf-8") for path in task_files(role))
    set_here = set(re.findall(r"^\s+register: (\w+)", text, re.MULTILINE))
    for path in task_files(role):
        for task in tasks_in(load(path)):
            set_here |= set(task.get("ansible.builtin.set_fact") or {}) - {"cacheable"}
    assert all(name.startswith((f"__{role.name}_", f"__{SHARED}_")) for name in set_here), set_here
    used = set(re.findall(rf"(?<!_)\b{role.name}_\w+", text))
    inner = {name for path in task_files(role) for task in tasks_in(load(path)) for name in task.get("vars") or {}}
    inner |= {
        (task.get("loop_control") or {}).get("loop_var", "") for p in task_files(role) for task in tasks_in(load(p))
    }
    assert used <= names | inner, f"not described: {sorted(used - names - inner)}"


@each_role
def test_nothing_waits_for_a_key(role: Path) -> None:
    for path in task_files(role):
        for task in tasks_in(load(path)):
            assert "ansible.builtin.pause" not in task
            assert not task.get("ignore_errors"), f"{path.name}: {task.get('name')}"


@each_verb
def test_tasks_are_a_table_of_contents(role: Path) -> None:
    (whole,) = load(role / "tasks" / "main.yml")
    assert set(whole) >= {"block", "rescue", "always"}
    stages = [
        task.get("ansible.builtin.include_tasks", "report").removesuffix(".yml")
        for task in whole["block"] + whole["always"]
    ]
    assert stages == [stage for stage in STAGES if stage in stages]
    assert {"preflight", "plan", "report"} <= set(stages)


@each_verb
def test_role_has_a_playbook_and_a_runbook(role: Path) -> None:
    guard, play = load(ROOT / "playbooks" / f"{role.name}.yml")
    assert guard["ansible.builtin.import_playbook"] == "common/hosts.yml"
    # Validated by the role itself: what Ansible does before a role begins ends without a report.
    called = [task["ansible.builtin.import_role"] for task in play["tasks"]]
    assert called == [{"name": f"natsops.jetstream.{role.name}", "rolespec_validate": False}]
    page = ROOT / "docs" / "runbooks" / f"{role.name}.md"
    assert page.is_file()
    assert f"docs/runbooks/{role.name}.md" in (ROOT / "README.md").read_text(encoding="utf-8")


@each_verb
def test_runbook_names_every_option(role: Path) -> None:
    page = (ROOT / "docs" / "runbooks" / f"{role.name}.md").read_text(encoding="utf-8")
    options = load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    assert [name for name in options if f"`{name}`" not in page] == []
    named = set(re.findall(rf"`({role.name}_\w+)", page))
    assert named <= set(options)


def test_every_playbook_is_of_a_role() -> None:
    assert {path.stem for path in PLAYBOOKS} <= {role.name for role in VERBS} | {
        CONTROLLER,
        "account_backup",
        "account_restore",
        "report",
    }
