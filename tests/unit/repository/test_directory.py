# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories, locks, and the file beside an account's backup."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._files import trees, writing
from ansible_collections.natsops.jetstream.plugins.module_utils._repository import set_file as setfile
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.account_directory import (
    check_account_target,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.directory import (
    Workplace,
    check_directory_path,
    interrupted_below,
    normal_path,
    path_error,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.disk import make_directories
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.errors import (
    InvalidBackupError,
    LockedError,
    PathError,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.results import StreamResult, failed

from .makers import manifest


def refusal(path: Path | str) -> str:
    with pytest.raises(PathError) as caught:
        check_directory_path(str(path))
    return caught.value.error


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert normal_path("a/../b/") == str(tmp_path / "b")
    for path in ("", "  ", "a\x00b"):
        with pytest.raises(PathError) as caught:
            normal_path(path)
        assert caught.value.error == "path_invalid"


def test_directory_paths(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path)
    check_directory_path(str(tmp_path))
    check_directory_path(str(tmp_path / "new" / "er"))
    assert refusal(tmp_path / "file") == "path_not_directory"
    assert refusal(tmp_path / "file" / "x" / "y") == "path_not_directory"
    assert refusal(tmp_path / "link") == "path_symlink"
    assert refusal(tmp_path / ("x" * 221)) == "path_invalid"
    assert refusal(tmp_path / ("я" * 111)) == "path_invalid"


def test_account_targets(tmp_path: Path) -> None:
    check_account_target(str(tmp_path))
    check_account_target(str(tmp_path / "new"))
    (tmp_path / "ORDERS").mkdir()
    check_account_target(str(tmp_path))
    (tmp_path / "LINK").symlink_to(tmp_path / "ORDERS")
    with pytest.raises(PathError, match="LINK"):
        check_account_target(str(tmp_path))
    (tmp_path / "LINK").unlink()
    (tmp_path / ".hidden").write_text("x")
    with pytest.raises(PathError, match=r"\.hidden"):
        check_account_target(str(tmp_path))


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.ENOSPC, "no_space"),
        (errno.EDQUOT, "no_space"),
        (errno.EFBIG, "no_space"),
        (errno.EACCES, "path_not_writable"),
        (errno.EROFS, "path_not_writable"),
        (errno.EIO, "path_invalid"),
        (errno.ENAMETOOLONG, "path_invalid"),
    ],
)
def test_what_the_system_says(number: int, word: str) -> None:
    error = path_error("/a/b", OSError(number, os.strerror(number)))
    assert error.error == word
    assert "/a/b" in error.message
    assert os.strerror(number) in error.message


def test_a_workplace_locks_and_cleans(tmp_path: Path) -> None:
    path = str(tmp_path / "deep" / "one")
    with Workplace(path) as workplace:
        assert os.path.dirname(workplace.stage) == os.path.dirname(path)
        with pytest.raises(LockedError, match=f"process {os.getpid()}"), Workplace(path):
            pass
        with Workplace(str(tmp_path / "deep" / "other")):
            pass  # another backup in the same place is nobody's business
        made = workplace.make("one")
        Path(made, "content").write_text("new")
        workplace.publish(made, path)
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["one"]
    with Workplace(path) as workplace:
        made = workplace.make("one")
        Path(made, "content").write_text("newer")
        workplace.publish(made, path)
        assert not os.path.exists(made)
    assert Path(path, "content").read_text() == "newer"


def test_without_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "exchange", lambda *_args: False)
    path = str(tmp_path / "one")
    for content in ("first", "second"):
        with Workplace(path) as workplace:
            made = workplace.make("x")
            Path(made, "content").write_text(content)
            workplace.publish(made, path)
        assert Path(path, "content").read_text() == content
        assert sorted(p.name for p in tmp_path.iterdir()) == ["one"]


def test_debris_of_killed_runs(tmp_path: Path) -> None:
    path = tmp_path / "one"
    (tmp_path / ".one.natsops-stage-x" / "a").mkdir(parents=True)
    (tmp_path / ".two.natsops-stage-x").mkdir()
    (tmp_path / ".one.natsops-old").mkdir()
    (tmp_path / ".one.natsops-old" / "content").write_text("kept")
    assert interrupted_below(str(tmp_path)) == {
        "one": [".one.natsops-old", ".one.natsops-stage-x"],
        "two": [".two.natsops-stage-x"],
    }
    with Workplace(str(path)):
        pass
    # Killed between two renames: the earlier backup is back. What is another backup's stays.
    assert (path / "content").read_text() == "kept"
    assert sorted(p.name for p in tmp_path.iterdir()) == [".two.natsops-stage-x", "one"]


def test_directories_and_files_are_for_their_owner(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_directories(str(tmp_path / "a" / "b" / "c"))
        make_directories(str(tmp_path / "a"))
        writing.write_new(tmp_path / "a" / "file", b"x" * 100_000)
        writing.replace_file(tmp_path / "a" / "other", b"y")
    finally:
        os.umask(before)
    modes = {p.name: oct(p.stat().st_mode & 0o777) for p in (tmp_path / "a").rglob("*")}
    assert modes == {"b": "0o700", "c": "0o700", "file": "0o600", "other": "0o600"}
    assert (tmp_path / "a" / "file").stat().st_size == 100_000
    with pytest.raises(FileExistsError):
        make_directories(str(tmp_path / "a" / "file" / "d"))


# --- the set's file


def result(stream: str, status: str = "transferred", **more: Any) -> StreamResult:
    return StreamResult(stream, status, manifest=manifest(stream=stream), **more)


def test_set_file(tmp_path: Path) -> None:
    path = str(tmp_path / "all")
    assert setfile.load(path) is None
    setfile.update(
        path, "APP", [result("A"), result("B", "unchanged"), result("M", "skipped", reason="memory")], {"A", "B", "M"}
    )
    found = setfile.load(path)
    assert found is not None
    assert {name: member.status for name, member in found.streams.items()} == {
        "A": "current",
        "B": "current",
        "M": "skipped",
    }
    assert (found.account, found.complete, found.streams["M"].reason) == ("APP", True, "memory")
    assert (tmp_path / "all.json").stat().st_mode & 0o777 == 0o600
    assert found.streams["A"].digest == manifest(stream="A").digest


def test_set_file_is_not_written_without_need(tmp_path: Path) -> None:
    path = str(tmp_path / "all")
    setfile.update(path, "APP", [result("A")], {"A"})
    before = (tmp_path / "all.json").stat().st_mtime_ns
    setfile.update(path, "APP", [result("A", "unchanged")], {"A"})
    assert (tmp_path / "all.json").stat().st_mtime_ns == before


def test_set_file_keeps_what_a_run_did_not_look_at(tmp_path: Path) -> None:
    path = str(tmp_path / "all")
    setfile.update(path, "APP", [result("A"), result("B")], {"A", "B"})
    setfile.update(path, "APP", [failed("A", "", ValueError("no"))], {"A", "B"})
    found = setfile.load(path)
    assert found is not None
    assert {name: member.status for name, member in found.streams.items()} == {"A": "failed", "B": "current"}
    assert found.complete is False
    setfile.update(path, "APP", [result("A")], {"A"})
    found = setfile.load(path)
    assert found is not None
    assert (set(found.streams), found.complete) == ({"A"}, True)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("", "manifest_invalid"),
        ("{}", "manifest_invalid"),
        ("[]", "manifest_invalid"),
        ('{"set": 2}', "manifest_unknown"),
        ('{"set": 1, "streams": []}', "manifest_invalid"),
        (
            json.dumps({"set": 1, "account": "", "finished_at": "", "complete": True, "streams": {"A": {"x": 1}}}),
            "manifest_invalid",
        ),
        ("[" * 100_000, "manifest_invalid"),
    ],
)
def test_a_set_file_that_cannot_be_read(content: str, word: str, tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text(content)
    with pytest.raises(InvalidBackupError) as caught:
        setfile.load(str(tmp_path / "all"))
    assert caught.value.error == word
