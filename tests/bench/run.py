# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup, restore and a look at a large cluster against the `nats` command line: both in turn, as whole processes.

usage: run.py [--rounds N] [--only ROW[,ROW]] [--large]

A ratio is the command line's median divided by the engine's: more than 1 is faster, or less CPU time. The engine is
measured as a process, start included, and beside it the same work as a whole ansible-playbook run.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import importlib.util
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import cluster as large
from servers import PASSWORD, Cluster, Options, Server
from servers.ansible import collections_path, play
from servers.binaries import nats_cli, nats_server
from servers.proxy import Proxy

MIB = 1 << 20
ENGINE = Path(__file__).with_name("engine.py")
SMALL_STREAMS = 400
SMALL_MESSAGES = 10


@dataclass
class Figure:
    """What one process took: seconds of wall clock and of CPU, MiB of memory at its largest."""

    wall: float
    cpu: float
    memory: float


@dataclass
class Side:
    """One competitor's figures over the rounds."""

    figures: list[Figure] = field(default_factory=list)

    def median(self, name: str) -> float:
        return statistics.median(getattr(figure, name) for figure in self.figures)


@dataclass
class Row:
    """A line of the table. `play` is the wall time of the same work as an ansible-playbook run."""

    title: str
    goal: str
    cli: Side
    engine: Side
    play: float | None


class Failed(RuntimeError):
    """A process ended badly; `figure` is what it took until then."""

    def __init__(self, message: str, figure: Figure) -> None:
        super().__init__(message)
        self.figure = figure


def measure(command: list[str], log: Path) -> Figure:
    """Run a process to its end. Raises Failed with its output when it fails."""
    environment = {**os.environ, "PYTHONPATH": str(collections_path()), "BENCH_PASSWORD": PASSWORD}
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        _pid, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    figure = Figure(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
    if process.returncode:
        raise Failed(f"{command} failed: {log.read_text(errors='replace')[-2000:]}", figure)
    return figure


class Bench:
    """One server or cluster to measure on, and a directory to write to."""

    def __init__(self, endpoint: Server | Cluster, directory: Path, url: str = "") -> None:
        self.endpoint = endpoint
        self.directory = directory
        self.url = url or endpoint.url
        self._log = directory / "output"

    def cli(self, *words: str) -> Figure:
        """The command line's figures."""
        arguments = [f"--server={self.url}", *self.endpoint.setup.cli_arguments("app")]
        return measure([str(nats_cli()), *arguments, *words], self._log)

    def engine(self, *words: str) -> Figure:
        """The engine's figures."""
        verb, *rest = words
        return measure([sys.executable, str(ENGINE), verb, self.url, *rest], self._log)

    def play(self, module: str, **arguments: Any) -> float:
        """Seconds of a whole ansible-playbook run of one module."""
        defaults = {**self.endpoint.connection("app"), "servers": [self.url]}
        started = time.perf_counter()
        played = play([{f"natsops.jetstream.jetstream_{module}": arguments}], defaults=defaults)
        if played.results[0].get("failed"):
            raise RuntimeError(str(played.results[0]))
        return time.perf_counter() - started

    def path(self, name: str) -> str:
        """A path that does not exist."""
        path = self.directory / name
        shutil.rmtree(path, ignore_errors=True)
        Path(f"{path}.json").unlink(missing_ok=True)
        return str(path)

    def delete(self, *streams: str) -> None:
        """Remove streams, if they are there, and wait until they are gone."""

        async def work() -> None:
            client = await nats.connect(self.endpoint.urls, **self.endpoint.auth("app"))
            for stream in streams:
                await client.request(f"$JS.API.STREAM.DELETE.{stream}", b"", timeout=30)
            await client.close()

        asyncio.run(work())

    def whole(self, count: int) -> set[str]:
        """The streams that have so many messages."""

        async def work() -> set[str]:
            client = await nats.connect(self.endpoint.urls, **self.endpoint.auth("app"))
            js = client.jetstream(timeout=30)
            found: set[str] = set()
            offset = 0
            while page := await js.streams_info(offset=offset):
                found |= {str(one.config.name) for one in page if one.state.messages == count}
                offset += len(page)
            await client.close()
            return found

        return asyncio.run(work())


async def fill(endpoint: Server | Cluster, stream: str, size: int) -> None:
    """A stream of about `size` bytes of messages: half of them JSON, half random."""
    client = await nats.connect(endpoint.urls, **endpoint.auth("app"))
    js = client.jetstream()
    await js.add_stream(name=stream, subjects=[f"{stream.lower()}.>"])
    rng = random.Random(7)
    noise = rng.randbytes(MIB)
    rows = [
        json.dumps({"id": i, "items": [{"sku": rng.randrange(10**6)} for _item in range(500)]}).encode()
        for i in range(64)
    ]
    sent = count = 0
    while sent < size:
        start = rng.randrange(0, MIB - 16384)
        body = noise[start : start + 16384] if count % 2 else rows[count // 2 % 64]
        await client.publish(f"{stream.lower()}.{count % 10}", body)
        sent, count = sent + len(body), count + 1
        if count % 200 == 0:
            await js.account_info()
    await client.flush()
    await client.close()


async def publish(js: nats.js.JetStreamContext, subject: str, body: bytes) -> None:
    """Publish; in a cluster a new stream's leader may not listen yet."""
    for _attempt in range(200):
        try:
            await js.publish(subject, body, timeout=20)
        except nats.js.errors.NoStreamResponseError:
            await asyncio.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nobody takes {subject}")


async def fill_small(endpoint: Server | Cluster, replicas: int) -> list[str]:
    """400 streams of 10 messages, every fourth with a consumer."""
    client = await nats.connect(endpoint.urls, **endpoint.auth("app"))
    js = client.jetstream(timeout=20)
    names = [f"S{number:03}" for number in range(SMALL_STREAMS)]
    for number, name in enumerate(names):
        await js.add_stream(name=name, subjects=[f"{name.lower()}.>"], num_replicas=replicas)
        for count in range(SMALL_MESSAGES):
            await publish(js, f"{name.lower()}.{count}", b"message %d" % count)
        if number % 4 == 0:
            await js.add_consumer(name, durable_name="worker", ack_policy="explicit")
    await client.close()
    return names


def rounds(count: int, cli: Callable[[], Figure], engine: Callable[[], Figure]) -> tuple[Side, Side]:
    """Both sides in turn, `count` times."""
    sides = Side(), Side()
    for _round in range(count):
        for side, run in zip(sides, (cli, engine), strict=True):
            side.figures.append(run())
    return sides


def big_rows(bench: Bench, count: int, only: set[str], size: int) -> Iterator[Row]:
    """One large stream: backup and restore on loopback, restore over a long link."""
    title = f"one stream of {size // MIB} MB"
    asyncio.run(fill(bench.endpoint, "BIG", size))
    kept = bench.path("kept")
    bench.engine("backup", kept, "BIG")
    if "backup" in only:
        cli, engine = rounds(
            count,
            lambda: bench.cli("backup", "stream", "BIG", bench.path("cli"), "--no-progress"),
            lambda: bench.engine("backup", bench.path("engine"), "BIG"),
        )
        whole = bench.play("stream_backup", stream="BIG", path=bench.path("play"))
        yield Row(f"{title}, backup", "wall ≥ 0.95, CPU ≤ 0.8 (ratio ≥ 1.25), ≤ 60 MiB", cli, engine, whole)

    def fresh(run: Callable[[], Any]) -> Any:
        bench.delete("BIG")
        return run()

    if "restore" in only:
        cli, engine = rounds(
            count,
            lambda: fresh(lambda: bench.cli("backup", "restore", "stream", kept, "--no-progress")),
            lambda: fresh(lambda: bench.engine("restore", kept, "BIG")),
        )
        whole = fresh(lambda: bench.play("stream_restore", path=kept))
        yield Row(f"{title}, restore", "wall ≥ 1.0", cli, engine, whole)
    if "far" in only:
        port = int(bench.url.rpartition(":")[2])
        with Proxy(port, delay=0.025) as proxy:
            far = Bench(bench.endpoint, bench.directory, proxy.url)
            cli, engine = rounds(
                1,
                lambda: fresh(lambda: far.cli("backup", "restore", "stream", kept, "--no-progress")),
                lambda: fresh(lambda: far.engine("restore", kept, "BIG")),
            )
            whole = fresh(lambda: far.play("stream_restore", path=kept))
        yield Row(f"{title}, restore, 50 ms round trip", "wall ≥ 40", cli, engine, whole)
    bench.delete("BIG")
    if "drill" in only:
        # Not beside the command line, which has none: beside the plain restore.
        plain, engine = rounds(
            count,
            lambda: fresh(lambda: bench.engine("restore", kept, "BIG")),
            lambda: measure(
                [sys.executable, str(ENGINE), "drill", str(nats_server()), kept], bench.directory / "output"
            ),
        )
        whole = bench.play("backup_drill", path=kept, server_binary=str(nats_server()))
        yield Row(f"{title}, drill, beside the plain restore", "wall ≥ 0.4", plain, engine, whole)
        bench.delete("BIG")
    if "verify" in only:
        yield from verify_rows(bench, kept, title, count)


def verify_rows(bench: Bench, kept: str, title: str, count: int) -> Iterator[Row]:
    """Full verification of one large backup, without numba and, where it is installed, with it."""
    (data,) = Path(kept).glob("stream.*")
    for name in ("python", "numba") if importlib.util.find_spec("numba") else ("python",):
        command = [sys.executable, str(ENGINE.with_name("verification.py")), "--child", str(data), name, "all"]
        cli, engine = rounds(
            count,
            lambda: measure([str(nats_cli()), "backup", "validate", kept], bench.directory / "output"),
            lambda command=command: measure(command, bench.directory / "output"),  # type: ignore[misc]
        )
        goal = "wall ≥ 1.0" if name == "numba" else ""
        yield Row(f"{title}, full verification, {name}, all processors", goal, cli, engine, None)


def small_rows(bench: Bench, count: int, only: set[str]) -> Iterator[Row]:
    """An account of 400 small streams on one server: first backup, backup again, restore."""
    names = asyncio.run(fill_small(bench.endpoint, 1))
    title = f"account of {SMALL_STREAMS} small streams"
    if "account" in only:
        cli, engine = rounds(
            count,
            lambda: bench.cli("backup", "account", bench.path("cli"), "--force"),
            lambda: bench.engine("backup", bench.path("engine")),
        )
        whole = bench.play("account_backup", path=bench.path("play"))
        yield Row(f"{title}, first backup", "wall ≥ 3", cli, engine, whole)
    kept = str(bench.directory / "kept-account")
    bench.engine("backup", kept)
    if "again" in only:
        # The command line refuses a directory that holds a backup: it takes everything again, into a new one.
        cli, engine = rounds(
            count,
            lambda: bench.cli("backup", "account", bench.path("cli"), "--force"),
            lambda: bench.engine("backup", kept),
        )
        whole = bench.play("account_backup", path=kept)
        yield Row(f"{title}, nothing changed", "wall ≥ 8", cli, engine, whole)
    if "single" in only:
        yield account_restore(bench, names, kept, f"{title}, restore, single server", "wall ≥ 1.5", count)


def account_restore(bench: Bench, names: list[str], kept: str, title: str, goal: str, count: int) -> Row:
    """The restore of all small streams, each time into an empty account."""

    def fresh(run: Callable[[], Any]) -> Any:
        bench.delete(*names)
        time.sleep(1)
        return run()

    cli, engine = rounds(
        count,
        lambda: fresh(lambda: cli_account_restore(bench, names, kept)),
        lambda: fresh(lambda: bench.engine("restore", kept)),
    )
    return Row(title, goal, cli, engine, fresh(lambda: bench.play("account_restore", path=kept)))


def cli_account_restore(bench: Bench, names: list[str], kept: str) -> Figure:
    """The command line's restore of all streams.

    In a cluster it gives up at the first stream whose first chunk nobody takes yet, and refuses streams that exist: it
    is started again with those that are left, and its times add up. What a person needs to find them is not counted.
    """
    left, spent = set(names), Figure(0, 0, 0)
    while left:
        rest = bench.path("rest")
        shutil.copytree(kept, rest, copy_function=os.link, ignore=shutil.ignore_patterns(*(set(names) - left)))
        try:
            figure = bench.cli("backup", "restore", "account", rest)
            done = left
        except Failed as failed:
            figure, done = failed.figure, left & bench.whole(SMALL_MESSAGES)
            bench.delete(*(left - done))
            print(f"  the command line gave up after {len(done)} of {len(left)} streams; it goes on with the rest")
            if not done:
                raise
        left = left - done
        spent = Figure(spent.wall + figure.wall, spent.cpu + figure.cpu, max(spent.memory, figure.memory))
    return spent


def look_rows(bench: Bench, count: int) -> Iterator[Row]:
    """A look at a large cluster, beside the report of the command line, which has far less in it."""
    asyncio.run(large.fill(bench.endpoint))
    time.sleep(5)
    connection = bench.endpoint.connection("sys")
    report = [str(nats_cli()), *bench.endpoint.cli_arguments("sys"), "server", "report", "jetstream"]
    inner: dict[str, Side] = {"sample": Side(), "assessment": Side()}

    def look() -> Figure:
        log = bench.directory / "look"
        figure = measure([sys.executable, str(Path(large.__file__)), json.dumps(connection)], log)
        found = json.loads(log.read_text())
        assert found["counts"] == [large.SERVERS, large.STREAMS, large.CONSUMERS], found
        for name, side in inner.items():
            side.figures.append(Figure(found[name][0], found[name][1], found["memory"]))
        return figure

    cli, engine = rounds(count, lambda: measure([*report, str(large.SERVERS)], bench.directory / "report"), look)
    defaults = {**connection, "sample_interval": 0}
    started = time.perf_counter()
    played = play([{"natsops.jetstream.jetstream_cluster_info": {"streams": False}}], defaults=defaults)
    whole = time.perf_counter() - started
    assert not played.results[0].get("failed"), played.results[0]
    title = f"a look at {large.SERVERS} servers, {large.STREAMS} streams, {large.CONSUMERS} consumers"
    yield Row(f"{title}: one sample, in a process", "wall < 1.5 s", cli, inner["sample"], None)
    yield Row("the same and all findings", "wall < 3 s, < 150 MiB", cli, inner["assessment"], None)
    yield Row("the same, the process's start included", "", cli, engine, whole)


def heading() -> str:
    """The head of the Markdown table."""
    columns = (
        "work, goal, wall of CLI, wall, **ratio**, CPU of CLI, CPU, ratio, memory of CLI, memory, ansible-playbook"
    )
    return f"| {columns.replace(chr(44), ' |')} |\n|---|---|" + "---:|" * 9


def line(row: Row) -> str:
    """A row of the Markdown table."""
    cells = [row.title, row.goal]
    for name in ("wall", "cpu"):
        cli, engine = row.cli.median(name), row.engine.median(name)
        ratio = f"{cli / engine:.2f}"
        cells += [f"{cli:.2f} s", f"{engine:.2f} s", f"**{ratio}**" if name == "wall" else ratio]
    cells += [f"{row.cli.median('memory'):.0f} MiB", f"{row.engine.median('memory'):.0f} MiB"]
    cells.append(f"{row.play:.2f} s" if row.play is not None else "")
    return f"| {' | '.join(cells)} |"


def measured(only: set[str], count: int, size: int) -> Iterator[Row]:
    """The rows that are asked for, one after the other."""
    with tempfile.TemporaryDirectory(prefix="natsops-bench-") as temporary:
        directory = Path(temporary)
        if only & {"backup", "restore", "far", "drill", "verify"}:
            with Server(Options()) as server:
                yield from big_rows(Bench(server, directory), count, only, size)
        if only & {"account", "again", "single"}:
            with Server(Options()) as server:
                yield from small_rows(Bench(server, directory), count, only)
        if "cluster" in only:
            with Cluster(Options()) as cluster:
                names = asyncio.run(fill_small(cluster, 3))
                bench = Bench(cluster, directory)
                kept = str(directory / "kept-cluster")
                bench.engine("backup", kept)
                title = f"account of {SMALL_STREAMS} small R3 streams, restore, 3 servers"
                yield account_restore(bench, names, kept, title, "wall ≥ 4", count)
        if "look" in only:
            with Cluster(Options(), size=large.SERVERS) as cluster:
                yield from look_rows(Bench(cluster, directory), count)


def main() -> None:
    """Measure what is asked for; print each row when it is known."""
    every = ["backup", "restore", "far", "drill", "verify", "account", "again", "single", "cluster", "look"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(every), help=f"rows to measure: {', '.join(every)}")
    parser.add_argument("--large", action="store_true", help="1 GB instead of 300 MB, to see that memory does not grow")
    options = parser.parse_args()
    today = datetime.datetime.now(datetime.timezone.utc).date()
    print(
        f"{today}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()},"
        f" nats-server {Options().version}, nats CLI 0.5.1; medians of {options.rounds}\n\n{heading()}",
        flush=True,
    )
    for row in measured(set(options.only.split(",")), options.rounds, (1024 if options.large else 300) * MIB):
        print(line(row), flush=True)


if __name__ == "__main__":
    main()
