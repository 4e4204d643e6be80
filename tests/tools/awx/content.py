# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job templates and workflows as the controller takes them, from two tables and the roles: `make awx-content`.

The other kinds of content are written by hand in roles/controller_content/files.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tools import checkout
from tools.awx import surveys

FILES = checkout.ROOT / "roles" / "controller_content" / "files"
ORGANIZATION = "{{ controller_content_organization }}"
HEADING = "---\n# Made by `make awx-content` from the roles' argument_specs and tests/tools/awx/content.py.\n"
ACCOUNT, SYSTEM, REPOSITORY = "NATS JetStream account", "NATS system account", "NATS backup repository"
CREDENTIALS = {ACCOUNT: "account", SYSTEM: "system", REPOSITORY: "repository"}
HOUR = 3600


@dataclasses.dataclass(frozen=True)
class Template:
    """A job template. `needs`: types of its credentials; `role`: whose options it asks for."""

    name: str
    role: str
    description: str
    needs: tuple[str, ...]
    destructive: bool = False
    plan: bool = False
    timeout: int = 4 * HOUR
    extra: tuple[tuple[str, str], ...] = ()
    asks: bool = True


@dataclasses.dataclass(frozen=True)
class Node:
    """A node of a workflow: a template, or with `approval` the question to somebody, and what comes after it."""

    name: str
    template: str = ""
    approval: str = ""
    success: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    failure: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Workflow:
    """A workflow. `role`: whose questions are asked when it is launched; `approvers`: the team that answers."""

    name: str
    description: str
    nodes: tuple[Node, ...]
    role: str = ""


ALL = (ACCOUNT, SYSTEM, REPOSITORY)
# What assess has kept; launched by itself, what the inventory names.
PICTURE = (
    "{{ natsops_assess.picture if (natsops_assess | default({})).outcome | default('') in ['done', 'nothing_to_do']"
    " else jetstream_last_picture | default('') }}"
)
LOCK = (("backup_lock", "kv"),)
TEMPLATES = (
    Template("NATS assess", "assess", "Quorum, risks, and the age of the backups", ALL),
    Template("NATS backup", "backup", "Back up what changed", (ACCOUNT, REPOSITORY), timeout=8 * HOUR, extra=LOCK),
    Template(
        "NATS safety backup",
        "backup",
        "Back up what a restore is about to replace, beside the repository",
        (ACCOUNT, REPOSITORY),
        timeout=8 * HOUR,
        extra=(*LOCK, ("backup_repository", "{{ jetstream_repository }}-safety")),
        asks=False,
    ),
    Template("NATS verify", "verify", "Read the newest backups in full", (ACCOUNT, REPOSITORY), timeout=8 * HOUR),
    Template("NATS restore", "restore", "Restore streams", (ACCOUNT, REPOSITORY), destructive=True, timeout=8 * HOUR),
    Template(
        "NATS node loss",
        "node_loss",
        "Heal a cluster that has lost a server",
        ALL,
        destructive=True,
        extra=(("node_loss_last_picture", PICTURE),),
    ),
    Template("NATS quorum loss", "quorum_loss", "Rescue a meta group that has lost its quorum", ALL, destructive=True),
    Template("NATS cluster loss", "cluster_loss", "Restore accounts into an empty cluster", ALL, destructive=True),
    Template("NATS evacuate", "evacuate", "Empty a live server before its maintenance", ALL, destructive=True),
    Template("NATS salvage", "salvage", "Restore what only the disk of a dead server holds", ALL, destructive=True),
    Template(
        "NATS drill",
        "drill",
        "Restore the newest backups into a server of its own and compare",
        (REPOSITORY,),
        timeout=8 * HOUR,
    ),
    Template(
        "NATS drill clean-up",
        "drill",
        "Clear what a drill that was killed has left, by a drill of one backup",
        (REPOSITORY,),
        timeout=HOUR,
        extra=(("drill_sample", "1"),),
        asks=False,
    ),
    Template("NATS report", "report", "Write the page about the repository", (REPOSITORY,), timeout=HOUR),
)


def _guarded(verb: str, question: str, *before: Node, after: tuple[Node, ...] = ()) -> tuple[Node, ...]:
    """Plan, ask, act, look: the shape of every workflow that changes a cluster."""
    name = verb.replace("_", " ")
    first = after[0].name if after else verb
    return (
        *before,
        Node("plan", f"NATS {name} plan", success=("approval",)),
        Node("approval", approval=question, success=(first,)),
        *after,
        Node(verb, f"NATS {name}", success=("verify",)),
        Node("verify", "NATS assess"),
    )


WORKFLOWS = (
    Workflow(
        "NATS nightly",
        "Assess, back up, verify and report, whatever the one before found",
        (
            Node("assess", "NATS assess", always=("backup",)),
            Node("backup", "NATS backup", always=("verify",)),
            Node("verify", "NATS verify", always=("report",)),
            Node("report", "NATS report"),
        ),
    ),
    Workflow(
        "NATS restore with approval",
        "Plan a restore, ask, back up what it replaces, restore, and look at the result",
        _guarded(
            "restore",
            "NATS restore: carry out the plan?",
            after=(Node("safety_backup", "NATS safety backup", success=("restore",)),),
        ),
        "restore",
    ),
    Workflow(
        "NATS lost server",
        "Assess, hold that there is quorum, ask, heal the cluster, and look at the result",
        _guarded(
            "node_loss",
            "NATS lost server: is it off, and may it be removed?",
            Node("assess", "NATS assess", always=("plan",)),
        ),
        "node_loss",
    ),
    Workflow(
        "NATS lost quorum",
        "Gather the evidence, have another team say yes, rescue the meta group, and look at the result",
        _guarded("quorum_loss", "NATS lost quorum: are these servers dead for good?"),
        "quorum_loss",
    ),
    Workflow(
        "NATS cluster loss with approval",
        "Plan, ask, restore whole accounts into an empty cluster, and look at the result",
        _guarded("cluster_loss", "NATS cluster loss: restore into this cluster?"),
        "cluster_loss",
    ),
    Workflow(
        "NATS evacuation with approval",
        "Plan, ask, empty a live server, and look at the result",
        _guarded("evacuate", "NATS evacuation: may this server be emptied?"),
        "evacuate",
    ),
    Workflow(
        "NATS salvage with approval",
        "Plan, ask, restore what only the disk of a dead server holds, and look at the result",
        _guarded("salvage", "NATS salvage: is the server off, and its disk to be read?"),
        "salvage",
    ),
    Workflow(
        "NATS weekly drill",
        "Restore the newest backups into a server of its own, clear what a killed one left, and report",
        (
            Node("drill", "NATS drill", success=("report",), failure=("clean_up",)),
            Node("clean_up", "NATS drill clean-up", always=("report",)),
            Node("report", "NATS report"),
        ),
    ),
)
APPROVERS = {"NATS lost quorum": "{{ controller_content_recovery_team }}"}
APPROVAL_TIMEOUT = HOUR


def templates() -> Iterator[Template]:
    """All templates, with the plan of each that changes something."""
    for template in TEMPLATES:
        yield template
        if template.destructive:
            yield dataclasses.replace(
                template,
                name=f"{template.name} plan",
                description=f"{template.description}: the plan only, nothing is touched",
                destructive=False,
                plan=True,
                timeout=HOUR,
            )


def job_template(template: Template) -> dict[str, Any]:
    """Return a template as an item of controller_templates."""
    questions = [one for one in surveys.survey(template.role) if one.option not in dict(template.extra)]
    # A launch by hand asks; a template that only a workflow uses has what its tables say.
    questions = questions if template.asks else []
    item: dict[str, Any] = {
        "name": template.name,
        "description": template.description,
        "organization": ORGANIZATION,
        "job_type": "check" if template.plan else "run",
        "inventory": "NATS JetStream",
        "project": "NATS JetStream",
        "playbook": f"playbooks/{template.role}.yml",
        "execution_environment": "NATS JetStream",
        "credentials": [f"{{{{ controller_content_credentials.{CREDENTIALS[need]} }}}}" for need in template.needs],
        "ask_credential_on_launch": True,
        "ask_variables_on_launch": False,
        "allow_simultaneous": False,
        "timeout": template.timeout,
        "labels": ["NATS", "NATS destructive"] if template.destructive else ["NATS"],
        "notification_templates_error": ["NATS JetStream"],
    }
    if template.destructive:
        item["notification_templates_success"] = ["NATS JetStream"]
    extra = {question.option: question.expression for question in questions if question.expression}
    extra |= dict(template.extra)
    if extra:
        item["extra_vars"] = {name: Unsafe(text) if "{{" in text else text for name, text in extra.items()}
    if questions:
        item["survey_enabled"] = True
        item["survey_spec"] = surveys.spec(template.name, template.description, questions)
    return item


def workflow_template(workflow: Workflow) -> dict[str, Any]:
    """Return a workflow as an item of controller_workflows."""
    item: dict[str, Any] = {
        "name": workflow.name,
        "description": workflow.description,
        "organization": ORGANIZATION,
        "ask_variables_on_launch": False,
        "allow_simultaneous": False,
        "labels": ["NATS"],
        "notification_templates_approvals": ["NATS JetStream"],
        "destroy_current_nodes": True,
        "workflow_nodes": [workflow_node(node) for node in workflow.nodes],
    }
    questions = surveys.survey(workflow.role) if workflow.role else []
    if questions:
        item["survey_enabled"] = True
        item["survey_spec"] = surveys.spec(workflow.name, workflow.description, questions)
    return item


def workflow_node(node: Node) -> dict[str, Any]:
    """Return a node as awx.awx.workflow_job_template takes it."""
    if node.approval:
        job: dict[str, Any] = {
            "name": node.approval,
            "description": "No answer within the time means no.",
            "timeout": APPROVAL_TIMEOUT,
            "type": "workflow_approval",
        }
    else:
        job = {"name": node.template, "type": "job_template", "organization": {"name": ORGANIZATION}}
    edges = {"success_nodes": node.success, "always_nodes": node.always, "failure_nodes": node.failure}
    related = {edge: [{"identifier": name} for name in names] for edge, names in edges.items() if names}
    return {"identifier": node.name, "unified_job_template": job, **({"related": related} if related else {})}


def access() -> list[dict[str, Any]]:
    """Who launches workflows, and who approves; nobody launches a template that changes something."""
    operators = "{{ controller_content_operators_team }}"
    quiet = [one.name for one in templates() if not one.destructive]
    approving = [one for one in WORKFLOWS if any(node.approval for node in one.nodes)]
    return [
        {"team": operators, "role": "execute", "workflows": [one.name for one in WORKFLOWS]},
        {"team": operators, "role": "execute", "job_templates": quiet},
        *(
            {
                "team": APPROVERS.get(one.name, "{{ controller_content_approvers_team }}"),
                "role": "approval",
                "workflows": [one.name],
            }
            for one in approving
        ),
    ]


class Unsafe(str):
    """Text that Ansible must not template when the file is loaded: it is for the job."""


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """YAML as the other files have it."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
    style = "|" if "\n" in data else '"' if "{{" in data or not data else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _string)
_Dumper.add_representer(Unsafe, lambda dumper, data: dumper.represent_scalar("!unsafe", str(data), style='"'))


def generated() -> dict[str, str]:
    """Return the text of every generated file by its name."""
    bodies: dict[str, dict[str, Any]] = {
        "templates.yml": {"controller_templates": [job_template(template) for template in templates()]},
        "workflows.yml": {"controller_workflows": [workflow_template(workflow) for workflow in WORKFLOWS]},
        "access.yml": {"controller_roles": access()},
    }
    return {
        name: HEADING + yaml.dump(body, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=150)
        for name, body in bodies.items()
    }


def main() -> int:
    """Write the generated files."""
    for name, text in generated().items():
        Path(FILES / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
