# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How programs are found, with scripts in the place of the real ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import binaries


def program(path: Path, version: str) -> Path:
    """Write a script that answers `--version` as nats-server does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 'nats-server: v{version}'\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty cache and PATH; nothing is remembered from other tests or by them."""
    monkeypatch.setenv("NATSOPS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    (tmp_path / "path").mkdir()
    binaries._obtain.cache_clear()
    yield
    binaries._obtain.cache_clear()


def no_way(name: str):
    """Return a way of obtaining a program that fails."""

    def way(program: object, target: Path) -> None:
        raise binaries._WayError(f"no {name} here")

    return way


def deny_building(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_with_go_on_path", "_with_go_from_index", "_with_distribution"):
        monkeypatch.setattr(binaries, name, no_way(name))


def test_cache_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deny_building(monkeypatch)
    cached = program(tmp_path / "cache/bin/nats-server-2.15.2/nats-server", "2.15.2")
    program(tmp_path / "path/nats-server", "2.15.2")
    assert binaries.nats_server("2.15.2") == cached


def test_path_counts_only_at_the_exact_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deny_building(monkeypatch)
    found = program(tmp_path / "path/nats-server", "2.14.9")
    assert binaries.nats_server("2.14.9") == found
    with pytest.raises(binaries.BinaryError, match=r"2\.15\.2 cannot be had"):
        binaries.nats_server("2.15.2")


def test_a_prefix_of_the_version_is_not_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deny_building(monkeypatch)
    program(tmp_path / "path/nats-server", "2.15.21")
    with pytest.raises(binaries.BinaryError):
        binaries.nats_server("2.15.2")


def test_failure_says_what_was_tried_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deny_building(monkeypatch)
    with pytest.raises(binaries.BinaryError) as caught:
        binaries.nats_cli("0.5.1")
    text = str(caught.value)
    for part in (
        "_with_go_on_path",
        "_with_go_from_index",
        "_with_distribution",
        "Install Go",
        str(tmp_path / "cache"),
    ):
        assert part in text


def test_a_broken_cache_entry_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deny_building(monkeypatch)
    target = program(tmp_path / "cache/bin/nats-server-2.15.2/nats-server", "1.0.0")
    monkeypatch.setattr(binaries, "_with_go_from_index", lambda wanted, path: program(path, wanted.version))
    assert binaries.nats_server("2.15.2") == target
    assert "2.15.2" in target.read_text(encoding="utf-8")


def test_what_was_built_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deny_building(monkeypatch)
    monkeypatch.setattr(binaries, "_with_go_on_path", lambda wanted, path: program(path, "9.9.9"))
    with pytest.raises(binaries.BinaryError, match=r"9\.9\.9"):
        binaries.nats_server("2.15.2")


def test_two_at_once_build_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deny_building(monkeypatch)
    built: list[str] = []
    under_way = threading.Event()

    def build(wanted: binaries._Program, path: Path) -> None:
        built.append(wanted.version)
        under_way.wait(0.3)
        program(path, wanted.version)

    monkeypatch.setattr(binaries, "_with_go_on_path", build)
    found: list[Path] = []
    # The memory of earlier answers is left out: it would hide what the lock does.
    wanted = binaries._Program("nats-server", "2.15.2", "", None)
    threads = [
        threading.Thread(target=lambda: found.append(binaries._obtain.__wrapped__(wanted))) for _number in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert built == ["2.15.2"]
    assert len(found) == 3


def test_command_line_reports_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    deny_building(monkeypatch)
    assert binaries.main(["2.15.2"]) == 1
    assert "cannot be had" in capsys.readouterr().err
    assert binaries.main(["latest"]) == 1
    assert "not a version" in capsys.readouterr().err


def test_command_line_prints_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [program(tmp_path / f"cache/bin/nats-server-{each}/nats-server", each) for each in ("2.15.2", "2.10.29")]
    assert binaries.main(["2.15.2", "2.10.29"]) == 0
    assert capsys.readouterr().out.split() == [str(path) for path in paths]
