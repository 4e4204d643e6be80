# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ends a module on a Python that is too old, with a sentence where there would be a traceback.

Modules import this before anything else. Python 2.7 can read this file and the modules themselves.
"""

# ruff: noqa: UP031

import json
import sys

OLDEST = (3, 9)

if sys.version_info[:2] < OLDEST:
    MESSAGE = (
        "%s is Python %d.%d; the modules of natsops.jetstream need %d.%d or newer on the host that they run on. Install"
        " it there and name it with ansible_python_interpreter, or run the play on localhost: the modules reach the"
        " servers over the network."
    ) % (sys.executable, sys.version_info[0], sys.version_info[1], OLDEST[0], OLDEST[1])
    error = "python_too_old"
    sys.stdout.write(json.dumps({"failed": True, "changed": False, "error": error, "msg": MESSAGE}) + "\n")
    raise SystemExit(1)
