# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sample of `make fuzz`, and proof that it would see what it looks for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import checkout, fuzz


def test_a_sample_of_spoilt_backups() -> None:
    # In a process of its own: what these tests have loaded would count as memory of each case.
    command = [sys.executable, "-m", "tools.fuzz", "--seed", "2026", "--cases", "120", "--seconds", "250"]
    done = subprocess.run(
        command, cwd=checkout.ROOT, env=checkout.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "120 of 120 cases with seed 2026" in done.stdout
    for kind in ("raw_bytes", "past_the_checksum", "json_field", "other_kind", "fit_again"):
        assert f"'{kind}'" in done.stdout


def opens(root: Path, streams: list[Path]) -> None:
    (root / "outside" / "canary").read_bytes()


def follows(root: Path, streams: list[Path]) -> None:
    link = root / "backup" / "link"
    link.symlink_to(root / "outside" / "canary")
    link.read_bytes()


def writes(root: Path, streams: list[Path]) -> None:
    (root / "outside" / "more").mkdir()


def raises(root: Path, streams: list[Path]) -> None:
    raise KeyError("name")


def hoards(root: Path, streams: list[Path]) -> None:
    bytearray(os.urandom(1 << 20) * 300)


@pytest.mark.parametrize(
    ("looks", "trouble"),
    [
        (opens, "opened outside"),
        (follows, "opened outside"),
        (writes, "opened outside"),
        (raises, "KeyError"),
        (hoards, "MiB"),
    ],
)
def test_what_goes_wrong_is_seen(looks: object, trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "look_at", looks)
    found, _done, _memory, _seconds = fuzz.run_case(1, 1, fuzz.samples(), tmp_path)
    assert trouble in found
