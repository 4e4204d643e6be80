# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way to open files, names that become paths, and text that becomes output."""

from __future__ import annotations

import errno
import os
import socket
import time
from pathlib import Path

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._files import names, reading, trees, writing
from ansible_collections.natsops.jetstream.plugins.module_utils._files.errors import FileError, explained, why
from ansible_collections.natsops.jetstream.plugins.module_utils._text import secrets
from ansible_collections.natsops.jetstream.plugins.module_utils._text.shown import each_text, shown

SEED = "SUAM" + "A2B3C4D5E6F7" * 4 + "GHJKLM"


def refused(path: Path, kind: reading.Kind = reading.SIDE_FILE) -> str:
    started = time.monotonic()
    with pytest.raises(FileError) as caught:
        reading.read_bytes(path, kind)
    assert time.monotonic() - started < 1
    assert str(path) in str(caught.value)
    assert caught.value.remedy
    return str(caught.value.strerror)


def test_only_regular_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    assert reading.read_bytes(file, reading.SIDE_FILE) == b"content"
    (tmp_path / "link").symlink_to(file)
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        assert "socket" in refused(tmp_path / "socket")
    assert "link" in refused(tmp_path / "link")
    assert "link" in refused(tmp_path / "dangling")
    assert "FIFO" in refused(tmp_path / "fifo")
    assert "directory" in refused(tmp_path / "directory")
    assert "device" in refused(Path("/dev/zero"))
    assert "device" in refused(Path("/dev/zero"), reading.SECRET)
    assert "too long" in refused(tmp_path / ("x" * 300))
    assert "Not a directory" in refused(file / "below")
    with pytest.raises(FileNotFoundError):
        reading.read_bytes(tmp_path / "nothing", reading.SIDE_FILE)
    with pytest.raises(FileError):
        reading.read_bytes("a\0b", reading.SIDE_FILE)


def test_a_link_that_a_user_names_is_followed_to_a_file_only(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "app.creds").write_text("\ufeffsecret")
    (tmp_path / "app.creds").symlink_to("..data/app.creds")
    assert reading.read_text(tmp_path / "app.creds", reading.SECRET) == "secret"
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "to-fifo").symlink_to("fifo")
    assert "FIFO" in refused(tmp_path / "to-fifo", reading.SECRET)


def test_what_is_held_open_can_be_opened_again(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    descriptor = os.open(file, os.O_RDONLY)
    file.unlink()
    try:
        assert reading.read_bytes(f"/proc/self/fd/{descriptor}", reading.DATA) == b"content"
        assert reading.read_bytes(f"/proc/{os.getpid()}/fd/{descriptor}", reading.DATA) == b"content"
    finally:
        os.close(descriptor)


def test_the_size_is_compared_before_anything_is_read(tmp_path: Path) -> None:
    sparse = tmp_path / "checked.json"
    with sparse.open("wb") as file:
        file.truncate(1 << 40)
    assert "bytes" in refused(sparse)
    assert "hole" in refused(sparse, reading.DATA)
    assert reading.file_size(sparse, reading.LOG_FILE) == 1 << 40
    with sparse.open("wb") as file:
        file.truncate(reading.SIDE_FILE.most or 0)
    assert len(reading.read_bytes(sparse, reading.SIDE_FILE)) == reading.SIDE_FILE.most
    assert reading.read_end(sparse, reading.LOG_FILE, 10) == bytes(10)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ENOSPC, errno.ESTALE, errno.ELOOP, 9999])
def test_every_system_error_has_a_reason_and_a_remedy(number: int) -> None:
    error = explained(OSError(number, os.strerror(number)), "/x")
    assert isinstance(error, FileError)
    assert error.errno == number
    assert error.strerror
    assert error.remedy
    assert why(error) == error.strerror


def test_writing_never_goes_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "new").symlink_to(victim)
    with pytest.raises(FileError, match="exists"):
        writing.write_new(tmp_path / "new", b"x")
    with pytest.raises(FileError, match="link"):
        writing.open_lock(tmp_path / "new")
    (tmp_path / ".note.natsops-new").symlink_to(victim)
    (tmp_path / "note").symlink_to(victim)
    writing.replace_file(tmp_path / "note", b"text")
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "note").is_symlink()
    assert (tmp_path / "note").read_bytes() == b"text"
    assert (tmp_path / "note").stat().st_mode & 0o777 == 0o600


def test_a_lock_is_a_file_of_its_own(tmp_path: Path) -> None:
    os.close(writing.open_lock(tmp_path / "lock"))
    (tmp_path / "victim").write_text("precious")
    os.link(tmp_path / "victim", tmp_path / "hard")
    os.mkfifo(tmp_path / "fifo")
    for name in ("hard", "fifo"):
        with pytest.raises(FileError):
            writing.open_lock(tmp_path / name)
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_directory_that_was_exchanged_is_not_written_to(tmp_path: Path) -> None:
    place = tmp_path / "backup"
    place.mkdir()
    found = place.stat()
    place.rename(tmp_path / "moved")
    (tmp_path / "other").mkdir()
    place.symlink_to(tmp_path / "other")
    with pytest.raises(FileError, match="exchanged"):
        writing.replace_file(place / "note", b"x", same=(found.st_dev, found.st_ino))
    assert list((tmp_path / "other").iterdir()) == []
    with pytest.raises(FileError, match="link"):
        writing.open_directory(place, follow=False)


def test_what_killed_runs_left_goes_and_what_is_being_written_stays(tmp_path: Path) -> None:
    old, young = tmp_path / writing.temporary_name("note"), tmp_path / writing.temporary_name("note")
    for path in (old, young):
        path.write_text("x")
    os.utime(old, (1, 1))
    writing.replace_file(tmp_path / "note", b"text")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([young.name, "note"])
    writing.replace_file(tmp_path / ("x" * 255), b"text")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "..",
            "../OTHER",
            "/etc",
            "a/b",
            "a\\b",
            "a\0b",
            ".hidden",
            "a\nb",
            "a\u202eb",
            "x" * 256,
            "é" * 128,
        ),
        *("latest", "manifest.json", "20261122T101500Z", "20261122T101500Z.json", "stream.arc.s2", "a\udc80", None, 7),
    ],
)
def test_only_plain_names_become_paths(name: object) -> None:
    with pytest.raises(names.NameRefusedError) as caught:
        names.child("/place", name)
    assert shown(str(caught.value)) == str(caught.value)


@pytest.mark.parametrize("name", ["ORDERS", "LATEST", "a b", "ORDERS_2", "é", "x" * 255, "$MQTT_msgs", "-", "~"])
def test_plain_names(name: str) -> None:
    assert names.child("/place", name) == f"/place/{name}"
    assert names.wrong_in_name("latest", ours=True) == ""


def test_names_that_some_disks_take_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names.alike(["Orders", "ORDERS", "other", "e\u0301", "é"]) == {"Orders": "ORDERS", "é": "e\u0301"}
    (tmp_path / "a").touch()
    assert names.tells_case(str(tmp_path)) == (not (tmp_path / "A").exists())
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    monkeypatch.setattr(os.path, "lexists", lambda path: True)  # as a disk does that knows no case
    assert not names.tells_case(str(tmp_path))


def test_text_from_elsewhere_cannot_move_the_cursor() -> None:
    nasty = "a\x1b[2Jb\rc\nd\x9b1me\u202ef\u2066g\u200bh\udc80i\u2028j\U000e0041k\x7fl"
    assert shown(nasty) == ("a\\x1b[2Jb\\rc\\nd\\x9b1me\\u202ef\\u2066g\\u200bh\\udc80i\\u2028j\\U000e0041k\\x7fl")
    assert shown("a\nb\tc\x1b", lines=True) == "a\nb\tc\\x1b"
    assert shown("déjà vu ☃ 漢字") == "déjà vu ☃ 漢字"
    assert each_text({"a\x1b": ["\x9b", 1, None, ("x",)]}, shown) == {"a\\x1b": ["\\x9b", 1, None, ["x"]]}


def test_deep_values_end() -> None:
    deep: list[object] = []
    for _level in range(5000):
        deep = [deep]
    each_text(deep, shown)


@pytest.mark.parametrize(
    "secret",
    [
        SEED,
        SEED[:50],
        SEED.replace("SU", "SA", 1),
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJqdGkiOiJBQkNERUYifQ.c2lnbmF0dXJl-_",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----",
        "-----BEGIN USER NKEY SEED-----\nabc",
        "-----BEGIN RSA PRIVATE KEY-----\\nMII\\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_secrets_are_known_by_their_form(secret: str) -> None:
    assert secrets.without_secrets(f"no file '{secret}' there") in (
        f"no file '{secrets.HIDDEN}' there",
        f"no file '{secrets.HIDDEN}",  # a block without its end hides the rest
    )
    assert any(secret.startswith(found) for found in secrets.secrets_in({"a": [f"x {secret}"]}))


def test_what_is_no_secret_stays() -> None:
    for text in ("SUPPLIER_ORDERS", "stream SUBSCRIPTIONS: S2sTwO", "UAM" + SEED[2:], "x" * 80):
        assert secrets.without_secrets(text) == text


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/", "a/b"])
def test_only_an_entry_of_a_directory_is_removed(tmp_path: Path, name: str) -> None:
    (tmp_path / "x" / "a" / "b").mkdir(parents=True)
    with trees.directory(tmp_path / "x") as place, pytest.raises(FileError, match="Nothing was removed"):
        trees.remove_tree(name, place)
    for path in ("", "relative", "/"):
        with pytest.raises(FileError, match="Nothing was removed"):
            trees.remove_path(path)
    assert (tmp_path / "x" / "a" / "b").is_dir()


def test_a_tree_goes_and_what_its_links_lead_to_stays(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "tree" / "file").write_text("x")
    trees.remove_path(str(tmp_path / "tree"))
    trees.remove_path(str(tmp_path / "tree"))
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_copy_holds_no_links(tmp_path: Path) -> None:
    (tmp_path / "store" / "msgs").mkdir(parents=True)
    (tmp_path / "store" / "msgs" / "1.blk").write_bytes(b"data")
    trees.copy_tree(str(tmp_path / "store"), str(tmp_path / "copy"))
    assert (tmp_path / "copy" / "msgs" / "1.blk").read_bytes() == b"data"
    (tmp_path / "store" / "msgs" / "2.blk").symlink_to("/etc/passwd")
    with pytest.raises(FileError, match="link"):
        trees.copy_tree(str(tmp_path / "store"), str(tmp_path / "other"))
