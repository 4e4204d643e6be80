# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection options: the task's, the context's, and what they may not say together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.contexts import load_context
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.errors import AuthenticationError, OptionsError
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.logins import login_arguments
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.options import Options, make_options


def context(tmp_path: Path, **fields: Any) -> str:
    path = tmp_path / "one.json"
    path.write_text(json.dumps(fields))
    return str(path)


def test_defaults() -> None:
    options = make_options({})
    assert options == Options(servers=("nats://127.0.0.1:4222",))
    assert make_options({"servers": None, "user": None, "context": ""}) == options


def test_the_task_comes_before_the_context(tmp_path: Path) -> None:
    path = context(tmp_path, url="nats://c:1", user="cu", password="cp", jetstream_domain="CD", inbox_prefix="_C")
    found = make_options({"context": path})
    assert (found.servers, found.user, found.password) == (("nats://c:1",), "cu", "cp")
    assert (found.domain, found.inbox_prefix) == ("CD", "_C")
    found = make_options({"context": path, "servers": ["t:2"], "domain": "TD", "password": "tp"})
    assert (found.servers, found.user, found.password, found.domain) == (("nats://t:2",), "cu", "tp", "TD")


@pytest.mark.parametrize("mine", [{"token": "t"}, {"user": "u", "password": "p"}, {"user": "u"}])
def test_one_way_to_log_in_replaces_another(mine: dict[str, str], tmp_path: Path) -> None:
    path = context(tmp_path, url="nats://a:b@c:1", user_jwt="ey", user_seed="SU")
    found = make_options({"context": path, **mine})
    assert (found.user_jwt, found.user_seed) == (None, None)
    assert found.servers == ("nats://c:1",)
    expected = {"token": "u"} if mine == {"user": "u"} else mine
    assert {name: getattr(found, name) for name in ("user", "password", "token") if getattr(found, name)} == expected


def test_a_context_logs_in_as_the_command_line_does(tmp_path: Path) -> None:
    creds = tmp_path / "x.creds"
    creds.write_text("x")
    found = make_options({"context": context(tmp_path, user="u", creds=str(creds), token="t")})
    assert (found.user, found.password, found.credentials, found.token) == ("u", "", None, None)
    found = make_options({"context": context(tmp_path, creds=str(creds), token="t", password="p")})
    assert (found.user, found.password, found.credentials, found.token) == (None, None, str(creds), None)


def test_contexts_by_name(tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "nats" / "context"
    folder.mkdir(parents=True)
    (folder / "one.json").write_text('{"url": "nats://a:1,nats://b:2", "ca": "~/ca.pem"}')
    for environ in ({"HOME": str(tmp_path)}, {"XDG_CONFIG_HOME": str(tmp_path / ".config"), "HOME": "/nowhere"}):
        assert load_context("one", environ)["servers"] == ("nats://a:1", "nats://b:2")
    assert load_context("one", {"HOME": str(tmp_path)})["ca_cert"].endswith("/ca.pem")
    assert "~" not in load_context("one", {"HOME": str(tmp_path)})["ca_cert"]
    with pytest.raises(OptionsError, match=r"not found.*Known contexts: one") as caught:
        load_context("two", {"HOME": str(tmp_path)})
    assert caught.value.error == "invalid_context"


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"password": "p"}, "password is given without user"),
        ({"user": "u", "password": "p", "token": "t"}, "More than one way"),
        ({"servers": ["nats://u:p@a"], "token": "t"}, "Keep one of the two"),
        ({"servers": []}, "servers is empty"),
        ({"ca_cert": "/nowhere/ca.pem"}, "ca_cert: no file /nowhere/ca.pem"),
        ({"inbox_prefix": "a.>"}, "inbox_prefix"),
        ({"inbox_prefix": ""}, "inbox_prefix"),
        ({"domain": "a.b"}, "domain"),
        ({"connect_timeout": 0}, "connect_timeout"),
        ({"request_timeout": float("nan")}, "request_timeout"),
        ({"request_timeout": float("inf")}, "request_timeout"),
    ],
)
def test_refused(params: dict[str, Any], text: str) -> None:
    with pytest.raises(OptionsError, match=text) as caught:
        make_options(params)
    assert caught.value.error == "invalid_options"


def test_options_do_not_show_secrets(tmp_path: Path) -> None:
    path = context(tmp_path, user_jwt="s3cret-jwt", user_seed="s3cret-seed")
    for params in ({"context": path}, {"user": "u", "password": "s3cret"}, {"servers": ["nats://u:s3cret@a"]}):
        assert "s3cret" not in repr(make_options(params))


def test_login_arguments() -> None:
    assert login_arguments(Options()) == {}
    assert login_arguments(Options(user="u", password="")) == {"user": "u", "password": ""}
    bearer = login_arguments(Options(user_jwt="ey.J"))
    assert (bytes(bearer["user_jwt_cb"]()), bearer["signature_cb"]("nonce")) == (b"ey.J", b"")
    with pytest.raises(AuthenticationError, match="no valid seed"):
        login_arguments(Options(user_jwt="ey.J", user_seed="nonsense"))


def test_a_seed_may_stand_among_comments(tmp_path: Path) -> None:
    import nkeys

    seed = bytes(nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER)).decode()
    (tmp_path / "seed").write_text(f"# of the backup\n\n{seed}\n")
    assert login_arguments(Options(nkey_seed=str(tmp_path / "seed"))) == {"nkeys_seed_str": seed}
    (tmp_path / "creds").write_text(
        f"-----BEGIN NATS USER JWT-----\r\ney.J\r\n------END NATS USER JWT------\r\n\r\n*** important ***\r\n"
        f"-----BEGIN USER NKEY SEED-----\r\n{seed}\r\n------END USER NKEY SEED------\r\n"
    )
    found = login_arguments(Options(credentials=str(tmp_path / "creds")))
    assert bytes(found["user_jwt_cb"]()) == b"ey.J"
    assert len(found["signature_cb"]("nonce")) == 88
