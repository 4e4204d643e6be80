# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check all content against AWX's rules: `python -m tools.awx.check`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tools import checkout
from tools.awx import graph, load, rules

Content = dict[str, Any]


def problems(content: Content, root: Path = checkout.ROOT) -> list[str]:
    """Return everything that is wrong."""
    found = [one for item in content["controller_credential_types"] for one in rules.credential_type(item)]
    found += [one for item in content["controller_notifications"] for one in rules.notification(item)]
    found += [one for item in content["controller_schedules"] for one in rules.schedule(item)]
    for item in (*content["controller_templates"], *content["controller_workflows"]):
        if item.get("survey_enabled") or item.get("survey_spec"):
            found += rules.survey(item.get("survey_spec", {}), f"survey of {item['name']}")
    if found:
        return found
    found += [one for item in content["controller_templates"] for one in _template(item, content, root)]
    workflows = content["controller_workflows"]
    found += [one for item in workflows for one in graph.check(item, content["controller_templates"], workflows)]
    return found + _schedules(content) + _access(content) + _unique(content)


def _names(content: Content, kind: str) -> set[str]:
    return {item["name"] for item in content[kind]}


def _template(item: dict[str, Any], content: Content, root: Path) -> list[str]:
    place = f"job template {item['name']}"
    found = [] if (root / item["playbook"]).is_file() else [f"{place}: there is no playbook {item['playbook']}"]
    for key, kind in (
        ("inventory", "controller_inventories"),
        ("project", "controller_projects"),
        ("execution_environment", "controller_execution_environments"),
        ("labels", "controller_labels"),
        ("notification_templates_error", "controller_notifications"),
        ("notification_templates_success", "controller_notifications"),
    ):
        named = item.get(key, [])
        missing = sorted(set([named] if isinstance(named, str) else named) - _names(content, kind))
        found += [f"{place}: {key}: there is no {one}" for one in missing]
    if item["job_type"] not in ("run", "check"):
        found.append(f"{place}: a job is of the type run or check")
    if item["job_type"] == "run" and graph.verb(item) not in graph.HARMLESS and not graph.destructive(item):
        found.append(f"{place}: it changes something, and has not the label NATS destructive")
    if item["job_type"] == "check" and item.get("ask_job_type_on_launch"):
        found.append(f"{place}: who launches the plan could carry it out")
    if item.get("ask_variables_on_launch") and graph.destructive(item):
        found.append(f"{place}: who launches it could set any variable")
    return found


def _schedules(content: Content) -> list[str]:
    targets = {item["name"]: item for item in (*content["controller_templates"], *content["controller_workflows"])}
    found = []
    for item in content["controller_schedules"]:
        place, target = f"schedule {item['name']}", targets.get(item["unified_job_template"])
        if target is None:
            found.append(f"{place}: there is no {item['unified_job_template']}")
            continue
        if graph.destructive(target):
            found.append(f"{place}: it would go round the approval")
        given = set(item.get("extra_data", {}))
        asked = target.get("survey_spec", {}).get("spec", [])
        found += [
            f"{place}: nobody answers {one['variable']}"
            for one in asked
            if one["required"] and one["variable"] not in given
        ]
    return found


def _access(content: Content) -> list[str]:
    templates = {item["name"]: item for item in content["controller_templates"]}
    workflows = {item["name"]: item for item in content["controller_workflows"]}
    found, approving, launching = [], dict[str, set[str]](), dict[str, set[str]]()
    for item in content["controller_roles"]:
        for name in item.get("job_templates", []):
            if name not in templates:
                found.append(f"access of {item['team']}: there is no job template {name}")
            elif graph.destructive(templates[name]):
                found.append(f"access of {item['team']}: {name} could be launched without an approval")
        for name in item.get("workflows", []):
            if name not in workflows:
                found.append(f"access of {item['team']}: there is no workflow {name}")
            kinds = {"execute": launching, "approval": approving}.get(item["role"])
            if kinds is not None:
                kinds.setdefault(name, set()).add(item["team"])
    for name, workflow in workflows.items():
        if not any(graph.is_approval(node) for node in workflow["workflow_nodes"]):
            continue
        if not approving.get(name):
            found.append(f"workflow {name}: nobody may approve")
        both = approving.get(name, set()) & launching.get(name, set())
        found += [f"workflow {name}: {team} would approve what it launches" for team in sorted(both)]
    return found


def _unique(content: Content) -> list[str]:
    found = []
    for kind, items in content.items():
        names = [item["name"] for item in items if "name" in item]
        found += [f"{kind}: {one} is there twice" for one in sorted({n for n in names if names.count(n) > 1})]
    both = _names(content, "controller_templates") & _names(content, "controller_workflows")
    # A schedule looks for either by the name alone.
    return found + [f"a job template and a workflow are both named {one}" for one in sorted(both)]


def main() -> int:
    """Print what is wrong."""
    found = problems(load.content())
    for one in found:
        print(one, file=sys.stderr)
    print(f"{len(found)} problems" if found else "the content keeps AWX's rules")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
