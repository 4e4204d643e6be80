# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Doing the tasks of full checks on all processors: worker processes, or threads where the engine lets them run."""

from __future__ import annotations

import atexit
import json
import os
import queue
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from . import segment
from .engine import Engine

#: Decoded bytes from which starting processes pays.
WORTH_A_PROCESS = 12 * 1024 * 1024
_MOST = 16
_START = f"from {segment.__name__} import serve; serve()"
_PATIENCE = 5


def processors() -> int:
    """How many this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    if affinity is None:
        return min(_MOST, os.cpu_count() or 1)
    return min(_MOST, len(affinity(0)))


class Worker:
    """A process that does one task after the other. It ends with this one, since its standard input does."""

    def __init__(self) -> None:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            text=True,
        )

    def do(self, task: dict[str, Any]) -> dict[str, Any] | None:
        """The result; None if the process is gone."""
        try:
            stdin, stdout = self._process.stdin, self._process.stdout
            if stdin is None or stdout is None:
                return None
            stdin.write(json.dumps(task) + "\n")
            stdin.flush()
            answer = stdout.readline()
            result: dict[str, Any] | None = json.loads(answer) if answer else None
            return result
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait(_PATIENCE)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    # What was buffered for a process that is gone.
                    continue


class Pool:
    """Tasks in, futures out. One pool serves all checks of a run; its processes start with the first task."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="archive")
        self._idle: queue.SimpleQueue[Worker | None] = queue.SimpleQueue()
        self._workers: list[Worker] = []
        for _worker in range(size):
            self._idle.put(None)
        self._lock = threading.Lock()

    def submit(self, task: dict[str, Any], engine: Engine) -> Future[dict[str, Any]]:
        """Do a task some time."""
        if engine.threads:
            return self._threads.submit(segment.run_task, task, engine)
        return self._threads.submit(self._in_process, task, engine)

    def _in_process(self, task: dict[str, Any], engine: Engine) -> dict[str, Any]:
        worker = self._idle.get()
        try:
            if worker is None:
                worker = Worker()
                with self._lock:
                    self._workers.append(worker)
            result = worker.do(task)
        finally:
            self._idle.put(worker)
        if result is None:
            # Killed, for want of memory perhaps. What it did is worth doing here.
            return segment.run_task(task, engine)
        if "failed" in result:
            raise OSError(result["failed"], result["message"])
        return result

    def close(self) -> None:
        """Drop what has not begun and end the processes."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            for worker in self._workers:
                worker.close()


_pools: list[Pool] = []
_pools_lock = threading.Lock()


def shared_pool() -> Pool:
    """The pool of this process."""
    with _pools_lock:
        if not _pools:
            _pools.append(Pool(processors()))
            atexit.register(_pools[0].close)
        return _pools[0]
