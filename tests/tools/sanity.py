# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run every `ansible-test sanity` test on a copy of the checkout, with no container and no host but a package index.

ansible-test makes a virtual environment for each test under its home; that home is the project's (.cache/home), so the
environments last from run to run and the user's home is left alone. A test that ansible-test would skip because
something is missing fails the run. `python -m tools.sanity TEST …` runs some tests only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

from tools import checkout, pythons

HOME = checkout.CACHE / "home"
# The oldest Python that the modules support.
MINIMUM = (3, 9)
# About half of the work: run beside all the others.
HALF = ("compile", "import", "pep8", "validate-modules")


def supported_versions() -> tuple[str, ...]:
    """Return the Pythons that both this ansible-test and the modules support."""
    from ansible_test._internal.constants import SUPPORTED_PYTHON_VERSIONS

    return tuple(version for version in SUPPORTED_PYTHON_VERSIONS if tuple(map(int, version.split("."))) >= MINIMUM)


def bootstrap_pip(versions: tuple[str, ...]) -> None:
    """Put tools/get_pip.py and the wheels it needs where ansible-test looks before it downloads its own script."""
    from ansible_test._internal.python_requirements import get_venv_packages

    place = HOME / ".ansible" / "test" / "cache"
    place.mkdir(parents=True, exist_ok=True)
    for pip_version in {get_venv_packages(SimpleNamespace(version=version))["pip"] for version in versions}:
        if not (place / f"pip-{pip_version}-py3-none-any.whl").exists():
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            subprocess.run([*pip, "--only-binary=:all:", f"--dest={place}", f"pip=={pip_version}"], check=True)
        shutil.copyfile(Path(__file__).with_name("get_pip.py"), place / f"get_pip_{pip_version.replace('.', '_')}.py")


def configure_pip() -> None:
    """Carry pip's settings (index, certificates) over: ansible-test passes on neither the environment nor the home."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    settings: dict[str, str] = {}
    for line in listed.splitlines():
        match = re.fullmatch(r"(global|install|download|:env:)\.([a-z-]+)='(.*)'", line)
        # In order of weight: the environment comes last in the list, and decides.
        if match and match[2] not in {
            "quiet",
            "verbose",
            "config-file",
            "require-virtualenv",
            "user",
            "target",
            "prefix",
        }:
            settings[match[2]] = match[3]
    path = HOME / ".config" / "pip" / "pip.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(
        "".join(["[global]\nquiet = 1\n", *(f"{key} = {value}\n" for key, value in settings.items())]), encoding="utf-8"
    )


def prepare() -> Path:
    """Copy the checkout to a path that ansible-test accepts; return it."""
    collection = checkout.copy_collection(checkout.CACHE / "sanity")
    if not (collection / ".git").is_dir():
        subprocess.run(["git", "init", "--quiet", str(collection)], check=True)
    (collection / ".git" / "info").mkdir(exist_ok=True)
    (collection / ".git" / "info" / "exclude").write_text("/tests/output/\n", encoding="utf-8")
    return collection


def command(found: dict[str, Path], chosen: tuple[str, ...], left_out: tuple[str, ...]) -> list[str]:
    """Return the ansible-test command for some of the tests."""
    own = next(version for version, path in found.items() if path == Path(sys.executable))
    words = [str(checkout.BIN / "ansible-test"), "sanity", "--color", "no"]
    words += ["--controller", f"origin:python={own}@{sys.executable}"]
    for version, path in found.items():
        words += ["--target-python", f"{version}@{path}"]
    for name in chosen:
        words += ["--test", name]
    for name in left_out:
        words += ["--skip-test", name]
    return words


def run(words: list[str], where: Path, found: dict[str, Path]) -> tuple[int, str]:
    """Run ansible-test; return its exit code and output."""
    # ansible-test looks its interpreters up on PATH again, where a version manager's wrappers would lead it astray.
    directories = [str(path.parent) for path in found.values() if path != Path(sys.executable)]
    env = checkout.environment(home=HOME)
    env["PATH"] = os.pathsep.join([str(checkout.BIN), *directories, env["PATH"]])
    del env["PYTHONPATH"], env["ANSIBLE_HOME"], env["ANSIBLE_COLLECTIONS_PATH"], env["ANSIBLE_PYTHON_INTERPRETER"]
    done = subprocess.run(
        words,
        cwd=where,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, done.stdout.decode(errors="replace")


def main() -> int:
    """Run the tests in two halves side by side; print what they said, and in the end what ran and what could not."""
    started = time.monotonic()
    chosen = tuple(sys.argv[1:])
    versions = supported_versions()
    found = pythons.find(versions, Path(sys.executable))
    bootstrap_pip(versions)
    configure_pip()
    where = prepare()
    parts = [command(found, chosen, ())] if chosen else [command(found, HALF, ()), command(found, (), HALF)]
    with ThreadPoolExecutor(len(parts)) as pool:
        results = list(pool.map(lambda words: run(words, where, found), parts))
    output = "".join(text for code, text in results)
    print(output, end="")
    skipped = re.findall(r"^.*(?:Skipping|not found\.$).*$", output, re.MULTILINE)
    ran = len(re.findall(r"^Running sanity test", output, re.MULTILINE))
    failed = any(code for code, text in results) or bool(skipped) or ran == 0
    for line in skipped:
        print(f"NOT RUN: {line}")
    summary = f"{ran} sanity tests {'FAILED' if failed else 'passed'}; import and compile on Python {', '.join(found)}"
    absent = [version for version in versions if version not in found]
    if absent:
        summary += f"; NOT CHECKED on {', '.join(absent)}: no such interpreter here"
    print(f"result: {summary} ({time.monotonic() - started:.0f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
