# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job templates run for real, by ansible-runner: credentials injected as AWX does, surveys answered, artifacts read."""

from __future__ import annotations

import json
import os
import random
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from servers import PASSWORD, oracle
from servers.ansible import run_module
from servers.fixtures import MakeServer
from servers.samples import make_streams
from servers.server import Server
from tools import checkout
from tools.awx import answers, graph, job, load

CONTENT = load.content()
KINDS = {item["name"]: item for item in CONTENT["controller_credential_types"]}
TEMPLATES = {item["name"]: item for item in CONTENT["controller_templates"]}
STREAMS = ["PLAIN", "EMPTY"]


class Controller:
    """Launches templates against a server, with a repository that outlives the jobs."""

    def __init__(self, server: Server, place: Path) -> None:
        self.server = server
        self.repository, self.reports = place / "repository", place / "reports"
        self._place = place
        self._launched = 0

    def credentials(self, names: list[str]) -> list[tuple[job.Item, job.Item]]:
        """The credentials of the types that a template begins with."""
        login = {"servers": self.server.url, "username": "app", "password": PASSWORD}
        inputs: dict[str, Any] = {
            "NATS account": (KINDS["NATS JetStream account"], {**login, "account": "APP"}),
            "NATS system account": (KINDS["NATS system account"], {**login, "username": "sys"}),
            "NATS backup repository": (
                KINDS["NATS backup repository"],
                {"repository": str(self.repository), "reports": str(self.reports)},
            ),
        }
        return [inputs[name] for name in names]

    def launch(self, template: str, given: dict[str, Any] | None = None, **more: Any) -> job.Job:
        """Start a job of a template."""
        item = TEMPLATES[template]
        self._launched += 1
        private = self._place / f"job{self._launched}"
        private.mkdir(parents=True)
        return job.Job(item, self.credentials(item["credentials"]), given or {}, private, **more)

    def run(self, template: str, given: dict[str, Any] | None = None, **more: Any) -> job.Ran:
        """Run one; no password is in what it says."""
        ran = self.launch(template, given, **more).finish()
        assert PASSWORD not in ran.output
        return ran

    def sets(self) -> list[str]:
        """The sets that are whole."""
        place = self.repository / "APP"
        return sorted(path.stem for path in place.glob("*.json")) if place.is_dir() else []

    def check_latest(self) -> None:
        """The newest set can be read to its end."""
        told = run_module("jetstream_backup_info", {"path": str(self.repository / "APP" / "latest"), "verify": "full"})
        assert not told.get("failed"), told
        assert told["backups"]
        assert all(one["valid"] for one in told["backups"]), told


@pytest.fixture
def controller(make_server: MakeServer, tmp_path: Path) -> Controller:
    """A controller whose server has streams; no job is left behind."""
    server = make_server()
    make_streams(server, STREAMS)
    return Controller(server, tmp_path)


def test_credentials_are_injected_into_files_that_nobody_else_reads(tmp_path: Path) -> None:
    kind = KINDS["NATS JetStream account"]
    inputs = {
        "account": "APP",
        "servers": "tls://n1:4222,tls://n2:4222",
        "credentials": "-----BEGIN NATS USER JWT-----\nx\n",
        "client_cert": "CERT",
        "client_key": "KEY",
        "others": "[{name: OTHER, context: other.json}]",
    }
    env, files = job.inject(kind, inputs, tmp_path)
    assert env == {}
    for path in (tmp_path / "env").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    text = files[0].read_text()
    assert "JWT" not in text
    assert "KEY" not in text
    contexts = [path for path in (tmp_path / "env").iterdir() if path.read_text().startswith("{")]
    context = json.loads(contexts[0].read_text())
    assert Path(context["creds"]).read_text() == inputs["credentials"].rstrip("\n") + "\n"
    assert Path(context["cert"]).read_text() == "CERT"
    assert Path(context["key"]).read_text() == "KEY\n", "AWX ends a key with a line end"
    assert (context["url"], context["user"], context["ca"], context["tls_first"]) == (inputs["servers"], "", "", False)
    with pytest.raises(ValueError, match="account is required"):
        job.inject(kind, {"servers": "nats://n1"}, tmp_path)


def test_a_backup_job_is_done_once_and_leaves_its_facts_and_its_report(controller: Controller) -> None:
    first = controller.run("NATS backup")
    assert (first.status, first.code) == ("successful", 0), first.output
    facts = first.artifacts["natsops_backup"]
    assert (facts["outcome"], facts["changed"]) == ("done", True)
    assert facts["sentence"] in first.output
    assert json.loads(Path(facts["report"]).read_text())["sentence"] == facts["sentence"]
    controller.check_latest()
    assert len(controller.sets()) == 1
    again = controller.run("NATS backup")
    assert (again.status, again.artifacts["natsops_backup"]["changed"]) == ("successful", False), again.output
    assert "changed=0" in again.output
    assert len(controller.sets()) == 1
    # The lock is in the account, and given back.
    names = oracle.stream_names(controller.server)
    assert "KV_natsops-locks" in names


def test_check_as_the_job_type_is_the_plan_only(controller: Controller) -> None:
    ran = controller.run("NATS backup", check=True)
    assert (ran.status, ran.artifacts["natsops_backup"]["changed"]) == ("successful", True), ran.output
    assert not controller.repository.exists()
    assert not controller.reports.exists()
    assert sorted(oracle.stream_names(controller.server)) == sorted(STREAMS)


@pytest.mark.slow
def test_a_wrong_answer_ends_before_the_job_or_in_its_sentence(controller: Controller) -> None:
    for given, text in (
        ({"backup_verify": "some"}, "not one of the choices"),
        ({"backup_parallel": "4"}, "expected to be an integer"),
        ({"backup_parallel": -1}, "too small"),
        ({"backup_lock": "file"}, "not allowed on launch"),
        ({"backup_streams_text": "x" * 20000}, "too large"),
    ):
        with pytest.raises(ValueError, match=text):
            controller.launch("NATS backup", given)
    # Jinja in an answer is only text.
    ran = controller.run("NATS backup", {"backup_streams_text": "{{ 7 + 1330 }}"})
    assert ran.status == "failed", ran.output
    assert "1337" not in ran.output
    assert "no stream {{ 7 + 1330 }}" in ran.artifacts["natsops_backup"]["sentence"], ran.output


@pytest.mark.slow
def test_two_jobs_at_once_are_kept_apart_by_the_lock(controller: Controller) -> None:
    # Two execution nodes with a directory each: no file is there that could tell.
    elsewhere = Controller(controller.server, controller.repository.parent / "elsewhere")
    one, two = controller.launch("NATS backup"), elsewhere.launch("NATS backup", {"backup_lock_wait": 60.0})
    ran = [one.finish(), two.finish()]
    told = [(done.status, done.artifacts["natsops_backup"]["sentence"]) for done in ran]
    assert told[1][0] == "successful", told
    assert told[0][0] == "successful" or "is held by" in told[0][1], told


def extremes(item: dict[str, Any]) -> list[Any]:
    """The least and the most that a question takes."""
    low, high = item.get("min"), item.get("max")
    if item["type"] in ("multiplechoice", "multiselect"):
        listed = answers.choices(item)
        return [listed[0], listed[-1]] if item["type"] == "multiplechoice" else [[], listed]
    if item["type"] == "text":
        return ["" if not low else "x", "x" * (high or 1)]
    if item["type"] == "textarea":
        return ["" if not low else "x", "x" * 1000 + "\n" + "y" * 1000]
    return [low, high]


@pytest.mark.slow
# As a plan a template that changes something is its plan-only variant.
@pytest.mark.parametrize("name", sorted(name for name, item in TEMPLATES.items() if not graph.destructive(item)))
def test_every_template_runs_with_defaults_and_extremes_and_never_without_a_sentence(
    controller: Controller, name: str
) -> None:
    """As a plan: every answer that AWX lets through is understood, or refused in a sentence."""
    template = TEMPLATES[name]
    role = graph.verb(template)
    spec = template.get("survey_spec", {}).get("spec", [])
    usual = {item["variable"]: item.get("default") or "n1" for item in spec if item["required"]}
    rounds = [usual, *({**usual, **{item["variable"]: extremes(item)[end] for item in spec}} for end in (0, 1) if spec)]
    for given in rounds:
        ran = controller.run(name, given, check=True)
        for trouble in ("Traceback", "is undefined", "Unexpected", "unhandled exception"):
            assert trouble not in ran.output, f"{given}\n{ran.output}"
        if not (checkout.ROOT / "roles" / role).is_dir():
            assert not spec, "a playbook without a role asks for nothing"
            continue
        assert "natsops_" + role in ran.artifacts, f"{given}\n{ran.output}"
        facts = ran.artifacts["natsops_" + role]
        assert facts["sentence"], ran.output
        assert facts["outcome"] in ("nothing_to_do", "planned", "done", "refused", "failed")
        assert (ran.status == "failed") == (facts["outcome"] in ("refused", "failed")), ran.output
    assert sorted(oracle.stream_names(controller.server)) == sorted(STREAMS)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_a_backup_job_killed_at_any_moment_leaves_the_last_good_backup_and_finishes_when_launched_again(
    controller: Controller, how: str
) -> None:
    first = controller.run("NATS backup")
    assert first.status == "successful", first.output
    begun = time.monotonic()
    assert controller.run("NATS backup", check=True).status == "successful"
    whole = time.monotonic() - begun
    chance = random.Random(20)
    counts = {"killed": 0, "finished before": 0, "left the last good backup": 0, "finished when launched again": 0}
    for round_ in range(20):
        grow(controller.server, round_)
        before = controller.sets()
        running = controller.launch("NATS backup")
        time.sleep(chance.uniform(0.3, whole * 1.2))
        counts["killed" if running.processes() else "finished before"] += 1
        if how == "SIGTERM":
            running.cancel()
        else:
            running.kill()
        assert set(before) <= set(controller.sets())
        controller.check_latest()
        counts["left the last good backup"] += 1
        again = controller.run("NATS backup", {"backup_lock_wait": 120.0})
        assert again.status == "successful", again.output
        controller.check_latest()
        assert not [name for name in os.listdir(controller.repository / "APP") if name.endswith("-stage")]
        counts["finished when launched again"] += 1
    print(how, counts)
    assert counts["killed"] >= 10
    assert counts["finished when launched again"] == 20


def grow(server: Server, round_: int) -> None:
    """More to back up in every round."""

    async def publish() -> None:
        client = await oracle.connect(server)
        for number in range(200):
            await client.publish("plain.a", b"x" * 5000 + f"{round_} {number}".encode())
        await client.flush()
        await client.close()

    oracle.run(publish())
