# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules that hold for every file, ring and module, whatever they do."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.version import VERSION

from tools import checkout, pythons
from tools.imports import MODULE_UTILS, PACKAGE, PLUGINS, imported, imported_by, package_of, ring_of

ROOT = checkout.ROOT
MODULES = sorted(PLUGINS.glob("modules/*.py"))
# Grows with the collection; a module that was there never goes unnoticed.
KNOWN_MODULES = {
    "jetstream_account_backup",
    "jetstream_account_restore",
    "jetstream_backup_info",
    "jetstream_backup_prune",
    "jetstream_stream_backup",
    "jetstream_stream_restore",
}
# Imports go from a higher layer to a lower one, or stay within a ring.
LAYER = {
    "modules": 0,
    "_ansible": 1,
    "_drill": 2,
    "_salvage": 2,
    "_restore": 3,
    "_backup": 4,
    "_lock": 4,
    "_repository": 5,
    "_cluster": 5,
    "_archive": 6,
    "_nats": 6,
    "_server": 6,
    "_report": 6,
    "_files": 7,
    "_shape": 8,
    "_text": 8,
}

# What Ansible itself reads from a task's result, or adds to it: 2.21 drops a value of another type with a warning.
ANSIBLES_KEYS = {
    *("async_result", "attempts", "changed", "deprecations", "diff", "exception", "failed", "false_condition"),
    *("finished", "invocation", "item", "module_stderr", "module_stdout", "msg", "notify", "rc", "results", "retries"),
    *("skip_reason", "skipped", "skipped_reason", "started", "stderr", "stdout", "unreachable", "warnings"),
}

each_module = pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)


def forbidden(source: str, package: str) -> list[str]:
    """Return the imports of a file that break the arrows between the rings."""
    own = ring_of(f"{package}.x")
    assert own is not None, package
    wrong = []
    for name in imported(source, package):
        other = ring_of(name)
        if other is not None and other != own and not LAYER[own] < LAYER[other]:
            wrong.append(f"{own} imports {name}")
        if own not in {"_ansible", "modules"} and name.split(".")[0] == "ansible":
            wrong.append(f"{own} knows Ansible: {name}")
        if own != "_ansible" and name.endswith(".AnsibleModule"):
            wrong.append(f"{own} imports AnsibleModule")
    return sorted(wrong)


def documentation(module: Path, name: str = "DOCUMENTATION") -> str:
    """Return one of a module's documentation strings."""
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            return str(ast.literal_eval(node.value))
    raise AssertionError(f"{module.name} has no {name}")


def fragments(module: Path) -> set[str]:
    """Return the documentation fragments that a module extends."""
    listed = yaml.safe_load(documentation(module)).get("extends_documentation_fragment", [])
    return {listed} if isinstance(listed, str) else set(listed)


def test_modules_are_all_there() -> None:
    assert {path.stem for path in MODULES} >= KNOWN_MODULES


@pytest.mark.parametrize(
    ("source", "ring", "problems"),
    [
        ("from .._nats import api", "_archive", 1),
        ("from .._nats.api import Api", "_backup", 0),
        ("from .._backup import restore", "_nats", 1),
        ("from .._cluster import wait", "_repository", 1),
        ("from .codec.s2 import FrameParser", "_archive", 0),
        ("def f():\n    from .._ansible import module", "_backup", 1),
        (f"import {PACKAGE}.module_utils._nats.api", "_server", 1),
        ("from .._archive.errors import ArchiveError", "_server", 1),
        ("from .._server.local import LocalServer", "_nats", 1),
        ("from .._server.local import LocalServer", "_backup", 0),
        ("from .._server.local import LocalServer", "_ansible", 0),
        ("from .._files.reading import read_bytes", "_archive", 0),
        ("from .._text.shown import shown", "_files", 0),
        ("from .._nats.errors import NatsError", "_files", 1),
        ("from ansible.module_utils.common.text import converters", "_nats", 1),
        ("from ansible.module_utils.basic import AnsibleModule", "_ansible", 0),
    ],
)
def test_a_broken_arrow_is_seen(source: str, ring: str, problems: int) -> None:
    assert len(forbidden(source, f"{PACKAGE}.module_utils.{ring}")) == problems


def test_imports_run_one_way() -> None:
    files = [*MODULES, *sorted(MODULE_UTILS.rglob("*.py"))]
    assert {ring_of(f"{package_of(path)}.x") for path in files} == set(LAYER)
    wrong = [
        f"{path.relative_to(ROOT)}: {problem}"
        for path in files
        for problem in forbidden(path.read_text(encoding="utf-8"), package_of(path))
    ]
    assert not wrong


def files_of_imports() -> dict[str, set[str]]:
    """Return, by its absolute name, the modules of the collection that each one imports."""
    files = {f"{package_of(path)}.{path.stem}": path for path in [*MODULES, *MODULE_UTILS.rglob("*.py")]}
    found = {}
    for name, path in files.items():
        found[name] = {
            module for one in imported_by(path) for module in (one, one.rpartition(".")[0]) if module in files
        }
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the nodes that no order can put in line: what is left when all without an arrow to others are gone."""
    left = dict(graph)
    while ready := [name for name, others in left.items() if not others & left.keys() - {name}]:
        for name in ready:
            del left[name]
    return sorted([name, *sorted(others & left.keys())] for name, others in left.items())


def test_no_import_goes_in_a_circle() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [["a", "b"], ["b", "c"], ["c", "b"]]
    graph = files_of_imports()
    assert len(graph) > 100
    assert circles(graph) == []


# What opens, makes or moves files in other ways than those of _files, by the object that it is called on.
OPENERS = {
    "": {"open"},
    "os": {"open", "fdopen", "mkfifo", "mknod", "truncate"},
    "io": {"open", "FileIO", "open_code"},
    "codecs": {"open"},
    "shutil": {"copy", "copy2", "copyfile", "copyfileobj", "copytree", "rmtree", "move", "make_archive"},
    "tempfile": {"mkstemp", "mkdtemp", "mktemp", "TemporaryFile", "NamedTemporaryFile", "TemporaryDirectory"},
    "json": {"load"},
    "gzip": {"open"},
    "tarfile": {"open"},
}
PATH_METHODS = {"read_text", "read_bytes", "write_text", "write_bytes", "touch", "symlink_to", "hardlink_to"}
# Only this package. OpenSSL opens what ca_cert, client_cert and client_key name by itself, after it was looked at.
OPENS = "_files"


def openings(source: str) -> list[str]:
    """Return what a file uses to open files in another way than by _files."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            base = node.value.id if isinstance(node.value, ast.Name) else "?"
            if node.attr in OPENERS.get(base, ()) or (base not in OPENERS and node.attr in PATH_METHODS):
                found.append(f"{base}.{node.attr}")
        elif isinstance(node, ast.Name) and node.id in OPENERS[""] and isinstance(node.ctx, ast.Load):
            found.append(node.id)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found += [
                f"{node.module}.{one.name}" for one in node.names if one.name in OPENERS.get(node.module or "", ())
            ]
    return sorted(found)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("open(path)", 1),
        ("f = open", 1),
        ("os.open(path, 0)", 1),
        ("from shutil import rmtree", 1),
        ("pathlib.Path(x).read_text()", 1),
        ("place.write_bytes(b'')", 1),
        ("tempfile.mkdtemp()", 1),
        ("json.load(file)", 1),
        ("from .._files.reading import read_text\nread_text(x, KIND)", 0),
        ("self.open()", 0),
        ("shutil.disk_usage(x)", 0),
    ],
)
def test_another_way_to_open_a_file_is_seen(source: str, count: int) -> None:
    assert len(openings(source)) == count


def test_files_are_opened_in_one_way() -> None:
    files = [path for path in sorted(PLUGINS.rglob("*.py")) if path.parent.name != OPENS]
    assert len(files) > 100
    wrong = {str(path.relative_to(ROOT)): openings(path.read_text(encoding="utf-8")) for path in files}
    assert {path: found for path, found in wrong.items() if found} == {}


def test_module_utils_are_small() -> None:
    lengths = {
        path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines())
        for path in MODULE_UTILS.rglob("*.py")
    }
    assert {path: length for path, length in lengths.items() if length > 250} == {}


def test_package_files_are_empty() -> None:
    # ansible-core 2.16's sanity tests want it so, and Ansible ships each one to every host.
    files = sorted(PLUGINS.rglob("__init__.py"))
    assert len(files) >= 4
    assert [str(path.relative_to(ROOT)) for path in files if path.stat().st_size] == []


def test_action_group_is_every_module_with_connection_options() -> None:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    connecting = {path.stem for path in MODULES if "natsops.jetstream.connection" in fragments(path)}
    grouped = {path.stem for path in MODULES if "natsops.jetstream.attributes.actiongroup" in fragments(path)}
    assert set(runtime["action_groups"]["jetstream"]) == connecting == grouped
    assert len(connecting) >= 4


def test_runtime_supports_the_documented_ansible() -> None:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    assert runtime["requires_ansible"] == ">=2.16.0"


def test_documented_library_is_the_required_one() -> None:
    required = re.search(r"^nats-py\[nkeys\]>=(\d+\.\d+)", (ROOT / "meta" / "ee-requirements.txt").read_text("utf-8"))
    documented = re.search(r"- nats-py >= (\d+\.\d+)", (PLUGINS / "doc_fragments" / "connection.py").read_text("utf-8"))
    assert required is not None
    assert documented is not None
    assert documented[1] == required[1]


@each_module
def test_module_is_documentation_and_a_small_main(module: Path) -> None:
    for name in ("DOCUMENTATION", "EXAMPLES", "RETURN"):
        assert yaml.safe_load(documentation(module, name)), name
    described = yaml.safe_load(documentation(module))
    assert described["module"] == module.stem
    # Without it the changelog does not list the module as new.
    assert re.fullmatch(r"\d+\.\d+\.\d+", described["version_added"])
    assert any(name.startswith("natsops.jetstream.attributes") for name in fragments(module))
    functions = [
        node for node in ast.parse(module.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)
    ]
    mains = [node for node in functions if node.name == "main"]
    assert len(mains) == 1
    assert (mains[0].end_lineno or 0) - mains[0].lineno + 1 <= 15


@each_module
def test_results_have_no_name_of_ansibles_own(module: Path) -> None:
    """What a module returns everywhere, nested too: whoever registers it may hand a part on as a result."""

    def names(described: dict[str, Any]) -> set[str]:
        below = [one["contains"] for one in described.values() if "contains" in one]
        return set(described).union(*map(names, below))

    returned = yaml.safe_load(documentation(module, "RETURN"))
    assert not {name for name in returned if name in ANSIBLES_KEYS or name.startswith(("ansible_", "_"))}
    assert not names(returned) & {"started", "finished", "skipped_reason"}


@each_module
def test_module_examples_use_it(module: Path) -> None:
    tasks = yaml.safe_load(documentation(module, "EXAMPLES"))
    assert any(f"natsops.jetstream.{module.stem}" in task for task in tasks)


@each_module
def test_module_has_an_integration_test(module: Path) -> None:
    test = ROOT / "tests" / "integration" / f"test_{module.stem}.py"
    text = test.read_text(encoding="utf-8")
    assert re.search(r"^(async )?def test_", text, re.MULTILINE)
    assert module.stem in text


@each_module
def test_module_is_in_the_readme(module: Path) -> None:
    assert module.stem in (ROOT / "README.md").read_text(encoding="utf-8")


@each_module
def test_module_is_in_the_changelog(module: Path) -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("\\", "")
    assert f"natsops.jetstream.{module.stem} -" in text, "run `make changelog`"


@each_module
def test_an_old_python_can_read_the_module_up_to_its_sentence(module: Path) -> None:
    source = module.read_text(encoding="utf-8")
    # What Python 2.7 or 3.6 could not even read.
    assert "from __future__" not in source
    assert "->" not in source[source.rindex("def main") :]
    first = next(node for node in ast.parse(source).body if isinstance(node, (ast.Import, ast.ImportFrom)))
    assert ast.unparse(first) == f"from {PACKAGE}.module_utils._ansible import python"


def test_module_ends_with_a_sentence_on_an_old_python() -> None:
    """On the old interpreters that are here, and on this one where it says that it is old."""
    name = f"{PACKAGE}.modules.jetstream_backup_info"
    pretend = f"import sys, runpy; sys.version_info = (3, 8, 18); runpy.run_module({name!r}, run_name='__main__')"
    commands = [[sys.executable, "-c", pretend]]
    # Not 2.7: it needs an __init__.py in every package, which Ansible sends and a checkout has not.
    here = pythons.find(("3.6", "3.7", "3.8"), Path("absent"))
    commands += [[str(path), "-m", name] for path in here.values()]
    for command in commands:
        done = subprocess.run(
            command,
            input='{"ANSIBLE_MODULE_ARGS": {}}',
            env={**os.environ, "PYTHONPATH": str(checkout.CACHE / "collections")},
            cwd=checkout.CACHE,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        answer = json.loads(done.stdout)
        assert (done.returncode, answer["failed"], answer["error"]) == (1, True, "python_too_old"), done.stderr
        assert "3.9 or newer" in answer["msg"]
        assert "Traceback" not in done.stderr


@each_module
def test_module_without_options_fails_plainly(module: Path) -> None:
    required = {
        name for name, option in yaml.safe_load(documentation(module))["options"].items() if option.get("required")
    }
    env = {key: value for key, value in os.environ.items() if not key.startswith("NATS_")}
    # Where nothing is required, the module goes on to connect: to a port where nobody can be.
    env["NATS_URL"] = "nats://127.0.0.1:1"
    done = subprocess.run(
        [sys.executable, "-m", f"{PACKAGE}.modules.{module.stem}"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {}}),
        env={**env, "PYTHONPATH": str(checkout.CACHE / "collections")},
        cwd=checkout.CACHE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert answer["failed"] is True
    if not required:
        assert answer["error"] == "connection_failed", answer
        return
    assert answer["msg"].startswith("missing required arguments: ")
    assert set(answer["msg"].partition(": ")[2].split(", ")) == required


def test_versions_agree() -> None:
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    changelog = yaml.safe_load((ROOT / "changelogs" / "changelog.yaml").read_text(encoding="utf-8"))
    assert galaxy["version"] == VERSION
    assert VERSION in changelog["releases"]
    assert VERSION.replace(".", "\\.") in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_plugins_carry_the_licence() -> None:
    header = "\n".join(Path(__file__).read_text(encoding="utf-8").splitlines()[:3])
    # Modules may begin with a shebang; an empty __init__.py says nothing that could be licensed.
    files = [path for path in PLUGINS.rglob("*.py") if path.stat().st_size]
    assert len(files) > 10
    bare = [str(path) for path in files if header not in "\n".join(path.read_text(encoding="utf-8").splitlines()[:4])]
    assert not bare


# The brackets keep this file from finding itself.
UNWANTED = {
    "a path of one machine": re.compile(r"/(?:[h]ome|[r]oot|[w]ork|[U]sers)/|/tmp/[w]\b"),
    "a registry's host": re.compile(r"pyp[i]\.org|pythonhos[t]ed|proxy\.golan[g]|npmj[s]\.|deb\.debia[n]|crates\.i[o]"),
    "an unfinished place": re.compile(r"\b(?:TOD[O]|FIXM[E]|XX[X])\b"),
    "a tracker's number": re.compile(r"\bissue \d{1,3}\b", re.IGNORECASE),
}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("see /ho" + "me/someone/x", "a path of one machine"),
        ("from pyp" + "i.org", "a registry's host"),
        ("# TO" + "DO: later", "an unfinished place"),
        ("as issue" + " 12 says", "a tracker's number"),
    ],
)
def test_unwanted_text_is_seen(text: str, what: str) -> None:
    assert [name for name, pattern in UNWANTED.items() if pattern.search(text)] == [what]


def test_no_file_has_unwanted_text() -> None:
    found, read = [], 0
    for path in checkout.tracked_files():
        file = ROOT / path
        if path.name == "LICENSE" or not file.is_file():
            continue
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # an archive among the fixtures
        read += 1
        for number, line in enumerate(lines, 1):
            found += [f"{path}:{number}: {name}" for name, pattern in UNWANTED.items() if pattern.search(line)]
    assert not found
    assert read > 50
