# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports: one shape, the worst first, never more than 25 lines; and the variables that runbooks are given."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._report.inputs import (
    CONNECTION,
    InputError,
    check_accounts,
    check_connection,
    connection_of,
    one_of,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._report.report import (
    OUTCOMES,
    ReportError,
    make_report,
    sentence_of,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._report.words import MOST, markdown, terminal

from tools import checkout

SCHEMA = json.loads((checkout.ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
BASE = {"verb": "backup", "started_at": "2026-11-22T10:15:00Z"}
FULL: dict[str, Any] = {
    **BASE,
    "changed": True,
    "plan": [{"step": "back up", "object": "APP", "reason": "it is asked for", "effect": "a new set"}],
    "results": [
        {"step": "back up", "object": "APP > A", "status": "transferred", "seconds": 1.5},
        {"step": "back up", "object": "APP > B", "status": "failed", "detail": "no server | answers"},
    ],
    "lost": [{"account": "APP", "stream": "B", "messages": 3, "since": "2026-11-22T09:00:00Z", "reason": "R1"}],
    "evidence": ["3 of 3 servers answer."],
    "warnings": ["B is old.", "B is old."],
    "next": ["ansible-playbook natsops.jetstream.assess"],
    "streams": [{"stream": "A", "age": 3, "consumers": ["x"]}],
}


def made(**more: Any) -> dict[str, Any]:
    return make_report({**FULL, **more}, finished_at="2026-11-22T10:16:40Z")


@pytest.mark.parametrize("parts", [BASE, FULL, {**FULL, "failure": "No."}, {**BASE, "outcome": "planned"}])
def test_every_report_keeps_to_the_schema(parts: dict[str, Any]) -> None:
    jsonschema.validate(json.loads(json.dumps(make_report(parts))), SCHEMA)


def test_schema_and_code_agree() -> None:
    assert set(SCHEMA["properties"]) == set(SCHEMA["required"]) == set(make_report(BASE))
    assert tuple(SCHEMA["properties"]["outcome"]["enum"]) == OUTCOMES


@pytest.mark.parametrize(
    ("more", "outcome"),
    [
        ({"changed": False}, "nothing_to_do"),
        ({}, "done"),
        ({"check_mode": True}, "planned"),
        ({"check_mode": True, "changed": False}, "nothing_to_do"),
        ({"failure": "No."}, "refused"),
        ({"failure": "No.", "acted": True}, "failed"),
        ({"outcome": "planned"}, "planned"),
    ],
)
def test_outcome_follows_from_what_happened(more: dict[str, Any], outcome: str) -> None:
    report = made(**more)
    assert report["outcome"] == outcome
    assert report["duration"] == 100
    assert report["warnings"] == ["B is old."]
    assert report["sentence"] == more.get("failure", outcome.replace("_", " "))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"verb": "x"}, "needs started_at"),
        ({**BASE, "colour": 1}, "no field colour"),
        ({**BASE, "plan": [{"step": "x"}]}, "does not have step, object"),
        ({**BASE, "plan": [{"step": "x", "object": "y", "why": "z"}]}, "no field why"),
        ({**BASE, "outcome": "fine"}, "must be one of"),
        ({**BASE, "started_at": "today"}, "are times"),
    ],
)
def test_what_is_no_report_is_refused(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(ReportError, match=words):
        make_report(parts)


def test_terminal_has_the_worst_first_and_the_sentence_last() -> None:
    lines = terminal(made(sentence="Two of three."), "/r/backup.md")
    assert lines == [
        "LOST APP > B, 3 messages since 2026-11-22T09:00:00Z: R1",
        "FAILED back up APP > B: no server | answers",
        "warning: B is old.",
        "transferred: back up APP > A (1.5 s)",
        "next: ansible-playbook natsops.jetstream.assess",
        "report: /r/backup.md",
        "backup: done. Two of three.",
    ]


def test_terminal_never_has_more_lines_than_fit() -> None:
    many = [{"step": "back up", "object": f"S{number}", "status": "failed"} for number in range(60)]
    lines = terminal(made(results=many, failure="It failed.", acted=True), "/r/backup.md")
    assert len(lines) == MOST
    assert lines[-4].startswith("... and ")
    assert lines[-1] == "backup: failed. It failed."


def test_markdown_shows_everything_once() -> None:
    page = markdown(made(check_mode=True))
    assert page.startswith("# backup: planned (check mode")
    assert "| APP | B | 2026-11-22T09:00:00Z | 3 | R1 |" in page
    assert "no server \\| answers" in page
    assert page.count("B is old.") == 1
    assert "| stream | age |\n|---|---|\n| A | 3 |" in page
    assert "```sh\nansible-playbook natsops.jetstream.assess\n```" in page


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        ({"msg": "There is no room."}, "There is no room."),
        ({"results": [{"failed": False}, {"failed": True, "msg": "No."}], "msg": "One or more items failed"}, "No."),
        ({"results": [{"failed": True, "msg": "A"}, {"failed": True, "msg": "B"}]}, "A (and 1 more)"),
        ({"argument_errors": ["x is no int"], "msg": "Validation of arguments failed:\nx"}, "x is no int."),
        (
            {"msg": "Task failed: Error while resolving value: The filter plugin 'natsops.jetstream.x' failed: No y."},
            "No y.",
        ),
        ({"msg": "No y.\n\nThe error appears to be in '/x/main.yml': line 3"}, "No y."),
        ({}, "It failed, and did not say why."),
    ],
)
def test_sentence_of_a_failed_task(result: dict[str, Any], sentence: str) -> None:
    assert sentence_of(result) == sentence


@pytest.mark.parametrize(
    ("accounts", "words"),
    [
        ("APP", "must be a list"),
        ([], "is empty"),
        ([{"user": "x"}], r"accounts\[0\] has no name"),
        ([{"name": "A"}, {"name": "A"}], "listed twice"),
        ([{"name": "A", "pasword": "x"}], "no option pasword; it takes servers, context"),
    ],
)
def test_wrong_accounts_are_refused(accounts: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_accounts(accounts, "accounts")


def test_account_gets_its_own_options_over_the_shared_ones() -> None:
    accounts = check_accounts([{"name": "A", "user": "a"}, {"name": "B", "servers": ["x"]}], "accounts")
    assert connection_of(accounts, "A", {"servers": ["y"]}) == {"servers": ["y"], "user": "a"}
    assert connection_of(accounts, "B", {"servers": ["y"]}) == {"servers": ["x"]}
    system = {"servers": ["y"], "ca_cert": "ca.pem", "user": "sys", "password": "p", "context": "sys", "nkey_seed": "s"}
    assert connection_of(accounts, "B", system) == {"servers": ["x"], "ca_cert": "ca.pem"}
    with pytest.raises(InputError, match="no account C; there are A, B"):
        connection_of(accounts, "C", {})
    with pytest.raises(InputError, match="has no option port"):
        check_connection({"port": 1}, "system")


def test_connection_options_are_those_of_the_modules() -> None:
    from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.argspec import CONNECTION as MODULES

    assert tuple(MODULES.argument_spec) == CONNECTION


def test_choices_are_named() -> None:
    assert one_of("n1", ["n1", "n2"], "server") == "n1"
    with pytest.raises(InputError, match=r"server is 'n3'; it must be one of: n1, n22\. Did you mean n1"):
        one_of("n3", ["n1", "n22"], "server")
