# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the cluster modules: whose credentials go where."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.natsops.jetstream.plugins.doc_fragments.cluster import ModuleDocFragment
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible import (
    cluster,
    cluster_backups,
    cluster_losses,
    cluster_rescue,
)
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.cluster_backups import read_backups
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.module import Context
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.errors import LastPictureError
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.losses import Accepted
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.errors import NatsError, OptionsError
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.options import make_options
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.errors import PathError
from ansible_collections.natsops.jetstream.plugins.module_utils._repository.manifest import (
    ConsumerRecord,
    Manifest,
    digest_of,
)


def context(accounts: list[dict[str, Any]], **own: Any) -> Context:
    params = {"servers": ["nats://127.0.0.1:4333"], "user": "sys", "password": "secret", "request_timeout": 3.0, **own}
    return Context({**params, "accounts": accounts}, False, make_options(params))


def test_an_account_inherits_the_way_but_not_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_USER", "someone")
    found = cluster.account_options(context([{"name": "APP", "token": "t"}, {"name": "B", "servers": ["other:1"]}]))
    assert found["APP"].servers == ("nats://127.0.0.1:4333",)
    assert (found["APP"].user, found["APP"].password, found["APP"].token) == (None, None, "t")
    assert found["APP"].request_timeout == 3.0
    assert found["B"].servers == ("nats://other:1",)


def test_accounts_are_named_once() -> None:
    with pytest.raises(OptionsError, match="listed twice"):
        cluster.account_options(context([{"name": "APP"}, {"name": "APP"}]))


def test_suboptions_are_documented_and_take_nothing_from_the_environment() -> None:
    documented = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]["accounts"]["suboptions"]
    spec = cluster.ACCOUNTS.argument_spec["accounts"]["options"]
    assert documented.keys() == spec.keys()
    assert not [name for name, option in spec.items() if "fallback" in option or "default" in option]
    assert spec["password"]["no_log"] is True


def test_last_picture_that_cannot_be_read(tmp_path: Path) -> None:
    assert cluster.read_last_picture(context([])) is None
    with pytest.raises(LastPictureError, match="cannot be read"):
        cluster.read_last_picture(context([], last_picture=str(tmp_path / "none")))


def backup(place: Path, stream: str, account: str = "") -> None:
    """A backup's directory as the command line leaves it, with our manifest where C(account) is given."""
    place.mkdir(parents=True)
    state = {"messages": 3, "bytes": 3, "first_seq": 1, "last_seq": 3, "first_ts": "", "last_ts": ""}
    config = {"name": stream, "num_replicas": 3}
    (place / "backup.json").write_text(json.dumps({"config": config, "state": state}), encoding="utf-8")
    (place / "stream.tar.s2").write_bytes(b"x")
    if not account:
        return
    consumer = ConsumerRecord(
        "dur", {}, {"consumer_seq": 2, "stream_seq": 2}, {"consumer_seq": 0, "stream_seq": 0}, 0, 0, "", True
    )
    times = ("2026-11-22T10:00:00.5Z", "2026-11-22T10:00:01Z")
    files = (digest_of(str(place / "backup.json")), digest_of(str(place / "stream.tar.s2")))
    manifest = Manifest(
        stream, account, "V1", files, config, state, True, "", (consumer,), True, {}, *times, "quick", 1 << 20
    )
    (place / "manifest.json").write_bytes(manifest.dump())


def test_backups_are_found_in_repositories_accounts_and_alone(tmp_path: Path) -> None:
    for day in ("20261121T100000Z", "20261122T100000Z"):
        backup(tmp_path / "APP" / day / "S", "S", "A1")
        backup(tmp_path / "CLI" / day / "T", "T")
    for account in ("APP", "CLI"):
        (tmp_path / account / "latest").symlink_to("20261122T100000Z")
    newest = tmp_path / "APP" / "20261122T100000Z" / "S"
    known, warnings = read_backups(context([], backups=[str(tmp_path)]))
    assert warnings == []
    assert [(one.account, one.stream, one.replicas, one.last_seq) for one in known] == [
        ("A1", "S", 3, 3),
        ("CLI", "T", 3, 3),
    ]
    assert known[0].path == str(newest)
    assert known[0].taken == datetime.datetime(2026, 11, 22, 10, 0, 0, 500000, datetime.timezone.utc).timestamp()
    assert known[0].consumers == {"dur": 2}
    assert known[0].ephemeral == {"dur"}
    for given in (tmp_path / "APP", tmp_path / "APP" / "latest", newest.parent, newest):
        assert [one.path for one in read_backups(context([], backups=[str(given)]))[0]] == [str(newest)]


def test_backups_that_cannot_be_used(tmp_path: Path) -> None:
    backup(tmp_path / "set" / "T", "T")
    backup(tmp_path / "set" / "S", "S", "A1")
    (tmp_path / "set" / "S" / "manifest.json").write_text("{", encoding="utf-8")
    known, warnings = read_backups(context([], backups=[str(tmp_path / "set")]))
    assert known == []
    assert len(warnings) == 2
    assert "manifest" in warnings[0]
    assert "no manifest says of which account" in warnings[1]
    (tmp_path / "empty").mkdir()
    for path, word in (("none", "path_not_found"), ("empty", "path_not_backup")):
        with pytest.raises(PathError) as failure:
            read_backups(context([], backups=[str(tmp_path / path)]))
        assert failure.value.error == word


@pytest.mark.parametrize("text", ["0", "-1", "many", ""])
def test_odd_quorums_are_refused(text: str) -> None:
    with pytest.raises(NatsError, match="must be auto or a number"):
        cluster_rescue._quorum(text)


def test_quorums_and_known_states() -> None:
    assert cluster_rescue._quorum("auto") is None
    assert cluster_rescue._quorum("2") == 2
    assert cluster_rescue._known_states(None) == {}
    assert cluster_rescue._known_states({"APP": {"S": "12"}}) == {"APP": {"S": 12}}
    every: list[Any] = [{"APP": 3}, {"APP": {"S": "x"}}, []]
    for wrong in every:
        with pytest.raises(OptionsError, match="known_states must map"):
            cluster_rescue._known_states(wrong)


def test_what_is_given_up() -> None:
    def read(*labels: str) -> list[Accepted]:
        return cluster_losses.given_up(context([], given_up=list(labels)), {"ID": "A"})

    moment = datetime.datetime(2026, 11, 22, 10, 15, tzinfo=datetime.timezone.utc).timestamp()
    assert read("ID > S", "A > B > S @ 7", "A > S @ 7 @ 2026-11-22T10:15:00Z") == [
        Accepted("A", "S"),
        Accepted("A > B", "S", 7),
        Accepted("A", "S", 7, moment),
    ]
    for label in (
        "S",
        " > S",
        "A > ",
        "A > S @ x",
        "A > S @ ",
        "A > S @ 7 @ soon",
        "A > S @ 7 @ 2026-11-22T10:15:00Z @ 1",
    ):
        with pytest.raises(OptionsError, match="does not name a stream"):
            read(label)


def test_the_directories_of_older_sets_are_walked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[str] = []

    def no_sets(path: str) -> list[object]:
        walked.append(path)
        return []

    (tmp_path / "APP").mkdir()
    monkeypatch.setattr(cluster_backups, "sets_of", no_sets)
    older = cluster_backups.older_backups(context([], backups=[str(tmp_path)]), {})
    assert walked == []
    assert [older(("APP", name), lambda _state: True) for name in ("A", "B", "C")] == [None] * 3
    assert sorted(walked) == sorted(map(str, (tmp_path, tmp_path / "APP")))
