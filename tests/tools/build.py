# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the collection, look at what is in the tarball, install it into an empty place and run it from there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

import yaml

from tools import checkout
from tools.awx import collection

DIST = checkout.CACHE / "dist"
# What may be in the tarball: files at the top by name, anything else by its first directory.
TOP_FILES = {
    *("CHANGELOG.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md"),
    *("bindep.txt", "execution-environment.yml"),
}
DIRECTORIES = {"changelogs", "docs", "extensions", "meta", "playbooks", "plugins", "roles"}
# What has to be in it, whatever else is.
REQUIRED = {
    *("CHANGELOG.md", "LICENSE", "README.md", "bindep.txt"),
    *("meta/ee-requirements.txt", "meta/execution-environment.yml", "meta/runtime.yml"),
}

PLAY = """
- name: Look into an empty directory with the installed collection
  hosts: localhost
  gather_facts: false
  tasks:
    - name: List the backups
      natsops.jetstream.jetstream_backup_info:
        path: "{{ empty }}"
      register: found
    - name: There are none
      ansible.builtin.assert:
        that:
          - found.backups == []
          - found is not changed
"""


class BuildError(Exception):
    """The tarball, or what was installed from it, is not as it has to be."""


def run(*words: str | Path, home: Path, collections: Path) -> str:
    """Run a command of ansible-core away from the checkout; return its output."""
    env = checkout.environment(
        home=home,
        ANSIBLE_HOME=str(home / ".ansible"),
        ANSIBLE_COLLECTIONS_PATH=str(collections),
        ANSIBLE_LOCALHOST_WARNING="false",
    )
    done = subprocess.run(
        [str(word) for word in words],
        cwd=home,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def build(scratch: Path) -> Path:
    """Build from a copy of the tracked files, so that nothing else can slip in; return the tarball."""
    source = checkout.copy_collection(scratch / "source")
    shutil.rmtree(DIST, ignore_errors=True)
    run(
        checkout.BIN / "ansible-galaxy",
        "collection",
        "build",
        source,
        "--output-path",
        DIST,
        home=scratch,
        collections=scratch,
    )
    return next(DIST.glob("*.tar.gz"))


def check_contents(tarball: Path) -> int:
    """Check what is in the tarball and return how many files that are."""
    with tarfile.open(tarball) as archive:
        members = [member for member in archive.getmembers() if not member.isdir()]
    names = {member.name for member in members}
    odd = sorted(
        name
        for name in names
        if not (name in TOP_FILES or ("/" in name and PurePosixPath(name).parts[0] in DIRECTORIES))
        or "__pycache__" in name
        or any(part.startswith(".") for part in PurePosixPath(name).parts)
    )
    # A symbolic link is not a file to Galaxy's importer.
    odd += [member.name for member in members if not member.isfile()]
    missing = sorted(REQUIRED - names)
    tracked = {str(path) for path in checkout.tracked_files() if path.parts[0] == "plugins"}
    missing += sorted(tracked - names)
    if odd or missing:
        raise BuildError(f"{tarball.name}: does not belong: {odd or 'nothing'}; missing: {missing or 'nothing'}")
    return len(names)


def check_installed(tarball: Path, scratch: Path) -> list[str]:
    """Install the tarball, run it and return the modules it has."""
    collections, empty = scratch / "collections", scratch / "empty"
    empty.mkdir()
    galaxy = checkout.BIN / "ansible-galaxy"
    run(galaxy, "collection", "install", tarball, "-p", collections, "--offline", home=scratch, collections=collections)
    run(galaxy, "collection", "verify", checkout.COLLECTION, "--offline", home=scratch, collections=collections)
    listed = run(
        *(checkout.BIN / "ansible-doc", "-t", "module", "-l", "-j", checkout.COLLECTION),
        home=scratch,
        collections=collections,
    )
    modules = sorted(json.loads(listed))
    wanted = sorted(f"{checkout.COLLECTION}.{path.stem}" for path in checkout.ROOT.glob("plugins/modules/*.py"))
    if not wanted or modules != wanted:
        raise BuildError(f"ansible-doc lists {modules}, plugins/modules has {wanted}")
    for module in modules:
        run(checkout.BIN / "ansible-doc", "-t", "module", module, home=scratch, collections=collections)
    # One playbook puts things into a controller, with a collection that nothing else needs.
    awx = collections / "ansible_collections" / "awx"
    awx.symlink_to(collection.fetch() / "ansible_collections" / "awx")
    for playbook in sorted(
        (collections / "ansible_collections" / checkout.NAMESPACE / checkout.NAME).glob("playbooks/*.yml")
    ):
        name = f"{checkout.COLLECTION}.{playbook.stem}"
        run(checkout.BIN / "ansible-playbook", "--syntax-check", name, home=scratch, collections=collections)
    play = scratch / "play.yml"
    play.write_text(PLAY, encoding="utf-8")
    run(
        checkout.BIN / "ansible-playbook",
        "-e",
        json.dumps({"empty": str(empty)}),
        play,
        home=scratch,
        collections=collections,
    )
    return modules


def main() -> int:
    """Build, check, install, run."""
    with tempfile.TemporaryDirectory(prefix="natsops-build-") as name:
        scratch = Path(name)
        try:
            tarball = build(scratch)
            count = check_contents(tarball)
            modules = check_installed(tarball, scratch)
        except BuildError as error:
            print(error)
            print("result: FAILED")
            return 1
    version = yaml.safe_load((checkout.ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    if not re.fullmatch(rf"{checkout.NAMESPACE}-{checkout.NAME}-{re.escape(version)}\.tar\.gz", tarball.name):
        print(f"result: FAILED: {tarball.name} is not version {version}")
        return 1
    print(f"result: {tarball.name}: {count} files, {len(modules)} modules, installed and run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
