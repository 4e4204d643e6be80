# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removal of a server from the peers of one stream."""

from __future__ import annotations

import typing as t

from .._cluster import lines
from .._cluster.errors import ClusterError, NotWholeError, RefusedError
from .._cluster.groups import Stream
from .._cluster.model import Picture, Server
from .._cluster.plan import Plan, Refusal, resolve
from .._cluster.removal import plan_stream_removal
from .._cluster.wait import progress, until
from .._cluster.watch import Watch
from .._nats.answers import peer_id
from .._nats.errors import ApiError, OptionsError, RequestTimeoutError
from .cluster import account_api, account_options, need_cluster, until_cut_off
from .module import Context, Outcome

_NOT_A_PEER = 10040


def _owner(context: Context) -> str:
    """The account that owns the stream: the only one given by O(accounts)."""
    names = list(account_options(context))
    if len(names) != 1:
        raise OptionsError(
            "With stream, give the credentials of the account that owns it, and of no other, by accounts: the"
            " connection itself is for the system account."
        )
    return names[0]


def _find(picture: Picture, account: str, name: str) -> Stream:
    account = picture.accounts.get(account, account)
    for stream in picture.streams:
        if (stream.account, stream.name) == (account, name):
            return stream
    known = sorted(stream.name for stream in picture.streams if stream.account == account)
    raise ClusterError(
        f"No live server has a copy of the stream {name!r} of {account}. Streams: {', '.join(known) or 'none'}.",
        error="stream_not_found",
    )


def _target(picture: Picture, stream: Stream, wanted: str) -> Server:
    """The server meant; one that is no member any more may still be a peer of the stream."""
    found = resolve(picture, wanted)
    if isinstance(found, Refusal):
        raise RefusedError(found.why, error=found.word)
    if found is not None:
        return found
    peer = wanted if wanted in stream.group.peers else peer_id(wanted)
    return Server(peer, wanted if peer != wanted else "")


async def remove_from_stream(context: Context, watch: Watch) -> Outcome:
    """C(jetstream_peer_remove) with O(stream)."""
    params = context.params
    owner = _owner(context)
    picture = await watch.settle(counting=True)
    need_cluster(picture)
    stream = _find(picture, owner, params["stream"])
    target = _target(picture, stream, params["peer"])
    if await until_cut_off(context, watch, picture, {target.peer}):
        picture = await watch.settle(counting=True)
        stream = _find(picture, owner, params["stream"])
        target = _target(picture, stream, params["peer"])
    plan = plan_stream_removal(
        picture,
        target,
        stream,
        allow_online=params["allow_online"],
        accept_data_loss=params["accept_data_loss"],
        require_spare=params["require_spare"],
        fenced=params["fenced"],
    )
    peers = sorted(replica.name or replica.peer for replica in stream.group.replicas)
    values = {**plan.values(), "stream": stream.label, "members": peers}
    if not plan.needed:
        text = f"{params['peer']!r} is no peer of {stream.label}. Its peers: {', '.join(peers)}."
        return Outcome(False, values, warnings=(text,))
    plan.check()
    diff = {"before": {"peers": peers}, "after": {"peers": [peer for peer in peers if peer != target.label]}}
    if context.check_mode:
        return Outcome(True, values, diff, plan.warnings)
    changed = await _send(context, picture, stream, target)
    values.update(await _wait(context, watch, plan, stream, changed))
    return Outcome(changed, values, diff, plan.warnings)


async def _send(context: Context, picture: Picture, stream: Stream, target: Server) -> bool:
    takes_id = lines.stream_peer_takes_id(lines.oldest_line(picture))
    name = target.peer if takes_id or not target.name else target.name
    what = f"removal of {target.label} from {stream.label}"
    owner = _owner(context)
    async with account_api(owner, account_options(context)[owner], picture.accounts) as api:
        try:
            await api.call(f"STREAM.PEER.REMOVE.{stream.name}", {"peer": name}, what=what)
        except RequestTimeoutError:
            return True  # what became of it is seen below; it is not sent a second time
        except ApiError as exc:
            if exc.err_code == _NOT_A_PEER:
                return False
            if exc.err_code == 10075:
                raise RefusedError(f"{exc.message}. Add a server that fits its placement.", error="no_spare") from exc
            raise
    return True


async def _wait(context: Context, watch: Watch, plan: Plan, stream: Stream, changed: bool) -> dict[str, t.Any]:
    """Until the stream does not list the server and, with O(wait), it and its consumers are whole."""
    state: dict[str, str] = {}
    targets: dict[str, int] = {}
    peer, label = plan.target.peer, stream.label

    def done(picture: Picture) -> bool:
        now = progress(picture, peer, targets)
        mine = {key: why for key, why in now.pending.items() if key == label or key.startswith(f"{label} > ")}
        state.clear()
        state.update(mine if context.params["wait"] else {k: why for k, why in mine.items() if "still lists" in why})
        return not state

    timeout = context.params["wait_timeout"]
    _picture, finished = await until(watch, done, timeout=timeout, interval=context.params["wait_interval"])
    if not finished:
        reasons = "; ".join(f"{key}: {why}" for key, why in sorted(state.items()))
        raise NotWholeError(
            f"{plan.target.label} was taken off {label}, but it is not whole after {timeout:g} s: {reasons}.",
            changed=changed,
            values={**plan.values(), "pending": dict(state)},
        )
    return {"pending": {}}
