# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, directories and names that mean harm: nothing outside the place of a backup is read, written or removed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._repository import new_set as newset
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.directory import Workplace
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.disk import sync_directories

from servers import Options, Server
from servers.ansible import collections_path

from .evidence import backed_up, copied, fails, make_stream, run_here, tree, untouched, works


class Scene:
    """A server with streams, the backup of one, and a repository of two accounts."""

    def __init__(self, server: Server, root: Path) -> None:
        self.server = server
        make_stream(server, "ORDERS")
        make_stream(server, "BILLS")
        self.stream = backed_up(server, "ORDERS", root / "ORDERS")
        self.repository = root / "repository"
        for account in ("APP", "OTHER"):
            works("jetstream_account_backup", self.args(account))

    def args(self, account: str = "APP", **more: Any) -> dict[str, Any]:
        return {**self.server.connection(), "path": str(self.repository / account), "sets": True, **more}


@pytest.fixture(scope="module")
def scene(server_version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Server(Options(version=server_version)) as server:
        yield Scene(server, tmp_path_factory.mktemp("scene"))


@contextlib.contextmanager
def quickly(seconds: float = 10.0) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


# --- files


@pytest.mark.parametrize("name", ["checked.json", "drill.json", "manifest.json", "backup.json", "stream.arc.s2"])
@pytest.mark.parametrize("kind", ["fifo", "link", "dangling", "directory", "sparse", "socket", "device"])
def test_every_look_at_a_backup_ends(scene: Scene, kind: str, name: str, tmp_path: Path) -> None:
    path = copied(scene.stream, tmp_path / "one" / "ORDERS")
    place, victim = path / name, tmp_path / "victim"
    victim.write_text('{"identity": "precious"}')
    if name == "stream.arc.s2":
        place = next(each for each in path.iterdir() if each.suffix == ".s2")
    place.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "link":
        place.symlink_to(victim)
    elif kind == "dangling":
        place.symlink_to(tmp_path / "made" / "up")
    elif kind == "directory":
        place.mkdir()
    elif kind == "sparse":
        with place.open("wb") as file:
            file.truncate(1 << 40)
    elif kind == "device":
        os.mknod(place, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero
    else:
        # The path of a socket may have 108 bytes only.
        here = os.getcwd()
        os.chdir(place.parent)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(place.name)
        os.chdir(here)
    before = tree(victim)
    for level in ("none", "quick", "full"):
        with quickly():
            result = works("jetstream_backup_info", {"path": str(path.parent), "verify": level})
        (found,) = result["backups"]
        assert found["valid"] is (name in ("checked.json", "drill.json")), (level, found["problems"])
    with quickly():
        works("jetstream_backup_report", {"path": str(path.parent), "dest": str(tmp_path / "page" / "index.html")})
    with quickly():
        restored = run_here("jetstream_stream_restore", {**scene.server.connection(), "path": str(path)}, check=True)
    if name not in ("checked.json", "drill.json"):
        assert restored["error"] == "backup_invalid", restored
        assert "exception" not in restored
    assert tree(victim) == before
    assert not (tmp_path / "made").exists()


def test_a_check_never_writes_through_a_link(scene: Scene, tmp_path: Path) -> None:
    """A verifying root, and a user who may write into the backup."""
    path = copied(scene.stream, tmp_path / "one" / "ORDERS")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in (".checked.json.natsops-new", "checked.json", ".drill.json.natsops-new", "drill.json"):
        (path / name).unlink(missing_ok=True)
        (path / name).symlink_to(victim)
    result = works("jetstream_backup_info", {"path": str(path.parent), "verify": "full"})
    assert result["valid"] is True
    assert victim.read_text() == "precious"
    assert (path / "checked.json").is_file()
    assert not (path / "checked.json").is_symlink()
    # What a killed check left is no reason to refuse the next backup.
    (path / ".checked.json.natsops-new-0123456789abcdef").write_text("{")
    works("jetstream_stream_backup", {**scene.server.connection(), "stream": "ORDERS", "path": str(path)})


def test_a_report_does_not_follow_links(scene: Scene, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in ("index.html", "index.md", "index.json"):
        place = tmp_path / name.replace(".", "-")
        place.mkdir()
        (place / name).symlink_to(victim)
        (place / f".{name}.natsops-new").symlink_to(victim)
        args = {"path": str(scene.repository), "dest": str(place / "index.html")}
        fails("jetstream_backup_report", args, "path_symlink", name, "symbolic link")
        (place / name).unlink()
        works("jetstream_backup_report", args)
    assert victim.read_text() == "precious"


def test_a_lock_does_not_follow_links(scene: Scene, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    args = {**scene.server.connection(), "stream": "ORDERS", "path": str(tmp_path / "ORDERS")}
    lock = tmp_path / ".ORDERS.natsops-lock"
    for make in (lambda: lock.symlink_to(victim), lambda: os.link(victim, lock), lambda: os.mkfifo(lock)):
        make()
        with quickly():
            result = run_here("jetstream_stream_backup", args)
        assert result["failed"] is True
        assert result["error"].startswith("path_"), result
        assert ".natsops-lock" in result["msg"]
        assert victim.read_text() == "precious"
        lock.unlink()
    works("jetstream_stream_backup", args)


def test_debris_of_any_kind_goes(scene: Scene, tmp_path: Path) -> None:
    """A link or a file under the name of a stage would have made every run fail."""
    victim = tmp_path / "victim"
    (victim / "deep").mkdir(parents=True)
    (tmp_path / ".ORDERS.natsops-stage-link").symlink_to(victim)
    (tmp_path / ".ORDERS.natsops-stage-file").write_text("x")
    stage = tmp_path / ".ORDERS.natsops-stage-dir"
    stage.mkdir()
    (stage / "inner").symlink_to(victim)
    works(
        "jetstream_stream_backup", {**scene.server.connection(), "stream": "ORDERS", "path": str(tmp_path / "ORDERS")}
    )
    assert (victim / "deep").is_dir()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["ORDERS", "victim"]


@pytest.mark.parametrize("where", ["account", "set"])
def test_a_directory_that_becomes_a_link_while_the_run_works(
    scene: Scene, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = tmp_path / "APP", tmp_path / "other"
    other.mkdir()
    (other / "20200101T000000Z").mkdir()
    (other / "kept").write_text("precious")
    sets = where == "set"
    args = {**scene.server.connection(), "path": str(path), "sets": sets}
    works("jetstream_account_backup", args)

    def turn() -> None:
        if not path.is_symlink():
            path.rename(tmp_path / "moved")
            path.symlink_to(other)

    real_publish, real_set = Workplace.publish, sync_directories

    def publish(self: Workplace, made: str, final: str) -> None:
        turn()
        real_publish(self, made, final)

    def sync(directories: Any) -> None:
        turn()
        real_set(directories)

    monkeypatch.setattr(Workplace, "publish", publish)
    monkeypatch.setattr(newset, "sync_directories", sync)
    before = tree(other)
    make_stream(scene.server, f"NEW{where.upper()}")
    result = run_here("jetstream_account_backup", args)
    assert result["failed"] is True, result
    assert "exception" not in result, result
    assert tree(other) == before


def test_places_given_through_links_work(scene: Scene, tmp_path: Path) -> None:
    """What people legitimately have: a link in an earlier part, C(latest), credentials that Kubernetes mounts."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "backups").symlink_to("disk")
    args = {**scene.server.connection(), "stream": "ORDERS", "path": str(tmp_path / "backups" / "ORDERS")}
    works("jetstream_stream_backup", args)
    assert (tmp_path / "disk" / "ORDERS" / "manifest.json").is_file()
    app = tmp_path / "backups" / "APP"
    works("jetstream_account_backup", {**scene.server.connection(), "path": str(app), "sets": True})
    result = works("jetstream_backup_info", {"path": str(app / "latest"), "verify": "full"})
    assert result["valid"] is True
    assert result["checked"] >= 2
    assert all(one["last_full_check"]["valid"] for one in result["backups"])
    restore = {**scene.server.connection(), "path": str(app / "latest")}
    assert works("jetstream_account_restore", restore)["summary"]["unchanged"] >= 2


# --- names


def forge(repository: Path, name: str, member: dict[str, Any] | None = None) -> None:
    """Let the newest set of APP list a stream of this name."""
    newest = os.readlink(repository / "APP" / "latest")
    file = repository / "APP" / f"{newest}.json"
    content = json.loads(file.read_text())
    some = next(iter(content["streams"].values()))
    content["streams"][name] = member or some
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "name", ["../OTHER", "../../OTHER", "/etc", "", "..", ".", "a\0b", "x" * 300, "a\\..\\b", ".x"]
)
def test_names_in_the_file_of_a_set(scene: Scene, name: str, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(scene.repository, repository, symlinks=True)
    (repository / "victim").mkdir()
    forge(repository, name)
    args = {**scene.server.connection(), "path": str(repository / "APP")}
    newest = os.readlink(repository / "APP" / "latest")
    with untouched(repository / "OTHER", repository / "victim"):
        works("jetstream_backup_info", {"path": str(repository), "verify": "quick"})
        works("jetstream_backup_report", {"path": str(repository), "dest": str(tmp_path / "page" / "index.html")})
        fails("jetstream_account_restore", {**args, "set": newest}, "set_not_found", "not whole", "name")
        again = run_here("jetstream_account_backup", {**args, "sets": True})
        assert "exception" not in again, again
        run_here("jetstream_backup_prune", {"path": str(repository / "APP"), "keep_last": 1})


@contextlib.contextmanager
def lying(server: Server, words: dict[str, str]) -> Iterator[int]:
    """A relay that lets the server call its streams by other names of the same length."""
    there = [(old.encode(), new.encode()) for old, new in words.items()]
    assert all(len(old) == len(new) for old, new in there)
    listener = socket.create_server(("127.0.0.1", 0))
    ends: list[socket.socket] = [listener]

    def pump(source: socket.socket, target: socket.socket, pairs: list[tuple[bytes, bytes]]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                for old, new in pairs:
                    data = data.replace(old, new)
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = listener.accept()
                upstream = socket.create_connection(("127.0.0.1", server.port))
                ends.extend((client, upstream))
                back = [(new, old) for old, new in there]
                threading.Thread(target=pump, args=(upstream, client, there), daemon=True).start()
                threading.Thread(target=pump, args=(client, upstream, back), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        for each in ends:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.mark.parametrize("sets", [True, False], ids=["sets", "plain"])
@pytest.mark.parametrize(
    "said", ["../OTHER", "../../OTHER", "ABSOLUTE", "..", "latest", "manifest.json", ".hidden", "bi\u202edi"]
)
def test_names_in_the_list_of_a_server(server_version: str, said: str, sets: bool, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    elsewhere = tmp_path / "elsewhere"
    said = str(elsewhere) if said == "ABSOLUTE" else said
    real = "Q" * len(said.encode()) if said != "latest" else said
    with Server(Options(version=server_version)) as server:
        make_stream(server, "GOOD")
        args = {**server.connection(), "sets": sets}
        works("jetstream_account_backup", {**args, "path": str(root / "OTHER")})
        works("jetstream_account_backup", {**args, "path": str(root / "APP")})
        make_stream(server, real, subjects=["bad.>"], messages=0)
        make_stream(server, "BETTER")
        outside = (root / "OTHER", tmp_path / "elsewhere")
        with lying(server, {real: said}) as port:
            told = {**args, "servers": [f"nats://127.0.0.1:{port}"], "path": str(root / "APP")}
            for check in (True, False, False):
                with untouched(*outside):
                    result = run_here("jetstream_account_backup", {**told, "prune": not sets}, check=check)
                assert result["failed"] is True, result
                assert result["error"] == "name_refused", result
                by_name = {one["stream"]: one for one in result["streams"]}
                assert {"GOOD", "BETTER"} < set(by_name)
                (bad,) = [one for name, one in by_name.items() if name not in ("GOOD", "BETTER")]
                assert bad["status"] == "failed"
                assert "exclude" in bad["reason"]
                assert "\u202e" not in json.dumps(result, ensure_ascii=False)
        assert {path.name for path in root.iterdir() if not path.name.endswith(".json")} == {"APP", "OTHER"}
        held = root / "APP" / os.readlink(root / "APP" / "latest") if sets else root / "APP"
        assert sorted(path.name for path in held.iterdir()) == ["BETTER", "GOOD"]
        # The others are there, and can be restored.
        result = works("jetstream_account_restore", {**server.connection(), "path": str(held)})
        assert result["summary"]["unchanged"] == 2


AS_NOBODY = """
import os
from ansible_collections.natsops.jetstream.plugins.modules import {module}
# What is loaded later would be out of this user's reach.
import concurrent.futures.thread, encodings.idna, encodings.utf_8_sig
import ansible.module_utils.common.json, ansible.module_utils._internal._json._legacy_encoder
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
{module}.main()
"""


@pytest.mark.parametrize("what", ["directory", "backup.json", "manifest.json", "data", "checked.json"])
@pytest.mark.parametrize("module", ["jetstream_backup_info", "jetstream_backup_report"])
def test_what_this_user_may_not_read_is_one_finding(scene: Scene, module: str, what: str) -> None:
    """Root may read all: so the module runs as another user. The backup beside it is looked at all the same."""
    # A place that others can reach: pytest's own directories are for their owner.
    with tempfile.TemporaryDirectory() as held:
        root = Path(held)
        root.chmod(0o755)
        bad = copied(scene.stream, root / "set" / "ORDERS")
        shutil.copytree(bad, root / "set" / "GOOD")
        for path in (root / "set").rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        (root / "set").chmod(0o755)
        (root / "page").mkdir()
        (root / "page").chmod(0o777)
        place = {"directory": bad, "data": next(bad.glob("stream.*"))}.get(what, bad / what)
        place.touch()
        place.chmod(0)
        args = {"path": str(root / "set"), "verify": "quick"}
        if module == "jetstream_backup_report":
            args = {"path": str(root / "set"), "dest": str(root / "page" / "index.html")}
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY.format(module=module)],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": args}),
            env={**os.environ, "PYTHONPATH": str(collections_path())},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout, done.stderr
        result = json.loads(done.stdout)
        assert not result.get("failed"), (result["msg"], done.stdout[-1500:])
        if module == "jetstream_backup_info":
            valid = {Path(one["path"]).name: one["valid"] for one in result["backups"]}
            assert valid == {"GOOD": True, "ORDERS": what == "checked.json"}
        else:
            assert (root / "page" / "index.html").is_file()
