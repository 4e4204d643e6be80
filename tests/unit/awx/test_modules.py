# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every item is what the modules of awx.awx take, and the role hands all of it on."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from tools.awx import collection, load

CONTENT = load.content()


def test_every_kind_of_content_has_its_module() -> None:
    assert set(collection.MODULES) == set(CONTENT)


@pytest.mark.parametrize("kind", sorted(collection.MODULES))
def test_the_modules_take_every_item(kind: str) -> None:
    assert CONTENT[kind]
    assert [problem for item in CONTENT[kind] for problem in collection.problems(kind, item)] == []


def broken(of: str, values: dict[str, Any]) -> dict[str, Any]:
    return {**copy.deepcopy(CONTENT[of][0]), **values}


@pytest.mark.parametrize(
    ("kind", "values", "text"),
    [
        ("controller_templates", {"job_type": "plan"}, "value of job_type must be one of: run, check"),
        ("controller_templates", {"colour": "red"}, "colour. Supported parameters"),
        ("controller_templates", {"timeout": "long"}, "timeout"),
        ("controller_credential_types", {"kind": "odd"}, "value of kind must be one of"),
        ("controller_workflows", {"workflow_nodes": [{"unified_job_template": {}}]}, "identifier"),
        ("controller_workflows", {"workflow_nodes": [{"identifier": "a", "success_nodes": ["b"]}]}, "success_nodes"),
        ("controller_schedules", {"rule": "x"}, "rule. Supported parameters"),
    ],
)
def test_an_item_that_a_module_does_not_take_is_seen(kind: str, values: dict[str, Any], text: str) -> None:
    found = collection.problems(kind, broken(kind, values))
    assert any(text in one for one in found), found


def test_the_role_hands_on_every_key() -> None:
    tasks = yaml.safe_load((load.ROLE / "tasks" / "main.yml").read_text(encoding="utf-8"))
    by_module = {key.rpartition(".")[2]: task for task in tasks for key in task if key.startswith("awx.awx.")}
    for kind, module in collection.MODULES.items():
        task = by_module[module]
        assert task["loop"] == "{{ " + kind + " }}"
        for key in {key for item in CONTENT[kind] for key in item}:
            always = all(key in item for item in CONTENT[kind])
            given = f"controller_content_item.{key}" + ("" if always else " | default(omit)")
            assert task[f"awx.awx.{module}"][key] == "{{ " + given + " }}", (module, key)
