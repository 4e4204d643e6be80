# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule of AWX that the checker knows, each shown to fail on a counter-example made of the real content."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tools.awx import answers, check, content, graph, load, rules

Content = dict[str, Any]
CONTENT = load.content()
ACCOUNT, SYSTEM, REPOSITORY = range(3)


def named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(item for item in items if item["name"] == name)


def test_the_content_keeps_all_rules() -> None:
    assert check.problems(CONTENT) == []


def test_the_generated_files_are_what_the_roles_say() -> None:
    for name, text in content.generated().items():
        assert (content.FILES / name).read_text(encoding="utf-8") == text, "run make awx-content"


# --- credential types


def fields(item: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = item["inputs"]["fields"]
    return found


def set_env(name: str, value: str = "x") -> Callable[[dict[str, Any]], Any]:
    return lambda item: item["injectors"].update(env={name: value})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda item: item["inputs"].update(dependencies={}), "'dependencies' was unexpected"),
        (lambda item: fields(item)[0].update(type="integer"), "'integer' is not one of"),
        (lambda item: fields(item)[0].update(format="email"), "'email' is not one of"),
        (lambda item: fields(item)[0].update(id="1st"), "does not match"),
        (lambda item: fields(item)[0].update(id="tower"), "should not be valid"),
        (lambda item: fields(item)[0].pop("label"), "'label' is a required property"),
        (lambda item: fields(item)[0].update(help="x"), "'help' was unexpected"),
        (lambda item: fields(item)[0].update(choices=[]), "should be non-empty"),
        (lambda item: fields(item)[0].update(choices=["a", "a"]), "non-unique"),
        (lambda item: fields(item)[0].update(default=1), "1 is not of type 'string'"),
        (lambda item: fields(item)[-1].update(secret=True), "False schema does not allow True"),
        (lambda item: fields(item)[-1].update(default="yes"), "'yes' is not of type 'boolean'"),
        (lambda item: fields(item).append({"id": "servers", "label": "x"}), "the field servers is there twice"),
        (lambda item: item["inputs"]["required"].append("port"), "port is required and is no field"),
        (lambda item: item.update(kind="ssh"), "of the kind cloud or net"),
        (lambda item: item["injectors"].update(files={}), "'files' was unexpected"),
        (lambda item: item["injectors"]["file"].update({"creds": "x"}), "'creds' does not match"),
        (lambda item: item["injectors"]["file"].update({"template": "x"}), "too many properties"),
        (lambda item: item["injectors"]["extra_vars"].update({"a-b": "x"}), "does not match"),
        (lambda item: item["injectors"]["extra_vars"].update(x=1), "is not valid under any"),
        (lambda item: item["injectors"]["extra_vars"].update(x="{{ port }}"), "'port' is undefined"),
        (lambda item: item["injectors"]["extra_vars"].update(x=["{{ port }}"]), "'port' is undefined"),
        (lambda item: item["injectors"]["extra_vars"].update(x="{{ tower }}"), "tower itself"),
        (lambda item: item["injectors"]["extra_vars"].update(x="{{ tower.filename.other }}"), "other"),
        (lambda item: item["injectors"]["extra_vars"].update(x="{{ account.__class__.mro() }}"), "unsafe"),
        (lambda item: item["injectors"]["extra_vars"].update(x="{% if %}"), "xpected an expression"),
        (set_env("ANSIBLE_CONFIG"), "'ANSIBLE_CONFIG' should not be valid"),
        (set_env("PYTHONPATH"), "PYTHONPATH may not be set"),
        (set_env("1X"), "does not match"),
        (set_env("X", "ü"), "does not match"),
        (
            lambda item: item["injectors"]["file"].update({"template.a": "{{ tower.filename.creds }}"}),
            "template.a names template.creds, which is made later",
        ),
    ],
)
def test_a_credential_type_that_awx_refuses_is_seen(change: Callable[[dict[str, Any]], Any], text: str) -> None:
    item = copy.deepcopy(CONTENT["controller_credential_types"][ACCOUNT])
    assert rules.credential_type(item) == []
    change(item)
    found = rules.credential_type(item)
    assert any(text in one for one in found), found


def test_a_file_that_is_not_injected_cannot_be_named() -> None:
    item = copy.deepcopy(CONTENT["controller_credential_types"][REPOSITORY])
    item["injectors"]["extra_vars"]["x"] = "{{ tower.filename }}"
    assert "no file of that name" in rules.credential_type(item)[0]


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({"servers": "nats://a"}, "account is required"),
        ({"account": "", "servers": "nats://a"}, "account is required"),
        ({"account": "A", "servers": "nats://a", "port": "1"}, "there is no field port"),
        ({"account": "A", "servers": 4222}, "servers must be a string"),
        ({"account": "A", "servers": "nats://a", "tls_first": "yes"}, "tls_first must be a boolean"),
    ],
)
def test_a_credential_without_a_field_or_with_a_wrong_one_is_seen(inputs: dict[str, Any], text: str) -> None:
    kind = CONTENT["controller_credential_types"][ACCOUNT]
    assert rules.credential(kind, {"account": "A", "servers": "nats://a", "tls_first": True}) == []
    found = rules.credential(kind, inputs)
    assert any(text in one for one in found), found


# --- surveys

SURVEY = {
    "name": "s",
    "description": "d",
    "spec": [
        {"question_name": "T", "variable": "t", "type": "text", "required": True, "min": 1, "max": 4, "default": "ab"},
        {"question_name": "I", "variable": "i", "type": "integer", "required": False, "min": 1, "max": 9, "default": 2},
        {"question_name": "F", "variable": "f", "type": "float", "required": False, "min": 0, "max": 1, "default": 0.5},
        {"question_name": "C", "variable": "c", "type": "multiplechoice", "required": False, "choices": ["a", "b"]},
        {"question_name": "M", "variable": "m", "type": "multiselect", "required": False, "choices": "a\nb"},
    ],
}
TEXT, INTEGER, FLOAT, CHOICE, SEVERAL = range(5)


def at(index: int, **values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda spec: spec["spec"][index].update(values)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda spec: spec.pop("name"), "'name' is a required property"),
        (lambda spec: spec.update(description=1), "1 is not of type 'string'"),
        (lambda spec: spec.update(spec=[]), "should be non-empty"),
        *[
            (lambda spec, key=key: spec["spec"][TEXT].pop(key), f"'{key}' is a required property")
            for key in ("type", "question_name", "variable", "required")
        ],
        (at(TEXT, required="yes"), "'yes' is not of type 'boolean'"),
        (at(TEXT, type="string"), "'string' is not one of"),
        (at(TEXT, variable="i"), "i is asked twice"),
        (at(TEXT, variable="a b"), "does not match"),
        (at(TEXT, min="1"), "'1' is not of type 'integer'"),
        (at(TEXT, default=3), "not valid under any"),
        (at(TEXT, default="abcde"), "too large"),
        (at(TEXT, default="$encrypted$"), "should not be valid"),
        (at(TEXT, default="*"), "ansible-core cannot read '*'"),
        (at(INTEGER, default="2"), "not valid under any"),
        (at(INTEGER, default=10), "too large"),
        (at(INTEGER, default=-1), "too small"),
        (at(FLOAT, default="x"), "not valid under any"),
        (at(FLOAT, max=1.5), "1.5 is not of type"),
        (lambda spec: spec["spec"][CHOICE].pop("choices"), "'choices' is a required property"),
        (at(CHOICE, default="c"), "c is not one of the choices"),
        (at(CHOICE, default="a\nb"), "more than one default"),
        (at(SEVERAL, default="a\nc"), "c is not one of the choices"),
        (at(SEVERAL, default=["a"]), "not valid under any"),
    ],
)
def test_a_survey_that_awx_refuses_is_seen(change: Callable[[dict[str, Any]], Any], text: str) -> None:
    spec = copy.deepcopy(SURVEY)
    assert rules.survey(spec, "survey") == []
    change(spec)
    found = rules.survey(spec, "survey")
    assert any(text in one for one in found), found


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "'t' value missing"),
        ({"t": 5}, "'t' is expected to be a string"),
        ({"t": ""}, "'t' is too small"),
        ({"t": "abcde"}, "'t' is too large"),
        ({"t": "a", "i": "2"}, "'i' is expected to be an integer"),
        ({"t": "a", "i": True}, "'i' is expected to be an integer"),
        ({"t": "a", "i": 0}, "'i' is too small"),
        ({"t": "a", "i": 10}, "'i' is too large"),
        ({"t": "a", "f": "x"}, "'f' is expected to be a number"),
        ({"t": "a", "f": 1.1}, "'f' is too large"),
        ({"t": "a", "c": "z"}, "z is not one of the choices"),
        ({"t": "a", "m": "a"}, "'m' is expected to be a list"),
        ({"t": "a", "m": ["a", "z"]}, "z is not one of the choices"),
        ({"t": "a", "other": 1}, "Variables other are not allowed on launch"),
    ],
)
def test_an_answer_that_is_missing_or_wrong_ends_the_launch(given: dict[str, Any], text: str) -> None:
    template = {"survey_enabled": True, "survey_spec": SURVEY, "extra_vars": {"t": "below", "x": 1}}
    assert answers.launch(template, {"t": "a", "m": ["b"]}) == {"t": "a", "x": 1, "i": 2, "f": 0.5, "m": ["b"]}
    with pytest.raises(ValueError, match="(?s)" + text):
        answers.launch(template, given)


# --- messages, schedules


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda item: item["messages"].update(failure={}), "'failure' was unexpected"),
        (lambda item: item["messages"]["workflow_approval"].update(asked={}), "'asked' was unexpected"),
        (lambda item: item["messages"]["error"].update(subject="x"), "'subject' was unexpected"),
        (lambda item: item["messages"]["error"].update(message="a\nb"), "does not match"),
        (lambda item: item["messages"]["error"].update(body="{{ job.color }}"), "color"),
        (lambda item: item["messages"]["error"].update(body="{{ job.name }}"), "Expecting value"),
        (lambda item: item["messages"]["error"].update(body="[]"), "no JSON object"),
        (
            lambda item: item["messages"]["workflow_approval"]["running"].update(body="{{ job.name }}"),
            "'job' is undefined",
        ),
        (lambda item: item["notification_configuration"].update(http_method="GET"), "'GET' is not one of"),
        (lambda item: item["notification_configuration"].pop("headers"), "'headers' is a required property"),
    ],
)
def test_a_notification_that_awx_refuses_or_cannot_fill_is_seen(
    change: Callable[[dict[str, Any]], Any], text: str
) -> None:
    item = copy.deepcopy(CONTENT["controller_notifications"][0])
    assert rules.notification(item) == []
    change(item)
    found = rules.notification(item)
    assert any(text in one for one in found), found


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("RRULE:FREQ=DAILY;INTERVAL=1", "exactly one DTSTART"),
        ("DTSTART:20260101T000000Z DTSTART:20260101T000000Z RRULE:FREQ=DAILY;INTERVAL=1", "exactly one DTSTART"),
        ("DTSTART:20260101T000000 RRULE:FREQ=DAILY;INTERVAL=1", "needs a time zone"),
        ("DTSTART:20260101T000000Z", "there is no RRULE"),
        ("DTSTART:20260101T000000Z RRULE:FREQ=DAILY", "INTERVAL is needed"),
        ("DTSTART:20260101T000000Z RRULE:FREQ=SECONDLY;INTERVAL=1", "SECONDLY"),
        ("DTSTART:20260101T000000Z RRULE:FREQ=MONTHLY;INTERVAL=1;BYDAY=1MO", "BYDAY with a number"),
        ("DTSTART:20260101T000000Z RRULE:FREQ=DAILY;INTERVAL=1;COUNT=2;UNTIL=20270101T000000Z", "exclude"),
        ("DTSTART:20260101T000000Z RRULE:FREQ=DAILY;INTERVAL=1;COUNT=1000", "more than 999"),
        ("DTSTART:20260101T000000Z RRULE:FREQ=DAILY;INTERVAL=1 EXDATE:20260102T000000Z", "EXDATE: is not allowed"),
    ],
)
def test_a_schedule_that_awx_refuses_is_seen(rule: str, text: str) -> None:
    found = rules.schedule({"name": "s", "rrule": rule})
    assert any(text in one for one in found), found


# --- workflows and what holds for the whole

LOST = "NATS lost server"


def workflow(content: Content, name: str = LOST) -> dict[str, Any]:
    return named(content["controller_workflows"], name)


def node(content: Content, name: str, of: str = LOST) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in workflow(content, of)["workflow_nodes"] if one["identifier"] == name)
    return found


def point(content: Content, name: str, edge: str, to: str) -> None:
    node(content, name)["related"] = {edge: [{"identifier": to}]}


def template(content: Content, name: str) -> dict[str, Any]:
    return named(content["controller_templates"], name)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c: point(c, "plan", "success_nodes", "node_loss"), "node_loss is reached without an approval"),
        (lambda c: point(c, "approval", "failure_nodes", "node_loss"), "node_loss is reached without an approval"),
        (lambda c: point(c, "approval", "always_nodes", "node_loss"), "node_loss is reached without an approval"),
        (
            lambda c: node(c, "assess")["related"].update(success_nodes=[{"identifier": "node_loss"}]),
            "node_loss is reached without an approval",
        ),
        (
            lambda c: node(c, "approval").update(
                unified_job_template={"name": "NATS assess", "type": "job_template"},
            ),
            "node_loss is reached without an approval",
        ),
        (lambda c: node(c, "approval")["unified_job_template"].update(timeout=0), "waits for ever"),
        (lambda c: node(c, "approval").update(extra_data={"a": 1}), "an approval takes no extra_data"),
        (
            lambda c: node(c, "approval")["unified_job_template"].update(
                name=node(c, "approval", "NATS lost quorum")["unified_job_template"]["name"]
            ),
            "another approval is named",
        ),
        (lambda c: point(c, "verify", "success_nodes", "assess"), "goes round in a circle"),
        (lambda c: point(c, "plan", "success_nodes", "nowhere"), "there is no node nowhere"),
        (lambda c: node(c, "plan")["unified_job_template"].update(name="NATS nothing"), "no job template NATS nothing"),
        (lambda c: workflow(c)["workflow_nodes"].append(node(c, "verify")), "verify is there twice"),
        (lambda c: node(c, "verify").update(job_type="check"), "its template does not ask for job_type"),
        (lambda c: node(c, "plan").update(extra_data={"x": 1}), "its template does not ask for x"),
        (lambda c: workflow(c).update(ask_variables_on_launch=True), "could set any variable"),
        (
            lambda c: workflow(c)["survey_spec"].update(
                spec=[one for one in workflow(c)["survey_spec"]["spec"] if one["variable"] != "node_loss_server_text"]
            ),
            "nobody answers node_loss_server_text",
        ),
        (
            lambda c: template(c, "NATS assess").update(extra_vars={"x": "{{ natsops_drill.outcome }}"}),
            "nothing before it sets natsops_drill",
        ),
        (
            lambda c: workflow(c).update(extra_vars={"natsops_assess": {}}),
            "natsops_assess would win over the artifact",
        ),
        (lambda c: template(c, "NATS backup").update(playbook="playbooks/none.yml"), "no playbook playbooks/none.yml"),
        (lambda c: template(c, "NATS backup").update(inventory="none"), "inventory: there is no none"),
        (lambda c: template(c, "NATS node loss").update(labels=["NATS"]), "has not the label NATS destructive"),
        (lambda c: template(c, "NATS node loss plan").update(job_type="run"), "has not the label NATS destructive"),
        (lambda c: template(c, "NATS node loss plan").update(ask_job_type_on_launch=True), "could carry it out"),
        (lambda c: template(c, "NATS node loss").update(ask_variables_on_launch=True), "could set any variable"),
        (
            lambda c: c["controller_schedules"][0].update(unified_job_template="NATS node loss"),
            "it would go round the approval",
        ),
        (lambda c: c["controller_schedules"][0].update(unified_job_template="none"), "there is no none"),
        (
            lambda c: c["controller_schedules"][0].update(unified_job_template=LOST),
            "nobody answers node_loss_server_text",
        ),
        (
            lambda c: c["controller_roles"][1]["job_templates"].append("NATS node loss"),
            "NATS node loss could be launched without an approval",
        ),
        (
            lambda c: c["controller_roles"].append(
                {"team": c["controller_roles"][0]["team"], "role": "approval", "workflows": [LOST]}
            ),
            "would approve what it launches",
        ),
        (lambda c: c["controller_roles"].clear(), "nobody may approve"),
        (lambda c: c["controller_templates"].append(template(c, "NATS backup")), "NATS backup is there twice"),
        (lambda c: workflow(c).update(name="NATS backup"), "are both named NATS backup"),
    ],
)
def test_content_that_would_not_work_or_is_not_safe_is_seen(change: Callable[[Content], Any], text: str) -> None:
    edited = copy.deepcopy(CONTENT)
    change(edited)
    found = check.problems(edited)
    assert any(text in one for one in found), found


def test_a_node_reads_what_one_before_it_has_set() -> None:
    edited = copy.deepcopy(CONTENT)
    template(edited, "NATS node loss")["extra_vars"] = {"x": "{{ natsops_assess.outcome }}"}
    assert check.problems(edited) == []


def test_every_destructive_template_is_in_a_workflow_with_an_approval() -> None:
    dangerous = {item["name"] for item in CONTENT["controller_templates"] if graph.destructive(item)}
    used = {
        one["unified_job_template"]["name"]
        for item in CONTENT["controller_workflows"]
        for one in item["workflow_nodes"]
    }
    assert dangerous
    assert dangerous <= used
