# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A child process that ends when this process does, however that ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import typing as t

_PR_SET_PDEATHSIG = 1
# Loaded here: between fork and exec of a process with threads nothing may be imported.
_prctl: t.Callable[..., int] | None
try:
    _prctl = ctypes.CDLL(None, use_errno=True).prctl
except (OSError, AttributeError):
    _prctl = None
# Reads until the writing end closes, which the system does when this process is gone.
_WATCH = 'read -r line; kill -9 "$1" 2>/dev/null'


class Child:
    """A program that runs until L(kill), or until this process ends.

    Start it in a thread that lives as long as the process (the main one): on Linux the kernel ends the child with the
    thread that started it. Where the kernel does not do so, a watching shell does.
    """

    def __init__(self, command: list[str], log: int, *, kernel: bool = True) -> None:
        self._watch: subprocess.Popen[bytes] | None = None
        prctl = _prctl if kernel else None
        parent = os.getpid()

        def bind() -> None:
            if prctl is not None:
                prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != parent:
                    os._exit(1)

        self._process = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn,consider-using-with
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
            preexec_fn=bind,  # noqa: PLW1509 - it only calls prctl, loaded beforehand
        )
        if prctl is None:
            self._watch = subprocess.Popen(  # pylint: disable=consider-using-with
                ["/bin/sh", "-c", _WATCH, "sh", str(self.pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code, negative for a signal; C(None) while it runs."""
        return self._process.poll()

    def kill(self) -> None:
        """End it at once; nothing happens where it has ended."""
        if self._watch is not None:
            # First: it must not outlive the child and kill what gets its number next.
            with contextlib.suppress(ProcessLookupError):
                self._watch.kill()
            self._watch.communicate()
            self._watch = None
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
