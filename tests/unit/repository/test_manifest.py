# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests come back as they were written, and not at all when anything in them was touched."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.errors import InvalidBackupError
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.manifest import (
    Manifest,
    canonical,
    digest_of,
    load_manifest,
)
from hypothesis import given
from hypothesis import strategies as st

from .makers import manifest, record

TEXT = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
# Of names that no server uses, which are kept as they are.
OBJECT = st.dictionaries(TEXT.map("x_{}".format), JSON, max_size=4)
NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(
    stream=NAME, account=TEXT, config=OBJECT.map(lambda more: {"name": "S", **more}), state=OBJECT, server=OBJECT,
    exact=st.booleans(), names=st.lists(NAME, max_size=3), max_payload=st.integers(0, 2**63),
)  # fmt: skip
def test_round_trip(names: list[str], **values: Any) -> None:
    made = manifest(consumers=tuple(record(name) for name in names), **values)
    again = Manifest.load(made.dump(), "x")
    assert again == made
    assert again.digest == made.digest
    assert again.dump() == made.dump()


@given(st.data())
def test_any_byte_that_differs_is_found(data: st.DataObject) -> None:
    made = manifest()
    content = bytearray(made.dump())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] = data.draw(st.integers(0, 255))
    # The same only where white space was changed, or nothing.
    assert loaded(bytes(content)) in (None, made)


def loaded(content: bytes) -> Manifest | None:
    try:
        return Manifest.load(content, "x")
    except InvalidBackupError:
        return None


@given(st.integers(0, 3000))
def test_any_cut_is_found(length: int) -> None:
    content = manifest().dump().rstrip()
    if length < len(content):
        with pytest.raises(InvalidBackupError) as caught:
            Manifest.load(content[:length], "x")
        assert caught.value.error == "manifest_invalid"


def sealed(change: Any) -> bytes:
    """A manifest changed on purpose, with a digest that fits."""
    body = json.loads(manifest().dump())
    del body["digest"]
    change(body)
    body["digest"] = hashlib.sha256(canonical(body)).hexdigest()
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body["files"][0].update(name="../../secret"),
        lambda body: body["files"][0].update(name="other"),
        lambda body: body["files"].append({"name": "x"}),
        lambda body: body.update(files=None),
        lambda body: body.update(consumers={}) or body.update(consumers=[1]),
        lambda body: body.update(more=1),
        lambda body: body.pop("stream"),
        lambda body: body.update(stream=5),
        lambda body: body.update(account=None),
        lambda body: body.update(format="V3"),
        lambda body: body.update(exact=1),
        lambda body: body.update(started_at="yesterday"),
        lambda body: body.update(finished_at="2026-02-30T00:00:00Z"),
        lambda body: body.update(max_payload=-1),
        lambda body: body.update(max_payload=1 << 64),
        lambda body: body.update(verified=["full"]),
        lambda body: body.update(server={"version": 2}),
        lambda body: body["config"].update(num_replicas="3"),
        lambda body: body["config"].update(subjects={"a": 1}),
        lambda body: body["state"].update(last_seq=-1),
        lambda body: body["state"].update(last_ts="soon"),
        lambda body: body["files"][0].update(size=1.5),
        lambda body: body["files"][0].update(sha256="x"),
        lambda body: body["consumers"][0].update(delivered={"stream_seq": "1", "consumer_seq": 0}),
        lambda body: body["consumers"][0].update(ack_floor=[]),
        lambda body: body["consumers"][0].update(num_pending=None),
        lambda body: body["consumers"][0]["config"].update(filter_subjects="a"),
    ],
)
def test_a_fitting_digest_is_not_enough(change: Any) -> None:
    with pytest.raises(InvalidBackupError, match=r"manifest: \S+ (is|names) .+") as caught:
        Manifest.load(sealed(change), "x")
    assert caught.value.error == "manifest_invalid"


def test_a_newer_format_is_named() -> None:
    with pytest.raises(InvalidBackupError, match=r"format 2; this version knows 1") as caught:
        Manifest.load(sealed(lambda body: body.update(manifest=2)), "x")
    assert caught.value.error == "manifest_unknown"


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"5", b"{}", b"\xff", b"[" * 100_000, b'{"manifest": 1}'])
def test_what_is_no_manifest(content: bytes) -> None:
    with pytest.raises(InvalidBackupError):
        Manifest.load(content, "x")


def test_reading_from_a_directory(tmp_path: Path) -> None:
    assert load_manifest(str(tmp_path)) is None
    place = tmp_path / "manifest.json"
    place.write_bytes(manifest().dump())
    assert load_manifest(str(tmp_path)) == manifest()
    place.unlink()
    os.mkfifo(place)
    with pytest.raises(InvalidBackupError, match="not a file"):
        load_manifest(str(tmp_path))
    place.unlink()
    place.mkdir()
    with pytest.raises(InvalidBackupError):
        load_manifest(str(tmp_path))


def test_digest_of(tmp_path: Path) -> None:
    content = os.urandom((1 << 20) + 7)
    (tmp_path / "x").write_bytes(content)
    found = digest_of(str(tmp_path / "x"))
    assert (found.name, found.size, found.sha256) == ("x", len(content), hashlib.sha256(content).hexdigest())


def test_manifests_with_the_times_under_their_old_names_are_read() -> None:
    """Their digest stays the one that they were written with, since the sets' files name it."""
    now = manifest()
    body = {key: value for key, value in json.loads(now.dump()).items() if key != "digest"}
    body = {key.removesuffix("_at") if key in ("started_at", "finished_at") else key: body[key] for key in body}
    digest = hashlib.sha256(canonical(body)).hexdigest()
    old = Manifest.load(json.dumps({**body, "digest": digest}).encode(), "manifest.json")
    assert (old.started_at, old.finished_at) == (now.started_at, now.finished_at)
    assert old.digest == digest != now.digest
