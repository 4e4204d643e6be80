# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things are in this checkout, and the surroundings that every tool is run in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
BIN = Path(sys.executable).parent
NAMESPACE, NAME = "natsops", "jetstream"
COLLECTION = f"{NAMESPACE}.{NAME}"


def tracked_files() -> list[Path]:
    """Return the files git knows or would add, relative to the checkout, those deleted in the work tree left out."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    listed = subprocess.run(command, check=True, capture_output=True).stdout.decode()
    return sorted(Path(name) for name in listed.split("\0") if name and os.path.lexists(ROOT / name))


def environment(home: Path | None = None, **extra: str) -> dict[str, str]:
    """Return the environment for a tool: this Python's programs first on PATH, Ansible kept out of the user's home."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PYTHONPATH"))}
    env["PATH"] = f"{BIN}{os.pathsep}{env.get('PATH', os.defpath)}"
    env["ANSIBLE_HOME"] = str(CACHE / "home" / ".ansible")
    env["ANSIBLE_COLLECTIONS_PATH"] = str(CACHE / "collections")
    env["ANSIBLE_PYTHON_INTERPRETER"] = sys.executable
    env["PYTHONPATH"] = str(ROOT / "tests")
    env["NO_COLOR"] = "1"
    env.setdefault("LC_ALL", "C.UTF-8")
    if home is not None or not env.get("HOME"):
        env["HOME"] = str(home or CACHE / "home")
    Path(env["HOME"]).mkdir(parents=True, exist_ok=True)
    env.update(extra)
    return env


def link_collection() -> Path:
    """Make the checkout importable as a collection through a link; return the collections path."""
    collections = CACHE / "collections"
    link = collections / "ansible_collections" / NAMESPACE / NAME
    link.parent.mkdir(parents=True, exist_ok=True)
    target = os.path.relpath(ROOT, link.parent)
    if not (link.is_symlink() and os.readlink(link) == target):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    return collections


def copy_collection(place: Path) -> Path:
    """Mirror the tracked files into ``place/ansible_collections/…``; return the collection's directory.

    Unchanged files keep their times, so what was cached about them stays valid.
    """
    target = place / "ansible_collections" / NAMESPACE / NAME
    files = tracked_files()
    wanted = {str(path) for path in files}
    for path in sorted(target.rglob("*"), reverse=True):
        relative = path.relative_to(target)
        if relative.parts[0] == ".git" or relative.parts[:2] == ("tests", "output"):
            continue
        if path.is_symlink() or path.is_file():
            if str(relative) not in wanted:
                path.unlink()
        elif not any(path.iterdir()):
            path.rmdir()
    for path in files:
        source, copy = ROOT / path, target / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            copy.unlink(missing_ok=True)
            copy.symlink_to(os.readlink(source))
        elif not copy.is_file() or copy.is_symlink() or stamp(source) != stamp(copy):
            copy.unlink(missing_ok=True)
            shutil.copy2(source, copy)
    return target


def stamp(path: Path) -> tuple[int, int, int]:
    """Return what tells a changed file from an unchanged one."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_mode
