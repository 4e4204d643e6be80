# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The requests that change the membership, each sent once and read back."""

from __future__ import annotations

import dataclasses
import typing as t

from .._nats.errors import ApiError, ConnectionLostError, RequestTimeoutError
from .._nats.system import System
from .errors import ClusterError, NotConfirmedError
from .model import Picture, Server
from .plan import Plan
from .refusals import alive_refusals, quorum_refusals
from .views import Json
from .wait import until
from .watch import Watch

# An answer that is not there by then will not come: the leader is gone or has no quorum.
ANSWER = 6.0
# A change that was accepted shows on every live server well within this.
READ_BACK = 20.0
NOT_MEMBER, CHANGE_IN_FLIGHT, NOTHING_LEADS = 10044, 10202, 10008


def is_gone(picture: Picture, peer: str) -> bool:
    """Whether neither the leader nor any live voter lists the server, and a leader is known to say so."""
    meta = picture.meta
    if meta is None or not meta.leader:
        return False
    return all(peer not in view.members for view in meta.views if view.peer in meta.voters - {peer})


async def check_again(watch: Watch, picture: Picture, target: Server, allow_online: bool, fenced: bool = False) -> None:
    """A last look before the request: refuse where the votes, the leader or the target's silence have changed."""
    now = await watch.glance()
    absent = picture.absent & now.absent
    now = dataclasses.replace(now, absent=absent, looks=picture.looks + 1, watched=picture.watched, trusted=True)
    refusals = quorum_refusals(now)
    if now.meta is None or target.peer in now.meta.members:
        # Else another run has just removed it: the leader answers that it is no member, and that is no failure.
        refusals += alive_refusals(now, target, allow_online, fenced)
    Plan(target, True, tuple(refusals), arithmetic="The cluster changed since it was first looked at.").check()


@dataclasses.dataclass(frozen=True)
class Sent:
    """What became of a request. C(changed): this run did it; C(answer): what was said, for the result."""

    changed: bool
    answer: str


async def _send(system: System, subject: str, request: Json, what: str) -> tuple[str, int | None]:
    """Send once; what was answered (C(success), C(no answer) or the error) and the error's code."""
    try:
        await system.call(subject, request, what=what, timeout=ANSWER)
    except (RequestTimeoutError, ConnectionLostError):
        return "no answer", None
    except ApiError as exc:
        return exc.message, exc.err_code
    return "success", None


async def remove_server(watch: Watch, target: Server, *, interval: float = 0.5) -> Sent:
    """Remove a server from the meta group, by id, once, and see that every live server has it so.

    Raises NotConfirmedError where that cannot be seen: the removal may still be carried out later.
    """
    request = {"peer": "", "peer_id": target.peer}
    answer, code = await _send(watch.system, "SERVER.REMOVE", request, f"removal of {target.label}")
    if code not in (None, NOT_MEMBER, CHANGE_IN_FLIGHT):
        raise ClusterError(f"{answer}. Nothing was changed.", error="removal_failed", err_code=code)
    picture, gone = await until(
        watch, lambda now: is_gone(now, target.peer), timeout=READ_BACK, interval=interval, light=True
    )
    if gone:
        # 10044 and 10202 without us having done it: another run did.
        return Sent(code is None, answer)
    meta = picture.meta
    listing = picture.names(view.peer for view in (meta.views if meta else ()) if target.peer in view.members)
    raise NotConfirmedError(
        f"The removal of {target.label} was asked for ({answer}), but {listing} still list it after {READ_BACK:.0f} s."
        " It is not sent a second time: it may be carried out later. Look with jetstream_cluster_info, and run again"
        " once the meta group has a leader.",
        err_code=code,
        changed=answer == "success",
        values={"sent": True},
    )


async def evacuate_server(watch: Watch, target: Server) -> Sent:
    """Start the evacuation of a server; safe to ask for again."""
    request = {"peer": "", "peer_id": target.peer}
    answer, code = await _send(watch.system, "SERVER.EVACUATE", request, f"evacuation of {target.label}")
    if code is not None:
        raise ClusterError(f"{answer}. Nothing was changed.", error="evacuation_failed", err_code=code)
    if answer != "success":
        raise NotConfirmedError(
            f"The evacuation of {target.label} was asked for and not answered: the meta leader may have changed. Run"
            " again: asking twice does no harm.",
            values={"sent": True},
        )
    return Sent(True, answer)


@dataclasses.dataclass(frozen=True)
class Answered:
    """One survivor's answer to a rescue."""

    server: str
    accepted: bool
    previous: int | None
    quorum: int | None
    error: str = ""

    @property
    def believes(self) -> bool:
        """It still believes in a leader: ask again later."""
        return "leader is known" in self.error

    @property
    def empty(self) -> bool:
        """It has nothing to lead with: expected of a new server."""
        return "log is empty" in self.error or "not a voting member" in self.error


async def ask_rescue(system: System, quorum: int, expected: int) -> list[Answered]:
    """Ask every live server to lower its quorum; each answers for itself."""
    found = []
    for raw in await system.broadcast("META.RESCUE", {"quorum_needed": quorum}, expected=expected):
        error = str((raw.get("error") or {}).get("description") or "")
        name = str(raw.get("server") or "")
        found.append(Answered(name, not error, raw.get("prev_quorum"), raw.get("new_quorum"), error))
    return sorted(found, key=lambda one: one.server)


async def rescue(
    watch: Watch, quorum: int, survivors: int, *, patience: float = 15.0
) -> tuple[list[Answered], Picture]:
    """Lower the quorum and wait for a leader; the answers (the best of each server) and the last picture.

    A survivor that still believes in a leader is asked again: it took the last campaign of another for one.
    """
    answers: dict[str, Answered] = {}

    def led(picture: Picture) -> bool:
        return bool(picture.meta and picture.meta.leader)

    deadline = watch.clock() + patience
    ask = True
    while True:
        for answer in await ask_rescue(watch.system, quorum, survivors) if ask else ():
            if answer.server not in answers or not answers[answer.server].accepted:
                answers[answer.server] = answer
        left = max(deadline - watch.clock(), 0.0)
        picture, done = await until(watch, led, timeout=min(5.0, left), interval=0.5, light=True)
        if done or watch.clock() >= deadline:
            return [answers[name] for name in sorted(answers)], picture
        ask = any(answer.believes for answer in answers.values())


def routeless(picture: Picture) -> list[str]:
    """Survivors without a route to any other server: no raft group runs on them before the first one."""
    return sorted(s.label for s in picture.servers if s.alive and s.member and not s.routes)


__all__: t.Final = [
    "Answered",
    "Sent",
    "check_again",
    "evacuate_server",
    "is_gone",
    "remove_server",
    "rescue",
    "routeless",
]
