# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What README.md and docs/ say exists, exists: modules, playbooks, their variables, links, make targets, options."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from servers.binaries import LINES
from tools import checkout

ROOT = checkout.ROOT
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
each_playbook = pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)


def documentation(module: Path) -> dict[str, Any]:
    """Return DOCUMENTATION of a module or doc fragment's class of options."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DOCUMENTATION":
            found: dict[str, Any] = yaml.safe_load(ast.literal_eval(node.value))
            return found
    raise AssertionError(f"{module} has no DOCUMENTATION")


def options(module: str) -> set[str]:
    """Return the names of all options of a module, those of its fragments included."""
    about = documentation(ROOT / "plugins" / "modules" / f"{module}.py")
    names = set(about.get("options") or {})
    for fragment in about.get("extends_documentation_fragment", []):
        name = fragment.removeprefix("natsops.jetstream.").partition(".")[0]
        names |= set(documentation(ROOT / "plugins" / "doc_fragments" / f"{name}.py").get("options") or {})
    for option in (about.get("options") or {}).values():
        names |= set(option.get("aliases", []))
    return names


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def tasks(content: Any) -> list[dict[str, Any]]:
    """Return the tasks of a playbook or of a list of tasks; a block of variables has none."""
    if isinstance(content, dict):
        return []
    return [task for entry in content for task in (entry.get("tasks", []) if "hosts" in entry else [entry])]


def used_modules(page: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the collection's modules and their arguments in the YAML of a page or in a playbook."""
    texts = blocks(page, "yaml") if page.suffix == ".md" else [page.read_text(encoding="utf-8")]
    return [
        (key.removeprefix("natsops.jetstream."), arguments)
        for text in texts
        for task in tasks(yaml.safe_load(text))
        for key, arguments in task.items()
        if key.startswith("natsops.jetstream.")
    ]


def anchors(page: Path) -> set[str]:
    """Return what GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_readme_lists_every_module_with_its_own_words() -> None:
    rows = dict(re.findall(r"^\| `(jetstream_\w+)` \| (.*) \|$", README.read_text(encoding="utf-8"), re.MULTILINE))
    modules = {path.stem: documentation(path)["short_description"] for path in ROOT.glob("plugins/modules/*.py")}
    assert modules
    assert rows == modules


def test_readme_lists_every_playbook_with_its_own_words() -> None:
    text = README.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `natsops\.jetstream\.(\w+)` \| (.*) \|$", text, re.MULTILINE))
    assert rows == {path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))[-1]["name"] for path in PLAYBOOKS}


def test_readme_names_the_tested_lines() -> None:
    sentence = re.search(r"Tested\s+with ([^(]*)\(", README.read_text(encoding="utf-8"))
    assert sentence
    assert tuple(re.findall(r"\d+\.\d+\.\d+", sentence[1])) == LINES


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _hash, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(place), f"{page.name} links to {target}"


@each_page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:\w+=\S+ )*make ([a-z-]+)", text)) | set(
        re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)
    )
    assert named <= targets


@pytest.mark.parametrize("page", [*PAGES, *PLAYBOOKS], ids=lambda path: path.name)
def test_yaml_uses_options_that_exist(page: Path) -> None:
    for module, arguments in used_modules(page):
        unknown = set(arguments) - options(module)
        assert not unknown, f"{page.name}: {module} has no option {unknown}"


@each_playbook
def test_playbook_is_short_and_leaves_the_hosts_to_its_user(playbook: Path) -> None:
    text = playbook.read_text(encoding="utf-8")
    guard, play = yaml.safe_load(text)
    assert guard["ansible.builtin.import_playbook"] == "common/hosts.yml"
    assert play["hosts"] == "{{ natsops_hosts | default('localhost') }}"
    assert len(text.splitlines()) <= 23


@each_playbook
def test_playbook_and_its_guide_name_the_same_variables(playbook: Path) -> None:
    text = playbook.read_text(encoding="utf-8")
    guide = re.search(r"docs/[\w/]+\.md", text)
    assert guide
    if (ROOT / "roles" / playbook.stem).is_dir():
        assert set(re.findall(r"natsops_\w+", text)) == {"natsops_hosts"}
        return
    rows = re.findall(r"^\| (`natsops_.*?) \|", (ROOT / guide[0]).read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"natsops_\w+", row)} == set(re.findall(r"natsops_\w+", text))
