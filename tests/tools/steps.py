# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run named commands one after another, all of them, and say at the end how each went."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools import checkout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# How a pytest run closes, and what the tools here print as their own last word.
CLOSING = re.compile(r"^(?:=+ )?((?:no|\d+) \w+.* in [\d.]+s(?: \(.*\))?)(?: =+)?$|^result: (.*)$")


@dataclass(frozen=True)
class Step:
    """One command. `where` is its working directory, the checkout by default."""

    name: str
    command: Sequence[str | Path]
    where: Path = checkout.ROOT
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Outcome:
    """How one step went: its exit code, its duration in seconds and its last word."""

    name: str
    code: int
    duration: float
    closing: str

    @property
    def line(self) -> str:
        """The outcome as one line of a table."""
        verdict = "passed" if self.code == 0 else f"FAILED ({self.code})"
        return f"{self.name:<24} {verdict:<12} {self.duration:7.1f} s  {self.closing}".rstrip()


def shorten(command: Sequence[object]) -> list[str]:
    """Return a command as it is shown: programs by name, a long tail of files left out."""
    words = [str(word).removeprefix(f"{checkout.BIN}/") for word in command]
    return words if len(words) <= 12 else [*words[:11], f"({len(words) - 11} more)"]


def run(step: Step, quiet: bool = False) -> Outcome:
    """Run one step, showing its output as it comes, or with `quiet` only if it fails."""
    print(f"==> {step.name}: {shlex.join(shorten(step.command))}", flush=True)
    started = time.monotonic()
    closing, kept = "", []
    with subprocess.Popen(
        [str(word) for word in step.command],
        cwd=step.where,
        env=dict(step.environment or checkout.environment()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if quiet:
                kept.append(line)
            else:
                print(line, end="", flush=True)
            match = CLOSING.search(re.sub(r"\x1b\[[\d;]*m", "", line.rstrip()))
            if match:
                closing = match[1] or match[2]
    if process.returncode:
        print("".join(kept), end="", flush=True)
    return Outcome(step.name, process.returncode, time.monotonic() - started, closing)


def run_side_by_side(*lanes: Sequence[Step]) -> list[Outcome]:
    """Run lanes of steps at once, the steps of a lane in turn; the output of those that fail is shown."""
    with ThreadPoolExecutor(len(lanes)) as pool:
        done = pool.map(lambda lane: [run(step, quiet=True) for step in lane], lanes)
        return [outcome for outcomes in done for outcome in outcomes]


def run_all(title: str, steps: Sequence[Step], quiet: bool = False) -> int:
    """Run every step, whatever the earlier ones did; print the table; return 1 if any failed."""
    outcomes = [run(step, quiet) for step in steps]
    return report(title, outcomes)


def report(title: str, outcomes: Sequence[Outcome], took: float | None = None) -> int:
    """Print how each went, and the seconds they took together as the last line; return 1 if any failed."""
    failed = [outcome.name for outcome in outcomes if outcome.code]
    print(f"\n{title}")
    for outcome in outcomes:
        print(f"  {outcome.line}")
    total = sum(outcome.duration for outcome in outcomes) if took is None else took
    verdict = (
        f"{len(failed)} of {len(outcomes)} failed: {', '.join(failed)}" if failed else f"all {len(outcomes)} passed"
    )
    print(f"result: {verdict} in {total:.0f} s", flush=True)
    return 1 if failed else 0
