# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make or renew a virtual environment: ``environment.py DIRECTORY REQUIREMENTS``.

It is rebuilt when the requirements (or the constraints beside them), the interpreter or its own place have changed; a
marker written last says what it was built from, so one that was interrupted is built again.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path


def requirement_files(path: Path) -> list[Path]:
    """Return `path` and every file it names with -r or -c, each once."""
    files = [path]
    for line in path.read_text(encoding="utf-8").splitlines():
        match = re.match(r"-[rc]\s+(\S+)", line)
        if match:
            files += [name for name in requirement_files(path.parent / match[1]) if name not in files]
    return files


def fingerprint(directory: Path, requirements: Path) -> str:
    """Return a hash of all that decides what ends up in the environment."""
    digest = hashlib.sha256(f"{directory}\n{sys.version}\n{sys.base_prefix}\n".encode())
    for path in requirement_files(requirements):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def build(directory: Path, requirements: Path) -> None:
    """Build the environment in place (a virtual environment cannot be moved)."""
    print(f"building {directory.name} with Python {sys.version.split()[0]} from {requirements.name}", file=sys.stderr)
    shutil.rmtree(directory, ignore_errors=True)
    venv.create(directory, with_pip=True, symlinks=True)
    pip = [str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(requirements)], check=True, stdin=subprocess.DEVNULL)


def main() -> int:
    """Bring the environment up to date, one process at a time."""
    directory, requirements = (Path(argument).absolute() for argument in sys.argv[1:])
    directory.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{directory}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        marker = directory / "built-from.txt"
        wanted = fingerprint(directory, requirements)
        if marker.is_file() and marker.read_text(encoding="utf-8") == wanted:
            return 0
        try:
            build(directory, requirements)
        except subprocess.CalledProcessError as error:
            print(f"pip could not install {requirements}: exit code {error.returncode}", file=sys.stderr)
            return 1
        marker.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
