# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Ansible callback that writes each task's result as a line of JSON: what Ansible says, with no text to parse."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: natsops_results
type: aggregate
short_description: Results as lines of JSON
description:
  - Appends each task's result to the file that the environment variable E(NATSOPS_RESULTS) names.
requirements:
  - enabled in configuration
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """One line a result: `{"task", "host", "status", "result"}`; `status` is ok, failed, skipped or unreachable."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "natsops_results"
    CALLBACK_NEEDS_ENABLED = True

    def _write(self, status: str, result: Any) -> None:
        entry = {
            "task": str(result.task_name),
            "host": str(result.host),
            "status": status,
            "result": json.loads(self._dump_results(result.result, indent=0, keep_invocation=False)),
        }
        with open(os.environ["NATSOPS_RESULTS"], "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def v2_runner_on_ok(self, result: Any) -> None:
        self._write("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._write("failed", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._write("skipped", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._write("unreachable", result)
