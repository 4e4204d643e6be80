# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stepping leaders down: of the meta group, a stream, a consumer."""

from __future__ import annotations

import asyncio
import time
import typing as t

from .._cluster import lines
from .._cluster.errors import ClusterError, RefusedError
from .._cluster.model import Picture
from .._cluster.refusals import shared_name
from .._cluster.wait import until
from .._cluster.watch import Watch
from .._nats import connect as nats_connect
from .._nats.api import JetStream, check_stream_name
from .._nats.errors import ApiError, RequestTimeoutError
from .._nats.lines import Line
from .argspec import ArgumentSpec
from .cluster import changing, need_cluster
from .module import Context, Outcome

STEPDOWN = ArgumentSpec(
    {
        "stream": {"type": "str"},
        "consumer": {"type": "str"},
        "preferred": {"type": "str"},
        "wait_timeout": {"type": "float", "default": 10.0},
        "wait_interval": {"type": "float", "default": 0.25},
    },
    required_by={"consumer": ("stream",)},
)


# Between two leaders nobody answers; an answer that is late is asked for anew.
_SHORT = 1.0


def _placement(preferred: str | None, line: Line) -> dict[str, t.Any] | None:
    if preferred and not lines.stepdown_takes_placement(line):
        raise ClusterError(
            f"The server is {line}: before 2.11 a step-down cannot say who shall lead. Leave preferred out.",
            error="unsupported_by_server",
        )
    return {"placement": {"preferred": preferred}} if preferred else None


def _outcome(context: Context, what: str, before: str, after: str) -> Outcome:
    preferred = context.params["preferred"]
    values = {"previous_leader": before, "leader": after}
    diff = {"before": {"leader": before}, "after": {"leader": after}}
    warnings = []
    if preferred and after not in (preferred, ""):
        warnings.append(f"{after} leads {what} now, not {preferred}: it was not chosen. Run again.")
    return Outcome(before != after, values, diff, tuple(warnings))


def _unchanged(leader: str, warning: str = "") -> Outcome:
    values = {"previous_leader": leader, "leader": leader}
    diff = {"before": {"leader": leader}, "after": {"leader": leader}}
    return Outcome(False, values, diff, (warning,) if warning else ())


async def stepdown(context: Context) -> Outcome:
    """C(jetstream_leader_stepdown)."""
    return await (_of_stream(context) if context.params["stream"] else _of_meta(context))


def _meta_leader(picture: Picture) -> str:
    meta = picture.meta
    return picture.server(meta.leader).label if meta and meta.leader else ""


def _led_or_alone(picture: Picture) -> bool:
    return picture.meta is None or bool(_meta_leader(picture))


async def _of_meta(context: Context) -> Outcome:
    async with changing(context) as watch:
        picture, led = await until(watch, _led_or_alone, timeout=10.0, interval=1.0, light=True)
        need_cluster(picture)
        if not led:
            text = "The meta group has no leader to step down. See jetstream_cluster_info."
            raise ClusterError(text, error="no_quorum")
        return await _meta_with_leader(context, watch, picture, _meta_leader(picture))


async def _meta_with_leader(context: Context, watch: Watch, picture: Picture, before: str) -> Outcome:
    preferred = context.params["preferred"]
    request = _placement(preferred, lines.oldest_line(picture))
    meta = picture.meta
    if picture.duplicates:
        refusal = shared_name(picture)
        raise RefusedError(f"Refused: {refusal.why} Nothing was touched.", error=refusal.word)
    if preferred:
        live = sorted(picture.server(peer).label for peer in (meta.voters if meta else ()))
        if preferred == before:
            return _unchanged(before)
        if preferred not in live:
            text = f"preferred {preferred!r} is no live member of the meta group. Live members: {', '.join(live)}."
            raise ClusterError(text, error="unknown_server")
    elif meta and len(meta.voters) < 2:
        return _unchanged(before, f"{before} is the only live member: nobody else can lead.")
    if context.check_mode:
        return _outcome(context, "the meta group", before, preferred or "another server")
    try:
        await watch.system.call("META.LEADER.STEPDOWN", request, what="step-down of the meta leader")
    except RequestTimeoutError:
        pass  # who leads is read back; it is not asked for a second time
    params = context.params
    after, moved = await until(
        watch,
        lambda now: _meta_leader(now) not in ("", before),
        timeout=params["wait_timeout"],
        interval=params["wait_interval"],
        light=True,
    )
    return _finish(context, "the meta group", before, _meta_leader(after), moved)


def _finish(context: Context, what: str, before: str, after: str, moved: bool) -> Outcome:
    if moved or after == before:
        return _outcome(context, what, before, after)
    seconds = context.params["wait_timeout"]
    text = f"{before} stepped down, but nobody leads {what} after {seconds:g} s. See jetstream_cluster_info."
    raise ClusterError(text, error="no_leader", changed=True, values={"previous_leader": before, "leader": None})


async def _of_stream(context: Context) -> Outcome:
    connection = await nats_connect.connect(context.connection)
    try:
        api = JetStream(connection)
        await api.start()
        return await _with_api(context, api)
    finally:
        await connection.close()


async def _cluster(context: Context, api: JetStream, timeout: float | None = None) -> dict[str, t.Any]:
    """C(cluster) of the stream or consumer; raises where it does not exist or a standalone server has it."""
    stream, consumer = context.params["stream"], context.params["consumer"]
    check_stream_name(stream)
    if consumer:
        subject, what = f"CONSUMER.INFO.{stream}.{consumer}", f"consumer {stream} > {consumer}"
    else:
        subject, what = f"STREAM.INFO.{stream}", f"stream {stream}"
    found = (await api.call(subject, what=what, timeout=timeout)).get("cluster")
    if not found:
        raise ClusterError("A standalone server: its streams have no leaders to step down.", error="not_clustered")
    return t.cast("dict[str, t.Any]", found)


async def _with_api(context: Context, api: JetStream) -> Outcome:
    params = context.params
    stream, consumer, preferred = params["stream"], params["consumer"], params["preferred"]
    kind = "CONSUMER" if consumer else "STREAM"
    what = f"consumer {stream} > {consumer}" if consumer else f"stream {stream}"
    cluster = await _cluster(context, api)
    before = str(cluster.get("leader") or "")
    request = _placement(preferred, api.line)
    others = [peer["name"] for peer in cluster.get("replicas") or ()]
    if not others:
        return _unchanged(before, f"{what} has one replica: nobody else can lead.")
    if preferred and preferred == before:
        return _unchanged(before)
    if preferred and preferred not in others:
        text = f"preferred {preferred!r} has no copy of {what}. Copies: {', '.join(sorted([*others, before]))}."
        raise ClusterError(text, error="unknown_server")
    if not before:
        raise ClusterError(f"{what} has no leader to step down. See jetstream_cluster_info.", error="no_leader")
    if context.check_mode:
        return _outcome(context, what, before, preferred or "another server")
    target = f"{stream}.{consumer}" if consumer else stream
    try:
        await api.call(f"{kind}.LEADER.STEPDOWN.{target}", request, what=f"step-down of the leader of {what}")
    except RequestTimeoutError:
        pass  # who leads is read back; it is not asked for a second time
    after = await _read_leader(context, api, before)
    return _finish(context, what, before, after, after not in ("", before))


async def _read_leader(context: Context, api: JetStream, before: str) -> str:
    """Who leads once the old one does not, or when the time is over."""
    deadline = time.monotonic() + context.params["wait_timeout"]
    while True:
        try:
            after = str((await _cluster(context, api, _SHORT)).get("leader") or "")
        except (RequestTimeoutError, ApiError):
            after = ""
        if after not in ("", before) or time.monotonic() >= deadline:
            return after
        await asyncio.sleep(context.params["wait_interval"])
