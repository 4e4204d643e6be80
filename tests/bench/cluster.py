# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at a large cluster, measured beside `nats server report jetstream`: whole processes, both sides in turn.

usage: cluster.py [--streams N] [--consumers N] [--servers N] [--rounds N]

One stream in ten has three replicas, the others one, in memory. The row "one sample" is a look inside a process that
runs already; the others include the start of the process. A ratio of more than 1 is faster than the report.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nats

from servers import Cluster, Options, nats_cli

MODULE = "ansible_collections.natsops.jetstream.plugins.modules.jetstream_cluster_info"
ROOT = Path(__file__).resolve().parents[2]


async def fill(cluster: Cluster, streams: int, consumers: int) -> None:
    """Create the streams and consumers, many at once."""
    client = await nats.connect(cluster.urls, **cluster.auth("app"))
    limit = asyncio.Semaphore(32)

    async def ask(subject: str, body: dict[str, Any]) -> None:
        async with limit:
            message = await client.request(f"$JS.API.{subject}", json.dumps(body).encode(), timeout=60)
        answer = json.loads(message.data)
        assert "error" not in answer, answer

    def stream(number: int) -> Any:
        replicas = 3 if number % 10 == 0 else 1
        config = {"name": f"S{number}", "subjects": [f"s{number}.>"], "num_replicas": replicas, "storage": "memory"}
        return ask(f"STREAM.CREATE.S{number}", config)

    def consumer(number: int) -> Any:
        name, stream_name = f"c{number}", f"S{number % streams}"
        config = {"durable_name": name, "ack_policy": "explicit", "mem_storage": True}
        body = {"stream_name": stream_name, "config": config}
        return ask(f"CONSUMER.DURABLE.CREATE.{stream_name}.{name}", body)

    await asyncio.gather(*(stream(number) for number in range(streams)))
    await asyncio.gather(*(consumer(number) for number in range(consumers)))
    await client.close()


def one_sample(connection: dict[str, Any]) -> None:
    """Take one sample and print its seconds, counts and the process's peak memory; runs in a process of its own."""
    from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.findings import find
    from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.watch import Watch
    from ansible_collections.natsops.jetstream.plugins.module_utils._nats.connect import connect
    from ansible_collections.natsops.jetstream.plugins.module_utils._nats.options import make_options
    from ansible_collections.natsops.jetstream.plugins.module_utils._nats.system import System

    async def measure() -> dict[str, float]:
        opened = await connect(make_options(connection))
        watch = Watch(System(opened))
        started = time.perf_counter()
        picture = await watch.look()
        sampled = time.perf_counter() - started
        find(picture)
        assessed = time.perf_counter() - started
        await opened.close()
        consumers = sum(len(stream.consumers) for stream in picture.streams)
        return {"sample": sampled, "assess": assessed, "streams": len(picture.streams), "consumers": consumers}

    found = asyncio.run(measure())
    found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found))


def timed(command: list[str], text: str = "") -> tuple[float, float, str]:
    """Seconds, peak memory in MiB and output of a process."""
    with tempfile.TemporaryFile("w+") as given:
        given.write(text)
        given.seek(0)
        started = time.perf_counter()
        child = subprocess.Popen(command, stdin=given, stdout=subprocess.PIPE, env=os.environ, text=True)
        assert child.stdout
        output = child.stdout.read()
        _pid, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, output
    return time.perf_counter() - started, usage.ru_maxrss / 1024, output


def row(name: str, seconds: list[float], report: float, peak: float) -> str:
    middle = statistics.median(seconds)
    return f"| {name} | {middle:.2f} s | {report / middle:.2f} | {peak:.0f} MiB |"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--consumers", type=int, default=4000)
    parser.add_argument("--servers", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sample", help="a connection as JSON: take one sample of it and end")
    chosen = parser.parse_args()
    if chosen.sample:
        one_sample(json.loads(chosen.sample))
        return
    cli = str(nats_cli())
    with Cluster(Options(), size=chosen.servers) as cluster:
        asyncio.run(fill(cluster, chosen.streams, chosen.consumers))
        time.sleep(5)
        connection = cluster.connection("sys")
        mine = [sys.executable, __file__, "--sample", json.dumps(connection)]
        module = [sys.executable, "-m", MODULE]
        arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {**connection, "sample_interval": 0}})
        report = [cli, *cluster.cli_arguments("sys"), "server", "report", "jetstream", str(chosen.servers)]
        seconds: dict[str, list[float]] = {name: [] for name in ("report", "sample", "assess", "process", "module")}
        peaks = dict.fromkeys(seconds, 0.0)
        for _round in range(chosen.rounds):
            took, peak, _output = timed(report)
            seconds["report"].append(took)
            peaks["report"] = max(peaks["report"], peak)
            took, peak, output = timed(mine)
            inner = json.loads(output)
            assert inner["streams"] == chosen.streams, inner
            assert inner["consumers"] == chosen.consumers, inner
            for name, value in (("sample", inner["sample"]), ("assess", inner["assess"]), ("process", took)):
                seconds[name].append(value)
                peaks[name] = max(peaks[name], peak)
            took, peak, output = timed(module, arguments)
            assert len(json.loads(output)["streams"]) == chosen.streams
            seconds["module"].append(took)
            peaks["module"] = max(peaks["module"], peak)
    base = statistics.median(seconds["report"])
    print(f"{chosen.servers} servers, {chosen.streams} streams, {chosen.consumers} consumers, {chosen.rounds} rounds")
    print("| work | median | against the report | peak memory |\n|---|---|---|---|")
    print(row("nats server report jetstream", seconds["report"], base, peaks["report"]))
    print(row("one sample", seconds["sample"], base, peaks["sample"]))
    print(row("one sample and all findings", seconds["assess"], base, peaks["assess"]))
    print(row("the same as a process", seconds["process"], base, peaks["process"]))
    print(row("jetstream_cluster_info as Ansible runs it", seconds["module"], base, peaks["module"]))


if __name__ == "__main__":
    main()
