# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at spoilt backups in every way that modules do: ``python -m tools.fuzz --cases 10000 --seed 11 --seconds 3600``.

Each case is a small repository in a directory of its own, looked at by a process of its own on one processor. It must
end without an exception that no module expects, without opening anything outside its directory, with at most 200 MiB
and 10 s of processor time.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from tools import checkout

# As `python -m tools.fuzz` it finds the collection by itself.
sys.path.insert(0, str(checkout.link_collection()))

from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.backup_info import below, describe
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.backup_report import look
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.check.full import full_file
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.errors import ArchiveError
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.reader import open_archive
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.rewrite.cut import rewrite
from ansible_collections.natsops.jetstream.plugins.module_utils._archive.rewrite.selection import Selection
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.errors import NatsError
from ansible_collections.natsops.jetstream.plugins.module_utils._report.page import page
from ansible_collections.natsops.jetstream.plugins.module_utils._report.repository_markdown import markdown
from ansible_collections.natsops.jetstream.plugins.module_utils._repository import newest
from ansible_collections.natsops.jetstream.plugins.module_utils._repository import set_file as setfile
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.inspect import Backup, inspect
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.last_check import last_check
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.last_drill import last_drill
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.manifest import Manifest, digest_of
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.prune import Keep, plan_prune
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.sets import choose, sets_of

from tools import checkout, mutations

MEMORY = 200 * 1024 * 1024
SECONDS = 10
_HANG = 120
_MOST_SHOWN = 10
_SET = "20261122T101500Z"
_FIXTURES = checkout.ROOT / "tests" / "unit" / "archive" / "fixtures"
# What Python itself may open: its library, this checkout, and what the system says of this process.
_FREE = tuple(
    os.path.realpath(str(path))
    for path in (sys.prefix, sys.base_prefix, checkout.ROOT, *sys.path, "/proc", "/sys", "/dev/null", "/usr", "/etc")
    if path
)
_READS = {"open"}
_WRITES = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree"}


def samples() -> list[tuple[Path, bytes]]:
    """Backups of real servers that are small, with their description."""
    found = []
    for described in sorted(_FIXTURES.glob("*/*/backup.json")):
        data = mutations.data_of(described.parent)
        if data.stat().st_size < 64 * 1024:
            found.append((data, described.read_bytes()))
    return found


def make(rng: random.Random, root: Path, known: list[tuple[Path, bytes]]) -> list[Path]:
    """A repository of one account, with a set of three streams; their directories."""
    account = root / "backup" / "APP"
    outside = root / "outside"
    outside.mkdir(parents=True)
    (outside / "canary").write_bytes(b"canary " * 10)
    members = {}
    streams = []
    for index, (data, described) in enumerate(rng.sample(known, 3)):
        body = json.loads(described)
        name = f"S{index}"
        stream = account / _SET / name
        stream.mkdir(parents=True)
        (stream / "backup.json").write_bytes(described)
        shutil.copy(data, stream / data.name)
        kind = "V2" if data.name == "stream.arc.s2" else "V1"
        if rng.random() < 0.7:
            manifest = _manifest(stream, data.name, kind, body)
            (stream / "manifest.json").write_bytes(manifest.dump())
            note = {"identity": manifest.digest, "time": "2026-11-22T10:16:00Z"}
            checked = {**note, "valid": True, "problems": [], "engine": "python"}
            drilled = {**note, "status": "identical", "seconds": 1.0, "messages": 1, "server": "2.15.3"}
            (stream / "checked.json").write_text(json.dumps(checked))
            (stream / "drill.json").write_text(json.dumps(drilled))
            members[name] = setfile.Member("current", manifest.digest)
        else:
            members[name] = setfile.Member("current")
        streams.append(stream)
    about = setfile.SetFile("APP", "2026-11-22T10:15:09Z", complete=True, streams=members)
    setfile.store(str(account / _SET), about)
    (account / "latest").symlink_to(_SET)
    return streams


def _manifest(stream: Path, data: str, kind: str, body: dict[str, Any]) -> Manifest:
    files = tuple(digest_of(str(stream / name)) for name in ("backup.json", data))
    return Manifest(
        stream=body["config"]["name"],
        account="APP",
        format=kind,
        files=files,
        config=body["config"],
        state=body["state"],
        exact=True,
        created="2026-11-01T00:00:00Z",
        consumers=(),
        with_consumers=True,
        server={"version": "2.15.3"},
        started_at="2026-11-22T10:15:00Z",
        finished_at="2026-11-22T10:15:01Z",
        verified="quick",
        max_payload=1 << 20,
    )


class Watch:
    """An audit hook that notes what is opened or changed outside a directory."""

    def __init__(self, root: Path) -> None:
        self.strange: list[str] = []
        self._root = os.path.realpath(root) + os.sep

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event not in _READS and event not in _WRITES:
            return
        path = args[0]
        if not isinstance(path, (str, bytes)):
            return
        path = os.fsdecode(path)
        flags = args[2] if event == "open" and isinstance(args[2], int) else 0
        if event in _WRITES or flags & os.O_NOFOLLOW:
            # The last component is not followed.
            real = os.path.join(os.path.realpath(os.path.dirname(os.path.abspath(path))), os.path.basename(path))
        else:
            real = os.path.realpath(path)
        inside = (real + os.sep).startswith(self._root)
        if not inside and (event in _WRITES or not real.startswith(_FREE)):
            self.strange.append(f"{event} {path} ({real})")


def look_at(root: Path, streams: list[Path]) -> None:
    """Everything that modules do with backups and no server; raises what no module expects."""
    account = str(root / "backup" / "APP")
    spoilt = set(map(str, streams))
    for place in sorted({*below(str(root / "backup")), *spoilt}):
        for level in ("none", "digest", "quick", "full") if place in spoilt else ("quick",):
            backup = inspect(place, level)
            json.dumps([describe(backup), backup.exact, backup.up_to, backup.newest, backup.known_bytes])
            with contextlib.suppress(NatsError):
                backup.require_valid()
        last_check(backup)
        last_drill(backup)
        if place in spoilt:
            _read(backup)
    with contextlib.suppress(NatsError):
        found = look(str(root / "backup"), title="t", max_age=60.0)
        page(found)
        markdown(found)
    sets = sets_of(account)
    plan_prune(sets, Keep(last=1, days=1.0), datetime.datetime.now(datetime.timezone.utc))
    for wanted, before in (("latest", ""), (_SET, ""), ("latest", "2026-11-23T00:00:00Z")):
        with contextlib.suppress(NatsError):
            choose(sets, account, wanted, before)
    with contextlib.suppress(NatsError):
        newest.manifests(newest.newest(account))


def _read(backup: Backup) -> None:
    """What a selective restore, a drill and a salvage read of the data."""
    if not backup.data:
        return
    with contextlib.suppress(ArchiveError, OSError):
        full_file(backup.data, known=backup.known_bytes)
        archive = open_archive(backup.data, known=backup.known_bytes)
        rewrite(archive, Selection(until_seq=5), "move", None, 1)


def child(root: Path, streams: list[Path]) -> int:
    """One case, in a process of its own; its exit code."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(_HANG)
    os.sched_setaffinity(0, {random.Random(os.getpid()).choice(sorted(os.sched_getaffinity(0)))})
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    watch = Watch(root / "backup")
    sys.addaudithook(watch)
    try:
        look_at(root, streams)
    except BaseException:
        (root / "trouble").write_text(traceback.format_exc())
        return 3
    if watch.strange:
        (root / "trouble").write_text("opened outside: " + "; ".join(watch.strange[:5]))
        return 4
    return 0


def fingerprint(place: Path) -> str:
    """Names and contents of what no case may touch."""
    lines = []
    for path in sorted(place.iterdir()):
        content = path.read_bytes() if path.is_file() else b""
        status = path.stat()
        digest = hashlib.sha256(content).hexdigest()
        lines.append(f"{path.name} {digest} {status.st_ino} {status.st_mtime_ns}")
    return "\n".join(lines)


def run_case(seed: int, number: int, known: list[tuple[Path, bytes]], top: Path) -> tuple[str, list[str], int, float]:
    """One case: (trouble or nothing, what was spoilt, memory in bytes, processor seconds)."""
    rng = random.Random(f"{seed}-{number}")
    root = top / str(number)
    root.mkdir()
    maker = os.fork()
    if not maker:
        # What it costs to make a case is not to be part of what it costs to look at it.
        code = 1
        with contextlib.suppress(BaseException):
            chosen = rng.choice(make(rng, root, known))
            (root / "done").write_text(json.dumps([chosen.name, *mutations.spoil(rng, chosen, root / "outside")]))
            code = 0
        os._exit(code)
    os.waitpid(maker, 0)
    chosen_name, *done = json.loads((root / "done").read_text())
    streams = [root / "backup" / "APP" / _SET / chosen_name]
    before = fingerprint(root / "outside")
    process = os.fork()
    if not process:
        os._exit(child(root, streams))
    _pid, status, usage = os.wait4(process, 0)
    memory, seconds = usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime
    note = root / "trouble"
    trouble = note.read_text() if note.exists() else f"ended with {status}" if status else ""
    if fingerprint(root / "outside") != before:
        trouble += " something outside was changed"
    if memory > MEMORY:
        trouble += f" it took {memory >> 20} MiB"
    if seconds > SECONDS:
        trouble += f" it took {seconds:.1f} s"
    shutil.rmtree(root)
    return trouble, done, memory, seconds


def run(seed: int, cases: range, limit: float) -> tuple[int, list[str], dict[str, Any]]:
    """Run cases until the time is over: (how many, what went wrong, figures)."""
    known = samples()
    # Loaded once, here, so that a case is charged for its own work alone.
    from ansible_collections.natsops.jetstream.plugins.module_utils._archive.check import fingerprint as _loaded  # noqa: F401

    end = time.monotonic() + limit
    wrong: list[str] = []
    kinds: Counter[str] = Counter()
    memory, seconds, count = 0, 0.0, 0
    with tempfile.TemporaryDirectory(prefix="natsops-fuzz-") as directory:
        for number in cases:
            if time.monotonic() > end:
                break
            trouble, done, used, took = run_case(seed, number, known, Path(directory))
            count += 1
            kinds.update(done)
            memory, seconds = max(memory, used), max(seconds, took)
            if trouble:
                wrong.append(f"case {number} ({', '.join(done)}): {trouble.strip()}")
    return count, wrong, {"memory": memory, "seconds": seconds, "kinds": dict(kinds)}


def main() -> int:
    """Run as the words say; 1 where something went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case, to repeat one")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=3600.0, help="stop after so many")
    words = parser.parse_args()
    began = time.monotonic()
    count, wrong, figures = run(words.seed, range(words.first, words.first + words.cases), words.seconds)
    for line in wrong[:_MOST_SHOWN]:
        print(line)
    print(
        f"{count} of {words.cases} cases with seed {words.seed} in {time.monotonic() - began:.0f} s: {len(wrong)} went"
        f" wrong; at most {figures['memory'] >> 20} MiB and {figures['seconds']:.1f} s. {figures['kinds']}"
    )
    return 1 if wrong or count < words.cases else 0


if __name__ == "__main__":
    sys.exit(main())
