# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the cluster modules: whose credentials go where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.natsops.jetstream.plugins.doc_fragments.cluster import ModuleDocFragment
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible import cluster, cluster_rescue
from ansible_collections.natsops.jetstream.plugins.module_utils._ansible.module import Context
from ansible_collections.natsops.jetstream.plugins.module_utils._cluster.errors import LastPictureError
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.errors import NatsError, OptionsError
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.options import make_options


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


@pytest.mark.parametrize("text", ["0", "-1", "many", ""])
def test_odd_quorums_are_refused(text: str) -> None:
    with pytest.raises(NatsError, match="must be auto or a number"):
        cluster_rescue._quorum(text)


def test_quorums_and_known_states() -> None:
    assert cluster_rescue._quorum("auto") is None
    assert cluster_rescue._quorum("2") == 2
    assert cluster_rescue._known_states(None) is None
    assert cluster_rescue._known_states({"APP": {"S": "12"}}) == {"APP": {"S": 12}}
    every: list[Any] = [{"APP": 3}, {"APP": {"S": "x"}}, []]
    for wrong in every:
        with pytest.raises(OptionsError, match="known_states must map"):
            cluster_rescue._known_states(wrong)
