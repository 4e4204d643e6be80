# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workflows as graphs: what a node is reached through, and what that has to be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

EDGES = ("success_nodes", "always_nodes", "failure_nodes")
Item = dict[str, Any]
Problems = list[str]
# What a job template that only looks, or only adds, runs.
HARMLESS = {"assess", "backup", "drill", "report", "verify"}


def verb(template: Item) -> str:
    """Return the name of a template's playbook, which is that of its role."""
    return str(template["playbook"]).rpartition("/")[2].partition(".")[0]


def destructive(template: Item) -> bool:
    """Whether a job of this template may change a cluster or what is stored in it."""
    return "NATS destructive" in template.get("labels", [])


def is_approval(node: Item) -> bool:
    return bool(node["unified_job_template"].get("type") == "workflow_approval")


def edges(node: Item) -> list[tuple[str, str]]:
    """Return the (kind, identifier) of every edge that leaves a node."""
    related = node.get("related") or {}
    return [(kind, to["identifier"]) for kind in EDGES for to in related.get(kind) or []]


def check(workflow: Item, templates: Iterable[Item], workflows: Iterable[Item] = ()) -> Problems:
    """Return all that is wrong with a workflow."""
    place = f"workflow {workflow['name']}"
    nodes = workflow["workflow_nodes"]
    names = [node["identifier"] for node in nodes]
    found = [f"{place}: {one} is there twice" for one in sorted({n for n in names if names.count(n) > 1})]
    by_name = {node["identifier"]: node for node in nodes}
    jobs = {one["name"]: one for one in templates}
    for node in nodes:
        at = f"{place}: {node['identifier']}"
        found += [f"{at}: there is no node {to}" for _kind, to in edges(node) if to not in by_name]
        job = node["unified_job_template"]
        if is_approval(node):
            if not job.get("timeout"):
                found.append(f"{at}: an approval without a time-out waits for ever")
            found += [f"{at}: an approval takes no {key}" for key in ("extra_data", "job_type", "limit") if key in node]
        elif job["name"] not in jobs:
            found.append(f"{at}: there is no job template {job['name']}")
        else:
            found += _prompts(node, jobs[job["name"]], at)
    if found:
        return found
    order = _order(by_name)
    if order is None:
        return [f"{place}: it goes round in a circle"]
    return (
        _approvals(workflow, by_name, jobs)
        + _answers(workflow, by_name, jobs)
        + _artifacts(workflow, by_name, jobs, order)
        + _approval_names(workflow, workflows)
    )


def _order(nodes: dict[str, Item]) -> list[str] | None:
    """Return the nodes with every parent before its children, or None for a circle."""
    left = {name: {one for one, node in nodes.items() if name in [to for _k, to in edges(node)]} for name in nodes}
    order: list[str] = []
    while left:
        free = sorted(name for name, parents in left.items() if not parents - set(order))
        if not free:
            return None
        order += free
        left = {name: parents for name, parents in left.items() if name not in free}
    return order


def _prompts(node: Item, template: Item, at: str) -> Problems:
    """What a node gives must be asked for by its template: the rest is refused, or dropped without a word."""
    asks = {
        "job_type": "ask_job_type_on_launch",
        "limit": "ask_limit_on_launch",
        "inventory": "ask_inventory_on_launch",
        "scm_branch": "ask_scm_branch_on_launch",
        "timeout": "ask_timeout_on_launch",
        "job_slice_count": "ask_job_slice_count_on_launch",
        "verbosity": "ask_verbosity_on_launch",
        "forks": "ask_forks_on_launch",
    }
    found = [
        f"{at}: its template does not ask for {key}"
        for key, ask in asks.items()
        if key in node and not template.get(ask)
    ]
    asked = {item["variable"] for item in template.get("survey_spec", {}).get("spec", [])}
    if not template.get("ask_variables_on_launch"):
        found += [
            f"{at}: its template does not ask for {one}" for one in node.get("extra_data", {}) if one not in asked
        ]
    return found


def roots(nodes: dict[str, Item]) -> list[str]:
    """Return the nodes that a workflow begins with."""
    targets = {to for node in nodes.values() for _kind, to in edges(node)}
    return [name for name in nodes if name not in targets]


def unapproved(nodes: dict[str, Item]) -> set[str]:
    """Return the nodes that can be reached without anybody having said yes."""
    seen: set[str] = set()
    waiting = roots(nodes)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        # A yes is the success of an approval; a no and a time-out are its failure.
        waiting += [to for kind, to in edges(nodes[name]) if not (is_approval(nodes[name]) and kind == "success_nodes")]
    return seen


def _approvals(workflow: Item, nodes: dict[str, Item], jobs: dict[str, Item]) -> Problems:
    place = f"workflow {workflow['name']}"
    dangerous = [
        n
        for n, node in nodes.items()
        if not is_approval(node) and destructive(jobs[node["unified_job_template"]["name"]])
    ]
    found = [f"{place}: {one} is reached without an approval" for one in sorted(set(dangerous) & unapproved(nodes))]
    if dangerous and workflow.get("ask_variables_on_launch"):
        found.append(f"{place}: whoever launches it could set any variable of {', '.join(dangerous)}")
    return found


def _answers(workflow: Item, nodes: dict[str, Item], jobs: dict[str, Item]) -> Problems:
    """Every required question of a node is answered by the node, or by the workflow's survey or variables."""
    place = f"workflow {workflow['name']}"
    given = set(workflow.get("extra_vars", {}))
    given |= {one["variable"] for one in workflow.get("survey_spec", {}).get("spec", []) if one["required"]}
    found: Problems = []
    for name, node in nodes.items():
        template = jobs.get(node["unified_job_template"]["name"], {})
        for item in template.get("survey_spec", {}).get("spec", []) if template.get("survey_enabled") else []:
            answered = given | set(node.get("extra_data", {}))
            if item["required"] and item["variable"] not in answered:
                found.append(f"{place}: {name}: nobody answers {item['variable']}")
    return found


def reads(template: Item, node: Item) -> set[str]:
    """Return the artifacts that a job reads: variables of the name that set_stats gives them."""
    text = str(template.get("extra_vars", {})) + str(node.get("extra_data", {}))
    return set(re.findall(r"\bnatsops_[a-z_]+\b", text))


def _artifacts(workflow: Item, nodes: dict[str, Item], jobs: dict[str, Item], order: list[str]) -> Problems:
    place = f"workflow {workflow['name']}"
    own = set(workflow.get("extra_vars", {}))
    own |= {one["variable"] for one in workflow.get("survey_spec", {}).get("spec", [])}
    found = [
        f"{place}: its variable {one} would win over the artifact" for one in sorted(own) if one.startswith("natsops_")
    ]
    known: dict[str, set[str]] = {}
    for name in order:
        parents = [other for other, node in nodes.items() if name in [to for _kind, to in edges(node)]]
        before = set().union(*(known[parent] for parent in parents)) if parents else set()
        node = nodes[name]
        if is_approval(node):
            known[name] = before
            continue
        template = jobs[node["unified_job_template"]["name"]]
        found += [f"{place}: {name}: nothing before it sets {one}" for one in sorted(reads(template, node) - before)]
        known[name] = before | {f"natsops_{verb(template)}"}
    return found


def _approval_names(workflow: Item, workflows: Iterable[Item]) -> Problems:
    """The module finds approvals by name alone: two of one name would be one."""
    names = [
        node["unified_job_template"]["name"]
        for one in (*workflows, *(() if workflow in list(workflows) else (workflow,)))
        for node in one["workflow_nodes"]
        if is_approval(node)
    ]
    mine = {n["unified_job_template"]["name"] for n in workflow["workflow_nodes"] if is_approval(n)}
    return [
        f"workflow {workflow['name']}: another approval is named {one!r} too"
        for one in sorted(mine)
        if names.count(one) > 1
    ]
