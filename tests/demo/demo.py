# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration behind `make demo`: a cluster loses a server, then its quorum, then everything, and comes back.

Four nats-servers on loopback, an application that goes on publishing, and the collection's own playbooks through
ansible-playbook. What is there and what was lost is counted by a plain consumer, not by the collection. Exit code 0
means that everything is as it should be; everything that was started is stopped, whatever happens.

The loss of everything needs only a backup. In the whole story it happens beside the rest, to a cluster of its own, and
is told at the end.

usage: demo.py [VERB]      one of: backup, assess, node_loss, quorum_loss, cluster_loss; without, the whole story
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from demo.app import ABOUT, CONSUMERS, App, AppError
from demo.runs import PlaybookError, Playbooks
from servers import BinaryError, Cluster, Options, ServerError, nats_server, process
from servers.ansible import CHECKOUT

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Messages that the only copy of METRICS takes after the backup: what its loss costs.
SINCE = 25
# The chapter that needs nothing of the others but a backup, and how long it may take.
BESIDE, BESIDE_TIMEOUT = "cluster_loss", 600.0


class DemoError(Exception):
    """Something was not as it should be."""


def expect(truth: bool, otherwise: str) -> None:
    """Raise DemoError unless `truth`."""
    if not truth:
        raise DemoError(otherwise)


class Story:
    """The scene, and the sentences in which it is told."""

    def __init__(self, cluster: Cluster, app: App, playbooks: Playbooks) -> None:
        self.cluster = cluster
        self.app = app
        self._playbooks = playbooks
        self._since = time.monotonic()

    def tell(self, sentence: str) -> None:
        """Print a sentence, with the time that it took."""
        now = time.monotonic()
        text = f"{sentence} ({now - self._since:.1f} s)"
        print("\n".join(textwrap.wrap(text, 116, initial_indent=" -  ", subsequent_indent="    ")), flush=True)
        self._since = now

    def play(self, verb: str, outcomes: str, **own: Any) -> dict[str, Any]:
        """Run a playbook that may end so, tell the last word of its report, and return that."""
        report = self._playbooks.run(verb, outcomes, **own)
        self.tell(f"natsops.jetstream.{verb} says: {report['sentence']}")
        return report

    def expect_lost(self, report: dict[str, Any], stream: str, count: int) -> None:
        """A plain consumer misses exactly the messages that the report names."""
        lost = self.app.lost(stream)
        named = [one for one in report["lost"] if one["stream"] == stream and not one.get("consumer")]
        told = sum(int(one["messages"] or 0) for one in named)
        expect(
            len(lost) == told == count,
            f"of {stream} a plain consumer misses {len(lost)} messages, the report names {told}, and {count} were"
            " published in between",
        )
        # What is lost is published again, as the owner of the stream would do from what the report says.
        self.app.acknowledged[stream] = [number for number in self.app.acknowledged[stream] if number not in lost]


def back_up(story: Story) -> None:
    """Back up, and again where nothing has changed."""
    story.app.rest()
    story.app.settle(3)
    report = story.play("backup", "done")
    expect(report["changed"], "the first backup changed nothing")
    report = story.play("backup", "nothing_to_do")
    expect(not report["changed"], "the second backup changed something")
    story.app.work()


def assess(story: Story) -> None:
    """Look at a healthy cluster; the picture is kept for later, with what METRICS took since its backup."""
    story.app.publish("METRICS", SINCE)
    story.play("assess", "done nothing_to_do", assess_simulate_loss=[home_of(story)])


def home_of(story: Story) -> str:
    """The server that has the only copy of METRICS."""
    return story.cluster.stream_leader("METRICS").name


def node_loss(story: Story) -> None:
    """A server dies, and with its disk the only copy of a stream."""
    victim = home_of(story)
    story.cluster.node(victim).kill()
    story.cluster.node(victim).wipe()
    story.tell(f"{victim} is killed with kill -9, and its disk is gone: it had the only copy of METRICS")
    report = story.play("assess", "done nothing_to_do")
    expect(victim in report["sentence"] + str(report["evidence"]), f"assess does not see that {victim} is dead")
    lost = {"node_loss_server": victim, "node_loss_disk": "lost"}
    story.play("node_loss", "planned", **lost)
    report = story.play("node_loss", "done", **lost, node_loss_confirm_dead=victim)
    expect(not story.app.lost("ORDERS"), "acknowledged messages of ORDERS are lost")
    story.expect_lost(report, "METRICS", SINCE)
    story.tell(
        f"A plain consumer has counted: of ORDERS, published to all the time, nothing is lost; of METRICS exactly the"
        f" {SINCE} messages since its backup, as the report says"
    )
    story.play("node_loss", "nothing_to_do", **lost, node_loss_confirm_dead=victim)


def quorum_loss(story: Story) -> None:
    """Two of three servers die: nobody leads any more."""
    story.app.rest()
    story.app.settle(3)
    story.play("assess", "done nothing_to_do")
    survivor = home_of(story)
    dead = sorted(node.name for node in story.cluster.running if node.name != survivor)
    for name in dead:
        story.cluster.node(name).kill()
    story.tell(f"{' and '.join(dead)} are killed: {survivor} alone is no quorum, nothing can be written")
    report = story.play("quorum_loss", "done", quorum_loss_dead=dead, quorum_loss_confirm_dead=dead)
    expect(bool(report["results"]), "the report of quorum_loss has no results")
    story.app.reconnect()
    story.app.publish("ORDERS", 10)
    for stream in ("ORDERS", "METRICS", "JOBS"):
        expect(not story.app.lost(stream), f"acknowledged messages of {stream} are lost")
    story.tell("The streams take messages again, and a plain consumer has found every one of them")
    for _server in dead:
        story.cluster.add_node()
    story.app.reconnect()
    story.app.settle(3)
    story.tell("Two new, empty servers are started: every stream has its three copies again")
    story.app.work()


def cluster_loss(story: Story) -> None:
    """Everything is lost: all servers, all disks."""
    story.app.rest()
    story.app.settle(3)
    story.play("backup", "done")
    counted = story.app.count()
    story.app.publish("ORDERS", SINCE)
    story.app.settle(3)
    story.play("assess", "done nothing_to_do")
    cluster = story.cluster
    cluster.kill()
    cluster.nodes = cluster.nodes[-3:]
    for node in cluster.nodes:
        node.wipe()
    cluster.start()
    story.app.reconnect()
    story.tell("All servers are killed and their disks wiped; three empty ones have started under their names")
    report = story.play("cluster_loss", "planned")
    report = story.play("cluster_loss", "done", cluster_loss_confirm=cluster.nodes[0].cluster_name)
    story.app.settle(3)
    found = story.app.count()
    expect(found == counted, f"a plain consumer counts {found}, and counted {counted} before")
    story.expect_lost(report, "ORDERS", SINCE)
    for (stream, durable), taken in CONSUMERS.items():
        following = story.app.next_of(stream, durable)
        expect(following == taken + 1, f"{durable} would go on with {following} of {stream}, not with {taken + 1}")
    listed = ", ".join(f"{name} {count}" for name, count in found.items())
    story.tell(
        f"A plain consumer has counted what was there at the backup ({listed}); lost are exactly the {SINCE} messages"
        " since, which the report names. Consumers go on where they were"
    )
    story.play("cluster_loss", "nothing_to_do", cluster_loss_confirm=cluster.nodes[0].cluster_name)


# In the order of the story; each needs those before it that are named.
CHAPTERS: dict[str, tuple[Callable[[Story], None], tuple[str, ...]]] = {
    "backup": (back_up, ()),
    "assess": (assess, ("backup",)),
    "node_loss": (node_loss, ("backup", "assess")),
    "quorum_loss": (quorum_loss, ("backup", "assess", "node_loss")),
    "cluster_loss": (cluster_loss, ("backup",)),
}


def interrupted(number: int, _frame: Any) -> None:
    """Turn a signal into an exception, so that everything is stopped on the way out, undisturbed by a second one."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(signal.Signals(number).name)


class Beside:
    """A chapter in a process of its own, with a cluster of its own; told when everything else is."""

    def __init__(self, chapter: str) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="natsops-demo-")
        self._log = Path(self._directory.name) / "told"
        command = [sys.executable, "-m", "demo.demo", chapter]
        self._child = process.spawn(command, self._log, {**os.environ, "PYTHONPATH": str(CHECKOUT / "tests")})

    def tell(self) -> None:
        """Wait for its end, and print what it told. Raises DemoError where it was not as it should be."""
        try:
            code: int | None = self._child.wait(BESIDE_TIMEOUT)
        except subprocess.TimeoutExpired:
            code = None
        print(f"\nMeanwhile, on another cluster\n{self._log.read_text(encoding='utf-8')}", end="", flush=True)
        expect(code == 0, f"the chapter that was told beside the others {'failed' if code else 'did not end'}")

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Have it stop what it started, where it has not ended."""
        if self._child.poll() is None:
            self._child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(30)
        process.kill(self._child)
        self._directory.cleanup()


def tell_story(chapters: list[str]) -> None:
    """Set the scene, and go through these chapters."""
    with (
        tempfile.TemporaryDirectory(prefix="natsops-demo-") as directory,
        Cluster(Options(), size=4) as cluster,
        App(cluster) as app,
    ):
        story = Story(cluster, app, Playbooks(Path(directory), cluster))
        ports = ", ".join(str(node.port) for node in cluster.nodes)
        story.tell(f"A JetStream cluster of 4 nats-servers {cluster.version} is up on 127.0.0.1, ports {ports}")
        app.prepare()
        app.settle(3)
        listed = "; ".join(f"{name} ({about})" for name, about in ABOUT.items())
        story.tell(f"The account APP has the streams {listed}; {len(CONSUMERS)} consumers have taken some of it")
        app.work()
        for chapter in chapters:
            print(f"\n{chapter}", flush=True)
            CHAPTERS[chapter][0](story)


def main(words: list[str]) -> int:
    """Run the demonstration; 0 if everything was as it should be."""
    for number in SIGNALS:
        signal.signal(number, interrupted)
    if words and words[0] not in CHAPTERS:
        print(f"There is no chapter {words[0]!r}; there are: {', '.join(CHAPTERS)}.", file=sys.stderr)
        return 2
    started = time.monotonic()
    try:
        if words:
            tell_story([*CHAPTERS[words[0]][1], words[0]])
        else:
            nats_server()  # once, not by two at a time
            with Beside(BESIDE) as beside:
                tell_story([name for name in CHAPTERS if name != BESIDE])
                beside.tell()
    except KeyboardInterrupt as exc:
        print(f"\nInterrupted by {exc or 'SIGINT'}; everything that was started is stopped.", file=sys.stderr)
        return 130
    except (DemoError, AppError, PlaybookError, BinaryError, ServerError) as exc:
        print(f"\nFAILED: {exc}", file=sys.stderr)
        return 1
    print(f"\nEverything was as it should be, and is stopped again: {time.monotonic() - started:.0f} s in all.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
