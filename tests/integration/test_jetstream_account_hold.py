# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""jetstream_account_hold: publishers are kept off what no server answers for, and off nothing else."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from integration.cluster import kit
from servers import wait_for
from servers.ansible import run_module
from servers.fixtures import MakeServer


def test_what_answers_is_not_touched(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server()
    app = kit.App(server)
    app.stream("ONE", 1)
    app.fill("ONE", 3)
    own = {**server.connection(), "path": str(tmp_path / "APP")}
    assert run_module("jetstream_account_backup", own)["changed"] is True
    result = run_module("jetstream_account_hold", own)
    assert (result["changed"], result["streams"]) == (False, [])
    app.fill("ONE", 1)
    app.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", ["2.15.3", "2.12.15"])
def test_lost_streams_take_nothing_until_they_are_restored(make_cluster: Any, tmp_path: Path, version: str) -> None:
    cluster = make_cluster(size=4, version=version)
    app = kit.App(cluster)
    app.stream("A", 3)
    app.stream("ONE", 1)
    app.fill("ONE", 30)
    home = app.api("STREAM.INFO.ONE")["cluster"]["leader"]
    kit.not_leader(cluster, home)
    path = str(tmp_path / "APP")
    assert kit.run("account_backup", cluster, "app", path=path)["changed"] is True
    app.publish_to("A", "ONE")
    cluster.node(home).kill()
    acknowledged = len(app.acknowledged["ONE"])
    held = kit.run("account_hold", cluster, "app", path=path)
    assert {one["stream"]: one["status"] for one in held["streams"]} == {"ONE": "held"}
    removed = kit.run("peer_remove", cluster, peer=home, accept_data_loss=True, accounts=kit.accounts(cluster))
    assert removed["changed"] is True, removed
    kit.until_placed(cluster, "ONE", 1)
    assert app.api("STREAM.INFO.ONE")["state"]["last_seq"] == 0
    recovered = kit.run("account_recover", cluster, "app", path=path)
    assert {one["stream"]: one["status"] for one in recovered["streams"]} == {"ONE": "restored"}, recovered
    app.stop_publishing()
    app.fill("ONE", 1)
    # What was in the backup is there, and what came after the restore.
    assert [number for number in app.lost("ONE") if number < 30 or number > acknowledged + 1] == []
    assert app.lost("A") == []
    app.close()


def statuses(result: dict[str, Any]) -> dict[str, str]:
    """Statuses by stream."""
    return {one["stream"]: one["status"] for one in result["streams"]}


def by_name(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What became of each stream."""
    return {one["stream"]: one for one in result["streams"]}


def notes(path: Path) -> list[str]:
    """The streams that a note is there about."""
    return sorted(file.stem for file in (path / ".natsops-held").glob("*.json"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", ["2.15.3", "2.12.15", "2.10.29"])
def test_nothing_is_deleted_that_cannot_be_created_again(make_cluster: Any, tmp_path: Path, version: str) -> None:
    cluster = make_cluster(size=4, version=version, tags=kit.tags(4))
    app = kit.App(cluster)
    app.stream("ONE", 1, on="n4", max_age=3600 * 10**9)
    app.stream("ZONE", 1, placement={"tags": ["az:2", "only:n4"]})
    for name in ("ONE", "ZONE"):
        app.fill(name, 50)
        app.consumer(name, "work")
    kit.not_leader(cluster, "n4")
    path = tmp_path / "APP"
    own: dict[str, Any] = {"path": str(path)}
    assert kit.run("account_backup", cluster, "app", sets=True, **own)["changed"] is True
    cluster.node("n4").kill()
    wait_for(lambda: cluster.meta_leader() is not None, 30, "a leader")

    check = kit.run("account_hold", cluster, "app", check=True, **own)
    assert statuses(check) == {"ONE": "failed", "ZONE": "failed"}, check
    assert not (path / ".natsops-held").exists()
    result = kit.run("account_hold", cluster, "app", **own)
    assert (check["changed"], result["changed"]) == (False, False)
    assert check["streams"] == result["streams"]
    assert "tag only:n4" in result["streams"][0]["reason"]
    assert "Give placement" in result["streams"][0]["reason"]
    assert {"ONE", "ZONE"} <= set(app.api("STREAM.NAMES")["streams"])

    there = {"placement": {"tags": ["only:n3"]}}
    check = kit.run("account_hold", cluster, "app", check=True, **own, **there)
    assert check["changed"] is True
    assert "deleted and made anew" in kit.warned(check)
    result = kit.run("account_hold", cluster, "app", **own, **there)
    assert statuses(check) == {"ONE": "would_hold", "ZONE": "would_hold"}
    assert statuses(result) == {"ONE": "held", "ZONE": "held"}, result
    for name in ("ONE", "ZONE"):
        one, other = by_name(check)[name], by_name(result)[name]
        assert one["deleted"] is other["deleted"] is True
        assert one["reason"] == other["reason"]
    assert notes(path) == ["ONE", "ZONE"]
    note = json.loads((path / ".natsops-held" / "ONE.json").read_text())
    assert note["config"]["max_age"] == 3600 * 10**9
    assert [one["name"] for one in note["consumers"]] == ["work"]
    assert kit.run("account_hold", cluster, "app", **own, **there)["changed"] is False

    # A backup that is made meanwhile does not take the empty streams for their messages.
    meanwhile = kit.run("account_backup", cluster, "app", sets=True, **own)
    assert meanwhile["error"] == "stream_held", meanwhile
    # Somebody deletes one of them, and the place that was chosen for it is dead too by now.
    app.api("STREAM.DELETE.ZONE")
    file = path / ".natsops-held" / "ZONE.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "placement": {"tags": ["only:n4"]}}))
    lost = kit.run("account_recover", cluster, "app", check=True, wait_timeout=5.0, **own)
    assert lost["failed"] is True, lost
    assert by_name(lost)["ZONE"]["status"] == "failed"
    assert by_name(lost)["ZONE"]["messages"] == 50
    half = kit.run("account_recover", cluster, "app", wait_timeout=5.0, **own)
    assert half["failed"] is True, half
    assert statuses(half) == {"ONE": "restored", "ZONE": "failed"}, half
    assert by_name(half)["ZONE"]["reason"] == by_name(lost)["ZONE"]["reason"]
    assert notes(path) == ["ZONE"]
    whole = kit.run("account_recover", cluster, "app", wait_timeout=5.0, **own, **there)
    assert statuses(whole)["ZONE"] == "restored", whole
    assert notes(path) == []
    for name in ("ONE", "ZONE"):
        info = app.api(f"STREAM.INFO.{name}")
        assert info["config"]["subjects"] == [f"{name}.>"]
        assert info["config"]["placement"]["tags"] == ["only:n3"]
        assert info["state"]["messages"] == 50
        assert app.lost(name) == []
        assert kit.server_of(cluster, name) == ["n3"]
        assert app.api(f"CONSUMER.INFO.{name}.work")["config"]["ack_policy"] == "explicit"
        app.fill(name, 1)
    assert kit.run("account_recover", cluster, "app", wait_timeout=5.0, **own).get("failed") is None
    app.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_the_cluster_changes_no_more_is_deleted_and_restored(make_cluster: Any, tmp_path: Path) -> None:
    """From about three minutes after the loss on; killed at every step, and run again."""
    cluster = make_cluster(size=4, tags=kit.tags(4))
    app = kit.App(cluster)
    names = ["FIRST", "NOTED", "GONE", "LEFT"]
    for name in names[:3]:
        app.stream(name, 1, on="n4")
        config = app.api(f"STREAM.INFO.{name}")["config"]
        config.pop("placement")
        assert "error" not in app.api(f"STREAM.UPDATE.{name}", config)
        assert kit.server_of(cluster, name) == ["n4"]
    app.stream("LEFT", 1, on="n4")
    for name in names:
        app.fill(name, 50)
        app.consumer(name, "work")
    kit.not_leader(cluster, "n4")
    path = tmp_path / "APP"
    own: dict[str, Any] = {"path": str(path)}
    assert kit.run("account_backup", cluster, "app", **own)["changed"] is True
    cluster.node("n4").kill()
    early = by_name(kit.run("account_hold", cluster, "app", check=True, **own))
    assert (early["FIRST"]["status"], early["FIRST"]["deleted"]) == ("would_hold", False)

    def offline() -> bool:
        with contextlib.suppress(TimeoutError):
            return bool(app.api("STREAM.INFO.FIRST").get("error", {}).get("err_code") == 10118)
        return False

    wait_for(offline, 400, "the cluster to know that n4 is gone")
    check = kit.run("account_hold", cluster, "app", check=True, streams=["FIRST", "LEFT"], **own)
    assert statuses(check) == {"FIRST": "would_hold", "LEFT": "failed"}
    assert by_name(check)["FIRST"]["deleted"] is True
    assert "FIRST" in kit.warned(check)
    assert set(app.api("STREAM.NAMES")["streams"]) == set(names)
    assert notes(path) == []
    result = kit.run("account_hold", cluster, "app", streams=["FIRST", "LEFT"], **own)
    assert statuses(result) == {"FIRST": "held", "LEFT": "failed"}
    for name in ("FIRST", "LEFT"):
        assert by_name(result)[name]["reason"] == by_name(check)[name]["reason"]

    # Killed as soon as the note is on disk: before or after the deletion, as it comes, and certainly after it.
    for name in ("NOTED", "GONE"):
        process = kit.start("account_hold", cluster, "app", streams=[name], **own)
        wait_for(lambda: name in notes(path), 60, f"the note about {name}", interval=0.01)  # noqa: B023
        process.kill()
        process.wait()
    with contextlib.suppress(TimeoutError):
        app.api("STREAM.DELETE.GONE")
    wait_for(lambda: "GONE" not in app.api("STREAM.NAMES")["streams"], 20, "GONE to be gone")
    again = kit.run("account_hold", cluster, "app", **own)
    assert by_name(again)["GONE"]["status"] == "held"
    assert app.api("STREAM.INFO.GONE")["config"]["subjects"] == ["$NATSOPS.HELD.GONE"]
    assert by_name(again).get("NOTED", {"status": "held"})["status"] == "held"
    assert notes(path) == sorted(names)

    removed = kit.run("peer_remove", cluster, peer="n4", accept_data_loss=True, accounts=kit.accounts(cluster))
    assert removed["changed"] is True, removed
    half = kit.run("account_recover", cluster, "app", wait_timeout=10.0, **own)
    assert half["failed"] is True
    assert statuses(half) == {"FIRST": "restored", "NOTED": "restored", "GONE": "restored", "LEFT": "unreachable"}
    assert "Give placement" in by_name(half)["LEFT"]["reason"]
    there = {"placement": {"tags": ["only:n3"]}}
    check = kit.run("account_recover", cluster, "app", check=True, wait_timeout=5.0, **own, **there)
    assert by_name(check)["LEFT"]["status"] == "would_restore"
    assert "deleted first" in by_name(check)["LEFT"]["reason"]
    assert "LEFT" in app.api("STREAM.NAMES")["streams"]
    whole = kit.run("account_recover", cluster, "app", wait_timeout=5.0, **own, **there)
    assert by_name(whole)["LEFT"]["status"] == "restored", whole
    assert by_name(whole)["LEFT"]["reason"] == by_name(check)["LEFT"]["reason"]
    for name in names:
        assert app.lost(name) == []
        assert app.api(f"CONSUMER.INFO.{name}.work")["name"] == "work"
        app.fill(name, 1)
    assert notes(path) == []
    app.close()
