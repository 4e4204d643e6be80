# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run killed at each of its steps on the disk: there is always a whole backup, and the next run tidies up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from integration.harm import hidden
from servers.ansible import collections_path

# Two directories of streams are replaced, one is new, and the file of the set is written: what an account's backup does
# with the disk, without a server. SIGKILL comes before the step on the disk whose number is given.
RUN = """
import asyncio, os, signal, sys
from ansible_collections.natsops.jetstream.plugins.module_utils._repository import directory, set_file as setfile
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.account_directory import open_account_target
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.commit import Committer
from ansible_collections.natsops.jetstream.plugins.module_utils._files import trees
from ansible_collections.natsops.jetstream.plugins.module_utils._files.writing import write_new
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.results import StreamResult
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.writer import Worker

path, content, step, exchange = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "exchange"
count = 0

def hook(event, args):
    global count
    if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate") or (
        event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
    ):
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)

real = trees.exchange
def swap(one, place, other, there):
    sys.audit("os.rename", one, other, place, there)
    return real(one, place, other, there) if exchange else False
trees.exchange = swap

async def main():
    with directory.Workplace(path) as workplace, Worker() as publisher:
        open_account_target(path)
        committer = Committer(workplace, publisher)
        results = []
        for name in ("A", "B", "NEW")[: 3 if content == "new" else 2]:
            made = workplace.make(name)
            write_new(os.path.join(made, "backup.json"), content.encode())
            write_new(os.path.join(made, "stream.arc.s2"), content.encode())
            results.append(StreamResult(name, "failed" if content == "old" else "transferred"))
        names = [result.stream for result in results]
        await asyncio.gather(*(committer.commit(f"{workplace.stage}/{name}", f"{path}/{name}") for name in names))
        setfile.update(path, "APP", results, {"A", "B", "NEW"})

sys.addaudithook(hook)
asyncio.run(main())
print(count)
"""


def run(path: Path, content: str, step: int = 0, how: str = "exchange") -> int:
    """Let a process do it, killed before the step `step`; returns the number of steps, or -1 where it was killed."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(path), content, str(step), how],
        env={**os.environ, "PYTHONPATH": str(collections_path())},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode == -9:
        return -1
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def old(path: Path) -> None:
    """What an earlier run left."""
    for name in ("A", "B"):
        (path / name).mkdir(parents=True)
        for file in ("backup.json", "stream.arc.s2"):
            (path / name / file).write_text("old")
    (path.parent / "account.json").write_text(json.dumps({"set": 1}))


def whole(directory: Path) -> str:
    """The content of a stream's directory, which must be of one run."""
    contents = {each.name: each.read_text() for each in directory.iterdir()}
    assert set(contents) == {"backup.json", "stream.arc.s2"}, contents
    assert len(set(contents.values())) == 1, contents
    return contents["backup.json"]


@pytest.mark.parametrize("how", ["exchange", pytest.param("two renames", marks=pytest.mark.slow)])
def test_killed_at_every_step(tmp_path: Path, how: str) -> None:
    steps = 0
    while True:
        steps += 1
        root = tmp_path / str(steps)
        path = root / "account"
        old(path)
        ended = run(path, "new", steps, how) >= 0
        # One rename of two was done: only then, and only where directories cannot be exchanged, is a name free.
        missing = [name for name in ("A", "B") if not (path / name).exists()]
        assert not missing if how == "exchange" else len(missing) < 2
        for name in missing:
            assert whole(path / f".{name}.natsops-old") == "old"
        for name in {"A", "B"} - set(missing):
            assert whole(path / name) in ("old", "new")
        if (path / "NEW").exists():
            assert whole(path / "NEW") == "new"
        set_file = root / "account.json"
        if set_file.exists():
            json.loads(set_file.read_text())
        # The next run leaves no trace of it.
        run(path, "new", how=how)
        assert hidden(root) == []
        assert {each.name for each in path.iterdir()} == {"A", "B", "NEW"}
        assert {each.name for each in root.iterdir()} == {"account", "account.json"}
        assert {whole(path / name) for name in ("A", "B", "NEW")} == {"new"}
        if ended:
            break
    assert steps > 20, "there are more steps on the disk than that"


def test_interrupted_swap_is_undone_first(tmp_path: Path) -> None:
    """Killed between two renames: the next run puts the earlier backup back before it does anything else."""
    path = tmp_path / "account"
    old(path)
    os.rename(path / "A", path / ".A.natsops-old")
    for step in range(1, 30):
        assert run(path, "new", step) == -1
        if (path / "A").exists():
            break
    assert whole(path / "A") == "old"
    assert whole(path / "B") == "old"
