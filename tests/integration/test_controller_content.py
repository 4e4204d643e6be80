# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role controller_content, with the real modules of awx.awx against a stand-in for the controller's API."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from servers.ansible import collections_path
from tools import checkout
from tools.awx import collection, graph, load
from tools.awx.standin import StandIn

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
CONTENT = load.content()
SECRET = "a-password-nobody-may-see"


# One of each kind: what is there again is found in the same way for all.
FEW = {
    "controller_templates": ["NATS report"],
    "controller_workflows": ["NATS nightly"],
    "controller_schedules": ["NATS nightly"],
}


def few() -> dict[str, Any]:
    """Some of the content. What Ansible would template is not among it."""
    return {
        **{kind: [item for item in CONTENT[kind] if item["name"] in names] for kind, names in FEW.items()},
        "controller_roles": [{**CONTENT["controller_roles"][0], "workflows": FEW["controller_workflows"]}],
    }


def apply(api: StandIn, home: Path, *words: str, **more: Any) -> str:
    """Run the playbook as an administrator does; return what it printed."""
    account = {"account": "APP", "servers": "nats://n1:4222", "username": "u", "password": SECRET}
    inputs: dict[str, Any] = {
        "account": account,
        "system": {"servers": "nats://n1:4222", "username": "s", "password": SECRET},
        "repository": {"repository": "/srv/backups", "reports": "/srv/reports"},
    }
    extra = home / "content.json"
    extra.write_text(
        json.dumps({"controller_content_inputs": inputs, "ansible_python_interpreter": sys.executable, **more})
    )
    env = checkout.environment(
        home=home,
        ANSIBLE_COLLECTIONS_PATH=f"{collections_path()}:{collection.fetch()}",
        CONTROLLER_HOST=api.url,
        CONTROLLER_OAUTH_TOKEN="token",
        ANSIBLE_LOCALHOST_WARNING="false",
    )
    command = [
        str(checkout.BIN / "ansible-playbook"),
        "natsops.jetstream.controller_content",
        "-e",
        f"@{extra}",
        *words,
    ]
    done = subprocess.run(command, env=env, cwd=home, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert SECRET not in done.stdout + done.stderr
    return done.stdout


def test_the_role_puts_everything_into_a_controller_and_finds_it_there_again(tmp_path: Path) -> None:
    with StandIn() as api:
        apply(api, tmp_path)
        kinds = api.by_name("credential_types")
        for item in CONTENT["controller_credential_types"]:
            assert kinds[item["name"]]["injectors"] == item["injectors"], "templates arrive as they are written"
            assert kinds[item["name"]]["inputs"] == item["inputs"]
        templates = api.by_name("job_templates")
        assert set(templates) == {item["name"] for item in CONTENT["controller_templates"]}
        for item in CONTENT["controller_templates"]:
            made = templates[item["name"]]
            assert json.loads(made.get("extra_vars") or "{}") == item.get("extra_vars", {})
            assert made["job_type"] == item["job_type"]
            assert len(api.links[f"job_templates/{made['id']}/credentials"]) == len(item["credentials"])
            assert api.surveys.get(f"job_templates/{made['id']}/survey_spec", {}) == item.get("survey_spec", {})
        workflows = api.by_name("workflow_job_templates")
        nodes = api.items["workflow_job_template_nodes"].values()
        for item in CONTENT["controller_workflows"]:
            own = {
                one["identifier"]: one for one in nodes if one["workflow_job_template"] == workflows[item["name"]]["id"]
            }
            assert set(own) == {one["identifier"] for one in item["workflow_nodes"]}
            for node in item["workflow_nodes"]:
                for kind, to in graph.edges(node):
                    place = f"workflow_job_template_nodes/{own[node['identifier']]['id']}/{kind}"
                    assert own[to]["id"] in api.links[place]
        approvals = api.items["workflow_approval_templates"].values()
        assert {one["timeout"] for one in approvals} == {3600}
        assert set(api.by_name("schedules")) == {item["name"] for item in CONTENT["controller_schedules"]}
        granted = sum(len(ids) for place, ids in api.links.items() if place.startswith("roles/"))
        wanted = sum(
            len(one.get("workflows", [])) + len(one.get("job_templates", [])) for one in CONTENT["controller_roles"]
        )
        assert granted == wanted
        again = apply(api, tmp_path, **few())
        changed = [line for line in again.splitlines() if line.startswith("changed:")]
        # The module makes the nodes of a workflow anew every time.
        assert changed == ["changed: [localhost] => (item=NATS nightly)"]


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    with StandIn() as api:
        # Only where the first run has made what others refer to can a second one tell what it would do.
        content = {**few(), "controller_workflows": [], "controller_schedules": [], "controller_roles": []}
        apply(api, tmp_path, **content)
        before = api.writes
        apply(api, tmp_path, "--check", **content)
        assert api.writes == before
