# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses: split, taken apart, and never shown with who logs in."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.errors import OptionsError
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.urls import (
    Login,
    secrets_in,
    split_servers,
    take_apart,
    take_login,
    without_secrets,
)
from hypothesis import given
from hypothesis import strategies as st

SECRET = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("given_as", "servers"),
    [
        (["nats://a:1"], ("nats://a:1",)),
        (["a"], ("nats://a",)),
        (["a:1,tls://b:2"], ("nats://a:1", "tls://b:2")),
        ([" a , ,b ", ""], ("nats://a", "nats://b")),
        ([], ()),
    ],
)
def test_split(given_as: list[str], servers: tuple[str, ...]) -> None:
    assert split_servers(given_as) == servers


@pytest.mark.parametrize(
    ("server", "clean", "login"),
    [
        ("nats://a:1", "nats://a:1", None),
        ("nats://u:p@a:1", "nats://a:1", Login("u", "p")),
        ("tls://t0ken@a", "tls://a", Login(token="t0ken")),
        ("nats://u:@a", "nats://a", Login("u", "")),
        ("nats://u%40x:p%3A%2F@[::1]:4222", "nats://[::1]:4222", Login("u@x", "p:/")),
        ("nats://u:p@q@a:1", "nats://a:1", Login("u", "p@q")),
        ("wss://a:443/path", "wss://a:443/path", None),
    ],
)
def test_take_apart(server: str, clean: str, login: Login | None) -> None:
    assert take_apart(server) == (clean, login)


@pytest.mark.parametrize(
    "server",
    [
        "http://a:1", "nats://", "nats://:4222", "nats://a:b", "nats://a:99999", "nats://a:0", "nats://[::1", "nats://u:p@",
        "nats://u:p/q@a:1", "nats://u:p?q@a:1", "nats://u:p#q@a:1",
    ],
)  # fmt: skip
def test_what_is_no_address(server: str) -> None:
    with pytest.raises(OptionsError, match="is not the address of a server") as caught:
        take_apart(server)
    assert ":p" not in caught.value.message.replace("://host:port", "")


@given(SECRET, SECRET)
def test_any_user_and_password_comes_back(user: str, password: str) -> None:
    server = f"nats://{quote(user, safe='')}:{quote(password, safe='')}@host:4222"
    assert take_apart(server) == ("nats://host:4222", Login(user, password))
    assert without_secrets(f"cannot reach {server} now") == "cannot reach nats://host:4222 now"
    assert {password, quote(password, safe="")} <= secrets_in([server])


def test_one_login_for_all() -> None:
    assert take_login(["nats://u:p@a", "nats://b"]) == (("nats://a", "nats://b"), Login("u", "p"))
    assert take_login(["nats://u:p@a", "nats://u:p@b"])[1] == Login("u", "p")
    with pytest.raises(OptionsError, match="different users"):
        take_login(["nats://u:p@a", "nats://u:q@b"])


@pytest.mark.parametrize(
    ("servers", "secrets"),
    [
        (["nats://a:1"], set()),
        (["nats://u:p@a,nats://t@b"], {"p", "t"}),
        (["u:p/q@a"], {"p/q"}),
        ([5, None], set()),
    ],
)
def test_secrets_in(servers: list[str], secrets: set[str]) -> None:
    assert secrets_in(servers) == secrets


def test_a_login_does_not_show_itself() -> None:
    assert "s3cret" not in repr(Login("u", "s3cret", "s3cret"))
