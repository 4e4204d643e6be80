# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts of an operator with names that no directory can have, by name and by id; judged by clients and the disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.cluster import kit
from integration.runbook import Ran, Runbooks
from servers import Cluster, Options, Server
from servers.config import User

TEAM, LOWER, UP, LATEST = "App Team/1", "app team/1", "..", "latest"
LONG = "Äußerst langer Name " * 20
USERS = (User("team", TEAM), User("lower", LOWER), User("up", UP), User("latest", LATEST), User("long", LONG))
MESSAGES = 25


class Offline:
    """For modules that talk to no server."""

    def connection(self, _user: str) -> dict[str, Any]:
        return {}


@pytest.fixture(scope="module")
def operator(server_version: str) -> Iterator[Server]:
    with Server(Options(version=server_version, auth="jwt", users=USERS)) as server:
        for number, user in enumerate(USERS):
            client = kit.App(server, user.name)
            client.stream("ORDERS", 1)
            client.fill("ORDERS", MESSAGES + number)
            client.close()
        yield server


def messages(server: Server | Cluster, user: str) -> int:
    client = kit.App(server, user)
    try:
        return int(client.api("STREAM.INFO.ORDERS")["state"]["messages"])
    finally:
        client.close()


def ident(server: Server | Cluster, user: str) -> str:
    """The account's id, as the server tells it to the user."""
    client = kit.App(server, user)
    try:
        answer = client.call(client.client.request("$SYS.REQ.USER.INFO", b""))
        return str(json.loads(answer.data)["data"]["account"])
    finally:
        client.close()


def runbooks(server: Server | Cluster, home: Path, names: dict[str, str]) -> Runbooks:
    """C(names): what the list of accounts calls the account of each user."""
    home.mkdir(parents=True, exist_ok=True)
    entries = [{"name": name, **server.connection(user)} for user, name in names.items()]
    return Runbooks(server, home, jetstream_accounts=entries)


def ok(ran: Ran) -> Ran:
    assert ran.code == 0, ran.output
    return ran


def test_every_name_by_the_runbooks(operator: Server, tmp_path: Path) -> None:
    books = runbooks(operator, tmp_path, {user.name: user.account for user in USERS})
    ok(books.run("backup"))
    there = sorted(one.name for one in books.repository.iterdir())
    assert there[:4] == ["%2E.", "%6Catest", f"%C3%84u%C3%9Ferst{there[2][17:]}", "App%20Team%2F1"]
    assert there[4:] == ["app%20team%2F1"]
    assert not list(tmp_path.glob("2*"))
    held = {
        one: json.loads((books.repository / one / "latest" / "ORDERS" / "manifest.json").read_text()) for one in there
    }
    assert sorted(one["state"]["messages"] for one in held.values()) == [MESSAGES + n for n in range(len(USERS))]
    again = ok(books.run("backup", backup_keep={"last": 1}))
    assert again.report["outcome"] == "nothing_to_do"
    assert {one["object"] for one in ok(books.run("verify", verify_level="full")).report["results"]} >= {TEAM, UP, LONG}
    found = ok(books.run("assess", assess_sample_interval=0)).report
    assert not [one for one in found["details"]["findings"] if one["id"] == "backup_missing"], found
    assert {one["account"] for one in found["streams"]} == {user.account for user in USERS}
    drilled = ok(books.run("drill", drill_server_binary=str(operator.program))).report
    assert {one["account"] for one in drilled["streams"]} >= {TEAM, LOWER, UP, LATEST}

    client = kit.App(operator, "team")
    client.api("STREAM.DELETE.ORDERS")
    client.close()
    lost = ok(books.run("assess", assess_sample_interval=0)).report
    (loss,) = [one for one in lost["details"]["findings"] if one["id"] == "stream_lost"]
    assert loss["objects"] == [f"{TEAM} > ORDERS"]
    assert loss["backup"].split("/")[-3] == "App%20Team%2F1"
    given_up = ok(
        books.run("assess", assess_sample_interval=0, assess_given_up=[f"{ident(operator, 'team')} > ORDERS"])
    )
    assert not [one for one in given_up.report["details"]["findings"] if one["id"] == "stream_lost"]
    ok(books.run("restore", restore_account=TEAM))
    assert messages(operator, "team") == MESSAGES
    assert messages(operator, "lower") == MESSAGES + 1


def test_name_and_id_find_the_same_sets(operator: Server, tmp_path: Path) -> None:
    team = ident(operator, "team")
    by_id = runbooks(operator, tmp_path, {"team": team})
    ok(by_id.run("backup"))
    assert [one.name for one in by_id.repository.iterdir()] == [team]
    found = ok(by_id.run("assess", assess_sample_interval=0)).report["details"]["findings"]
    assert f"{TEAM} > ORDERS" not in [each for one in found if one["id"] == "backup_missing" for each in one["objects"]]
    about = json.loads(next(by_id.repository.glob("*/2*.json")).read_text())
    assert about["account"] == team
    if operator.setup.options.line < (2, 12):
        assert "account_name" not in about
        return
    assert about["account_name"] == TEAM
    by_name = runbooks(operator, tmp_path, {"team": TEAM})
    assert ok(by_name.run("backup")).report["outcome"] == "nothing_to_do"
    assert [one.name for one in by_name.repository.iterdir()] == [team]
    ok(by_name.run("verify"))
    client = kit.App(operator, "team")
    client.api("STREAM.DELETE.ORDERS")
    client.close()
    ok(by_name.run("restore", restore_account=team))
    assert messages(operator, "team") == MESSAGES
    info = kit.run("backup_info", Offline(), path=str(by_id.repository / "App%20Team%2F1"))
    assert info["path"] == str(by_id.repository / team)
    (one,) = info["sets"]
    assert (one["account"], one["account_id"], one["account_name"]) == (team, team, TEAM)


@pytest.mark.slow
def test_a_directory_of_another_account_is_not_taken_for_it(operator: Server, tmp_path: Path) -> None:
    """The file of the set says whose it is."""
    books = runbooks(operator, tmp_path, {"lower": LOWER})
    ok(books.run("backup"))
    shutil.copytree(books.repository / "app%20team%2F1", books.repository / "App%20Team%2F1", symlinks=True)
    shutil.rmtree(books.repository / "app%20team%2F1")
    hostile = books.repository / "%2E.%2F..%2Fetc"
    hostile.mkdir()
    found = ok(books.run("assess", assess_sample_interval=0)).report["details"]["findings"]
    (bare,) = [one for one in found if one["id"] == "backup_missing" and f"{TEAM} > ORDERS" in one["objects"]]
    assert bare["severity"] == "critical"
    other = runbooks(operator, tmp_path, {"team": TEAM}).run("backup")
    assert other.code != 0
    assert "holds sets of the account" in other.output
    assert list(hostile.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_lost_server_of_such_an_account(make_cluster: Any, tmp_path: Path) -> None:
    """The backups were made by its name; the plan is asked for by its id, and carried out by its name."""
    cluster = make_cluster(size=4, auth="jwt", users=USERS[:1])
    client = kit.App(cluster, "team")
    client.stream("MANY", 3)
    client.stream("ONE", 1)
    client.fill("MANY", MESSAGES)
    client.fill("ONE", MESSAGES)
    home = str(client.api("STREAM.INFO.ONE")["cluster"]["leader"])
    kit.not_leader(cluster, home)
    team = ident(cluster, "team")
    by_name, by_id = (runbooks(cluster, tmp_path, {"team": name}) for name in (TEAM, team))
    ok(by_name.run("backup"))
    picture = tmp_path / "picture.json"
    picture.write_text(json.dumps(kit.run("cluster_info", cluster)))
    cluster.node(home).kill()
    own = {"node_loss_disk": "lost", "node_loss_server": home, "node_loss_last_picture": str(picture)}
    for books in (by_id, by_name) if cluster.setup.options.line >= (2, 12) else (by_name,):
        planned = ok(books.run("node_loss", **own)).report
        assert planned["outcome"] == "planned", planned
        (step,) = [one for one in planned["plan"] if one["step"] == "restore"]
        assert (step["object"], step["effect"]) == (f"{TEAM} > ONE", "restored from its backup")
    done = ok(by_name.run("node_loss", **own, node_loss_confirm_dead=home)).report
    assert done["outcome"] == "done", done
    assert client.lost("ONE") == client.lost("MANY") == []
    client.close()
    found = ok(by_id.run("assess", assess_sample_interval=0)).report["details"]["findings"]
    assert not [one for one in found if one["id"] in ("stream_lost", "stream_behind", "backup_missing")], found
