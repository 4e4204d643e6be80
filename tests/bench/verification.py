# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Full verification measured against `nats backup validate`: both in turn, in one run, as whole processes.

usage: verification.py [--rounds N] [--size MB] [--messages N]

The rows: what the engine may use (plain Python or numba; one processor or all). A ratio is the command line's median
time divided by the engine's, which includes starting Python and, with numba, compiling. `rate` is without both. V1 has
no peer: its rows have rates only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import nats

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.run import Figure, fill, measure
from servers import Options, Server
from servers.ansible import run_module
from servers.binaries import nats_cli

MIB = 1 << 20


@dataclass(frozen=True)
class Way:
    """How the engine does it."""

    title: str
    engine: str
    parallel: bool


WAYS = (
    Way("python, one processor", "python", parallel=False),
    Way("python, all processors", "python", parallel=True),
    Way("numba, one processor", "numba", parallel=False),
    Way("numba, all processors", "numba", parallel=True),
)


def child(path: str, engine: str, parallel: bool) -> None:
    """The engine as a process: prints its rate in decoded bytes a second."""
    from ansible_collections.natsops.jetstream.plugins.module_utils._archive.check import engine as engines
    from ansible_collections.natsops.jetstream.plugins.module_utils._archive.check.full import full_file

    chosen = engines.PYTHON if engine == "python" else engines.accelerated()
    if chosen is None:
        raise SystemExit("numba is not installed")
    started = time.perf_counter()
    report = full_file(path, engine=chosen, parallel=parallel)
    took = time.perf_counter() - started
    if not report.valid or not report.content:
        raise SystemExit(str(report.problems))
    print(json.dumps({"rate": report.raw_size / took, "size": report.raw_size, "messages": report.content["messages"]}))


async def fill_small(server: Server, stream: str, count: int) -> None:
    """Messages of 120 bytes of JSON under 100 subjects."""
    client = await nats.connect(server.urls, **server.auth("app"))
    js = client.jetstream()
    await js.add_stream(name=stream, subjects=[f"{stream.lower()}.>"])
    rng = random.Random(5)
    for number in range(count):
        body = json.dumps({"n": number, "value": rng.random(), "state": rng.choice(["on", "off"])}).encode().ljust(120)
        await client.publish(f"{stream.lower()}.{number % 100}", body)
        if number % 2000 == 0:
            await js.account_info()
    await client.flush()
    await js.account_info()
    await client.close()


def backup(server: Server, stream: str, root: Path) -> Path:
    """A backup of a stream of the server."""
    path = root / f"{server.setup.options.version}-{stream}"
    done = run_module(
        "jetstream_stream_backup",
        {**server.connection("app"), "stream": stream, "path": str(path)},
        timeout=600,
    )
    if done.get("failed"):
        raise RuntimeError(done["msg"])
    return path


def rows(path: Path, rounds: int, log: Path) -> list[str]:
    """Lines of the table for one backup."""
    (data,) = path.glob("stream.*")
    cli: list[Figure] = []
    lines = []
    for way in WAYS:
        figures, rates, size, messages = [], [], 0, 0
        for _round in range(rounds):
            if data.name == "stream.arc.s2":
                cli.append(measure([str(nats_cli()), "backup", "validate", str(path)], log))
            command = [sys.executable, __file__, "--child", str(data), way.engine, *(["all"] if way.parallel else [])]
            figures.append(measure(command, log))
            answer = json.loads(log.read_text())
            rates.append(answer["rate"])
            size, messages = answer["size"], answer["messages"]
        wall = statistics.median(figure.wall for figure in figures)
        other = statistics.median(figure.wall for figure in cli) if cli else 0.0
        ratio = f"{other:.2f} s | **{other / wall:.2f}**" if cli else "- | -"
        memory = max(figure.memory for figure in figures)
        title = f"{path.name}: {size // MIB} MiB, {messages} messages"
        rate = statistics.median(rates) / 1e6
        lines.append(f"| {title} | {way.title} | {ratio} | {wall:.2f} s | {rate:.0f} MB/s | {memory:.0f} MiB |")
    return lines


def main() -> None:
    """Entry point."""
    if "--child" in sys.argv:
        child(sys.argv[2], sys.argv[3], len(sys.argv) > 4)
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=300, help="MiB of the large stream")
    parser.add_argument("--messages", type=int, default=1_000_000, help="messages of 120 bytes in the other")
    options = parser.parse_args()
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}, {options.rounds} rounds, in turn\n")
    print("| archive | engine | CLI | **ratio** | wall | rate | memory |\n|---|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="natsops-bench-") as directory:
        root = Path(directory)
        paths = []
        for version in ("2.15.3", "2.14.10"):
            with Server(Options(version=version)) as server:
                asyncio.run(fill(server, "BIG", options.size * MIB))
                asyncio.run(fill_small(server, "SMALL", options.messages))
                paths += [backup(server, stream, root) for stream in ("BIG", "SMALL")]
        for path in paths:
            for line in rows(path, options.rounds, root / "output"):
                print(line, flush=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        raise SystemExit(str(error)) from error
