# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that cannot be opened: one sentence with the cause and one with the remedy, against real servers."""

from __future__ import annotations

import datetime
import ipaddress
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from servers import PASSWORD, Options, Server, credentials, process
from servers.credentials import Key, encode_jwt, make_key, write_creds

from .evidence import fails, silent_port, works

BACKUP = "jetstream_stream_backup"
LOGIN = {"user": "app", "password": PASSWORD}
DAY = 86400


@dataclass
class Place:
    """Servers of every kind, by what the table calls them, and files."""

    plain: Server
    secure: Server
    first: Server
    mutual: Server
    folder: Path
    ports: dict[str, int]

    def file(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.write_bytes(content)
        return str(path)


@pytest.fixture(scope="module")
def place(server_version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("places")
    ws, wss, leaf = process.free_ports(3)
    pair = {"cert_file": str(root / "secure/tls/server.pem"), "key_file": str(root / "secure/tls/server.key")}
    plain = {
        "websocket": {"port": ws, "host": "127.0.0.1", "no_tls": True},
        "leafnodes": {"listen": f"127.0.0.1:{leaf}"},
    }
    secure = {"websocket": {"port": wss, "host": "127.0.0.1", "tls": pair}}
    with (
        Server(Options(version=server_version, extra=plain), root=root / "plain") as one,
        Server(Options(version=server_version, tls="server", extra=secure), root=root / "secure") as two,
        Server(Options(version=server_version, tls="server", tls_first=True), root=root / "first") as three,
        Server(Options(version=server_version, tls="mutual"), root=root / "mutual") as four,
    ):
        (root / "files").mkdir()
        ports = {"ws": ws, "wss": wss, "leaf": leaf, "monitor": one.http_port, "plain": one.port, "secure": two.port}
        yield Place(one, two, three, four, root / "files", {**ports, "first": three.port, "mutual": four.port})


def tls(server: Server) -> credentials.TlsFiles:
    assert server.setup.tls
    return server.setup.tls


def ca(server: Server) -> dict[str, str]:
    return {"ca_cert": str(tls(server).ca)}


# name → address (with the name of a port), more options, error word, what has to be said.
ADDRESSES: dict[str, tuple[str, str, str, list[str]]] = {
    "wss with an unknown authority": (
        "wss://127.0.0.1:{wss}",
        "",
        "tls_failed",
        ["does not know the authority", "ca_cert"],
    ),
    "wss with another authority": ("wss://127.0.0.1:{wss}", "wrong", "tls_failed", ["not signed by", "wrong-ca.pem"]),
    "tls with an unknown authority": (
        "tls://127.0.0.1:{secure}",
        "",
        "tls_failed",
        ["does not know the authority", "ca_cert"],
    ),
    "tls with another authority": (
        "tls://127.0.0.1:{secure}",
        "wrong",
        "tls_failed",
        ["not signed by", "wrong-ca.pem"],
    ),
    "tls with another name": ("tls://127.1:{secure}", "secure", "tls_failed", ["for another name", "Use a name"]),
    "a server that wants TLS first": (
        "nats://127.0.0.1:{first}",
        "first",
        "tls_failed",
        ["from the first byte", "Set tls_first"],
    ),
    "and without its authority": (
        "nats://127.0.0.1:{first}",
        "",
        "tls_failed",
        ["from the first byte", "Set tls_first"],
    ),
    "and with tls in the address": ("tls://127.0.0.1:{first}", "first", "tls_failed", ["Set tls_first"]),
    "tls_first to a plain server": (
        "nats://127.0.0.1:{plain}",
        "set",
        "tls_failed",
        ["does not begin with TLS", "Leave tls_first out"],
    ),
    "tls_first to one that begins plain": (
        "tls://127.0.0.1:{secure}",
        "set secure",
        "tls_failed",
        ["Leave tls_first out"],
    ),
    "tls to a plain server": ("tls://127.0.0.1:{plain}", "", "tls_failed", ["does not use TLS", "nats://"]),
    "ws to the clients' port": (
        "ws://127.0.0.1:{plain}",
        "",
        "connection_failed",
        ["port for plain clients", "nats://127"],
    ),
    "wss to the clients' port": (
        "wss://127.0.0.1:{plain}",
        "",
        "connection_failed",
        ["port for plain clients", "nats://127"],
    ),
    "ws to the clients' port with TLS": (
        "ws://127.0.0.1:{secure}",
        "",
        "connection_failed",
        ["port for plain clients"],
    ),
    "ws to wss": ("ws://127.0.0.1:{wss}", "", "connection_failed", ["begins with TLS", "wss://127"]),
    "wss to ws": ("wss://127.0.0.1:{ws}", "", "tls_failed", ["HTTP without TLS", "ws://127"]),
    "a client to ws": ("nats://127.0.0.1:{ws}", "", "connection_failed", ["HTTP without TLS", "ws://127"]),
    "a client to wss": ("nats://127.0.0.1:{wss}", "", "tls_failed", ["begins with TLS", "wss://127"]),
    "a client to the monitoring port": (
        "nats://127.0.0.1:{monitor}",
        "",
        "connection_failed",
        ["HTTP", "port for clients"],
    ),
    "ws to the monitoring port": ("ws://127.0.0.1:{monitor}", "", "connection_failed", ["takes no WebSockets"]),
    "a client to the leaf nodes' port": (
        "nats://127.0.0.1:{leaf}",
        "",
        "connection_failed",
        ["leaf nodes", "port for clients"],
    ),
    "no client certificate": (
        "tls://127.0.0.1:{mutual}",
        "mutual",
        "tls_failed",
        ["wants a client certificate", "client_cert"],
    ),
    "a client certificate of others": (
        "tls://127.0.0.1:{mutual}",
        "mutual foreign",
        "tls_failed",
        ["refused the client certificate"],
    ),
    "nobody listens": ("nats://127.0.0.1:1", "", "connection_failed", ["connection refused", "nats-server runs"]),
    "nobody listens for wss": (
        "wss://127.0.0.1:1",
        "",
        "connection_failed",
        ["connection refused", "nats-server runs"],
    ),
    "a name that is none": ("nats://nobody.invalid:4222", "", "connection_failed", ["cannot resolve the name", "DNS"]),
    "a name that is none, ws": (
        "ws://nobody.invalid:8080",
        "",
        "connection_failed",
        ["cannot resolve the name", "DNS"],
    ),
    "no way there": ("nats://255.255.255.255:4222", "", "connection_failed", ["unreachable", "network"]),
    "a wrong password": (
        "nats://127.0.0.1:{plain}",
        "password",
        "authentication_failed",
        ["refused", "Check user and password"],
    ),
    "a wrong password over wss": (
        "wss://127.0.0.1:{wss}",
        "secure password",
        "authentication_failed",
        ["refused", "Check user"],
    ),
    "a token": ("nats://127.0.0.1:{plain}", "token", "authentication_failed", ["refused", "Check token"]),
    "nobody logs in": ("nats://127.0.0.1:{plain}", "nobody", "authentication_failed", ["none were given"]),
}


def arguments(place: Place, words: str) -> dict[str, Any]:
    """The options that the words of the table stand for."""
    found: dict[str, Any] = dict(LOGIN)
    for word in words.split():
        if word in ("secure", "first", "mutual"):
            found |= ca(getattr(place, word))
        elif word == "foreign":
            files = tls(place.secure)
            found |= {"client_cert": str(files.client_cert), "client_key": str(files.client_key)}
        else:
            meant: dict[str, dict[str, Any]] = {
                "wrong": {"ca_cert": str(tls(place.secure).wrong_ca)},
                "set": {"tls_first": True},
                "password": {"password": "s3cret"},
                "token": {"user": None, "password": None, "token": "s3cret"},
                "nobody": {"user": None, "password": None},
            }
            found |= meant[word]
    return {key: value for key, value in found.items() if value is not None}


@pytest.mark.parametrize("name", ADDRESSES)
def test_addresses(name: str, place: Place, tmp_path: Path) -> None:
    address, words, error, said = ADDRESSES[name]
    server = address.format(**place.ports)
    args = {
        "servers": [server],
        **arguments(place, words),
        "connect_timeout": 3,
        "stream": "ONE",
        "path": str(tmp_path),
    }
    result = fails(BACKUP, args, error, server, *said, within=12)
    one_sentence(result)
    assert "s3cret" not in json.dumps(result)


def one_sentence(result: dict[str, Any]) -> None:
    """No traceback, no line breaks, no names of Python's, at most a few sentences."""
    assert "exception" not in result
    assert not any(odd in result["msg"] for odd in ("\n", "Error", "Errno", "object", "_ssl.c", "INFO {"))
    assert len(result["msg"]) < 500


def test_a_program_that_says_nothing(tmp_path: Path) -> None:
    with silent_port() as port:
        args = {"servers": [f"nats://127.0.0.1:{port}"], "connect_timeout": 1, "stream": "ONE", "path": str(tmp_path)}
        one_sentence(fails(BACKUP, args, "connection_failed", "no answer within 1 s", "says nothing", within=10))


def test_an_expired_certificate(place: Place, server_version: str, tmp_path: Path) -> None:
    files = tls(place.secure)
    pair = {"cert_file": expired_certificate(files, tmp_path), "key_file": str(files.server_key)}
    ca_file = ca(place.secure)
    with Server(Options(version=server_version, extra={"tls": pair}), root=tmp_path / "old") as server:
        args = {
            "servers": [f"tls://127.0.0.1:{server.port}"],
            **LOGIN,
            **ca_file,
            "stream": "ONE",
            "path": str(tmp_path),
        }
        one_sentence(fails(BACKUP, args, "tls_failed", "its certificate has expired", "renewed"))


def expired_certificate(files: credentials.TlsFiles, folder: Path) -> str:
    """A certificate for the server's key that ended yesterday, signed by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    key: Any = serialization.load_pem_private_key(files.server_key.read_bytes(), None)
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=3))
        .not_valid_after(now - datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "expired.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files.ca.write_bytes(path.read_bytes() + files.ca.read_bytes())
    return str(path)


# --- operator mode


class Operator:
    """An operator's server with accounts that are in order, expired or full, and users of every kind."""

    def __init__(self, version: str, folder: Path) -> None:
        self.folder = folder
        self.now = int(time.time())
        self.operator = make_key("operator")
        self.accounts = {name: make_key("account") for name in ("SYS", "APP", "OLD", "FULL")}
        self.users = {name: make_key("user") for name in ("good", "revoked", "other")}
        limits: dict[str, Any] = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
        limits["wildcards"] = True
        storage = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)
        claims: dict[str, dict[str, Any]] = {
            "SYS": {"limits": limits},
            "APP": {"limits": {**limits, **storage}, "revocations": {self.users["revoked"].public: self.now + 100}},
            "OLD": {"limits": {**limits, **storage}},
            "FULL": {"limits": {**limits, **storage, "conn": 0}},
        }
        self.jwts = {
            name: encode_jwt(
                self.operator, key.public, name, {"type": "account", **claims[name]},
                **({"exp": self.now + 3} if name == "OLD" else {}),
            )
            for name, key in self.accounts.items()
        }  # fmt: skip
        own = {"type": "operator", "system_account": self.accounts["SYS"].public}
        config = {
            "operator": encode_jwt(self.operator, self.operator.public, "operator", own),
            "system_account": self.accounts["SYS"].public,
            "resolver": "MEMORY",
            "resolver_preload": {key.public: self.jwts[name] for name, key in self.accounts.items()},
            "accounts": None,
        }
        self.server = Server(Options(version=version, extra=config), root=folder / "server")

    def jwt(self, account: Key, user: Key, claims: dict[str, Any] | None = None, **times: int) -> str:
        whole = {"type": "user", "subs": -1, "data": -1, "payload": -1, **(claims or {})}
        return encode_jwt(account, user.public, "user", whole, **times)

    def creds(self, name: str, account: str = "APP", user: str = "good", **more: Any) -> str:
        key = self.users[user]
        seed = more.pop("seed", key.seed)
        return str(write_creds(self.folder / f"{name}.creds", self.jwt(self.accounts[account], key, **more), seed))


@pytest.fixture(scope="module")
def operator(server_version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    made = Operator(server_version, tmp_path_factory.mktemp("operator"))
    with made.server:
        yield made


def refused(operator: Operator, tmp_path: Path, options: dict[str, Any], error: str, *said: str) -> None:
    args = {"servers": operator.server.urls, **options, "stream": "ONE", "path": str(tmp_path / "x")}
    result = fails(BACKUP, args, error, *said)
    one_sentence(result)
    assert not any(key.seed in json.dumps(result) for key in operator.users.values())


def test_user_jwts(operator: Operator, tmp_path: Path) -> None:
    """The server says the same of all of them; the file tells more."""
    yesterday = operator.now - DAY
    when = datetime.datetime.fromtimestamp(yesterday, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    stranger = make_key("account")
    unknown = write_creds(
        operator.folder / "unknown.creds",
        operator.jwt(stranger, operator.users["good"]), operator.users["good"].seed,
    )  # fmt: skip
    cases: dict[str, tuple[str, list[str]]] = {
        "expired": (operator.creds("expired", exp=yesterday), [f"expired at {when}", "expired.creds", "renewed"]),
        "early": (operator.creds("early", nbf=operator.now + DAY), ["holds only from", "clock"]),
        "elsewhere": (operator.creds("src", claims={"src": ["10.1.2.0/24"]}), ["10.1.2.0/24 only"]),
        "later": (
            operator.creds("times", claims={"times": [{"start": "03:00:00", "end": "03:00:01"}]}),
            ["at some hours"],
        ),
        "way": (operator.creds("way", claims={"allowed_connection_types": ["WEBSOCKET"]}), ["WEBSOCKET only"]),
        "revoked": (operator.creds("revoked", user="revoked"), ["refused", "revoked", "server's log"]),
        "unknown account": (str(unknown), ["refused", "not known there", "server's log"]),
        "two users": (
            operator.creds("two", seed=operator.users["other"].seed),
            ["JWT of one user and the seed of another"],
        ),
    }
    for path, said in cases.values():
        refused(operator, tmp_path, {"credentials": path}, "authentication_failed", *said)
    full = operator.creds("full", account="FULL")
    refused(operator, tmp_path, {"credentials": full}, "connection_failed", "as many connections as it may have")
    while time.time() < operator.now + 4:
        time.sleep(0.2)
    old = operator.creds("old", account="OLD")
    refused(operator, tmp_path, {"credentials": old}, "authentication_failed", "its account expired")
    refused(operator, tmp_path, LOGIN, "authentication_failed", "may want credentials or nkey_seed")


def test_files_of_another_kind(operator: Operator, tmp_path: Path) -> None:
    good = Path(operator.creds("good")).read_text()
    jwt, user, account = good.splitlines()[1], operator.users["good"], operator.accounts["APP"]
    contents: dict[str, tuple[bytes, list[str]]] = {
        "utf-16": (good.encode("utf-16"), ["not text in UTF-8"]),
        "empty": (b"", ["is empty"]),
        "jwt": (jwt.encode(), ["a JWT alone"]),
        "seed": (user.seed.encode(), ["a key alone", "nkey_seed"]),
        "certificate": (b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", ["of TLS", "ca_cert"]),
        "context": (json.dumps({"url": "nats://x"}).encode(), ["JSON", "context"]),
        "account": (
            good.replace(jwt, operator.jwts["APP"]).replace(user.seed, account.seed).encode(),
            ["of an account"],
        ),
        "account seed": (good.replace(user.seed, account.seed).encode(), ["seed of an account"]),
    }
    for name, (content, said) in contents.items():
        (tmp_path / name).write_bytes(content)
        refused(operator, tmp_path, {"credentials": str(tmp_path / name)}, "authentication_failed", name, *said)
    (tmp_path / "whole").write_text(good)
    refused(
        operator, tmp_path, {"nkey_seed": str(tmp_path / "whole")}, "authentication_failed", "Give it as credentials"
    )
    (tmp_path / "nkey").write_text(account.seed)
    refused(operator, tmp_path, {"nkey_seed": str(tmp_path / "nkey")}, "authentication_failed", "seed of an account")
    for option in ("credentials", "nkey_seed", "ca_cert"):
        refused(operator, tmp_path, {option: str(tmp_path)}, "invalid_options", option, "is a directory")
    refused(operator, tmp_path, {"context": str(tmp_path)}, "invalid_context", "is a directory")
    (tmp_path / "context.json").write_bytes(json.dumps({"url": operator.server.url}).encode("utf-16"))
    refused(operator, tmp_path, {"context": str(tmp_path / "context.json")}, "invalid_context", "not text in UTF-8")


def test_byte_order_marks_do_no_harm(operator: Operator, tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    good = Path(operator.creds("marked")).read_bytes()
    (tmp_path / "marked.creds").write_bytes(mark + good.replace(b"\n", b"\r\n"))
    context = {"url": operator.server.url, "creds": str(tmp_path / "marked.creds")}
    (tmp_path / "marked.json").write_bytes(mark + json.dumps(context).encode())
    for options in (
        {"servers": operator.server.urls, "credentials": context["creds"]},
        {"context": str(tmp_path / "marked.json")},
    ):
        made = works("jetstream_account_backup", {**options, "path": str(tmp_path / "backup")})
        assert made["summary"]["failed"] == 0
