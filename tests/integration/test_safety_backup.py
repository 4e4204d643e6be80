# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`replace` never ends with nothing: the live stream is kept first, and put back when its replacement fails."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.harm import MARKER, MIB, api, fill, publish, small_disk, tree, wait_until
from servers import Options, Server, oracle
from servers.ansible import ModuleProcess, playbook_environment, run_module
from servers.config import User
from servers.proxy import Proxy

V1_LINE = "2.12.15"
RESTORE = "jetstream_stream_restore"
FENCE = "natsops.replacing"


class Scene:
    """A server whose stream BIG went on since its backup, and a place for safety backups."""

    def __init__(self, server: Server, backup: Path, home: Path) -> None:
        self.server = server
        self.backup = backup
        self.safety = home / "safety"
        self.proxy = Proxy(server.port).start()
        publish(server, "BIG", 20, 3000, "since")
        self.live = picture(server)

    def args(self, **more: Any) -> dict[str, Any]:
        place = {"path": str(self.backup), "safety_path": str(self.safety)}
        return {**self.server.connection(), **place, "on_conflict": "replace", **more}

    def slow(self, **more: Any) -> dict[str, Any]:
        return {**self.args(), "servers": [self.proxy.url], "chunk_size": 32768, "in_flight": 4, **more}

    def run(self, check: bool = False, **more: Any) -> dict[str, Any]:
        return run_module(RESTORE, self.args(**more), check=check, timeout=180)

    def kept(self) -> list[Path]:
        """The safety backups of BIG."""
        return sorted(path for path in self.safety.glob("*/BIG/replaced-*") if path.is_dir())

    def assert_live(self) -> None:
        """The old stream is there, message by message, with its consumers, and bears no mark."""
        assert oracle.compare(self.live, picture(self.server)) == []
        metadata = oracle.stream_info(self.server, "BIG")["config"].get("metadata") or {}
        assert not {MARKER, FENCE} & set(metadata), metadata


def picture(server: Any) -> dict[str, Any]:
    found = oracle.picture(server)
    for stream in found.values():
        stream["config"].pop("metadata", None)
    return found


@pytest.fixture(params=["V1", "V2"])
def scene(request: pytest.FixtureRequest, server_version: str, tmp_path: Path) -> Iterator[Scene]:
    with Server(Options(version=V1_LINE if request.param == "V1" else server_version)) as server:
        fill(server, "BIG", 3 * MIB)
        backup = tmp_path / "backup" / "BIG"
        taken = run_module("jetstream_stream_backup", {**server.connection(), "stream": "BIG", "path": str(backup)})
        assert taken["format"] == request.param, taken
        made = Scene(server, backup, tmp_path)
        yield made
        made.proxy.close()


def test_the_old_stream_is_kept_and_named(scene: Scene, nats_cli: Any) -> None:
    """Check mode says what it costs and writes nothing; the safety backup is whole, private, and restorable."""
    predicted = scene.run(check=True)
    assert predicted["status"] == "would_replace", predicted
    cost = predicted["safety_backup"]
    state = oracle.stream_info(scene.server, "BIG")["state"]
    assert (cost["messages"], cost["bytes"]) == (state["messages"], state["bytes"])
    assert not scene.safety.exists()
    result = scene.run()
    assert result["status"] == "replaced", result
    (kept,) = scene.kept()
    assert result["safety_backup"]["path"] == str(kept)
    assert result["safety_backup"]["last_seq"] == state["last_seq"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in [kept, *kept.parents][:4]} == {0o700}
    assert json.loads((kept / "backup.json").read_text())["config"]["subjects"] == ["BIG.>"]
    assert scene.run()["changed"] is False
    # By the command line, and by ours.
    api(scene.server, "STREAM.DELETE.BIG")
    nats_cli.run(scene.server, "backup", "restore", "stream", str(kept), "--no-progress")
    scene.assert_live()
    api(scene.server, "STREAM.DELETE.BIG")
    assert scene.run(path=str(kept))["status"] == "created"
    scene.assert_live()
    # A second replacement has its own place, and the first stays as it is.
    before = tree(kept)
    again = scene.run()
    assert again["status"] == "replaced"
    assert again["safety_backup"]["path"] != str(kept) or tree(kept) == before
    assert tree(kept) == before


def outgrown(small: Server, tmp_path: Path) -> Path:
    """A backup of BIG that does not fit into the server, which has a smaller BIG: only the restore itself shows it."""
    with Server(Options(version=small.version)) as server:
        fill(server, "BIG", 3 * MIB)
        backup = tmp_path / "backup" / "BIG"
        taken = run_module("jetstream_stream_backup", {**server.connection(), "stream": "BIG", "path": str(backup)})
        assert not taken.get("failed"), taken
    fill(small, "BIG", 90_000, message=3000)
    return backup


@pytest.mark.parametrize("version", [V1_LINE, "newest"])
def test_put_back_when_the_restore_fails(version: str, server_version: str, tmp_path: Path) -> None:
    """The server has no room, which it says in the middle: the old stream comes back, with its consumers."""
    wanted = server_version if version == "newest" else version
    with Server(Options(version=wanted, max_file=2 * MIB)) as server:
        backup = outgrown(server, tmp_path)
        before = picture(server)
        args = {**server.connection(), "path": str(backup), "safety_path": str(tmp_path / "safety")}
        result = run_module(RESTORE, {**args, "on_conflict": "replace"}, timeout=180)
        assert result["failed"], result
        assert result["now"] == "old stream put back", result
        assert result["error"] in ("insufficient_resources", "restore_failed"), result
        assert result["changed"] is True
        assert result["lost"]["messages"] == 0
        assert Path(result["safety_backup"]["path"]).is_dir()
        assert "was put back" in result["msg"]
        assert oracle.compare(before, picture(server)) == []
        assert not {MARKER, FENCE} & set(oracle.stream_info(server, "BIG")["config"].get("metadata") or {})
        # Nothing is left that the next run would take for unfinished.
        again = run_module(RESTORE, {**args, "on_conflict": "fail"})
        assert again["error"] == "stream_exists"


def test_without_a_safety_backup_the_loss_is_told(server_version: str, tmp_path: Path) -> None:
    with Server(Options(version=server_version, max_file=2 * MIB)) as server:
        backup = outgrown(server, tmp_path)
        args = {**server.connection(), "path": str(backup), "on_conflict": "replace", "safety_backup": False}
        result = run_module(RESTORE, {**args, "safety_path": str(tmp_path / "safety")}, timeout=180)
        assert result["failed"], result
        assert result["now"] in ("missing", "empty", "partial"), result
        assert (result["now"] == "missing") == ("BIG" not in oracle.stream_names(server))
        assert (result["lost"]["messages"], result["lost"]["consumers"]) == (30, ["one", "two"])
        assert "no safety backup" in result["msg"]
        assert not (tmp_path / "safety").exists()


@pytest.mark.parametrize("step", ["safety backup", "fenced", "sending"])
def test_module_killed(scene: Scene, step: str) -> None:
    """kill -9 at each step: the next run finishes, and names what the first one kept if it had deleted the stream."""
    files = tree(scene.backup)
    scene.proxy.set_delay(0.1)
    if step == "safety backup":
        scene.proxy.stall_after(MIB, "down")
    if step == "sending":
        scene.proxy.set_delay(0.02)
        scene.proxy.stall_after(MIB, "up")
    process = ModuleProcess(RESTORE, scene.slow())
    reached = {
        "safety backup": lambda: scene.proxy.stalled,
        "fenced": lambda: FENCE in (oracle.stream_info(scene.server, "BIG")["config"].get("metadata") or {}),
        "sending": lambda: scene.proxy.stalled,
    }[step]
    wait_until(lambda: reached() or process.process.poll() is not None, step, 60)
    assert process.process.poll() is None, process.wait()
    process.kill()
    scene.proxy.cut()
    if step != "sending":
        assert oracle.dump(scene.server, "BIG") == scene.live["BIG"]["messages"]
    predicted = scene.run(check=True)
    assert predicted["status"] == "would_replace", predicted
    result = scene.run()
    assert result["status"] == "replaced", result
    assert Path(result["safety_backup"]["path"]).is_dir()
    if step == "sending":
        (kept,) = scene.kept()
        assert predicted["safety_backup"]["path"] == result["safety_backup"]["path"] == str(kept)
        assert any(str(kept) in str(warning) for warning in result["warnings"]), result["warnings"]
    assert [path.name for path in scene.safety.glob("*/BIG/.*")] == []
    again = scene.run()
    assert again["changed"] is False, again
    assert not any("safety backup" in str(warning) for warning in again.get("warnings") or [])
    assert tree(scene.backup) == files
    metadata = oracle.stream_info(scene.server, "BIG")["config"].get("metadata") or {}
    assert not {MARKER, FENCE} & set(metadata), metadata
    # What was live is in the safety backup, whole.
    api(scene.server, "STREAM.DELETE.BIG")
    assert scene.run(path=result["safety_backup"]["path"])["status"] == "created"
    scene.assert_live()


def test_connection_lost_for_good(scene: Scene, tmp_path: Path) -> None:
    """The stream is deleted, then nothing can be asked: the result says so, and its command brings the stream back."""
    scene.proxy.set_delay(0.02)
    scene.proxy.cut_after(MIB, "up")
    result = run_module(RESTORE, scene.slow(), timeout=180)
    assert result["error"] == "connection_lost", result
    assert result["now"] == "unknown", result
    (kept,) = scene.kept()
    assert result["safety_backup"]["path"] == str(kept)
    assert result["lost"]["messages"] == len(scene.live["BIG"]["messages"])
    scene.proxy.resume()
    scene.proxy.set_delay(0)
    command = result["msg"].partition("Restore it with: ")[2]
    assert command.startswith("ansible localhost -m natsops.jetstream.jetstream_stream_restore"), result["msg"]
    command = command.partition(" (and the password")[0]
    login = {"password": scene.server.connection()["password"]}
    command = command.replace('"path"', f'"password": "{login["password"]}", "path"', 1)
    words = [f"{Path(sys.executable).parent}/{command}", "-e", f"ansible_python_interpreter={sys.executable}"]
    done = subprocess.run(
        " ".join(words), shell=True, env=playbook_environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    scene.assert_live()


def test_terminated_while_sending(scene: Scene) -> None:
    """A signal ends the restore, not the stream: the old one is put back first."""
    scene.proxy.set_delay(0.02)
    scene.proxy.stall_after(MIB, "up")
    process = ModuleProcess(RESTORE, scene.slow())
    wait_until(lambda: scene.proxy.stalled or process.process.poll() is not None, "sending", 60)
    process.process.send_signal(signal.SIGTERM)
    scene.proxy.resume()
    result = process.wait(120)
    assert result["error"] == "interrupted", result
    assert result["now"] == "old stream put back", result
    scene.assert_live()


def test_safety_backup_is_damaged_meanwhile(scene: Scene) -> None:
    """The second failure on top of the first: nothing can be put back, and the result says what there is."""
    scene.proxy.set_delay(0.02)
    scene.proxy.stall_after(MIB, "up")
    process = ModuleProcess(RESTORE, scene.slow(stall_timeout=3.0, request_timeout=3.0))
    wait_until(lambda: scene.proxy.stalled or process.process.poll() is not None, "sending", 60)
    (kept,) = scene.kept()
    for data in kept.glob("stream.*"):
        data.write_bytes(data.read_bytes()[:-100])
    wait_until(lambda: False or process.process.poll() is not None or _later(scene), "the failure", 120)
    result = process.wait(120)
    assert result["now"] in ("missing", "partial"), result
    assert "It could not be put back" in result["msg"]
    assert str(kept) in result["msg"]
    assert ("BIG" in oracle.stream_names(scene.server)) == (result["now"] == "partial")


def _later(scene: Scene) -> bool:
    threading.Event().wait(4.0)
    scene.proxy.resume()
    return True


def _create(server: Server, name: str, **config: Any) -> None:
    api(server, f"STREAM.CREATE.{name}", {"name": name, "subjects": [f"{name}.>"], **config})


def test_only_what_never_had_a_message(server_version: str, tmp_path: Path) -> None:
    """replace_empty: an application made its stream anew, empty; a stream that was emptied is another thing."""
    with Server(Options(version=server_version)) as server:
        fill(server, "BIG", 100_000, message=1000)
        backup = {**server.connection(), "path": str(tmp_path / "BIG")}
        run_module("jetstream_stream_backup", {**backup, "stream": "BIG"})
        before = picture(server)
        args = {**backup, "on_conflict": "replace_empty", "safety_path": str(tmp_path / "safety")}
        api(server, "STREAM.PURGE.BIG")
        publish(server, "BIG", 1, 10, "live")
        api(server, "STREAM.PURGE.BIG")
        for check in (True, False):
            refused = run_module(RESTORE, args, check=check)
            assert (refused["failed"], refused["error"]) == (True, "stream_exists"), refused
            assert "replace_empty" in refused["msg"]
        api(server, "STREAM.DELETE.BIG")
        _create(server, "BIG")
        predicted = run_module(RESTORE, args, check=True)
        assert (predicted["status"], predicted["lost"]["messages"]) == ("would_replace", 0), predicted
        result = run_module(RESTORE, args)
        assert result["status"] == "replaced", result
        assert oracle.compare(before, picture(server)) == []
        assert run_module(RESTORE, args)["changed"] is False
        assert not (tmp_path / "safety").exists()


def test_empty_stream_fills_just_then(server_version: str, tmp_path: Path) -> None:
    """Somebody publishes between the look and the deletion: nothing is deleted."""
    with Server(Options(version=server_version)) as server, Proxy(server.port) as proxy:
        fill(server, "BIG", 100_000, message=1000)
        place = {"path": str(tmp_path / "BIG"), "safety_path": str(tmp_path / "safety")}
        run_module("jetstream_stream_backup", {**server.connection(), "path": place["path"], "stream": "BIG"})
        api(server, "STREAM.DELETE.BIG")
        _create(server, "BIG")
        proxy.set_delay(0.2)
        args = {**server.connection(), **place, "servers": [proxy.url], "on_conflict": "replace_empty"}
        process = ModuleProcess(RESTORE, args)
        wait_until(lambda: any("natsops_probe" in name for name in oracle.stream_names(server)), "the probe", 60)
        publish(server, "BIG", 1, 10, "live")
        result = process.wait(60)
        assert (result["failed"], result["error"], result["now"]) == (True, "stream_exists", "old stream"), result
        info = oracle.stream_info(server, "BIG")
        assert (info["state"]["messages"], info["config"]["subjects"]) == (1, ["BIG.>"])
        assert FENCE not in (info["config"].get("metadata") or {})


@pytest.mark.parametrize("version", [V1_LINE, "newest"])
def test_publishers_go_on(version: str, server_version: str, tmp_path: Path) -> None:
    """Every message that was acknowledged is in the safety backup or in the new stream: none falls between."""
    wanted = server_version if version == "newest" else version
    with Server(Options(version=wanted)) as server, Server(Options(version=wanted)) as other:
        fill(server, "BIG", 2 * MIB)
        args = {**server.connection(), "path": str(tmp_path / "BIG")}
        run_module("jetstream_stream_backup", {**args, "stream": "BIG"})
        args["safety_path"] = str(tmp_path / "safety")
        acknowledged: list[bytes] = []
        stop = threading.Event()
        publisher = threading.Thread(target=_keep_publishing, args=(server, acknowledged, stop))
        publisher.start()
        try:
            wait_until(lambda: len(acknowledged) > 50, "publishers at work")
            result = run_module(RESTORE, {**args, "on_conflict": "replace"}, timeout=180)
            seen = len(acknowledged)
            wait_until(lambda: len(acknowledged) > seen + 20, "publishers go on")
        finally:
            stop.set()
            publisher.join(30)
        kept = (result.get("safety_backup") or {}).get("path")
        assert kept, result
        # Whatever becomes of the comparison: what publishers have written into the new stream is never deleted.
        assert result.get("status") == "replaced" or result["now"] == "new stream", result
        back = run_module(RESTORE, {**other.connection(), "path": kept})
        assert back["status"] == "created", back
        found = {message.sha256 for name in (server, other) for message in oracle.dump(name, "BIG")}
        missing = [data for data in acknowledged if hashlib.sha256(data).hexdigest() not in found]
        assert missing == [], (len(missing), len(acknowledged))


def _keep_publishing(server: Server, acknowledged: list[bytes], stop: threading.Event) -> None:
    async def work() -> None:
        client = await oracle.connect(server)
        number = 0
        try:
            while not stop.is_set():
                data = b"live %d" % number
                number += 1
                try:
                    answer = await client.request("BIG.live", data, timeout=1)
                except Exception:
                    await asyncio.sleep(0.01)
                    continue
                if "error" not in json.loads(answer.data):
                    acknowledged.append(data)
        finally:
            await client.close()

    oracle.run(work())


def test_refused_where_it_cannot_be_taken(tmp_path: Path) -> None:
    """No room, no rights, a stream in memory before 2.15, a place inside the backups: nothing is touched."""
    user = User("nosnap", permissions={"publish": {"deny": ["$JS.API.STREAM.SNAPSHOT.>"]}})
    with Server(Options(version=V1_LINE, users=(user,))) as server:
        fill(server, "BIG", 100_000, message=1000)
        account = tmp_path / "account"
        run_module("jetstream_account_backup", {**server.connection(), "path": str(account), "sets": True})
        (backup,) = account.glob("2*Z/BIG")
        publish(server, "BIG", 3, 100, "live")
        before = picture(server)
        args = {"path": str(backup), "on_conflict": "replace", "safety_path": str(tmp_path / "kept" / "safety")}
        app = server.connection()
        for check in (True, False):
            denied = run_module(RESTORE, {**server.connection("nosnap"), **args}, check=check)
            assert (denied["failed"], denied["error"], denied["changed"]) == (True, "permission_denied", False), denied
            assert "$JS.API.STREAM.SNAPSHOT.BIG" in denied["msg"]
            assert "safety_backup: false" in denied["msg"]
        for place in (backup / "safety", account / "safety", account.parent / "safety"):
            for check in (True, False):
                inside = run_module(RESTORE, {**app, **args, "safety_path": str(place)}, check=check)
                assert inside["failed"], inside
                assert inside["error"] == "path_invalid", inside
        with small_disk(tmp_path / "full", 64 * 1024):
            for check in (True, False):
                full = run_module(RESTORE, {**app, **args, "safety_path": f"{tmp_path}/full/safety"}, check=check)
                assert (full["failed"], full["error"], full["now"]) == (True, "no_space", "old stream"), full
        assert oracle.compare(before, picture(server)) == []
        api(server, "STREAM.DELETE.BIG")
        _create(server, "BIG", storage="memory")
        publish(server, "BIG", 3, 100, "memory")
        before = picture(server)
        for check in (True, False):
            memory = run_module(RESTORE, {**app, **args}, check=check)
            assert (memory["failed"], memory["error"]) == (True, "memory_stream_unsupported"), memory
            assert "safety_backup: false" in memory["msg"]
        assert oracle.compare(before, picture(server)) == []
        assert run_module(RESTORE, {**app, **args, "safety_backup": False})["status"] == "replaced"


def test_credentials_end_in_the_middle(server_version: str, tmp_path: Path) -> None:
    """The result names what ended, what is known of the stream, and where the old one is kept."""
    expires = int(time.time()) + 25
    users = (User("later"),)
    with (
        Server(
            Options(version=server_version, auth="jwt", users=users, user_claims={"app": {"exp": expires}})
        ) as server,
        Proxy(server.port) as proxy,
    ):
        fill(server, "BIG", 2 * MIB)
        later, place = server.connection("later"), str(tmp_path / "BIG")
        taken = run_module("jetstream_stream_backup", {**later, "stream": "BIG", "path": place})
        assert not taken.get("failed"), taken
        publish(server, "BIG", 5, 100, "live")
        proxy.set_delay(0.01)
        proxy.stall_after(MIB, "up")
        args = {**server.connection(), "path": place, "safety_path": str(tmp_path / "safety"), "chunk_size": 32768}
        process = ModuleProcess(RESTORE, {**args, "servers": [proxy.url], "on_conflict": "replace"})
        wait_until(lambda: proxy.stalled or process.process.poll() is not None, "sending", 20)
        assert time.time() < expires, "the machine was too slow for this test"
        wait_until(lambda: time.time() > expires + 1, "the end of the credentials", 40)
        proxy.resume()
        result = process.wait(120)
        assert result["failed"], result
        assert "expired" in result["msg"], result["msg"]
        assert result["now"] in ("unknown", "missing", "partial"), result
        kept = result["safety_backup"]["path"]
        assert kept in result["msg"]
        assert result["lost"]["last_seq"] == 37
        # New credentials: the next run names it, and finishes.
        again = run_module(
            RESTORE, {**later, **{k: args[k] for k in ("path", "safety_path")}, "on_conflict": "replace"}
        )
        assert again["status"] == "replaced", again
        assert again["safety_backup"]["path"] == kept


@pytest.mark.slow
@pytest.mark.parametrize("version", [V1_LINE, "newest"])
def test_put_back_in_a_cluster(version: str, server_version: str, tmp_path: Path, make_cluster: Any) -> None:
    """Three replicas: what was live comes back on all of them."""
    cluster = make_cluster(version=server_version if version == "newest" else version)
    fill(cluster, "BIG", 3 * MIB, num_replicas=3)
    place = {"path": str(tmp_path / "BIG"), "safety_path": str(tmp_path / "safety")}
    run_module("jetstream_stream_backup", {**cluster.connection(), "path": place["path"], "stream": "BIG"})
    publish(cluster, "BIG", 10, 3000, "since")
    before = picture(cluster)
    with Proxy(cluster.nodes[0].port) as proxy:
        proxy.set_delay(0.02)
        proxy.stall_after(MIB, "up")
        args = {**cluster.connection(), **place, "servers": [proxy.url], "chunk_size": 32768, "in_flight": 4}
        process = ModuleProcess(RESTORE, {**args, "on_conflict": "replace"})
        wait_until(lambda: proxy.stalled or process.process.poll() is not None, "sending", 120)
        process.process.send_signal(signal.SIGTERM)
        proxy.resume()
        result = process.wait(240)
    assert result.get("now") == "old stream put back", result
    after = picture(cluster)
    assert oracle.compare(before["BIG"]["messages"], after["BIG"]["messages"]) == []
    assert set(after["BIG"]["consumers"]) == {"one", "two"}
    assert after["BIG"]["config"]["num_replicas"] == 3
