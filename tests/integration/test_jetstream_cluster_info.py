# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""jetstream_cluster_info on real servers; judged by the servers' monitoring."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.cluster import kit

OTHERS = ("peer_remove", "peer_evacuate", "meta_rescue", "leader_stepdown")


@pytest.fixture
def app(cluster: Any) -> Iterator[kit.App]:
    """A client, and streams of this file's own that are deleted afterwards."""
    client = kit.App(cluster)
    client.stream("INFO3", 3)
    client.stream("INFO1", 1)
    client.consumer("INFO3", "reader")
    kit.until_placed(cluster, "INFO3", 3)
    client.fill("INFO3", 20)
    yield client
    for name in ("INFO3", "INFO1"):
        client.api(f"STREAM.DELETE.{name}")
    client.close()


def parameters(module: str) -> dict[str, Any]:
    """What a module cannot do without."""
    required: dict[str, dict[str, Any]] = {
        "peer_remove": {"peer": "n2"},
        "peer_evacuate": {"peer": "n2"},
        "meta_rescue": {"confirmed_dead": ["n2"]},
    }
    return required.get(module, {})


@pytest.mark.lines
def test_a_healthy_cluster(cluster: Any, app: kit.App) -> None:
    result = kit.run("cluster_info", cluster, simulate_loss=["n2"])
    assert result["changed"] is False
    assert result["trusted"] is True
    assert result["looks"] == 1
    assert [one["name"] for one in result["servers"]] == ["n1", "n2", "n3"]
    for one in result["servers"]:
        told = cluster.node(one["name"]).monitor("/varz")
        assert (one["version"], one["id"]) == (told["version"], told["server_id"])
        assert one["alive"]
        assert one["member"]
        assert one["sync_interval"] == 120
    assert result["meta"]["leader"] == cluster.wait_meta_leader().name
    assert (result["meta"]["size"], result["meta"]["needed"], result["meta"]["live_voters"]) == (3, 2, 3)
    streams = {one["stream"]: one for one in result["streams"]}
    assert streams["INFO3"]["leader"] == cluster.stream_leader("INFO3").name
    assert {one["last_seq"] for one in streams["INFO3"]["replicas"]} == {20}
    assert [one["consumer"] for one in streams["INFO3"]["consumers"]] == ["reader"]
    assert [one["name"] for one in streams["INFO1"]["replicas"]] == kit.server_of(cluster, "INFO1")
    fates = {one["name"]: one["effect"] for one in result["simulation"]["effects"]}
    assert fates["APP > INFO3"] == "loses_redundancy"
    alone = kit.server_of(cluster, "INFO1") == ["n2"]
    assert fates["APP > INFO1"] == ("loses_data" if alone else "survives")
    assert result["simulation"]["meta"]["arithmetic"] == "2 of 3 voters would be left and 2 are needed."
    two = kit.run("cluster_info", cluster, simulate_loss=["n1", "n2"])["simulation"]
    assert two["safe"] is False
    assert two["meta"]["effect"] == "loses_quorum"
    assert {one["effect"] for one in two["effects"] if one["name"].startswith("APP > INFO3")} == {"loses_quorum"}


def test_tags_unknown_servers_and_a_bad_last_picture(cluster: Any, app: kit.App, tmp_path: Path) -> None:
    unknown = kit.run("cluster_info", cluster, simulate_loss=["tag:az:9"])
    assert unknown["error"] == "unknown_server"
    assert "Servers: n1, n2, n3" in unknown["msg"]
    (tmp_path / "p.json").write_text('{"servers": []}', encoding="utf-8")
    for path, words in ((tmp_path / "none.json", "cannot be read"), (tmp_path / "p.json", "lacks servers")):
        kit.not_leader(cluster, "n2")
        # Only a dead server's holdings are looked up, so the file is read for a removal.
        result = kit.run("peer_remove", cluster, peer="n2", allow_online=True, check=True, last_picture=str(path))
        assert result["error"] == "invalid_picture"
        assert words in result["msg"]
    wrong = [{"name": "OTHER", **cluster.setup.module_options("app")}]
    assert kit.run("peer_remove", cluster, peer="n2", stream="INFO3", accounts=wrong)["failed"]


def test_an_account_sees_its_own_and_is_told_what_is_missing(cluster: Any, app: kit.App) -> None:
    result = kit.run("cluster_info", cluster, "app")
    assert result["scope"] == "account"
    assert "system account" in result["missing"][0]
    streams = {one["stream"]: one for one in result["streams"]}
    assert streams["INFO3"]["leader"] == cluster.stream_leader("INFO3").name
    assert result["meta"] is None
    assert result["status"] == "warning"
    seen = [one for one in result["findings"] if one["id"] == "only_one_account_seen"]
    assert [(one["severity"], one["objects"]) for one in seen] == [("warning", ["APP"])]
    assert "system account" in seen[0]["remedy"]
    for module in OTHERS:
        refused = kit.run(module, cluster, "app", **parameters(module))
        assert refused["error"] == "not_system_account"
        assert "system account" in refused["msg"]
        assert refused["duration"] < 5


def test_a_standalone_server(server: Any) -> None:
    result = kit.run("cluster_info", server)
    assert result["meta"] is None
    assert len(result["servers"]) == 1
    for module in OTHERS:
        refused = kit.run(module, server, **parameters(module))
        assert refused["error"] == "not_clustered"


def test_through_ansible(cluster: Any, app: kit.App, tmp_path: Path) -> None:
    """One run of the whole way: a playbook, the module, the saved picture, and its use."""
    connection = cluster.connection("sys")
    play = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "module_defaults": {"group/natsops.jetstream.jetstream": connection},
            "tasks": [
                {"natsops.jetstream.jetstream_cluster_info": {}, "register": "picture"},
                {
                    "ansible.builtin.copy": {
                        "content": "{{ picture | to_json }}",
                        "dest": str(tmp_path / "last.json"),
                        "mode": "0600",
                    }
                },
                {
                    "natsops.jetstream.jetstream_peer_remove": {
                        "peer": "n9",
                        "last_picture": str(tmp_path / "last.json"),
                    },
                    "check_mode": True,
                },
            ],
        }
    ]
    (tmp_path / "play.yml").write_text(json.dumps(play), encoding="utf-8")
    collections = next(path for path in sys.path if path.endswith("collections"))
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": collections, "ANSIBLE_LOCALHOST_WARNING": "false"}
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            "-i",
            "localhost,",
            "-c",
            "local",
            str(tmp_path / "play.yml"),
        ],
        env={**environment, "ANSIBLE_PYTHON_INTERPRETER": sys.executable},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed=0" in done.stdout
    saved = json.loads((tmp_path / "last.json").read_text(encoding="utf-8"))
    assert {one["stream"] for one in saved["streams"]} >= {"INFO1", "INFO3"}
