# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWX's rules for credential types, surveys, messages and schedules. Each rule returns what is wrong, a line each."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema

from tools.awx import answers, render, schemas

Problems = list[str]
# AWX marks every answer !unsafe, and ansible-core 2.19 fails on these words of YAML under that tag.
UNSPEAKABLE = ("*", "&", "!", "=", "<<")


def by_schema(value: Any, schema: dict[str, Any], place: str) -> Problems:
    """Return what breaks a schema."""
    errors = jsonschema.Draft202012Validator(schema).iter_errors(value)
    return [f"{place}: {'.'.join(map(str, error.path))}: {error.message}" for error in errors]


def credential_type(item: dict[str, Any]) -> Problems:
    """Inputs and injectors of a custom credential type."""
    place = f"credential type {item['name']}"
    inputs, injectors = item.get("inputs", {}), item.get("injectors", {})
    found = by_schema(inputs, schemas.INPUTS, place) + by_schema(injectors, schemas.INJECTORS, place)
    if item.get("kind") not in ("cloud", "net"):
        found.append(f"{place}: a custom type is of the kind cloud or net")
    if found:
        return found
    fields = [field["id"] for field in inputs.get("fields", [])]
    found += [f"{place}: the field {one} is there twice" for one in sorted({f for f in fields if fields.count(f) > 1})]
    found += [f"{place}: {one} is required and is no field" for one in inputs.get("required", []) if one not in fields]
    found += [f"{place}: {one} may not be set" for one in injectors.get("env", {}) if one in schemas.ENV_BLOCKED]
    names = render.example(fields, list(injectors.get("file", {})))
    for where, text in _templates(injectors):
        try:
            render.strictly(text, names)
        except ValueError as exc:
            found.append(f"{place}: {where}: {exc}")
    return found + _file_order(injectors.get("file", {}), place)


def _templates(node: Any, where: str = "") -> list[tuple[str, str]]:
    if isinstance(node, dict):
        keys = [(f"{where}.{key}", key) for key in node]
        return keys + [pair for key, value in node.items() for pair in _templates(value, f"{where}.{key}")]
    if isinstance(node, list):
        return [pair for index, value in enumerate(node) for pair in _templates(value, f"{where}[{index}]")]
    return [(where, str(node))]


def _file_order(files: dict[str, str], place: str) -> Problems:
    """A file is made in the order of the names as the database keeps them: shorter ones first, then by their bytes."""
    order = sorted(files, key=lambda name: (len(name), name.encode()))
    return [
        f"{place}: {name} names {other}, which is made later"
        for index, name in enumerate(order)
        for other in order[index:]
        if f"tower.filename.{other.partition('.')[2]}" in files[name]
    ]


def credential(kind: dict[str, Any], inputs: dict[str, Any]) -> Problems:
    """The inputs of a credential of a type: only known fields, of their type, and those that are required."""
    fields = {field["id"]: field for field in kind["inputs"]["fields"]}
    place = f"credential of {kind['name']}"
    found = [f"{place}: there is no field {one}" for one in inputs if one not in fields]
    found += [f"{place}: {one} is required" for one in kind["inputs"].get("required", []) if not inputs.get(one)]
    types: dict[str, type] = {"string": str, "boolean": bool}
    found += [
        f"{place}: {one} must be a {fields[one].get('type', 'string')}"
        for one, value in inputs.items()
        if one in fields and not isinstance(value, types[fields[one].get("type", "string")])
    ]
    return found


def survey(spec: dict[str, Any], place: str) -> Problems:
    """A survey of a job template or workflow."""
    found = by_schema(spec, schemas.SURVEY, place)
    if found:
        return found
    variables = [item["variable"] for item in spec["spec"]]
    found += [f"{place}: {one} is asked twice" for one in sorted({v for v in variables if variables.count(v) > 1})]
    for item in spec["spec"]:
        default = item.get("default")
        if default in (None, ""):
            continue
        if default in UNSPEAKABLE:
            found.append(f"{place}: default of {item['variable']}: ansible-core cannot read {default!r} under !unsafe")
        given = default.splitlines() if item["type"] in ("multiplechoice", "multiselect") else [default]
        if item["type"] == "multiplechoice" and len(given) > 1:
            found.append(f"{place}: {item['variable']} has more than one default")
        value = given if item["type"] == "multiselect" else given[0]
        found += [f"{place}: default of {problem}" for problem in answers.problems_of(item, {item["variable"]: value})]
    return found


def notification(item: dict[str, Any]) -> Problems:
    """A notification template; its messages can be rendered, those of approvals with what they really get."""
    place = f"notification {item['name']}"
    messages = item.get("messages", {})
    found = by_schema(messages, schemas.MESSAGES, place)
    if item["notification_type"] == "webhook":
        found += by_schema(item.get("notification_configuration", {}), schemas.WEBHOOK, place)
    if found:
        return found
    for event, message in messages.items():
        parts = message if event == "workflow_approval" else {event: message}
        for name, part in parts.items():
            for kind, text in (part or {}).items():
                found += _message(f"{place}: {name} {kind}", text, event == "workflow_approval", item, kind)
    return found


def _message(place: str, text: str, approval: bool, item: dict[str, Any], kind: str) -> Problems:
    try:
        shown = render.strictly(text, render.message_names(approval))
        if item["notification_type"] == "webhook" and kind == "body":
            body = json.loads(shown)
            return [] if isinstance(body, dict) else [f"{place}: the body is no JSON object"]
    except ValueError as exc:
        return [f"{place}: {exc}"]
    return []


def schedule(item: dict[str, Any]) -> Problems:
    """The rule of a schedule."""
    rule, place = item["rrule"], f"schedule {item['name']}"
    found: Problems = []
    starts = re.findall(r"DTSTART(?:;[^:]+)?:[0-9]+T[0-9]+Z?", rule)
    if len(starts) != 1:
        found.append(f"{place}: exactly one DTSTART is needed")
    if re.search(r"DTSTART:[0-9]+T[0-9]+(?!Z)\b", rule):
        found.append(f"{place}: DTSTART needs a time zone")
    rules = re.findall(r"RRULE:\S*", rule)
    if not rules:
        found.append(f"{place}: there is no RRULE")
    for one in rules:
        if "INTERVAL" not in one:
            found.append(f"{place}: INTERVAL is needed")
        if "SECONDLY" in one:
            found.append(f"{place}: SECONDLY is not supported")
        if re.search(r"BYDAY[:=][0-9]+[a-zA-Z]{2}", one):
            found.append(f"{place}: BYDAY with a number is not supported")
        if "COUNT" in one and "UNTIL" in one:
            found.append(f"{place}: COUNT and UNTIL exclude each other")
        if any(int(count) > 999 for count in re.findall(r"COUNT=([0-9]+)", one)):
            found.append(f"{place}: COUNT is more than 999")
    found += [f"{place}: {word} is not allowed" for word in ("EXDATE:", "RDATE:") if word in rule]
    return found
