# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/errors.md has every word that the code can return, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.inspect import MEANINGS

ROOT = Path(__file__).resolve().parents[2]
MODULE_UTILS = ROOT / "plugins" / "module_utils"
DOCUMENT = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
WORD = re.compile(r"[a-z]+(_[a-z]+)*")


def texts(node: ast.AST | None) -> Iterator[str]:
    """The texts that an expression can be: itself, or a branch of it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)
    elif isinstance(node, (ast.BoolOp, ast.Dict)):
        for value in node.values:
            yield from texts(value)


def words_in(source: str) -> set[str]:
    """Words of errors: C(error) of a class or a call, the table of JetStream's codes, the first word of a Refusal."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if ast.unparse(target) in ("error", "word", "API_ERROR_WORDS"):
                found |= set(texts(node.value))
        elif isinstance(node, ast.keyword) and node.arg in ("error", "word"):
            found |= set(texts(node.value))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Refusal":
            found |= set(texts(node.args[0]))
    return found


def words_of_code() -> set[str]:
    # Archives have words of their own, the problems.
    files = [path for path in MODULE_UTILS.rglob("*.py") if "_archive" not in path.parts]
    return {word for path in files for word in words_in(path.read_text(encoding="utf-8")) if WORD.fullmatch(word)}


def rows(text: str) -> list[list[str]]:
    """The cells of all rows whose first cell is a word."""
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:3] == "| `"]
    return [[row[0].strip("`"), *row[1:]] for row in found if row[0] not in ("`error`", "`id`")]


ERRORS, PROBLEMS = (rows(part) for part in DOCUMENT.split("## Problems of a backup"))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('class E(X):\n    error = "one_word"', {"one_word"}),
        ('raise E("text", error="one")', {"one"}),
        ('word = "one" if x else "two"\nraise E("text", error=word)', {"one", "two"}),
        ('API_ERROR_WORDS: dict[int, str] = {1: "one", 2: "two"}', {"one", "two"}),
        ('Refusal("one", "a text")', {"one"}),
        ('f(error=getattr(x, "error"))', set()),
    ],
)
def test_words_are_seen(source: str, words: set[str]) -> None:
    assert words_in(source) == words


def test_every_word_is_documented_and_every_documented_word_is_used() -> None:
    documented = {row[0] for row in ERRORS}
    assert documented - words_of_code() == set(), "in docs/errors.md, and nowhere in the code"
    assert words_of_code() - documented == set(), "in the code, and not in docs/errors.md"
    assert len(documented) > 60


def test_every_problem_is_documented_with_its_meaning() -> None:
    assert {row[0]: row[1] for row in PROBLEMS} == MEANINGS


def test_each_has_one_row_with_a_meaning() -> None:
    names = [row[0] for row in ERRORS]
    assert len(names) == len(set(names))
    assert [row[0] for row in ERRORS if len(row) != 3 or not row[1].endswith(".")] == []


def test_words_of_errors_and_problems_can_be_told_apart() -> None:
    shared = {row[0] for row in ERRORS} & {row[0] for row in PROBLEMS}
    # A manifest that cannot be read is the same thing for a restore and for a look.
    assert shared <= {"manifest_invalid", "manifest_unknown", "consumers_missing"}
