# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: a clear error that names the thing, the reason and the remedy, soon, and nothing touched anywhere."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from servers import PASSWORD, Options, Server, process

from .evidence import (
    ACCOUNT_MODULES,
    STREAM_MODULES,
    account,
    api,
    backed_up,
    copied,
    data_of,
    delete_stream,
    drop_override,
    fails,
    flip,
    make_stream,
    run_here,
    silent_port,
    tree,
    untouched,
    works,
)

FIXTURES = Path(__file__).resolve().parents[1] / "unit" / "archive" / "fixtures"
MODULES = (*STREAM_MODULES, *ACCOUNT_MODULES)
each_module = pytest.mark.parametrize("module", MODULES)
each_backup = pytest.mark.parametrize("module", ["jetstream_stream_backup", "jetstream_account_backup"])
each_restore = pytest.mark.parametrize("module", ["jetstream_stream_restore", "jetstream_account_restore"])


@dataclass(frozen=True)
class Place:
    """A server with the streams ORDERS and BILLS, and good backups of them."""

    server: Server
    stream: Path
    account: Path


@pytest.fixture(scope="module")
def place(server_version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("good")
    with Server(Options(version=server_version, tls=None, max_payload=256 * 1024)) as server:
        make_stream(server, "ORDERS", messages=5)
        make_stream(server, "BILLS", messages=3)
        consumer = {"durable_name": "worker", "ack_policy": "explicit"}
        api(server, "CONSUMER.DURABLE.CREATE.ORDERS.worker", {"stream_name": "ORDERS", "config": consumer})
        works("jetstream_account_backup", {**server.connection(), "path": str(root / "account")})
        backed_up(server, "ORDERS", root / "orders")
        yield Place(server, root / "orders", root / "account")


def arguments(module: str, place: Place, path: Path | None = None, **more: Any) -> dict[str, Any]:
    """What a module needs: for a backup an empty place, for a restore a good backup."""
    good = place.stream if module in STREAM_MODULES else place.account
    given: dict[str, Any] = {**place.server.connection(), "path": str(path or good)}
    if module == "jetstream_stream_backup":
        given["stream"] = "ORDERS"
    return {**given, **more}


def where(module: str, tmp_path: Path) -> Path | None:
    """A path not there yet for a backup; the good backup for a restore."""
    return tmp_path / "new" if module.endswith("_backup") else None


# --- servers and users


@each_module
@pytest.mark.parametrize("check", [False, True])
def test_no_server_at_the_address(module: str, check: bool, place: Place, tmp_path: Path) -> None:
    (port,) = process.free_ports(1)
    with untouched(tmp_path, place.account, place.stream):
        args = arguments(module, place, where(module, tmp_path), servers=[f"nats://127.0.0.1:{port}"])
        fails(
            module, args, "connection_failed", f"127.0.0.1:{port}", "refused", "See that nats-server runs", check=check
        )


@each_module
def test_a_server_that_says_nothing(module: str, place: Place, tmp_path: Path) -> None:
    with silent_port() as port, untouched(tmp_path, place.account, place.stream):
        args = arguments(module, place, where(module, tmp_path), servers=[f"nats://127.0.0.1:{port}"])
        args["connect_timeout"] = 1
        fails(module, args, "connection_failed", f"127.0.0.1:{port}", "no answer within 1 s", within=6)


@each_module
def test_wrong_password(module: str, place: Place, tmp_path: Path) -> None:
    with untouched(tmp_path, place.account, place.stream, endpoint=place.server):
        args = arguments(module, place, where(module, tmp_path), password="not-the-one")
        result = fails(
            module, args, "authentication_failed", place.server.urls[0], "refused", "Check user and password"
        )
        assert "not-the-one" not in json.dumps(result)


@each_module
def test_wrong_authority(module: str, make_server: Any, place: Place, tmp_path: Path) -> None:
    server = make_server(tls="server")
    wrong = str(server.setup.tls.wrong_ca)
    with untouched(tmp_path, place.account, place.stream):
        args = arguments(module, place, where(module, tmp_path), **{**server.connection(), "ca_cert": wrong})
        fails(module, args, "tls_failed", server.urls[0], "certificate", "ca_cert")


@each_module
def test_jetstream_off_for_the_account(module: str, place: Place, tmp_path: Path) -> None:
    with untouched(tmp_path, place.account, place.stream, endpoint=place.server):
        args = arguments(module, place, where(module, tmp_path), user="nojs", password=PASSWORD)
        fails(module, args, "jetstream_not_enabled", "not enabled for this account", "Enable it")


@each_module
def test_jetstream_off_on_the_server(module: str, make_server: Any, place: Place, tmp_path: Path) -> None:
    server = make_server(jetstream=False)
    with untouched(tmp_path, place.account, place.stream):
        args = arguments(module, place, where(module, tmp_path), **server.connection())
        fails(module, args, "jetstream_not_enabled", "Check that it is enabled on the server")


@each_module
def test_system_account(module: str, place: Place, tmp_path: Path) -> None:
    with untouched(tmp_path, place.account, place.stream, endpoint=place.server):
        args = arguments(module, place, where(module, tmp_path), user="sys", password=PASSWORD)
        fails(module, args, "system_account", "system account", "Use those of the account")


@each_module
def test_unknown_domain(module: str, place: Place, tmp_path: Path) -> None:
    with untouched(tmp_path, place.account, place.stream, endpoint=place.server):
        args = arguments(module, place, where(module, tmp_path), domain="nowhere")
        fails(module, args, "jetstream_not_enabled", "$JS.nowhere.API", "domain option")


# --- names


def test_unknown_stream(place: Place, tmp_path: Path) -> None:
    with untouched(tmp_path, endpoint=place.server):
        args = arguments("jetstream_stream_backup", place, tmp_path / "new", stream="NOPE")
        result = fails("jetstream_stream_backup", args, "stream_not_found", "NOPE", "stream not found")
        assert result["err_code"] == 10059
        for name in ("NOPE", "ORDERS"):
            args = arguments("jetstream_account_backup", place, tmp_path / "new", streams=["NOPE", name])
            fails("jetstream_account_backup", args, "stream_not_found", "NOPE", "BILLS, ORDERS")
        args = arguments("jetstream_account_restore", place, streams=["NOPE"])
        fails("jetstream_account_restore", args, "stream_not_found", "NOPE", str(place.account))


@pytest.mark.parametrize("name", ["a.b", "a b", "a*", ">", "a/b", "../a", "", "a\nb", "a\\b", "x" * 256, "a\x7f"])
def test_illegal_stream_name(name: str, place: Place, tmp_path: Path) -> None:
    with untouched(tmp_path, place.stream, endpoint=place.server):
        for check in (False, True):
            args = arguments("jetstream_stream_backup", place, tmp_path / "new", stream=name)
            fails("jetstream_stream_backup", args, "invalid_stream_name", "legal stream name", check=check)
        if name:
            args = arguments("jetstream_stream_restore", place, stream=name)
            fails("jetstream_stream_restore", args, "invalid_stream_name", "legal stream name")


# --- the path of a backup


@each_backup
def test_path_is_a_file(module: str, place: Place, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("keep me")
    with untouched(tmp_path, endpoint=place.server):
        for path in (tmp_path / "file", tmp_path / "file" / "below"):
            for check in (False, True):
                args = arguments(module, place, path)
                fails(module, args, "path_not_directory", str(tmp_path / "file"), "is a file", check=check)


@each_backup
def test_path_is_not_writable(module: str, place: Place, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    copied(place.stream if module in STREAM_MODULES else place.account, closed / "old")
    closed.chmod(0o500)
    with untouched(tmp_path, endpoint=place.server):
        # Each is a process of its own, whose root may not ignore modes.
        for path, check in ((closed / "new", False), (closed / "old", False), (closed / "new", True)):
            args = arguments(module, place, path)
            word = "path_not_writable"
            fails(module, args, word, str(path), "cannot write", str(closed), check=check, within=30,
                  preexec=drop_override)  # fmt: skip
    closed.chmod(0o700)


@each_backup
def test_path_is_a_link_to_elsewhere(module: str, place: Place, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    with untouched(tmp_path, endpoint=place.server):
        for name in ("link", "dangling"):
            for check in (False, True):
                args = arguments(module, place, tmp_path / name)
                fails(module, args, "path_symlink", str(tmp_path / name), "symbolic link", "real", check=check)


@each_backup
def test_path_holds_something_else(module: str, place: Place, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    with untouched(tmp_path, endpoint=place.server):
        for more in ({}, {"force": True}):
            for check in (False, True):
                args = arguments(module, place, tmp_path / "home", **more)
                fails(module, args, "path_not_backup", "thesis.txt", "Give an empty directory", check=check)


def test_path_holds_directories_that_are_no_backups(place: Place, tmp_path: Path) -> None:
    """An account's directory may hold other directories, but a stream's own must be a backup of that stream."""
    (tmp_path / "home" / "ORDERS").mkdir(parents=True)
    (tmp_path / "home" / "ORDERS" / "thesis.txt").write_text("years of work")
    kept = tree(tmp_path / "home" / "ORDERS")
    for check in (True, False):
        asked = arguments("jetstream_account_backup", place, tmp_path / "home")
        result = run_here("jetstream_account_backup", asked, check=check)
        assert result["failed"], result
        assert result["error"] == "path_not_backup"
        assert {s["stream"]: s["status"] for s in result["streams"]} == {
            "BILLS": "would_transfer" if check else "transferred",
            "ORDERS": "failed",
        }
        assert tree(tmp_path / "home" / "ORDERS") == kept


def test_prune_spares_what_is_no_backup(place: Place, tmp_path: Path) -> None:
    home = tmp_path / "home"
    copied(place.stream, home / "GONE")
    (home / "photos").mkdir(parents=True)
    (home / "photos" / "one.jpg").write_text("not a stream")
    kept = tree(home / "photos")
    result = run_here("jetstream_account_backup", arguments("jetstream_account_backup", place, home, prune=True))
    assert tree(home / "photos") == kept, result
    assert not (home / "GONE").exists()


def test_path_holds_another_streams_backup(place: Place, tmp_path: Path) -> None:
    copied(place.account / "BILLS", tmp_path / "bills")
    with untouched(tmp_path, endpoint=place.server):
        for more in ({}, {"force": True}):
            for check in (False, True):
                args = arguments("jetstream_stream_backup", place, tmp_path / "bills", **more)
                fails("jetstream_stream_backup", args, "path_other_stream", "BILLS", "ORDERS", "its own directory",
                      check=check)  # fmt: skip


@pytest.mark.parametrize("content", ["", "{not json", "[]", '{"config": {}, "state": {}}', "[" * 100_000])
def test_backup_over_a_backup_that_cannot_be_read(content: str, place: Place, tmp_path: Path) -> None:
    """Without a manifest nobody knows whose it was: it is only replaced by force."""
    path = copied(place.stream, tmp_path / "orders", manifest=False)
    (path / "backup.json").write_text(content)
    with untouched(tmp_path, endpoint=place.server):
        for check in (False, True):
            args = arguments("jetstream_stream_backup", place, path)
            fails("jetstream_stream_backup", args, "path_other_stream", str(path), "damaged", "force", check=check)
    works("jetstream_stream_backup", arguments("jetstream_stream_backup", place, path, force=True))
    assert works("jetstream_backup_info", {"path": str(path), "verify": "quick"})["valid"] is True


@pytest.mark.parametrize("name", ["x" * 300, "a\x00b", ""])
def test_path_that_cannot_be(name: str, place: Place, tmp_path: Path) -> None:
    with untouched(tmp_path, endpoint=place.server):
        for module in MODULES:
            path = f"{tmp_path}/{name}" if name else ""
            args = {**arguments(module, place), "path": path}
            result = run_here(module, args)
            assert result["failed"], result
            assert result["error"].startswith("path_"), result
            assert "exception" not in result


# --- what is in a backup


def broken(kind: str, path: Path, other: Path) -> None:
    """Do one kind of damage to a stream's backup."""
    data = data_of(path)
    size = data.stat().st_size
    if kind == "backup.json empty":
        (path / "backup.json").write_bytes(b"")
    elif kind == "backup.json gone":
        (path / "backup.json").unlink()
    elif kind == "backup.json not json":
        (path / "backup.json").write_text("{not json")
    elif kind == "backup.json deep":
        (path / "backup.json").write_text("[" * 100_000)
    elif kind == "backup.json not text":
        (path / "backup.json").write_bytes(b"\xff\xfe\x00")
    elif kind == "backup.json of another stream":
        shutil.copy(other / "backup.json", path / "backup.json")
    elif kind == "backup.json odd types":
        content = json.loads((path / "backup.json").read_text())
        content["config"]["subjects"] = 5
        content["state"]["messages"] = {"many": True}
        (path / "backup.json").write_text(json.dumps(content))
    elif kind == "backup.json a pipe":
        (path / "backup.json").unlink()
        os.mkfifo(path / "backup.json")
    elif kind == "data missing":
        data.unlink()
    elif kind == "data a pipe":
        data.unlink()
        os.mkfifo(data)
    elif kind == "both names":
        shutil.copy(data, path / ("stream.tar.s2" if "arc" in data.name else "stream.arc.s2"))
    elif kind == "data empty":
        data.write_bytes(b"")
    elif kind == "data cut":
        os.truncate(data, size - 7)
    elif kind == "data flipped":
        flip(data, size // 2)
    elif kind == "data exchanged":
        shutil.copy(data_of(other), data)
    else:
        raise AssertionError(kind)


KINDS = {
    "backup.json empty": "it is empty",
    "backup.json gone": "there is no backup.json",
    "backup.json not json": "cannot be read as JSON",
    "backup.json deep": "cannot be read as JSON",
    "backup.json not text": "cannot be read as JSON",
    "backup.json of another stream": "",
    "backup.json odd types": "",
    "backup.json a pipe": "not a file",
    "data missing": "neither",
    "data a pipe": "not a file",
    "both names": "both",
    "data empty": "",
    "data cut": "",
    "data flipped": "",
    "data exchanged": "",
}


@pytest.mark.parametrize("manifest", [True, False], ids=["ours", "plain"])
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_backup(kind: str, manifest: bool, place: Place, tmp_path: Path) -> None:
    """The restore modules refuse it before they touch anything; the info module tells of it and does not fail."""
    path = copied(place.stream, tmp_path / "set" / "ORDERS", manifest=manifest)
    copied(place.account / "BILLS", tmp_path / "set" / "BILLS", manifest=manifest)
    broken(kind, path, place.account / "BILLS")
    with untouched(place.stream, endpoint=place.server):
        names = sorted(p.name for p in path.iterdir())
        info = works("jetstream_backup_info", {"path": str(tmp_path / "set"), "verify": "quick"})
        assert info["valid"] is False
        found = {Path(b["path"]).name: b for b in info["backups"]}
        assert found["BILLS"]["valid"] is True
        assert any(KINDS[kind] in problem["message"] for problem in found["ORDERS"]["problems"]), found["ORDERS"]
        assert all(problem["meaning"] for problem in found["ORDERS"]["problems"])
        for check in (True, False):
            args = arguments("jetstream_stream_restore", place, path, on_conflict="replace")
            result = fails("jetstream_stream_restore", args, "backup_invalid", str(path), KINDS[kind], "Use another",
                           check=check)  # fmt: skip
            assert result["problems"]
            args = arguments("jetstream_account_restore", place, tmp_path / "set", on_conflict="replace")
            result = fails("jetstream_account_restore", args, "backup_invalid", str(path), KINDS[kind], check=check)
            assert {s["stream"]: s["status"] for s in result["streams"]} == {"BILLS": "unchanged", "ORDERS": "failed"}
        assert sorted(p.name for p in path.iterdir()) == names


def test_older_data_under_a_newer_description(place: Place, tmp_path: Path) -> None:
    make_stream(place.server, "AGED", messages=3)
    try:
        old = backed_up(place.server, "AGED", tmp_path / "old")
        api(place.server, "STREAM.DELETE.AGED")
        make_stream(place.server, "AGED", messages=9)
        new = backed_up(place.server, "AGED", tmp_path / "new")
        shutil.copy(data_of(old), data_of(new))
        with untouched(tmp_path, endpoint=place.server):
            args = arguments("jetstream_stream_restore", place, new, on_conflict="replace")
            fails("jetstream_stream_restore", args, "backup_invalid", "digest_differs")
        (new / "manifest.json").unlink()
        with untouched(tmp_path, endpoint=place.server):
            fails("jetstream_stream_restore", args, "backup_invalid", str(new))
    finally:
        api(place.server, "STREAM.DELETE.AGED")


@each_restore
def test_restore_from_what_is_no_backup(module: str, place: Place, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "empty").mkdir()
    with untouched(tmp_path, endpoint=place.server):
        for name in ("file", "nothing"):
            args = arguments(module, place, tmp_path / name)
            fails(module, args, "path_not_found", str(tmp_path / name), "not a directory", "Give ")
        fails(module, arguments(module, place, tmp_path / "empty"), "path_not_backup", str(tmp_path / "empty"))


def test_restore_with_the_wrong_module(place: Place) -> None:
    with untouched(place.account, endpoint=place.server):
        args = arguments("jetstream_account_restore", place, place.account / "ORDERS")
        fails("jetstream_account_restore", args, "path_not_backup", "one stream", "jetstream_stream_restore")
        args = arguments("jetstream_stream_restore", place, place.account)
        fails("jetstream_stream_restore", args, "path_not_backup", str(place.account), "jetstream_account_restore")


# --- what a server cannot do


@pytest.fixture(scope="module")
def older() -> Iterator[Server]:
    with Server(Options(version="2.14.10")) as server:
        yield server


@pytest.mark.parametrize("check", [False, True])
def test_v2_archive_on_an_older_line(check: bool, older: Server, place: Place) -> None:
    if place.server.line < (2, 15):
        place = Place(place.server, FIXTURES / "2.15.2" / "gaps", place.account)
    with untouched(place.stream, endpoint=older):
        args = arguments("jetstream_stream_restore", place, **older.connection())
        fails("jetstream_stream_restore", args, "format_unsupported", "V2", "2.14.10", "2.15 or newer", check=check)


@pytest.mark.parametrize("check", [False, True])
def test_v1_archive_under_another_name(check: bool, older: Server, place: Place) -> None:
    with untouched(endpoint=older):
        path = FIXTURES / "2.14.9" / "gaps"
        args = arguments("jetstream_stream_restore", place, path, stream="RENAMED", **older.connection())
        fails("jetstream_stream_restore", args, "rename_unsupported", "V1", "GAPS", "RENAMED", check=check)


@pytest.mark.parametrize("check", [False, True])
def test_v1_archive_into_memory(check: bool, older: Server, place: Place) -> None:
    with untouched(endpoint=older):
        path = FIXTURES / "2.14.9" / "gaps"
        args = arguments("jetstream_stream_restore", place, path, storage="memory", **older.connection())
        fails("jetstream_stream_restore", args, "storage_unsupported", "V1", "file storage", check=check)


@pytest.mark.parametrize("check", [False, True])
def test_memory_stream_on_an_older_line(check: bool, older: Server, tmp_path: Path) -> None:
    make_stream(older, f"MEM{check}", storage="memory")
    with untouched(tmp_path, endpoint=older):
        args = {**older.connection(), "stream": f"MEM{check}", "path": str(tmp_path / "new")}
        fails("jetstream_stream_backup", args, "memory_stream_unsupported", f"MEM{check}", "2.14.10", "Mirror it",
              check=check)  # fmt: skip


@each_restore
@pytest.mark.parametrize("check", [False, True])
def test_subjects_that_another_stream_takes_in(module: str, check: bool, place: Place, make_server: Any) -> None:
    server = make_server()
    make_stream(server, "ALL", subjects=["orders.5", "all.>"])
    with untouched(endpoint=server):
        args = arguments(module, place, **server.connection())
        if module in ACCOUNT_MODULES:
            args["streams"] = ["ORDERS"]
        fails(module, args, "subject_overlap", "ORDERS", "orders.>", "orders.5", "ALL", "Change subjects", check=check)


@each_restore
@pytest.mark.parametrize("replicas", [3, 0, -1, 6])
def test_more_replicas_than_servers(module: str, replicas: int, place: Place) -> None:
    with untouched(endpoint=place.server):
        for check in (False, True):
            args = arguments(module, place, replicas=replicas, on_conflict="replace")
            fails(module, args, "replicas_unsupported", f"{replicas} replicas", check=check)


def test_more_replicas_than_servers_of_a_cluster(cluster: Any, place: Place) -> None:
    with untouched(endpoint=cluster):
        for check in (False, True):
            args = arguments("jetstream_stream_restore", place, **cluster.connection(), replicas=5)
            fails("jetstream_stream_restore", args, "replicas_unsupported", "5 replicas", "3 servers", check=check)


@pytest.mark.parametrize("placement", [{"cluster": "nowhere"}, {"tags": ["az:9"]}])
def test_placement_that_no_server_fits(placement: dict[str, Any], cluster: Any, place: Place, tmp_path: Path) -> None:
    with untouched(endpoint=cluster):
        args = arguments("jetstream_stream_restore", place, **cluster.connection(), placement=placement)
        fails("jetstream_stream_restore", args, "no_suitable_peers", "placement", within=30)
    make_stream(cluster, "ORDERS", messages=2)
    try:
        with untouched(endpoint=cluster):
            args = {**args, "on_conflict": "replace"}
            fails("jetstream_stream_restore", args, "no_suitable_peers", "ORDERS", "untouched", "placement")
    finally:
        delete_stream(cluster, "ORDERS")


@each_module
@pytest.mark.parametrize("check", [False, True])
def test_chunk_larger_than_max_payload(module: str, check: bool, place: Place, tmp_path: Path) -> None:
    with untouched(tmp_path, place.account, place.stream, endpoint=place.server):
        args = arguments(module, place, where(module, tmp_path), chunk_size=512 * 1024)
        fails(module, args, "chunk_too_large", "524288", "262144", "Choose a smaller", check=check)


# --- options


@each_module
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("chunk_size", 0),
        ("chunk_size", 1023),
        ("chunk_size", 2**21),
        ("stall_timeout", 0),
        ("stall_timeout", "nan"),
        ("stall_timeout", "inf"),
        ("timeout", -1),
        ("timeout", "nan"),
        ("connect_timeout", 0),
        ("connect_timeout", "nan"),
        ("connect_timeout", "inf"),
        ("request_timeout", -3),
        ("request_timeout", "nan"),
        ("inbox_prefix", "a b"),
        ("inbox_prefix", ".a"),
        ("inbox_prefix", "a.*"),
        ("domain", "a.b"),
        ("domain", "*"),
        ("context", "no-such-context"),
        ("credentials", "/nowhere/x.creds"),
        ("servers", ["http://127.0.0.1:1"]),
        ("servers", ["nats://127.0.0.1:notaport"]),
        ("servers", ["nats://"]),
    ],
)
def test_options_that_make_no_sense(module: str, option: str, value: Any, place: Place, tmp_path: Path) -> None:
    with untouched(tmp_path, place.account, place.stream):
        args = arguments(module, place, where(module, tmp_path), **{option: value})
        word = "invalid_context" if option == "context" else "invalid_options"
        if option == "credentials":
            del args["user"], args["password"]
        fails(module, args, word, option.split("_", maxsplit=1)[0])


@pytest.mark.parametrize(
    ("module", "option", "value"),
    [
        ("jetstream_stream_backup", "window_size", 0),
        ("jetstream_stream_backup", "window_size", 2**26),
        ("jetstream_account_backup", "parallel", 0),
        ("jetstream_account_backup", "streams", []),
        ("jetstream_account_restore", "streams", []),
        ("jetstream_account_restore", "parallel", "0"),
        ("jetstream_account_restore", "parallel", "many"),
        ("jetstream_stream_restore", "in_flight", 0),
        ("jetstream_stream_restore", "in_flight", 2000),
        ("jetstream_stream_restore", "settle_timeout", -1),
        ("jetstream_stream_restore", "settle_timeout", "nan"),
        ("jetstream_stream_restore", "timeout", 0),
        ("jetstream_stream_restore", "config", {"name": "X"}),
        ("jetstream_stream_restore", "config", {"num_replicas": 3}),
    ],
)
def test_a_modules_own_options_that_make_no_sense(
    module: str, option: str, value: Any, place: Place, tmp_path: Path
) -> None:
    with untouched(tmp_path, place.account, place.stream, endpoint=place.server):
        fails(module, arguments(module, place, where(module, tmp_path), **{option: value}), "invalid_options", option)


@pytest.mark.parametrize(
    "config",
    [
        {"subjects": "orders"},
        {"subjects": [7]},
        {"max_age": "1h"},
        {"mirror": []},
        {"sources": {"name": "x"}},
        {"sources": ["x"]},
        {"retention": "forever"},
        {"metadata": "x"},
        {"placement_tags": ["x"]},
        {"subjects": ["a..b"]},
        {"subjects": ["$JS.API.>"]},
    ],
    ids=str,
)
def test_configuration_that_makes_no_sense(config: dict[str, Any], place: Place, make_server: Any) -> None:
    server = place.server
    api(server, "STREAM.DELETE.BILLS")
    try:
        with untouched(place.account, endpoint=server):
            for check in (True, False):
                path = place.account / "BILLS"
                args = arguments("jetstream_stream_restore", place, path, config=config)
                result = run_here("jetstream_stream_restore", args, check=check)
                if check and not result.get("failed"):
                    continue  # only the server can tell
                assert result["failed"], result
                assert result["changed"] is False
                assert "exception" not in result, result
                assert result["error"] in ("invalid_config", "unsupported_by_server", "invalid_options"), result
                assert "BILLS" in result["msg"] or "config" in result["msg"]
    finally:
        works("jetstream_stream_restore", arguments("jetstream_stream_restore", place, place.account / "BILLS"))


def test_the_good_backup_still_restores(place: Place) -> None:
    """After all this: the streams were never touched, and the backups are whole."""
    before = account(place.server)
    for module in ("jetstream_stream_restore", "jetstream_account_restore"):
        assert works(module, arguments(module, place))["changed"] is False
    assert account(place.server) == before
