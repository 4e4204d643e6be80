# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode against reality, for every module: what it foretells happens, what it refuses is refused word for word.

A table: module → case → what it needs and what becomes of it. Each case is run in check mode, which may write nothing,
and then for real, and the two are compared. test_check_mode.py has more states of backups and restores.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from servers import Cluster, Options, Server, User, oracle
from servers.fixtures import MakeCluster
from tools import checkout

from .cluster import kit
from .evidence import account, api, data_of, flip, make_stream, publish, run_here, tree
from .foretelling import said

MODULES = sorted(path.stem for path in (checkout.ROOT / "plugins" / "modules").glob("jetstream_*.py"))
#: Each may do everything but one thing that a replacement needs.
DENIED = {
    "restore": "$JS.API.STREAM.RESTORE.>",
    "data": "$JS.SNAPSHOT.RESTORE.>",
    "update": "$JS.API.STREAM.UPDATE.ONE",
    "delete": "$JS.API.STREAM.DELETE.ONE",
    "create": "$JS.API.STREAM.CREATE.>",
    "snapshot": "$JS.API.STREAM.SNAPSHOT.>",
    "ack": "$JS.SNAPSHOT.ACK.>",
}
LIMITED = tuple(User(name, permissions={"publish": {"deny": [subject]}}) for name, subject in DENIED.items())
#: May do what a restore of another stream needs.
NARROW = User(
    "narrow",
    permissions={
        "publish": {
            "allow": [
                "$JS.API.INFO",
                "$JS.API.STREAM.*.TWO",
                "$JS.API.*.LIST",
                "$JS.API.CONSUMER.LIST.*",
                "$SYS.REQ.USER.INFO",
                "$JS.SNAPSHOT.>",
                "_INBOX.>",
                "$JS.API.STREAM.INFO.*",
            ]
        }
    },
)


@dataclass(frozen=True)
class World:
    """A server with the streams ONE (with a consumer), TWO and THREE, and a directory of this case."""

    server: Server
    root: Path

    @property
    def backup(self) -> Path:
        """A backup of the account, made when it is first asked for."""
        path = self.root / "all"
        if not path.exists():
            self.run("jetstream_account_backup", path=str(path))
        return path

    def connection(self, user: str = "app") -> dict[str, Any]:
        return self.server.connection(user)

    def run(self, module: str, *, user: str = "app", check: bool = False, **args: Any) -> dict[str, Any]:
        return run_here(module, {**self.connection(user), **args}, check=check)


@dataclass(frozen=True)
class Case:
    """`args` brings about the state and says with what to run; `word` is the error's, empty where it works."""

    args: Callable[[World], dict[str, Any]]
    changed: bool = False
    word: str = ""
    #: Whether the module takes connection options, and of whom.
    user: str | None = "app"
    #: Limits of the account that is restored into, in an operator's set-up.
    limits: dict[str, Any] = field(default_factory=dict)
    #: The real run is told by the server, in its own sentence, since the streams before have taken the room.
    servers_sentence: bool = False
    any_order: bool = False


@pytest.fixture(scope="module")
def running(server_version: str) -> Iterator[Server]:
    with Server(Options(version=server_version, users=(*LIMITED, NARROW))) as server:
        yield server


@pytest.fixture
def world(running: Server, tmp_path: Path) -> World:
    for name in oracle.stream_names(running):
        api(running, f"STREAM.DELETE.{name}")
    for name in ("ONE", "TWO", "THREE"):
        make_stream(running, name, size=2000)
    consumer = {"durable_name": "worker", "ack_policy": "explicit"}
    api(running, "CONSUMER.DURABLE.CREATE.ONE.worker", {"stream_name": "ONE", "config": consumer})
    return World(running, tmp_path)


def compared(
    world: World,
    module: str,
    args: dict[str, Any],
    user: str | None = "app",
    endpoint: Server | None = None,
    *,
    sentences: bool = True,
    any_order: bool = False,
) -> dict[str, Any]:
    """Run it in check mode, hold that nothing was written, run it for real, hold that it was foretold."""
    server = endpoint or world.server
    given = {**(server.connection(user) if user else {}), **args}
    files, streams = tree(world.root), account(server)
    foretold = run_here(module, given, check=True)
    assert tree(world.root) == files
    assert account(server) == streams
    done = run_here(module, given)
    before, after = said(foretold, sentences=sentences), said(done, sentences=sentences)
    if any_order:
        # Which of several streams finds room depends on whose check was ready first.
        for each in (before, after):
            each["things"] = sorted(str({**one, "name": ""}) for one in each["things"])
    assert before == after
    assert "exception" not in done, done
    if done.get("failed") and not done["changed"]:
        assert account(server) == streams
    return done


# --- what brings the states about


def a_file(world: World) -> str:
    path = world.root / "file"
    path.write_text("not a directory")
    return str(path)


def forged(world: World) -> str:
    """A manifest that promises other things than were backed up."""
    path = world.backup / "ONE" / "manifest.json"
    body = json.loads(path.read_text())
    path.write_text(json.dumps({**body, "state": {**body["state"], "messages": 99}}))
    return str(world.backup / "ONE")


def exchanged(world: World) -> str:
    """The data of another stream."""
    shutil.copy(data_of(world.backup / "TWO"), data_of(world.backup / "ONE"))
    return str(world.backup / "ONE")


def damaged(world: World) -> str:
    flip(data_of(world.backup / "ONE"), 40)
    return str(world.backup / "ONE")


def without(world: World, *names: str) -> str:
    path = str(world.backup)
    for name in names:
        api(world.server, f"STREAM.DELETE.{name}")
    return path


def gone(world: World) -> str:
    return without(world, "ONE", "TWO", "THREE")


def diverged(world: World) -> str:
    path = str(world.backup)
    publish(world.server, "one.new")
    return path


def remade(world: World) -> str:
    """An application made its stream anew, and it is empty."""
    path = without(world, "ONE")
    make_stream(world.server, "ONE", messages=0)
    return path


def held(world: World) -> str:
    path = str(world.backup)
    config = api(world.server, "STREAM.INFO.ONE")["config"]
    config.update(subjects=["$NATSOPS.HELD.ONE"], metadata={**config.get("metadata", {}), "natsops.held": '["one.>"]'})
    api(world.server, "STREAM.UPDATE.ONE", config)
    return path


def sets(world: World, count: int = 3) -> str:
    """A repository with that many sets of the account."""
    path = world.root / "repository" / "APP"
    for _number in range(count):
        publish(world.server, "one.more")
        done = world.run("jetstream_account_backup", path=str(path), sets=True)
        assert not done.get("failed"), done
    return str(path)


def store(world: World) -> dict[str, Any]:
    """The disk of a server that was killed."""
    with Server(Options(version=world.server.version), root=world.root / "dead") as dead:
        make_stream(dead, "SAVED")
        dead.kill()
        kept = world.root / "disk"
        shutil.copytree(dead.store, kept)
    shutil.rmtree(world.root / "dead", ignore_errors=True)
    return {
        "store_dir": str(kept),
        "path": str(world.root / "saved"),
        "server_binary": str(world.server.program),
    }


def binary(world: World) -> dict[str, Any]:
    return {"server_binary": str(world.server.program), "temp_path": "/tmp"}


TIERS = {"R1": {"disk_storage": 1 << 30, "mem_storage": 0, "streams": 10, "consumer": 10}}
UNLIMITED = {"disk_storage": -1, "mem_storage": -1, "streams": -1, "consumer": -1}
RESTORE_ONE = "jetstream_stream_restore"
RESTORE = "jetstream_account_restore"

CASES: dict[str, dict[str, Case]] = {
    "jetstream_stream_backup": {
        "fresh": Case(lambda w: {"stream": "ONE", "path": str(w.root / "new")}, changed=True),
        "no such stream": Case(lambda w: {"stream": "NONE", "path": str(w.root / "new")}, word="stream_not_found"),
        "a file in the way": Case(lambda w: {"stream": "ONE", "path": a_file(w)}, word="path_not_directory"),
        "no parent": Case(lambda w: {"stream": "ONE", "path": str(w.root / "no" / "new")}, changed=True),
        "no name of a stream": Case(
            lambda w: {"stream": "a.b", "path": str(w.root / "new")}, word="invalid_stream_name"
        ),
    },
    "jetstream_account_backup": {
        "fresh": Case(lambda w: {"path": str(w.root / "new")}, changed=True),
        "unchanged": Case(lambda w: {"path": str(w.backup)}),
        "a file in the way": Case(lambda w: {"path": a_file(w)}, word="path_not_directory"),
        "nothing matches": Case(lambda w: {"path": str(w.root / "new"), "streams": ["NONE*"]}),
    },
    RESTORE_ONE: {
        "absent": Case(lambda w: {"path": f"{without(w, 'ONE')}/ONE"}, changed=True),
        "unchanged": Case(lambda w: {"path": str(w.backup / "ONE")}),
        "a conflict": Case(lambda w: {"path": f"{diverged(w)}/ONE"}, word="stream_exists"),
        "replaced": Case(lambda w: {"path": f"{diverged(w)}/ONE", "on_conflict": "replace"}, changed=True),
        "an empty one, to fail": Case(lambda w: {"path": f"{remade(w)}/ONE"}, word="stream_exists"),
        "an empty one, replaced": Case(
            lambda w: {"path": f"{remade(w)}/ONE", "on_conflict": "replace_empty"}, changed=True
        ),
        "not an empty one": Case(
            lambda w: {"path": f"{diverged(w)}/ONE", "on_conflict": "replace_empty"}, word="stream_exists"
        ),
        "replaced without a safety backup": Case(
            lambda w: {"path": f"{diverged(w)}/ONE", "on_conflict": "replace", "safety_backup": False}, changed=True
        ),
        "no place for the safety backup": Case(
            lambda w: {"path": f"{diverged(w)}/ONE", "on_conflict": "replace", "safety_path": a_file(w)},
            word="path_not_directory",
        ),
        "no directory": Case(lambda w: {"path": str(w.root / "none")}, word="path_not_found"),
        "one level too high": Case(lambda w: {"path": str(w.backup)}, word="path_not_backup"),
        "a forged manifest": Case(lambda w: {"path": forged(w)}, word="backup_invalid"),
        "data of another": Case(lambda w: {"path": exchanged(w), "on_conflict": "replace"}, word="backup_invalid"),
        "damaged": Case(lambda w: {"path": damaged(w), "on_conflict": "replace"}, word="backup_invalid"),
        "too many replicas": Case(
            lambda w: {"path": f"{without(w, 'ONE')}/ONE", "replicas": 3}, word="replicas_unsupported"
        ),
        "too many replicas for a replacement": Case(
            lambda w: {"path": f"{diverged(w)}/ONE", "on_conflict": "replace", "replicas": 3},
            word="replicas_unsupported",
        ),
        **{
            f"replaced without the right to {user}": Case(
                lambda w: {"path": f"{diverged(w)}/ONE", "on_conflict": "replace"}, user=user, word="permission_denied"
            )
            for user in DENIED
        },
        "of another stream's user": Case(
            lambda w: {"path": f"{without(w, 'ONE')}/ONE"}, user="narrow", word="permission_denied"
        ),
        "restored without the right to restore": Case(
            lambda w: {"path": f"{without(w, 'ONE')}/ONE"}, user="restore", word="permission_denied"
        ),
    },
    RESTORE: {
        "all absent": Case(lambda w: {"path": gone(w)}, changed=True),
        "unchanged": Case(lambda w: {"path": str(w.backup)}),
        "a conflict": Case(lambda w: {"path": diverged(w)}, word="stream_exists"),
        "replaced": Case(lambda w: {"path": diverged(w), "on_conflict": "replace"}, changed=True),
        "one damaged": Case(lambda w: {"path": (damaged(w), gone(w))[1]}, changed=True, word="backup_invalid"),
        "one forged": Case(lambda w: {"path": (forged(w), gone(w))[1]}, changed=True, word="backup_invalid"),
        "no directory": Case(lambda w: {"path": str(w.root / "none")}, word="path_not_found"),
        "nothing matches": Case(lambda w: {"path": str(w.backup), "streams": ["NONE*"]}, word="path_not_backup"),
        "unlimited": Case(lambda w: {"path": str(w.backup)}, limits=UNLIMITED, changed=True),
        "room for no message": Case(
            lambda w: {"path": str(w.backup)}, limits={"disk_storage": 100}, word="insufficient_resources"
        ),
        "room for one stream": Case(
            lambda w: {"path": str(w.backup)},
            limits={"streams": 1},
            changed=True,
            word="maximum_streams_limit",
            servers_sentence=True,
            any_order=True,
        ),
        "streams must be bounded": Case(
            lambda w: {"path": str(w.backup)}, limits={"max_bytes_required": True}, word="invalid_config"
        ),
        "no tier for it": Case(
            lambda w: {"path": str(w.backup)},
            limits={"tiered_limits": {"R3": TIERS["R1"]}},
            word="insufficient_resources",
        ),
        "a small payload": Case(lambda w: {"path": str(w.backup)}, limits={"payload": 1024}, changed=True),
        "a tier": Case(lambda w: {"path": str(w.backup)}, limits={"tiered_limits": TIERS}, changed=True),
        "a tier that is full": Case(
            lambda w: {"path": str(w.backup)},
            limits={"tiered_limits": {"R1": {**TIERS["R1"], "disk_storage": 100}}},
            word="insufficient_resources",
        ),
    },
    "jetstream_account_hold": {
        "all answer": Case(lambda w: {"path": str(w.backup)}),
        "no directory": Case(lambda w: {"path": str(w.root / "none")}, word="path_not_found"),
    },
    "jetstream_account_recover": {
        "nothing to do": Case(lambda w: {"path": str(w.backup)}),
        "held": Case(lambda w: {"path": held(w)}, changed=True),
        "gone": Case(lambda w: {"path": gone(w)}),
        "no directory": Case(lambda w: {"path": str(w.root / "none")}, word="path_not_found"),
    },
    "jetstream_backup_info": {
        "whole": Case(lambda w: {"path": str(w.backup), "verify": "full"}, user=None),
        "damaged": Case(lambda w: {"path": damaged(w), "verify": "quick"}, user=None),
        "forged": Case(lambda w: {"path": forged(w)}, user=None),
        "no directory": Case(lambda w: {"path": str(w.root / "none")}, user=None, word="path_not_found"),
    },
    "jetstream_backup_drill": {
        "whole": Case(lambda w: {"path": str(w.backup), **binary(w)}, user=None),
        "no program": Case(
            lambda w: {"path": str(w.backup), "server_binary": str(w.root / "none")}, user=None, word="server_binary"
        ),
        "no directory": Case(lambda w: {"path": str(w.root / "none"), **binary(w)}, user=None, word="path_not_found"),
    },
    "jetstream_backup_prune": {
        "old ones": Case(lambda w: {"path": sets(w), "keep_last": 1}, user=None, changed=True),
        "none is old": Case(lambda w: {"path": sets(w, 1), "keep_last": 5}, user=None),
        "no directory": Case(
            lambda w: {"path": str(w.root / "none"), "keep_last": 1}, user=None, word="path_not_found"
        ),
    },
    "jetstream_backup_report": {
        "fresh": Case(lambda w: {"path": sets(w, 1), "dest": str(w.root / "report.html")}, user=None, changed=True),
        "no directory": Case(
            lambda w: {"path": str(w.root / "none"), "dest": str(w.root / "report.html")},
            user=None,
            word="path_not_found",
        ),
    },
    "jetstream_salvage": {
        "a disk": Case(store, user=None, changed=True),
        "no store": Case(lambda w: {**store(w), "store_dir": str(w.root)}, user=None, word="store_invalid"),
        "no directory": Case(
            lambda w: {**store(w), "store_dir": str(w.root / "none")}, user=None, word="path_not_found"
        ),
    },
}

#: Those that look at a cluster: module → case → whose credentials, options, whether it changes something, the word.
CLUSTER_CASES: dict[str, dict[str, tuple[str, dict[str, Any], bool, str]]] = {
    "jetstream_cluster_info": {
        "healthy": ("sys", {}, False, ""),
        "of an account": ("app", {}, False, ""),
        "a loss": ("sys", {"simulate_loss": ["n2"]}, False, ""),
        "a loss of nobody": ("sys", {"simulate_loss": ["n9"]}, False, "unknown_server"),
    },
    "jetstream_leader_stepdown": {
        "meta": ("sys", {}, True, ""),
        "stream": ("app", {"stream": "A"}, True, ""),
        "consumer": ("app", {"stream": "A", "consumer": "reader"}, True, ""),
        "no such stream": ("app", {"stream": "NONE"}, False, "stream_not_found"),
        "no such server": ("sys", {"preferred": "n9"}, False, "unknown_server"),
    },
    "jetstream_meta_rescue": {
        "healthy": ("sys", {"confirmed_dead": ["n2"]}, False, ""),
        "no such server": ("sys", {"confirmed_dead": ["n9"]}, False, ""),
    },
    "jetstream_peer_evacuate": {
        "no such server": ("sys", {"peer": "n9"}, False, ""),
        "no place for its replicas": ("sys", {"peer": "n1"}, False, "no_spare"),
    },
    "jetstream_peer_remove": {
        "alive": ("sys", {"peer": "n1"}, False, "server_online"),
        "no such server": ("sys", {"peer": "n9"}, False, ""),
        "no spare": (
            "sys",
            {"peer": "n1", "allow_online": True, "require_spare": True, "accept_data_loss": True},
            False,
            "no_spare",
        ),
    },
}


def test_every_module_has_cases() -> None:
    """A new module needs one, and one that changes something where it can."""
    assert sorted({*CASES, *CLUSTER_CASES}) == MODULES
    reading = {"jetstream_backup_info", "jetstream_backup_drill", "jetstream_cluster_info"}
    acting = {module for module, cases in CASES.items() if any(case.changed for case in cases.values())}
    acting |= {
        module for module, cases in CLUSTER_CASES.items() if any(changed for _u, _o, changed, _w in cases.values())
    }
    # These act only on a cluster that has lost servers: test_check_mode_cluster below.
    later = {"jetstream_account_hold", "jetstream_meta_rescue", "jetstream_peer_evacuate", "jetstream_peer_remove"}
    assert {*MODULES} - acting == reading | later


@pytest.mark.parametrize(("module", "case"), [(module, case) for module, cases in CASES.items() for case in cases])
def test_alone(module: str, case: str, world: World, server_version: str) -> None:
    wanted = CASES[module][case]
    args = wanted.args(world)
    if wanted.limits:
        options = Options(version=server_version, auth="jwt", accounts={"APP": {"limits": wanted.limits}})
        with Server(options) as limited:
            done = compared(
                world,
                module,
                args,
                wanted.user,
                limited,
                sentences=not wanted.servers_sentence,
                any_order=wanted.any_order,
            )
    else:
        done = compared(world, module, args, wanted.user)
    assert (done["changed"], done.get("error") or "") == (wanted.changed, wanted.word), done
    assert bool(done.get("failed")) is bool(wanted.word)
    if done["changed"] and not done.get("failed"):
        # Twice is once, but for what was made anew on purpose.
        again = {key: value for key, value in args.items() if key != "on_conflict"}
        if not wanted.limits and module != "jetstream_backup_report":
            assert compared(world, module, again, wanted.user)["changed"] is False


@pytest.fixture(scope="module")
def streams(cluster: Cluster) -> Iterator[kit.App]:
    """A stream with a consumer on the cluster that the session shares."""
    app = kit.App(cluster)
    app.stream("A", 3)
    app.consumer("A", "reader")
    kit.until_placed(cluster, "A", 3)
    app.fill("A", 20)
    yield app
    app.api("STREAM.DELETE.A")
    app.close()


@pytest.mark.parametrize(
    ("module", "case"), [(module, case) for module, cases in CLUSTER_CASES.items() for case in cases]
)
def test_cluster(module: str, case: str, cluster: Cluster, streams: kit.App, server_version: str) -> None:
    user, options, changed, word = CLUSTER_CASES[module][case]
    cluster.wait_ready()
    if "peer" in options:
        kit.not_leader(cluster, "n1")
    before = cluster.meta_leader()
    foretold, done = (run_here(module, {**cluster.connection(user), **options}, check=check) for check in (True, False))
    if not changed:
        assert cluster.meta_leader() is before
    assert said(foretold) == said(done)
    assert "exception" not in done
    assert (done["changed"], done.get("error") or "") == (changed, word), done


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_cluster_that_lost_a_server(make_cluster: MakeCluster, tmp_path: Path) -> None:
    """Hold, remove, recover and evacuate, each foretold and then done."""
    cluster = make_cluster(size=5)
    app = kit.App(cluster)
    app.stream("A", 3)
    app.stream("ONE", 1)
    for name in ("A", "ONE"):
        app.fill(name, 20)
    home = app.api("STREAM.INFO.ONE")["cluster"]["leader"]
    kit.not_leader(cluster, home)
    path = str(tmp_path / "APP")

    def both(module: str, user: str, **options: Any) -> dict[str, Any]:
        foretold, done = (
            run_here(
                f"jetstream_{module}", {**cluster.connection(user), "servers": cluster.urls, **options}, check=check
            )
            for check in (True, False)
        )
        assert said(foretold) == said(done)
        assert done["changed"] is True, done
        assert not done.get("failed"), done
        return done

    both("account_backup", "app", path=path)
    cluster.node(home).kill()
    accounts = kit.accounts(cluster)
    off = {"peer": home, "accounts": accounts, "fenced": True}
    refused = [
        run_here("jetstream_peer_remove", {**cluster.connection("sys"), "servers": cluster.urls, **off}, check=check)
        for check in (True, False)
    ]
    assert said(refused[0]) == said(refused[1])
    assert refused[1]["error"] == "data_loss"
    held = both("account_hold", "app", path=path)
    assert {one["stream"]: one["status"] for one in held["streams"]} == {"ONE": "held"}
    both("peer_remove", "sys", **off, accept_data_loss=True)
    kit.until_placed(cluster, "ONE", 1)
    recovered = both("account_recover", "app", path=path)
    assert {one["stream"]: one["status"] for one in recovered["streams"]} == {"ONE": "restored"}
    assert app.lost("ONE") == app.lost("A") == []
    victim = app.api("STREAM.INFO.ONE")["cluster"]["leader"]
    kit.not_leader(cluster, victim)
    both("peer_evacuate", "sys", peer=victim, accounts=accounts)
    app.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_cluster_that_lost_its_quorum(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(size=3)
    kit.not_leader(cluster, "n2", "n3")
    cluster.node("n2").kill()
    cluster.node("n3").kill()
    for dead, word in ((["n2"], "not_confirmed_dead"), (["n1", "n2", "n3"], "server_online"), (["n2", "n3"], "")):
        args = {**cluster.connection("sys"), "servers": cluster.urls, "confirmed_dead": dead}
        foretold, done = (run_here("jetstream_meta_rescue", args, check=check) for check in (True, False))
        assert said(foretold) == said(done)
        assert (done["changed"], done.get("error") or "") == (not word, word)
