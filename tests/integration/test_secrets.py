# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets: in no output at -vvvv, in no file; what is written is readable by nobody else."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

from servers import PASSWORD, Options, Server, process
from servers.ansible import play
from servers.config import TOKEN

from .evidence import make_stream, run_here, works

NAMES = ("stream_backup", "stream_restore", "account_backup", "account_restore")


def tasks(connection: dict[str, Any], root: Path) -> list[dict[str, Any]]:
    """All four modules, so that backups are made and found unchanged."""
    found = []
    for name in NAMES:
        args: dict[str, Any] = {**connection, "path": str(root / name.partition("_")[0])}
        if name == "stream_backup":
            args["stream"] = "ONE"
        found.append({f"natsops.jetstream.jetstream_{name}": args})
    return found


def secret(name: str) -> str:
    """A secret that the playbook gets from outside, as playbooks do."""
    return "{{ lookup('ansible.builtin.env', '" + name + "') }}"


def held(root: Path, secrets: list[str]) -> list[str]:
    """The files below `root` that hold one of the secrets."""
    contents = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and not path.is_symlink()}
    return [str(path) for path, content in contents.items() if any(each.encode() in content for each in secrets)]


def test_playbooks_at_their_most_talkative(server_version: str, tmp_path: Path) -> None:
    with (
        Server(Options(version=server_version, nkey=True), root=tmp_path / "s1") as plain,
        Server(Options(version=server_version, auth="token"), root=tmp_path / "s2") as token,
        Server(Options(version=server_version, auth="jwt"), root=tmp_path / "s3") as operator,
    ):
        for server in (plain, token, operator):
            make_stream(server, "ONE")
        place = plain.url.partition("//")[2]
        creds = Path(operator.connection()["credentials"])
        seed = Path(plain.connection("app-nkey")["nkey_seed"])
        (dead,) = process.free_ports(1)
        context = tmp_path / "context.json"
        context.write_text(json.dumps({"url": f"nats://app:{PASSWORD}@{place}", "description": "kept-5f1c0a9e"}))
        connections: dict[str, dict[str, Any]] = {
            "password": {"servers": plain.urls, "user": "app", "password": secret("T_PASSWORD")},
            "wrong": {"servers": plain.urls, "user": "app", "password": secret("T_WRONG")},
            "address": {"servers": [f"nats://app:{secret('T_PASSWORD')}@{place}"]},
            "address-wrong": {"servers": [f"nats://app:{secret('T_WRONG')}@{place}"]},
            "address-dead": {"servers": [f"nats://app:{secret('T_PASSWORD')}@127.0.0.1:{dead}"]},
            "address-odd": {"servers": [f"nats://app:x/{secret('T_PASSWORD')}@{place}"]},
            "token": {"servers": token.urls, "token": secret("T_TOKEN")},
            "token-address": {"servers": [f"nats://{secret('T_TOKEN')}@127.0.0.1:{token.port}"]},
            "token-dead": {"servers": [f"nats://{secret('T_TOKEN')}@127.0.0.1:{dead}"]},
            "credentials": operator.connection(),
            "nkey": plain.connection("app-nkey"),
            "context": {"context": str(context)},
        }
        # All modules log in the same way: one for each way, and all for the way that is hardest to hide.
        every = {
            f"{name}/{number}": task
            for name, connection in connections.items()
            for number, task in enumerate(tasks(connection, tmp_path / "b" / name))
            if number == 0 or name == "address"
        }
        env = {"T_PASSWORD": PASSWORD, "T_TOKEN": TOKEN, "T_WRONG": "wr0ng-5f1c0a9e"}
        played = play(list(every.values()), "-vvvv", env=env)
        jwt, user_seed = (line for line in creds.read_text().splitlines() if line.startswith(("ey", "SU")))
        secrets = [*env.values(), jwt, user_seed, seed.read_text().strip(), "kept-5f1c0a9e"]
        shown = [line for line in played.output.splitlines() if any(each in line for each in secrets)]
        assert shown == []
        assert "module_args" in played.output
        for key, result in zip(every, played.results, strict=True):
            bad = key.partition("/")[0] in ("wrong", "address-wrong", "address-dead", "address-odd", "token-dead")
            assert bool(result.get("failed")) is bad, (key, result)
            assert not any(each in json.dumps(result) for each in secrets), key
        assert held(tmp_path / "b", secrets) == []
        assert len(list((tmp_path / "b").rglob("manifest.json"))) == 8


def test_secrets_from_the_environment(server_version: str, tmp_path: Path) -> None:
    with Server(Options(version=server_version), root=tmp_path / "s") as server:
        make_stream(server, "ONE")
        place = server.url.partition("//")[2]
        args = {"stream": "ONE", "path": str(tmp_path / "b" / "one")}
        env = {"NATS_URL": f"nats://app:{PASSWORD}@{place}"}
        result = works("jetstream_stream_backup", args, env=env)
        assert PASSWORD not in json.dumps(result)
        task = {"natsops.jetstream.jetstream_stream_backup": args}
        wrong = {"NATS_URL": server.url, "NATS_USER": "app", "NATS_PASSWORD": "s3cret!"}
        for wanted, more in ((False, env), (True, wrong)):
            played = play([task], "-vvvv", env=more)
            assert bool(played.results[0].get("failed")) is wanted
            assert PASSWORD not in played.output
            assert "s3cret!" not in played.output
        assert held(tmp_path / "b", [PASSWORD]) == []


@pytest.mark.parametrize("part", ["app:pw-5f1c0a9e", "pw-5f1c0a9e", "a:x/pw-5f1c0a9e", "app:pw-5f1c0a9e%40x"])
def test_the_hosts_log_gets_no_secret(part: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """AnsibleModule notes every call in the log of the host."""
    logged: list[str] = []

    def log(self: Any, message: str, log_args: Any = None) -> None:
        logged.append(str(basic.remove_values(f"{message} {log_args}", self.no_log_values)))

    monkeypatch.setattr(basic.AnsibleModule, "log", log)
    (port,) = process.free_ports(1)
    args = {"servers": [f"nats://{part}@127.0.0.1:{port}"], "password": None, "stream": "ONE", "path": str(tmp_path)}
    result = run_here("jetstream_stream_backup", args)
    assert result["failed"] is True
    assert logged
    assert PASSWORD not in json.dumps(result)
    assert PASSWORD not in "".join(logged)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_can_read_a_backup(umask: int, server_version: str, tmp_path: Path) -> None:
    with Server(Options(version=server_version), root=tmp_path / "s") as server:
        make_stream(server, "ONE")
        root = tmp_path / "deep" / "er"
        before = os.umask(umask)
        try:
            for _again in range(2):
                works("jetstream_stream_backup", {**server.connection(), "stream": "ONE", "path": str(root / "one"),
                                                  "force": True})  # fmt: skip
                works("jetstream_account_backup", {**server.connection(), "path": str(root / "all"), "force": True})
        finally:
            os.umask(before)
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")}
        assert len(modes) == 3 + 1 + 1 + 1 + 1 + 3
        for path, mode in modes.items():
            assert mode == (0o700 if path.is_dir() else 0o600), (path, oct(mode))
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
        assert stat.S_IMODE(root.parent.stat().st_mode) == 0o700


SEED = "SUAMK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4GY"
JWT = "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJqdGkiOiJBQkNERUZHSElKSyJ9.c2lnbmF0dXJlc2lnbmF0dXJl"
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG\n-----END PRIVATE KEY-----"
PASTED = {"seed": SEED, "password": "Tr0ub4dor/and&3", "jwt": JWT, "pem": PEM, "word": "kept-5f1c0a9e"}


@pytest.mark.parametrize("option", ["credentials", "nkey_seed", "ca_cert", "client_key", "context", "accounts"])
@pytest.mark.parametrize("what", PASTED)
def test_a_secret_that_was_pasted_where_a_path_belongs(
    what: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in no message, no warning, not in what -vvv shows of the options, and not in the log of the host."""
    secret = PASTED[what]
    args: dict[str, Any] = {"servers": ["nats://127.0.0.1:1"]}
    if option == "accounts":
        module = "jetstream_peer_remove"
        args.update(peer="n1", accounts=[{"name": "APP", "credentials": secret}], context=secret)
    else:
        module = "jetstream_stream_backup"
        args.update(stream="ONE", path=str(tmp_path / "one"), **{option: secret})
    code = importlib.import_module(f"ansible_collections.natsops.jetstream.plugins.modules.{module}")
    logged: list[str] = []
    monkeypatch.setattr(basic.AnsibleModule, "_log_to_syslog", lambda _self, text: logged.append(str(text)))
    monkeypatch.setattr(basic, "has_journal", False)
    out = io.StringIO()
    with (
        patch_module_args({**args, "_ansible_verbosity": 3}),
        contextlib.redirect_stdout(out),
        contextlib.suppress(SystemExit),
    ):
        code.main()
    answer = json.loads(out.getvalue())
    assert answer["failed"] is True, answer
    assert option in answer["msg"] or "context" in answer["msg"], answer["msg"]
    assert "invocation" in answer
    assert logged
    for part in secret.splitlines():
        for text in (out.getvalue(), *logged):
            assert part not in text
            assert json.dumps(part)[1:-1] not in text
