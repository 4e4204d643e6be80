# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finding a nats-server on this host, and telling its version."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from .errors import ServerError


def find_program(binary: str) -> str:
    """The absolute path of a program by path or by name. Raises ServerError if there is none that can be run."""
    found = shutil.which(os.path.expanduser(binary))
    if found is None:
        raise ServerError(
            f"There is no program {binary} that can be run. Install nats-server on the host that runs the module, or"
            " give its path.",
            error="server_binary",
        )
    return os.path.abspath(found)


def program_version(program: str) -> str:
    """The version of a nats-server, as in C(2.15.2). Raises ServerError if the program is none."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
        said = (done.stdout + done.stderr).strip()
    except (OSError, subprocess.SubprocessError) as exc:
        said = str(exc)
    found = re.match(r"nats-server: v(\d+\.\d+\.\d+\S*)", said)
    if found is None:
        raise ServerError(f"{program} is not a nats-server: it says {said[:200]!r}.", error="server_binary")
    return found[1]
