# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A thread that writes and hashes what arrives, so that the event loop can go on acknowledging."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import typing as t

from .._archive.check.quick import QuickCheck
from .._archive.report import ArchiveReport
from .._files.writing import create, write_all

Job = t.Callable[[], None]


class Worker:
    """One thread for the files of all snapshots of a run; jobs are done in order. Use as a context manager."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="natsops-writer", daemon=True)

    def __enter__(self) -> Worker:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._jobs.put(None)
        self._thread.join()

    def put(self, job: Job) -> None:
        """Queue a job; it must not raise."""
        self._jobs.put(job)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    async def call(self, function: t.Callable[[], T]) -> T:
        """Run a function in the thread, after what was queued before, and return what it returns."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def resolve(setter: t.Callable[[t.Any], None], value: t.Any) -> None:
            if not future.done():
                setter(value)

        def job() -> None:
            try:
                result = function()
            except Exception as exc:  # handed to the caller, whatever it is
                loop.call_soon_threadsafe(resolve, future.set_exception, exc)
            else:
                loop.call_soon_threadsafe(resolve, future.set_result, result)

        self._jobs.put(job)
        return await future


T = t.TypeVar("T")


async def in_thread(function: t.Callable[[t.Callable[[], bool]], T]) -> T:
    """Run a function in a thread of its own. It gets what tells it to stop, which it has to ask now and then."""
    stop = threading.Event()
    try:
        return await asyncio.get_running_loop().run_in_executor(None, function, stop.is_set)
    except BaseException:
        stop.set()
        raise


class ArchiveWriter:
    """Writes one archive: chunks go to the file and through the quick check, in the worker's thread.

    C(pending) is the number of bytes taken but not yet written. C(on_written) is called in the event loop after each
    chunk with its size, C(on_error) with the first error; after an error the rest is dropped.
    """

    def __init__(
        self,
        worker: Worker,
        path: str,
        on_written: t.Callable[[], None],
        on_error: t.Callable[[Exception], None],
    ) -> None:
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._on_written = on_written
        self._on_error = on_error
        self._check = QuickCheck()
        self._failed = False
        self._error: Exception | None = None
        self._path = path
        self._descriptor: int | None = None
        self.pending = 0
        self.received = 0

    def write(self, chunk: bytes) -> None:
        """Take a chunk."""
        self.pending += len(chunk)
        self.received += len(chunk)
        self._worker.put(lambda: self._write(chunk))

    def _write(self, chunk: bytes) -> None:
        if self._failed:
            return
        try:
            if self._descriptor is None:
                self._descriptor = create(self._path)
            write_all(self._descriptor, chunk)
            self._check.feed(chunk)
        except Exception as exc:  # carried to the event loop, which fails the snapshot with it
            self._failed, self._error = True, exc
            self._tell(self._on_error, exc)
        else:
            self._tell(self._written, len(chunk))

    def _tell(self, function: t.Callable[..., None], *args: t.Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *args)

    def _written(self, size: int) -> None:
        self.pending -= size
        self._on_written()

    def finish(self) -> ArchiveReport:
        """Close the file and return what the check found; in the worker's thread, after everything was written.

        Raises the first error of the writes.
        """
        self._close()
        if self._error is not None:
            raise self._error
        return self._check.finish()

    def abandon(self) -> None:
        """Stop writing; the file is left for whoever removes its directory."""
        self._failed = True
        self._worker.put(self._close)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
