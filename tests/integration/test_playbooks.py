# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's playbooks, by their names: every variable reaches its module, the connection from both places."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from servers import PASSWORD, oracle
from servers.ansible import CHECKOUT, playbook_environment
from servers.fixtures import MakeServer
from servers.samples import make_streams
from servers.server import Server


@pytest.fixture
def stocked(make_server: MakeServer) -> Server:
    """A server with three streams."""
    server = make_server()
    make_streams(server, ["PLAIN", "EMPTY", "ADVANCED"])
    return server


class Playbook:
    """Runs playbooks in an empty home."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def run(self, name: str, *words: str, env: dict[str, str] | None = None, **variables: Any) -> dict[str, Any]:
        """Return the result of the playbook's one task."""
        results = self._home / "results.jsonl"
        results.unlink(missing_ok=True)
        variables["ansible_python_interpreter"] = sys.executable
        environment = playbook_environment(
            self._home,
            ANSIBLE_CALLBACK_PLUGINS=str(CHECKOUT / "tests" / "integration" / "callbacks"),
            ANSIBLE_CALLBACKS_ENABLED="natsops_results",
            NATSOPS_RESULTS=str(results),
        )
        # Ansible itself shows what is on its command line, so the variables come from a file.
        extra = self._home / "variables.json"
        extra.write_text(json.dumps(variables), encoding="utf-8")
        command = [sys.executable, "-m", "ansible", "playbook", f"natsops.jetstream.{name}", "-e", f"@{extra}", *words]
        done = subprocess.run(
            command,
            cwd=self._home,
            env={**environment, **(env or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        entries = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
        # What looks for the hosts has nothing to do on localhost.
        (entry,) = [one for one in entries if one["status"] != "skipped"]
        assert (done.returncode == 0) == (entry["status"] == "ok"), done.stdout + done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        result: dict[str, Any] = entry["result"]
        return result


@pytest.fixture
def playbook(tmp_path: Path) -> Playbook:
    """Playbooks with a home of their own."""
    home = tmp_path / "home"
    home.mkdir()
    return Playbook(home)


def streams(result: dict[str, Any]) -> dict[str, str]:
    """Return the status of each stream."""
    return {stream["stream"]: stream["status"] for stream in result["streams"]}


def test_backup_takes_its_variables(stocked: Server, playbook: Playbook, tmp_path: Path) -> None:
    given: dict[str, Any] = {"natsops_path": str(tmp_path / "APP"), "natsops_connection": stocked.connection("app")}
    chosen = playbook.run("account_backup", **given, natsops_streams=["PLAIN", "E*"], natsops_exclude=["EMPTY"])
    assert streams(chosen) == {"PLAIN": "transferred"}
    assert chosen["changed"]
    everything = playbook.run("account_backup", "--check", "-vvvv", **given)
    assert streams(everything) == {"PLAIN": "unchanged", "EMPTY": "would_transfer", "ADVANCED": "would_transfer"}
    oracle.request(stocked, "STREAM.DELETE.PLAIN")
    pruned = playbook.run("account_backup", **given, natsops_prune=True)
    assert streams(pruned) == {"EMPTY": "transferred", "ADVANCED": "transferred"}
    assert sorted(path.name for path in (tmp_path / "APP").iterdir()) == ["ADVANCED", "EMPTY"]


def test_restore_takes_its_variables_and_the_environment(stocked: Server, playbook: Playbook, tmp_path: Path) -> None:
    path = str(tmp_path / "APP")
    env = {"NATS_URL": stocked.url, "NATS_USER": "app", "NATS_PASSWORD": PASSWORD}
    before = oracle.picture(stocked)
    assert playbook.run("account_backup", "-vvvv", env=env, natsops_path=path)["changed"]
    for stream in ("PLAIN", "EMPTY"):
        oracle.request(stocked, f"STREAM.DELETE.{stream}")
    only = playbook.run("account_restore", env=env, natsops_path=path, natsops_streams="E*,P*", natsops_exclude="PLAIN")
    assert streams(only) == {"EMPTY": "created"}
    refused = playbook.run("account_restore", env=env, natsops_path=path, natsops_replicas=3, natsops_streams="PLAIN")
    assert refused["error"] == "replicas_unsupported"
    rest = playbook.run("account_restore", env=env, natsops_path=path)
    assert streams(rest) == {"PLAIN": "created", "EMPTY": "unchanged", "ADVANCED": "unchanged"}
    assert oracle.compare(before, oracle.picture(stocked)) == []
    assert not playbook.run("account_restore", env=env, natsops_path=path)["changed"]


@pytest.mark.slow
def test_restore_replaces_only_when_told(stocked: Server, playbook: Playbook, tmp_path: Path) -> None:
    given: dict[str, Any] = {"natsops_path": str(tmp_path / "APP"), "natsops_connection": stocked.connection("app")}
    playbook.run("account_backup", **given, natsops_streams=["PLAIN"])
    oracle.request(stocked, "STREAM.PURGE.PLAIN")
    assert playbook.run("account_restore", **given)["error"] == "stream_exists"
    placed = playbook.run("account_restore", "--check", **given, natsops_placement={"cluster": "C1"})
    assert placed["error"] == "stream_exists"
    assert any("placement" in line for line in placed["streams"][0]["differences"])
    replaced = playbook.run("account_restore", **given, natsops_on_conflict="replace")
    assert streams(replaced) == {"PLAIN": "replaced"}
    assert len(oracle.dump(stocked, "PLAIN")) == 250


@pytest.mark.parametrize("verb", ["backup", "assess", "account_backup"])
def test_a_pattern_that_matches_no_host(verb: str, tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.ini"
    inventory.write_text("[keepers]\nkeeper ansible_connection=local\n", encoding="utf-8")

    def run(pattern: str) -> subprocess.CompletedProcess[str]:
        words = [
            "-i",
            str(inventory),
            "-e",
            f"natsops_hosts={pattern}",
            "--list-tasks" if pattern == "keepers" else "-v",
        ]
        return subprocess.run(
            [sys.executable, "-m", "ansible", "playbook", f"natsops.jetstream.{verb}", *words],
            cwd=tmp_path,
            env=playbook_environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    misspelt = run("keeprs")
    assert misspelt.returncode != 0, misspelt.stdout
    assert 'natsops_hosts is \\"keeprs\\", and no host of the inventory matches it' in misspelt.stdout, misspelt.stdout
    assert not (tmp_path / "reports").exists()
    assert run("keepers").returncode == 0
