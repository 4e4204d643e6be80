# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make test-cores` takes for a failure."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tools import checkout, cores, pythons

PLAYED = """
PLAY [A round] ****

TASK [One] ****
[WARNING]: Task result `finished` was str instead of bool and has been discarded.
Origin: round.yml:4:7

ok: [localhost]

TASK [Two] ****
[DEPRECATION WARNING]: The 'skipped_reason' value is deprecated. This feature will be
removed from ansible-core version 2.24.
ok: [localhost]

TASK [Three] ****
[WARNING]: If n4 is started again it becomes a member again about 5 minutes after its removal.
changed: [localhost] => {"msg": "[WARNING]: in a text"}
"""


def test_every_complaint_of_ansible_is_seen() -> None:
    first, second = cores.complaints(PLAYED)
    assert first.startswith("[WARNING]: Task result `finished`")
    assert second.startswith("[DEPRECATION WARNING]: The 'skipped_reason'")
    assert "removed from ansible-core" in second


def test_a_missing_python_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pythons, "find", lambda *_given: {})
    with pytest.raises(cores.CoreError, match=r"ansible-core 2\.20 runs on Python 3\.12, 3\.13, 3\.14.*python3\.12"):
        cores.interpreter("2.20")


def test_the_versions_are_those_that_are_documented() -> None:
    runtime = yaml.safe_load((checkout.ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    assert runtime["requires_ansible"] == f">={cores.OLDEST_AND_NEWEST[0]}.0"
    readme = Path(checkout.ROOT / "README.md").read_text(encoding="utf-8")
    assert f"plays a round on {', '.join(list(cores.CORES)[:-1])} and {cores.OLDEST_AND_NEWEST[1]}" in readme
    for line, core in cores.CORES.items():
        assert core.version.startswith(f"{line}.")


def test_requirements_are_those_of_a_controller_with_another_core(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cores, "ENVIRONMENTS", tmp_path)
    lines = cores.requirements("2.16").read_text(encoding="utf-8").splitlines()
    assert f"ansible-core=={cores.CORES['2.16'].version}" in lines
    assert any(line.startswith("nats-py[nkeys]==") for line in lines)
    assert not [line for line in lines if line.startswith("-c")]
