# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/awx.md shows the workflows that there are."""

from __future__ import annotations

from tools.awx import load, mermaid, surveys
from tools.awx.content import templates

CONTENT = load.content()
PAGE = mermaid.PAGE.read_text(encoding="utf-8")


def test_every_workflow_is_drawn_as_it_is() -> None:
    assert mermaid.names(PAGE) == [item["name"] for item in sorted(CONTENT["controller_workflows"], key=_place)]
    assert {item["name"] for item in CONTENT["controller_workflows"]} == set(mermaid.names(PAGE))
    assert mermaid.drawn(PAGE, CONTENT) == PAGE, "run make awx-content"


def _place(item: dict[str, str]) -> int:
    return PAGE.find(f"<!-- graph: {item['name']} -->")


def test_a_changed_workflow_makes_another_graph() -> None:
    workflow = next(item for item in CONTENT["controller_workflows"] if item["name"] == "NATS lost server")
    edited = {**workflow, "workflow_nodes": workflow["workflow_nodes"][:-1]}
    assert (
        mermaid.drawn(
            PAGE,
            {
                **CONTENT,
                "controller_workflows": [
                    edited if item is workflow else item for item in CONTENT["controller_workflows"]
                ],
            },
        )
        != PAGE
    )


def test_no_survey_asks_for_a_secret() -> None:
    for template in templates():
        for question in surveys.survey(template.role):
            assert question.item["type"] != "password"
            assert not question.option.endswith(("_key", "_password", "_token", "_seed")), question.option
