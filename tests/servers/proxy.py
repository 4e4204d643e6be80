# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP proxy on loopback that delays, stalls or drops a link.

In a test: `with Proxy(server.port, delay=0.025) as proxy: …`, clients connect to `proxy.url`. As a program:
`python -m servers.proxy TARGET_PORT [--listen PORT] [--delay ONE_WAY_SECONDS]`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, TypeVar

Direction = Literal["up", "down"]
_READ = 256 * 1024
# A direction stops reading while this much is under way, so that a slow reader is felt at the other end.
_IN_FLIGHT = 64 * 1024 * 1024
_T = TypeVar("_T")


@dataclass
class _Flow:
    """One direction of the link, over all connections; up is from the client to the server."""

    delay: float
    bytes: int = 0
    limit: int | None = None
    at_limit: Literal["stall", "cut"] = "stall"
    open: asyncio.Event = field(default_factory=asyncio.Event)


class Proxy:
    """A proxy with its own thread in front of `target_port` of 127.0.0.1.

    delay: one-way delay in seconds, for both directions; or delay_up and delay_down (up: towards the server).
    """

    def __init__(
        self,
        target_port: int,
        *,
        delay: float = 0.0,
        delay_up: float | None = None,
        delay_down: float | None = None,
        listen_port: int = 0,
    ) -> None:
        self.target_port = target_port
        self.port = listen_port
        self._delays = {
            "up": delay if delay_up is None else delay_up,
            "down": delay if delay_down is None else delay_down,
        }
        self._flows: dict[str, _Flow] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self._refuse = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The URL clients connect to."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> Proxy:
        """Listen; `port` says where."""
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._serve, args=(started,), name="servers-proxy", daemon=True)
        self._thread.start()
        started.result(10)
        return self

    def stall(self, direction: Direction | Literal["both"] = "both") -> None:
        """Stop forwarding; connections stay open and new ones are accepted."""

        def stall() -> None:
            for flow in self._chosen(direction):
                flow.open.clear()

        self._call(stall)

    def stall_after(self, count: int, direction: Direction = "down") -> None:
        """Stall both directions once `count` more bytes have been forwarded in `direction`."""
        self._limit(count, direction, "stall")

    def cut_after(self, count: int, direction: Direction = "down") -> None:
        """Drop all connections and refuse new ones once `count` more bytes have been forwarded in `direction`."""
        self._limit(count, direction, "cut")

    def cut(self, *, refuse: bool = True) -> None:
        """Drop every connection; with `refuse`, drop new ones at once until `resume`."""
        self._call(lambda: self._cut(refuse))

    def resume(self) -> None:
        """Forward again in both directions (what was held back included) and accept connections."""

        def resume() -> None:
            self._refuse = False
            for flow in self._flows.values():
                flow.limit = None
                flow.open.set()

        self._call(resume)

    def set_delay(self, delay: float, direction: Direction | Literal["both"] = "both") -> None:
        """Change the one-way delay (seconds) of what arrives from now on."""

        def change() -> None:
            for flow in self._chosen(direction):
                flow.delay = delay

        self._call(change)

    def forwarded(self, direction: Direction) -> int:
        """Return how many bytes were forwarded in `direction` so far."""
        return self._call(lambda: self._flows[direction].bytes)

    @property
    def stalled(self) -> bool:
        """Whether a direction is held back now."""
        return self._call(lambda: not all(flow.open.is_set() for flow in self._flows.values()))

    @property
    def connections(self) -> int:
        """How many client connections are open."""
        return self._call(lambda: len(self._writers) // 2)

    def close(self) -> None:
        """Drop every connection and stop listening."""
        if self._loop and self._thread:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)
            self._loop = self._thread = None

    def __enter__(self) -> Proxy:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _chosen(self, direction: str) -> list[_Flow]:
        return list(self._flows.values()) if direction == "both" else [self._flows[direction]]

    def _limit(self, count: int, direction: Direction, what: Literal["stall", "cut"]) -> None:
        def limit() -> None:
            flow = self._flows[direction]
            flow.limit, flow.at_limit = flow.bytes + count, what

        self._call(limit)

    def _call(self, function: Callable[[], _T]) -> _T:
        """Run `function` in the proxy's loop and return what it returns."""
        assert self._loop, "the proxy is not started"

        async def run() -> _T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def _cut(self, refuse: bool) -> None:
        self._refuse = refuse
        for writer in self._writers:
            writer.transport.abort()

    def _serve(self, started: Future[None]) -> None:
        async def main() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self._flows = {name: _Flow(delay) for name, delay in self._delays.items()}
            for flow in self._flows.values():
                flow.open.set()
            server = await asyncio.start_server(self._handle, "127.0.0.1", self.port, limit=_READ)
            self.port = server.sockets[0].getsockname()[1]
            started.set_result(None)
            await self._stop.wait()
            server.close()
            self._cut(refuse=True)

        try:
            asyncio.run(main())
        except BaseException as exc:
            if started.done():
                raise
            started.set_exception(exc)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._refuse:
                raise ConnectionAbortedError
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port, limit=_READ)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, far_writer}
        self._writers |= pair
        try:
            await asyncio.gather(
                self._pipe(reader, far_writer, self._flows["up"]), self._pipe(far_reader, writer, self._flows["down"])
            )
        except asyncio.CancelledError:
            # The proxy closes; streams report a cancelled handler as an error, so it ends as if it were done.
            return
        finally:
            self._writers -= pair
            for end in pair:
                end.transport.abort()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flow: _Flow) -> None:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        room = asyncio.Semaphore(_IN_FLIGHT // _READ)

        async def forward() -> None:
            while True:
                due, data = await queue.get()
                if due > loop.time():
                    await asyncio.sleep(due - loop.time())
                await flow.open.wait()
                if not data:
                    if writer.can_write_eof():
                        writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()
                room.release()
                flow.bytes += len(data)
                if flow.limit is not None and flow.bytes >= flow.limit:
                    flow.limit = None
                    if flow.at_limit == "cut":
                        self._cut(refuse=True)
                    else:
                        for each in self._flows.values():
                            each.open.clear()

        async def collect() -> None:
            while True:
                await room.acquire()
                data = await reader.read(_READ)
                queue.put_nowait((loop.time() + flow.delay, data))
                if not data:
                    return

        with contextlib.suppress(OSError):
            await asyncio.gather(forward(), collect())


def main(arguments: list[str] | None = None) -> int:
    """Run a proxy until interrupted; its port is printed first."""
    parser = argparse.ArgumentParser(prog="servers.proxy", description="a TCP proxy on loopback that delays a link")
    parser.add_argument("target_port", type=int)
    parser.add_argument("--listen", type=int, default=0, metavar="PORT", help="the port to listen on; a free one")
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="one-way delay")
    given = parser.parse_args(arguments)
    with Proxy(given.target_port, delay=given.delay, listen_port=given.listen) as proxy:
        print(proxy.port, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
