# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way to connect and log in, each with a backup of a stream and its restore, and each refused as it has to be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from servers import PASSWORD, Options, Server, User, process, wait_for
from servers.config import TOKEN
from servers.credentials import TlsFiles

from .evidence import api, fails, make_stream, run_here, silent_port, talking_port, works

BACKUP = "jetstream_stream_backup"
Where = dict[str, Any]


def there_and_back(server: Server, tmp_path: Path, connection: Where, *, env: dict[str, str] | None = None) -> None:
    """Back the stream up, and find it unchanged on restore: requests, chunks and acknowledgements got through."""
    path = tmp_path / "backup"
    made = works(BACKUP, {**connection, "stream": "ONE", "path": str(path)}, env=env)
    assert made["changed"] is True
    assert made["messages"] == 3
    api(server, "STREAM.DELETE.ONE", user=next(iter(server.setup._identities)) if TOKEN in str(connection) else "app")
    restored = works("jetstream_stream_restore", {**connection, "path": str(path)}, env=env)
    assert restored["status"] == "created"
    assert restored["messages"] == 3


def tls_of(server: Server) -> TlsFiles:
    assert server.setup.tls
    return server.setup.tls


@pytest.fixture(scope="module")
def plain(server_version: str) -> Iterator[Server]:
    only = {"publish": {"allow": ["$JS.API.>", "$JS.SNAPSHOT.>", "$SYS.REQ.USER.INFO"]}, "subscribe": ["_MINE.>"]}
    special = User("sp@c:ial/x", permissions=None)
    users = (User("narrow", permissions=only), special)
    with Server(Options(version=server_version, nkey=True, users=users)) as server:
        make_stream(server, "ONE")
        yield server


def test_user_and_password(plain: Server, tmp_path: Path) -> None:
    there_and_back(plain, tmp_path, {"servers": plain.urls, "user": "app", "password": PASSWORD})


def test_nkey(plain: Server, tmp_path: Path) -> None:
    connection = plain.connection("app-nkey")
    assert set(connection) == {"servers", "nkey_seed"}
    there_and_back(plain, tmp_path, connection)


def test_user_in_the_address(plain: Server, tmp_path: Path) -> None:
    place = plain.url.partition("//")[2]
    there_and_back(plain, tmp_path, {"servers": [f"nats://app:{PASSWORD}@{place}"]})


def test_reserved_characters_in_the_address(plain: Server, tmp_path: Path) -> None:
    place = plain.url.partition("//")[2]
    there_and_back(plain, tmp_path, {"servers": [f"nats://{quote('sp@c:ial/x', safe='')}:{PASSWORD}@{place}"]})
    args = {"servers": [f"nats://app:no/good@{place}"], "stream": "ONE", "path": str(tmp_path / "x")}
    result = fails(BACKUP, args, "invalid_options", place, "percent-encoded")
    assert "no/good" not in json.dumps(result)


def test_an_address_without_scheme(plain: Server, tmp_path: Path) -> None:
    place = plain.url.partition("//")[2]
    there_and_back(plain, tmp_path, {"servers": [place], "user": "app", "password": PASSWORD})


def test_token(server_version: str, tmp_path: Path) -> None:
    with Server(Options(version=server_version, auth="token")) as server:
        make_stream(server, "ONE")
        place = server.url.partition("//")[2]
        ways: list[Where] = [
            {"servers": server.urls, "token": TOKEN},
            {"servers": [f"nats://{TOKEN}@{place}"]},
            {"servers": server.urls, "user": TOKEN},  # as the command line has it
        ]
        for number, connection in enumerate(ways):
            there_and_back(server, tmp_path / str(number), connection)
        for wrong in ({"token": "wrong"}, {}):
            args = {"servers": server.urls, "stream": "ONE", "path": str(tmp_path / "x"), **wrong}
            fails(BACKUP, args, "authentication_failed", server.url)


def test_credentials(server_version: str, tmp_path: Path) -> None:
    with Server(Options(version=server_version, auth="jwt")) as server:
        make_stream(server, "ONE")
        connection = server.connection("app")
        assert set(connection) == {"servers", "credentials"}
        there_and_back(server, tmp_path, connection)
        args = {"stream": "ONE", "path": str(tmp_path / "x"), **connection}
        # Another server's, and files that are none.
        with Server(Options(version=server_version, auth="jwt"), root=tmp_path / "other") as other:
            fails(BACKUP, {**other.connection("app"), **args, "credentials": other.connection("app")["credentials"]},
                  "authentication_failed", "refused the credentials")  # fmt: skip
        whole = Path(connection["credentials"]).read_text()
        damaged = {
            "empty": "",
            "text": "not credentials\n",
            "cut": whole[: len(whole) // 2],
            "seedless": whole.partition("-----BEGIN USER")[0],
            "wrong-seed": whole.replace("\nSU", "\nSX"),
        }
        for name, content in damaged.items():
            path = tmp_path / f"{name}.creds"
            path.write_text(content)
            result = fails(BACKUP, {**args, "credentials": str(path)}, "authentication_failed", str(path))
            assert "SUA" not in json.dumps(result)
        fails(BACKUP, {**args, "credentials": str(tmp_path)}, "invalid_options", "credentials", str(tmp_path))
        # The same secrets in a context.
        jwt, seed = (line for line in whole.splitlines() if line.startswith(("ey", "SU")))
        context = tmp_path / "jwt.json"
        context.write_text(json.dumps({"url": server.url, "user_jwt": jwt, "user_seed": seed}))
        there_and_back(server, tmp_path / "context", {"context": str(context)})


def test_damaged_nkey(plain: Server, tmp_path: Path) -> None:
    for name, content in {"empty": "", "text": "nothing", "account": "SAAMPLE"}.items():
        (tmp_path / name).write_text(content)
        args = {"servers": plain.urls, "nkey_seed": str(tmp_path / name), "stream": "ONE", "path": str(tmp_path / "x")}
        fails(BACKUP, args, "authentication_failed", str(tmp_path / name))


# --- TLS


@pytest.fixture(scope="module")
def secure(server_version: str) -> Iterator[Server]:
    with Server(Options(version=server_version, tls="server")) as server:
        make_stream(server, "ONE")
        yield server


def test_tls_with_an_authority(secure: Server, tmp_path: Path) -> None:
    connection = secure.connection()
    assert {"ca_cert", "user"} < set(connection)
    there_and_back(secure, tmp_path, connection)
    args = {**connection, "stream": "ONE", "path": str(tmp_path / "x")}
    fails(BACKUP, {**args, "ca_cert": str(tls_of(secure).wrong_ca)}, "tls_failed", secure.url, "certificate")
    fails(BACKUP, {**args, "ca_cert": None}, "tls_failed", secure.url, "certificate")
    (tmp_path / "no.pem").write_text("no certificate")
    fails(BACKUP, {**args, "ca_cert": str(tmp_path / "no.pem")}, "tls_failed", "ca_cert", str(tmp_path / "no.pem"))


def test_tls_without_checking(secure: Server, tmp_path: Path) -> None:
    place = secure.url.partition("//")[2]
    base = {"user": "app", "password": PASSWORD, "validate_certs": False}
    there_and_back(secure, tmp_path / "tls", {**base, "servers": secure.urls})
    there_and_back(secure, tmp_path / "nats", {**base, "servers": [f"nats://{place}"]})


def test_tls_name_that_is_not_in_the_certificate(secure: Server, tmp_path: Path) -> None:
    args = {**secure.connection(), "servers": [secure.url.replace("127.0.0.1", "127.0.0.2")]}
    with Server(Options(version=secure.version, tls="server", extra={}), root=tmp_path / "n") as server:
        # It listens on 127.0.0.1 only; localhost is in the certificate and works.
        make_stream(server, "ONE")
        connection = {**server.connection(), "servers": [server.url.replace("127.0.0.1", "localhost")]}
        there_and_back(server, tmp_path, connection)
    fails(BACKUP, {**args, "stream": "ONE", "path": str(tmp_path / "x")}, "connection_failed", "127.0.0.2")


def test_client_certificates(server_version: str, tmp_path: Path) -> None:
    with Server(Options(version=server_version, tls="mutual")) as server:
        make_stream(server, "ONE")
        connection = server.connection()
        there_and_back(server, tmp_path, connection)
        args = {**connection, "stream": "ONE", "path": str(tmp_path / "x")}
        fails(BACKUP, {**args, "client_key": None}, "invalid_options", "client_cert", "client_key", "both")
        fails(BACKUP, {**args, "client_cert": None, "client_key": None}, "tls_failed", server.url, "certificate")
        other = str(tls_of(server).server_key)
        fails(BACKUP, {**args, "client_key": other}, "tls_failed", "client_key")


def test_tls_first(server_version: str, tmp_path: Path) -> None:
    with Server(Options(version=server_version, tls="server", tls_first=True)) as server:
        make_stream(server, "ONE")
        connection = server.connection()
        assert connection["tls_first"] is True
        there_and_back(server, tmp_path, connection)
        args = {**connection, "tls_first": False, "connect_timeout": 1, "stream": "ONE", "path": str(tmp_path / "x")}
        result = run_here(BACKUP, args)
        assert result["error"] in ("connection_failed", "tls_failed")
        assert "tls_first" in result["msg"], result["msg"]


@pytest.mark.parametrize("way", ["scheme", "authority", "certificate", "scheme unchecked"])
def test_no_password_without_tls_where_tls_is_wanted(way: str, secure: Server, tmp_path: Path) -> None:
    """A plain server, or somebody in between, gets to hear nothing but the handshake that fails."""
    info = {"server_id": "X", "version": "2.15.3", "max_payload": 1048576, "headers": True, "auth_required": True}
    tls = tls_of(secure)
    with talking_port(b"INFO " + json.dumps(info).encode() + b" \r\n") as (port, heard):
        ways: dict[str, Where] = {
            "scheme": {"servers": [f"tls://127.0.0.1:{port}"]},
            "scheme unchecked": {"servers": [f"tls://127.0.0.1:{port}"], "validate_certs": False},
            "authority": {"ca_cert": str(tls.ca)},
            "certificate": {"client_cert": str(tls.client_cert), "client_key": str(tls.client_key)},
        }
        args = {
            "servers": [f"nats://127.0.0.1:{port}"],
            "user": "app",
            "password": "s3cret",
            "stream": "ONE",
            **ways[way],
        }
        fails(BACKUP, {**args, "path": str(tmp_path / "x")}, "tls_failed", "does not use TLS")
    assert b"s3cret" not in b"".join(heard)
    assert b"CONNECT" not in b"".join(heard)


def test_tls_address_of_a_plain_server(plain: Server, tmp_path: Path) -> None:
    for validate in (True, False):
        args = {**plain.connection(), "servers": [plain.url.replace("nats://", "tls://")], "validate_certs": validate}
        fails(BACKUP, {**args, "stream": "ONE", "path": str(tmp_path / "x")}, "tls_failed", "does not use TLS")


def test_tls_where_a_server_has_both(server_version: str, tmp_path: Path) -> None:
    extra = {"allow_non_tls": True}
    with Server(Options(version=server_version, tls="server", extra={"tls": None}), root=tmp_path / "s") as server:
        tls = {"cert_file": str(tls_of(server).server_cert), "key_file": str(tls_of(server).server_key)}
        server.stop()
        object.__setattr__(server.setup.options, "extra", {"tls": tls, **extra})
        server.start()
        make_stream(server, "ONE")
        there_and_back(server, tmp_path, server.connection())


# --- contexts and the environment


def test_contexts_by_name_and_by_file(plain: Server, secure: Server, tmp_path: Path) -> None:
    home = tmp_path / "home"
    folder = home / ".config" / "nats" / "context"
    folder.mkdir(parents=True)
    (folder / "plain.json").write_text(json.dumps({"url": plain.url, "user": "app", "password": PASSWORD}))
    ca = str(tls_of(secure).ca)
    (folder / "secure.json").write_text(
        json.dumps({"url": secure.url, "user": "app", "password": PASSWORD, "ca": ca, "description": "x", "nsc": ""})
    )
    by_name = {"HOME": str(home)}
    there_and_back(plain, tmp_path / "1", {"context": "plain"}, env=by_name)
    there_and_back(secure, tmp_path / "2", {"context": "secure"}, env=by_name)
    there_and_back(plain, tmp_path / "3", {"context": str(folder / "plain.json")})
    there_and_back(plain, tmp_path / "4", {}, env={**by_name, "NATS_CONTEXT": "plain"})
    (home / "xdg" / "nats").mkdir(parents=True)
    (home / "xdg" / "nats" / "context").symlink_to(folder)
    there_and_back(plain, tmp_path / "5", {"context": "plain"}, env={"XDG_CONFIG_HOME": str(home / "xdg")})
    # The task's options come first; one way to log in replaces another.
    seed = plain.connection("app-nkey")["nkey_seed"]
    there_and_back(plain, tmp_path / "6", {"context": "plain", "nkey_seed": seed}, env=by_name)
    args = {"context": "plain", "stream": "ONE", "path": str(tmp_path / "x")}
    fails(BACKUP, {**args, "password": "wrong"}, "authentication_failed", plain.url, env=by_name)
    result = fails(BACKUP, {**args, "context": "other"}, "invalid_context", "not found", "plain, secure", env=by_name)
    assert PASSWORD not in json.dumps(result)
    # References to secrets kept elsewhere.
    (tmp_path / "secret").write_text(PASSWORD + "\n")
    for number, kept in enumerate(("env://THE_PASSWORD", f"file://{tmp_path}/secret")):
        (folder / "kept.json").write_text(json.dumps({"url": plain.url, "user": "app", "password": kept}))
        env = {**by_name, "THE_PASSWORD": PASSWORD}
        there_and_back(plain, tmp_path / f"kept{number}", {"context": "kept"}, env=env)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["not JSON"]),
        ('{"password": "s3cret', ["not JSON"]),
        ('["s3cret"]', ["not a JSON object"]),
        ('{"url": 5, "token": "s3cret"}', ["'url'", "right type"]),
        ('{"user": "app", "password": ["s3cret"]}', ["'password'", "right type"]),
        ('{"tls_first": "s3cret"}', ["'tls_first'", "right type"]),
        ('{"nsc": "nsc://s3cret"}', ["'nsc'", "not supported", "nsc"]),
        ('{"socks_proxy": "s3cret:1"}', ["'socks_proxy'", "not supported"]),
        ('{"token": "op://s3cret"}', ["'token'", "op://", "not supported"]),
        ('{"token": "env://NOT_SET"}', ["'token'", "NOT_SET", "not set"]),
        ("[" * 100_000, ["not JSON"]),
    ],
)
def test_contexts_that_cannot_be_used(content: str, words: list[str], tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text(content)
    args = {"context": str(tmp_path / "odd.json"), "stream": "ONE", "path": str(tmp_path / "x")}
    result = fails(BACKUP, args, "invalid_context", str(tmp_path / "odd.json"), *words)
    assert "s3cret" not in json.dumps(result)


def test_environment(plain: Server, tmp_path: Path) -> None:
    dead = [f"nats://127.0.0.1:{port}" for port in process.free_ports(2)]
    env = {"NATS_URL": f"{dead[0]}, {plain.url} ,{dead[1]}", "NATS_USER": "app", "NATS_PASSWORD": PASSWORD}
    there_and_back(plain, tmp_path / "1", {}, env=env)
    env = {"NATS_URL": plain.url, "NATS_NKEY": plain.connection("app-nkey")["nkey_seed"]}
    there_and_back(plain, tmp_path / "2", {}, env=env)
    # The task's own options come before the environment.
    env = {"NATS_URL": dead[0], "NATS_USER": "app", "NATS_PASSWORD": "wrong"}
    there_and_back(plain, tmp_path / "3", plain.connection(), env=env)
    env = {"NATS_INBOX_PREFIX": "_MINE"}
    there_and_back(plain, tmp_path / "4", plain.connection("narrow"), env=env)


def test_environment_for_tls(server_version: str, tmp_path: Path) -> None:
    with Server(Options(version=server_version, tls="mutual", auth="jwt")) as server:
        make_stream(server, "ONE")
        found = server.connection()
        env = {
            "NATS_URL": server.url,
            "NATS_CREDS": found["credentials"],
            "NATS_CA": found["ca_cert"],
            "NATS_CERT": found["client_cert"],
            "NATS_KEY": found["client_key"],
        }
        there_and_back(server, tmp_path, {}, env=env)


def test_more_than_one_way_to_log_in(plain: Server, tmp_path: Path) -> None:
    args = {**plain.connection(), "stream": "ONE", "path": str(tmp_path / "x")}
    fails(BACKUP, {**args, "token": "x"}, "invalid_options", "user", "token", "keep one")
    place = plain.url.partition("//")[2]
    fails(BACKUP, {**args, "servers": [f"nats://app:pw@{place}"]}, "invalid_options", "user", "Keep one")
    fails(
        BACKUP,
        {**args, "servers": [f"nats://one:first-pw@{place}", f"nats://two:other-pw@{place}"]},
        "invalid_options",
        "different",
    )
    del args["user"]
    fails(BACKUP, args, "invalid_options", "password", "user")


# --- several servers, domains, prefixes


def test_several_servers_with_the_first_dead(plain: Server, tmp_path: Path) -> None:
    (port,) = process.free_ports(1)
    base = {**plain.connection(), "connect_timeout": 1}
    there_and_back(plain, tmp_path / "1", {**base, "servers": [f"nats://127.0.0.1:{port}", *plain.urls]})
    with silent_port() as silent:
        there_and_back(plain, tmp_path / "2", {**base, "servers": [f"nats://127.0.0.1:{silent}", *plain.urls]})
    # With commas in one text, as in NATS_URL.
    there_and_back(plain, tmp_path / "3", {**base, "servers": [f"nats://127.0.0.1:{port},{plain.url}"]})


def test_inbox_prefix_with_permissions_limited_to_it(plain: Server, tmp_path: Path) -> None:
    there_and_back(plain, tmp_path, {**plain.connection("narrow"), "inbox_prefix": "_MINE"})
    args = {**plain.connection("narrow"), "stream": "ONE", "path": str(tmp_path / "x")}
    fails(BACKUP, args, "permission_denied", "subscribe", "_INBOX", "inbox_prefix", within=6)


def test_domain(server_version: str, tmp_path: Path) -> None:
    with Server(Options(version=server_version, domain="HUB"), root=tmp_path / "s") as server:
        make_stream(server, "ONE")
        assert server.connection()["domain"] == "HUB"
        there_and_back(server, tmp_path / "1", server.connection())
        there_and_back(server, tmp_path / "2", {k: v for k, v in server.connection().items() if k != "domain"})
        there_and_back(server, tmp_path / "3", plain_without_domain(server), env={"NATS_JS_DOMAIN": "HUB"})
        context = tmp_path / "context.json"
        context.write_text(json.dumps({"url": server.url, "user": "app", "password": PASSWORD,
                                       "jetstream_api_prefix": "$JS.HUB.API"}))  # fmt: skip
        there_and_back(server, tmp_path / "4", {"context": str(context)})


def plain_without_domain(server: Server) -> Where:
    """The connection options of `app` without the domain."""
    return {key: value for key, value in server.connection().items() if key != "domain"}


def test_domain_through_a_leaf_node(server_version: str, tmp_path: Path) -> None:
    (port,) = process.free_ports(1)
    listen = {"leafnodes": {"listen": f"127.0.0.1:{port}"}}
    remote = {"url": f"nats-leaf://app:{PASSWORD}@127.0.0.1:{port}", "account": "APP"}
    link = {"leafnodes": {"remotes": [remote], "reconnect": "200ms"}}
    hub_options = Options(version=server_version, domain="HUB", extra=listen)
    with Server(hub_options, name="hub", root=tmp_path / "hub") as hub:
        leaf_options = Options(version=server_version, domain="LEAF", extra=link)
        with Server(leaf_options, name="leaf", root=tmp_path / "leaf") as leaf:
            wait_for(lambda: hub.monitor("/leafz").get("leafnodes"), 15, "a leaf node")
            make_stream(hub, "ONE")
            there_and_back(hub, tmp_path, {**plain_without_domain(leaf), "domain": "HUB"})
            args = {**leaf.connection(), "stream": "ONE", "path": str(tmp_path / "x")}
            fails(BACKUP, args, "stream_not_found", "ONE")
