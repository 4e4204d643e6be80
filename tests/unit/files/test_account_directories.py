# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of accounts as names of directories, and back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._files.names import (
    NameRefusedError,
    account_of,
    child,
    directory_of,
    wrong_in_name,
)
from hypothesis import given
from hypothesis import strategies as st

LONG = "Ä" * 200
PLAIN = ["APP", "$G", "app-1_2.3", "App Team", "Größe", "100%", "A%zz", "APP.json", "Latest", "日本", "A" * 220]


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_name_stays_as_it_is(name: str) -> None:
    assert directory_of(name) == name
    assert account_of(name) == name


@pytest.mark.parametrize(
    ("name", "directory"),
    [
        ("App Team/1", "App%20Team%2F1"),
        (".", "%2E"),
        ("..", "%2E."),
        (".hidden", "%2Ehidden"),
        ("../../etc", "%2E.%2F..%2Fetc"),
        ("a\\b", "a%5Cb"),
        ("latest", "%6Catest"),
        ("manifest.json", "%6Danifest.json"),
        ("20261122T101500Z", "%320261122T101500Z"),
        ("20261122T101500Z.json", "%320261122T101500Z.json"),
        ("A%2FB", "A%252FB"),
        ("two\nlines", "two%0Alines"),
        ("right\u202eleft", "right%E2%80%AEleft"),
        ("nul\0", "nul%00"),
        ("half \ud800", "half%20%ED%A0%80"),
    ],
)
def test_any_other_name_is_written_out_and_read_back(name: str, directory: str) -> None:
    assert directory_of(name) == directory
    assert account_of(directory) == name


def test_a_name_too_long_has_a_digest_and_its_full_name_elsewhere() -> None:
    other = f"{LONG}!"
    found = {directory_of(LONG), directory_of(other), directory_of(f".{LONG}"), directory_of(LONG[:-1])}
    assert len(found) == 4
    for one in found:
        assert len(os.fsencode(one)) <= 220
        assert not wrong_in_name(one)
    directory = directory_of(LONG)
    assert account_of(directory) == directory
    assert account_of(directory, ["APP", "", LONG]) == LONG
    assert account_of(directory, [other]) == directory
    # A name that looks like such a directory is not taken for it.
    assert directory_of(directory) != directory
    assert account_of(directory_of(directory), [LONG, directory]) == directory


@pytest.mark.parametrize("name", ["%41PP", "%2e%2e", "%2F", "A%2f", "%FF", "A%2FB%", "%2E%2E%2Fetc", "%2E.%2F..%2Fetc"])
def test_a_foreign_directory_leads_nowhere_else(name: str, tmp_path: Path) -> None:
    """Whatever it decodes to, the way back is the directory itself or one beside it."""
    account = account_of(name)
    back = child(str(tmp_path), directory_of(account))
    assert os.path.dirname(back) == str(tmp_path)
    assert account == name or os.path.basename(back) == name


def test_no_name_has_no_directory() -> None:
    with pytest.raises(NameRefusedError):
        directory_of("")


@given(st.text(min_size=1, max_size=300))
def test_every_name_has_a_directory_of_its_own(name: str) -> None:
    directory = directory_of(name)
    assert not wrong_in_name(directory)
    assert len(os.fsencode(directory)) <= 220
    assert account_of(directory, [name]) == name
    if "%~" not in directory:
        assert account_of(directory) == name


@given(
    st.text(alphabet="%2EFe.~/aA01", min_size=1, max_size=60), st.text(alphabet="%2EFe.~/aA01", min_size=1, max_size=60)
)
def test_two_names_never_share_a_directory(one: str, other: str) -> None:
    assert one == other or directory_of(one) != directory_of(other)
