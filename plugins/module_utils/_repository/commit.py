# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Publishing finished backups many at a time: one sync of the disk for all that are ready."""

from __future__ import annotations

import asyncio
import os

from .._files.trees import directory
from .directory import Workplace, os_errors, path_error
from .disk import sync_directories
from .writer import Worker


class Committer:
    """Syncs and publishes staged directories. While one batch is under way the next gathers."""

    def __init__(self, workplace: Workplace, worker: Worker) -> None:
        self._workplace = workplace
        self._worker = worker
        self._waiting: list[tuple[str, str, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def commit(self, stage: str, final: str) -> None:
        """Return when C(stage) is safely on the disk and stands at C(final). Raises PathError, OSError."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((stage, final, future))
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())
        await future

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            errors = await self._worker.call(lambda batch=batch: self._publish(batch))  # type: ignore[misc]
            for (_stage, _final, future), error in zip(batch, errors):
                if future.done():
                    continue
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)

    def _publish(self, batch: list[tuple[str, str, asyncio.Future[None]]]) -> list[Exception | None]:
        try:
            sync_directories([stage for stage, _final, _future in batch])
        except OSError as exc:
            return [path_error(final, exc) for _stage, final, _future in batch]
        outcomes = [self._publish_one(stage, final) for stage, final, _future in batch]
        parents = {os.path.dirname(final) for _stage, final, _future in batch}
        with os_errors(batch[0][1]):
            for parent in parents:
                with directory(parent) as above:
                    os.fsync(above)
        return outcomes

    def _publish_one(self, stage: str, final: str) -> Exception | None:
        try:
            self._workplace.publish(stage, final)
        except Exception as exc:  # the error of one directory is handed to the one who waits for it
            return exc
        return None
