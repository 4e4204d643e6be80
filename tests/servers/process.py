# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Child processes that never outlive this one, and loopback ports for them."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Below the range systems hand out to outgoing connections, so that a stopped server finds its port free again.
PORT_RANGE = range(12000, 32000)

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
# The kernel sends the parent-death signal when the *thread* that forked ends, so one thread that lives as long as the
# process does all the forking.
_forker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="servers-forker")
_children: weakref.WeakSet[subprocess.Popen[bytes]] = weakref.WeakSet()
_handed_out: set[int] = set()


def spawn(command: list[str], log: Path, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start `command` with its output appended to `log`; it dies with this process, however that ends."""
    parent = os.getpid()

    def bind_to_parent() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

    def start() -> subprocess.Popen[bytes]:
        with open(log, "ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                preexec_fn=bind_to_parent,  # it only calls prctl, loaded beforehand
            )

    child = _forker.submit(start).result()
    _children.add(child)
    return child


def kill(child: subprocess.Popen[bytes]) -> None:
    """Kill `child` (a frozen one too) and reap it; nothing happens where it is gone already."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGKILL)
        child.wait(30)


@atexit.register
def kill_all() -> None:
    """Kill every child that is still running."""
    for child in list(_children):
        kill(child)


def free_ports(count: int) -> list[int]:
    """Return `count` different loopback ports that nothing listens on now and that this process was not given before.

    Another process may still take one before it is used: callers retry with new ones.
    """
    found: list[int] = []
    for port in random.sample(PORT_RANGE, len(PORT_RANGE)):
        if len(found) == count:
            return found
        if port not in _handed_out and is_free(port):
            _handed_out.add(port)
            found.append(port)
    raise RuntimeError(f"no {count} free loopback ports between {PORT_RANGE.start} and {PORT_RANGE.stop}")


def is_free(port: int) -> bool:
    """Tell whether a server could listen on `port` of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def alive(pid: int) -> bool:
    """Tell whether a process of this id exists and is not a zombie."""
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (ProcessLookupError, FileNotFoundError):
        return False
