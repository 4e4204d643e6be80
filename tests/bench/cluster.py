# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at a large cluster, for run.py: the cluster's content, and the look as a process of its own.

usage: cluster.py CONNECTION (as JSON); prints what it took as JSON
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from typing import Any

SERVERS, STREAMS, CONSUMERS = 5, 2000, 4000


async def fill(endpoint: Any) -> None:
    """Create the streams, one in ten with three replicas and the others with one, and two consumers for each."""
    import nats

    client = await nats.connect(endpoint.urls, **endpoint.auth("app"))
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
        name, stream_name = f"c{number}", f"S{number % STREAMS}"
        config = {"durable_name": name, "ack_policy": "explicit", "mem_storage": True}
        body = {"stream_name": stream_name, "config": config}
        return ask(f"CONSUMER.DURABLE.CREATE.{stream_name}.{name}", body)

    await asyncio.gather(*(stream(number) for number in range(STREAMS)))
    await asyncio.gather(*(consumer(number) for number in range(CONSUMERS)))
    await client.close()


async def look(connection: dict[str, Any]) -> dict[str, Any]:
    """Take one sample and all findings; seconds of wall clock and CPU until then, counts, peak memory in MiB."""
    from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.findings import find
    from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.watch import Watch
    from ansible_collections.natsops.jetstream.plugins.module_utils._nats.connect import connect
    from ansible_collections.natsops.jetstream.plugins.module_utils._nats.options import make_options
    from ansible_collections.natsops.jetstream.plugins.module_utils._nats.system import System

    opened = await connect(make_options(connection))
    watch = Watch(System(opened))
    wall, cpu = time.perf_counter(), time.process_time()
    picture = await watch.look()
    sample = (time.perf_counter() - wall, time.process_time() - cpu)
    find(picture)
    assessment = (time.perf_counter() - wall, time.process_time() - cpu)
    await opened.close()
    consumers = sum(len(stream.consumers) for stream in picture.streams)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    counts = [len(picture.alive), len(picture.streams), consumers]
    return {"sample": sample, "assessment": assessment, "counts": counts, "memory": memory}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(look(json.loads(sys.argv[1])))))
