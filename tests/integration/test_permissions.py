# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The permissions in docs/permissions.md are enough, and each that is needed is missed at once and by name."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.runbook import Runbooks
from servers import Options, Server, User, oracle
from servers.fixtures import MakeCluster, MakeServer

from .evidence import api, fails, make_stream, publish, run_here, tree, works

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "permissions.md").read_text(encoding="utf-8")
MODULES = ("stream_backup", "account_backup", "stream_restore", "account_restore")
PREFIX = "_MINE"


def table(heading: str) -> dict[str, dict[str, str]]:
    """subject → module → when it is needed, from the table below a heading."""
    lines = DOCUMENT.partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines()
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert tuple(rows[0][1:]) == MODULES
    return {row[0]: dict(zip(MODULES, row[1:], strict=True)) for row in rows[2:]}


PUBLISH, SUBSCRIBE = table("Publish"), table("Subscribe")


def needed(rows: dict[str, dict[str, str]], module: str) -> list[str]:
    return [subject for subject, when in rows.items() if when[module] == "yes"]


def allowed(module: str) -> list[str]:
    """Everything that the document gives a module, conditions met."""
    return [subject.replace("_INBOX", PREFIX) for subject, when in PUBLISH.items() if when[module] != "-"]


def user(name: str, subjects: list[str], inbox: str = PREFIX) -> User:
    return User(name, permissions={"publish": {"allow": subjects}, "subscribe": {"allow": [f"{inbox}.>"]}})


def users() -> list[User]:
    """For each module: one with what is needed, one with all, and one without each needed subject."""
    found = []
    for module in MODULES:
        wanted = needed(PUBLISH, module)
        found += [user(f"{module}-needed", wanted), user(f"{module}-all", allowed(module))]
        found += [user(f"{module}-{index}", [s for s in wanted if s != wanted[index]]) for index in range(len(wanted))]
        found.append(user(f"{module}-inbox", allowed(module), "_OTHER"))
    return found


MISSING = [(module, subject) for module in MODULES for subject in needed(PUBLISH, module)]


@pytest.fixture(scope="module")
def server(server_version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(Options(version=server_version, users=tuple(users()))) as running:
        make_stream(running, "ONE", messages=0)
        noise = random.Random(1)
        for number in range(80):
            publish(running, f"one.{number}", noise.randbytes(100_000))  # 8 MB: more than a server sends unasked
        consumer = {"durable_name": "worker", "ack_policy": "explicit"}
        api(running, "CONSUMER.DURABLE.CREATE.ONE.worker", {"stream_name": "ONE", "config": consumer})
        root = tmp_path_factory.mktemp("backup")
        works("jetstream_account_backup", {**running.connection(), "path": str(root / "all")})
        running.backup = root / "all"  # type: ignore[attr-defined]
        yield running


def arguments(server: Server, module: str, name: str, path: Path) -> dict[str, Any]:
    args = {**server.connection(name), "inbox_prefix": PREFIX, "path": str(path)}
    if module.endswith("_restore"):
        args["path"] = str(server.backup / "ONE" if module == "stream_restore" else server.backup)  # type: ignore[attr-defined]
    elif module == "stream_backup":
        args["stream"] = "ONE"
    # Small chunks in a small window: acknowledgements count.
    return {**args, "chunk_size": 65536, **({"window_size": 262144} if module.endswith("_backup") else {})}


def away(server: Server, module: str) -> None:
    """Before a restore: the stream is not there."""
    if module.endswith("_restore") and "ONE" in oracle.stream_names(server):
        api(server, "STREAM.DELETE.ONE")


def back(server: Server) -> None:
    """The stream is there again, whatever a test did."""
    if "ONE" not in oracle.stream_names(server):
        works("jetstream_stream_restore", {**server.connection(), "path": str(server.backup / "ONE")})  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", MODULES)
def test_what_is_needed_is_enough(module: str, server: Server, tmp_path: Path) -> None:
    away(server, module)
    try:
        result = works(f"jetstream_{module}", arguments(server, module, f"{module}-needed", tmp_path / "new"))
        assert result["changed"] is True
        assert oracle.stream_info(server, "ONE")["state"]["messages"] == 80
        assert list(oracle.consumers(server, "ONE")) == ["worker"]
    finally:
        back(server)


@pytest.mark.parametrize("module", MODULES)
def test_all_of_it_again_and_with_a_conflict(module: str, server: Server, tmp_path: Path) -> None:
    args = arguments(server, module, f"{module}-all", tmp_path / "new")
    works(f"jetstream_{module}", args)
    assert works(f"jetstream_{module}", args)["changed"] is False
    if module.endswith("_restore"):
        publish(server, "one.more")
        assert works(f"jetstream_{module}", {**args, "on_conflict": "replace"})["changed"] is True
        assert oracle.stream_info(server, "ONE")["state"]["messages"] == 80


@pytest.mark.parametrize(("module", "subject"), MISSING)
def test_one_that_is_missing(module: str, subject: str, server: Server, tmp_path: Path) -> None:
    name = f"{module}-{needed(PUBLISH, module).index(subject)}"
    away(server, module)
    before = tree(server.backup)  # type: ignore[attr-defined]
    try:
        args = arguments(server, module, name, tmp_path / "new")
        if subject.endswith("STREAM.UPDATE.*"):
            # Everything is restored by then, but for the last step: the next run finishes it.
            result = run_here(f"jetstream_{module}", args)
            assert result["error"] == "permission_denied", result
        else:
            result = fails(f"jetstream_{module}", args, "permission_denied", within=4)
        stem = re.escape(subject.rstrip("*>")).lower()
        assert re.search(stem, result["msg"].lower()), result["msg"]
        assert "docs/permissions.md" in result["msg"]
        assert tree(server.backup) == before  # type: ignore[attr-defined]
        assert not list(tmp_path.rglob("backup.json"))
    finally:
        back(server)
    if module.endswith("_restore"):
        full = arguments(server, module, f"{module}-all", tmp_path / "new")
        works(f"jetstream_{module}", {**full, "on_conflict": "replace"})
        assert oracle.stream_info(server, "ONE")["state"]["messages"] == 80


def looked_at() -> dict[str, list[str]]:
    """The subjects of assess by the account that needs them, from the document."""
    section = DOCUMENT.partition("## The runbooks about backups\n")[2].partition("\n## ")[0]
    found: dict[str, list[str]] = {"system": [], "each": []}
    for subject, account in re.findall(r"^\| `(\$[^`]+)` \| (\w+)", section, re.MULTILINE):
        found[account].append(subject)
    return found


def lookers() -> tuple[User, ...]:
    """Users who may do just what assess needs."""
    subscribe = {"allow": [f"{PREFIX}.>"]}
    rights = {
        account: {"publish": {"allow": subjects}, "subscribe": subscribe} for account, subjects in looked_at().items()
    }
    return User("looker", "SYS", rights["system"]), User("lister", "APP", rights["each"])


def test_a_look_at_a_cluster_with_a_dead_server(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(users=lookers(), tags={f"n{number}": [f"only:n{number}"] for number in (1, 2, 3)})
    config = {"name": "ALONE", "subjects": ["alone"], "placement": {"tags": ["only:n3"]}}
    assert "error" not in oracle.request(cluster, "STREAM.CREATE.ALONE", config)
    own = {"inbox_prefix": PREFIX, "request_timeout": 5}
    args = {**cluster.connection("looker"), **own, "sample_interval": 0}
    args["accounts"] = [{"name": "APP", **cluster.setup.module_options("lister"), **own}]
    assert len(works("jetstream_cluster_info", args)["servers"]) == 3
    cluster.node("n3").kill()
    cluster.wait_meta_leader(60)
    args["servers"] = cluster.urls
    args["accounts"][0]["servers"] = cluster.urls
    found = works("jetstream_cluster_info", args)
    assert [one["stream"] for one in found["only_on_dead"]] == ["ALONE"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_runbooks_run_with_exactly_these(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(users=(*users(), *lookers()))
    make_stream(server, "ONE", messages=5)
    system = {"jetstream_system": {**server.connection("looker"), "inbox_prefix": PREFIX}}

    def runbooks(user: str) -> Runbooks:
        account = {"name": "APP", **server.connection(user), "inbox_prefix": PREFIX}
        return Runbooks(server, tmp_path, jetstream_accounts=[account], **system)

    assert runbooks("account_backup-all").run("backup").report["outcome"] == "done"
    assert runbooks("lister").run("assess").report["details"]["status"] == "ok"
    api(server, "STREAM.DELETE.ONE")
    assert runbooks("account_restore-all").run("restore").report["outcome"] == "done"
    api(server, "STREAM.DELETE.ONE")
    back_again = runbooks("account_restore-all").run("cluster_loss", cluster_loss_confirm="n1")
    assert back_again.report["outcome"] == "done", back_again.output
    assert oracle.stream_info(server, "ONE")["state"]["messages"] == 5


@pytest.mark.parametrize("module", MODULES)
def test_no_inbox(module: str, server: Server, tmp_path: Path) -> None:
    args = arguments(server, module, f"{module}-inbox", tmp_path / "new")
    fails(f"jetstream_{module}", args, "permission_denied", PREFIX, "inbox_prefix", within=4)
    works(f"jetstream_{module}", {**args, "inbox_prefix": "_OTHER"})
