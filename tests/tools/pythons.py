# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the real interpreters of a machine, behind links and the wrapper scripts of version managers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROBE = "import sys, venv; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"


def probe(interpreter: Path) -> tuple[str, Path] | None:
    """Return version and real path of an interpreter that starts and has the venv module, else None."""
    try:
        answer = subprocess.run(
            [str(interpreter), "-c", PROBE],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version, path = answer.stdout.splitlines()
    return version, Path(path)


def managed_directories() -> list[Path]:
    """Return the directories of pyenv's interpreters: its wrappers on PATH start only those that are switched on."""
    pyenv = shutil.which("pyenv")
    roots = [Path(sys.base_prefix).parent]
    if pyenv is not None:
        roots.append(Path(pyenv).resolve().parents[1] / "versions")
    return sorted({path for root in roots if root.name == "versions" for path in root.glob("*/bin")})


def find(versions: tuple[str, ...], first: Path) -> dict[str, Path]:
    """Return the interpreter of each of `versions` that is here, `first` standing for its own version."""
    found: dict[str, Path] = {}
    own = probe(first)
    if own is not None:
        found[own[0]] = first
    directories = [Path(entry) for entry in os.environ.get("PATH", os.defpath).split(os.pathsep) if entry]
    for version in versions:
        for directory in [*directories, *managed_directories()]:
            interpreter = directory / f"python{version}"
            if version in found or not interpreter.exists():
                continue
            answer = probe(interpreter)
            if answer is not None and answer[0] == version:
                found[version] = answer[1]
    return {version: found[version] for version in versions if version in found}
