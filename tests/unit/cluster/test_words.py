# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/words.md has every finding and error word of the cluster side, each with a test in which it fires."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tools import checkout
from unit.test_errors import MODULE_UTILS, WORD, rows, texts, words_in

PAGE = (checkout.ROOT / "docs" / "words.md").read_text(encoding="utf-8")
INTEGRATION = checkout.ROOT / "tests" / "integration"
FILES = [*MODULE_UTILS.glob("_cluster/*.py"), *MODULE_UTILS.glob("_ansible/cluster*.py")]
HOW = """
Add a row to docs/words.md: the word, and the test of tests/integration in which it fires on a real cluster. Connect to
each live server there, as tests/integration/test_words_through_each.py does by kit.found_by_each."""


def finding_words(source: str) -> set[str]:
    """The ids of findings: what C(Finding) and C(_Loss) are called with; C({kind}) is a stream or a consumer."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Finding", "_Loss"):
            first = node.args[0]
            if isinstance(first, ast.JoinedStr):
                end = "".join(str(part.value) for part in first.values if isinstance(part, ast.Constant))
                found |= {kind + end for kind in ("stream", "consumer")}
            else:
                words = set(texts(first))
                # What a loss is called is passed on from where it was found.
                assert words or ast.unparse(first) == "worst.word", f"cannot tell the word: {ast.unparse(node)}"
                found |= words
    return found


def _table(heading: str) -> dict[str, str]:
    part = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return {row[0]: row[-1].strip("`") for row in rows(part)}


FINDINGS, ERRORS, UNSEEN = (_table(heading) for heading in ("Findings", "Refusals and errors", "Not seen to fire yet"))


def _tests() -> Iterator[tuple[str, str]]:
    """Each integration test with its own source, its decorators and the constants of its file."""
    for path in INTEGRATION.rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        body = ast.parse(text).body
        constants = [ast.unparse(node) for node in body if isinstance(node, (ast.Assign, ast.AnnAssign))]
        for node in body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                own = text.splitlines()[first - 1 : node.end_lineno]
                yield f"{path.name}::{node.name}", "\n".join([*own, *constants])


TESTS = dict(_tests())


@pytest.mark.parametrize(("kind", "listed"), [("findings", FINDINGS), ("errors", ERRORS)])
def test_every_word_of_the_code_is_listed_and_no_other(kind: str, listed: dict[str, str]) -> None:
    words_of = finding_words if kind == "findings" else words_in
    words = {word for path in FILES for word in words_of(path.read_text(encoding="utf-8")) if WORD.fullmatch(word)}
    others = set(UNSEEN) & words
    assert words - set(listed) - others == set(), f"no test is named for these {kind}.{HOW}"
    assert set(listed) - words == set(), f"docs/words.md lists {kind} that the code does not have"


def test_what_is_called_unseen_is_a_word_without_a_test() -> None:
    words = {
        word for path in FILES for of in (finding_words, words_in) for word in of(path.read_text(encoding="utf-8"))
    }
    assert set(UNSEEN) <= words
    assert set(UNSEEN) & (set(FINDINGS) | set(ERRORS)) == set()


@pytest.mark.parametrize(("word", "test"), sorted({*FINDINGS.items(), *ERRORS.items()}))
def test_the_test_of_a_word_exists_and_names_it(word: str, test: str) -> None:
    assert test in TESTS, f"docs/words.md names {test} for {word}: there is no such test.{HOW}"
    assert re.search(rf"\b{word}\b", TESTS[test]), f"{test} does not name {word}.{HOW}"


def test_a_word_made_of_a_kind_is_seen() -> None:
    assert finding_words('Finding(f"{kind}_lost", X)\nFinding("a" if b else "c", X)') == {
        "stream_lost",
        "consumer_lost",
        "a",
        "c",
    }
