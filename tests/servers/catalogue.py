# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The odd streams themselves: one function each, its docstring says what is odd."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from .samples import FAR_AWAY, HOUR, SECOND, Maker, Sample

SAMPLES: dict[str, Sample] = {}
_Build = Callable[[Maker], Awaitable[None]]


def sample(**about: Any) -> Callable[[_Build], _Build]:
    """Enter a function into the catalogue under its name in capitals."""

    def enter(build: _Build) -> _Build:
        key = build.__name__.upper()
        SAMPLES[key] = Sample(key, build, (build.__doc__ or "").strip(), **about)
        return build

    return enter


@sample(standard=True)
async def plain(make: Maker) -> None:
    """Limits, file, 250 messages, a pull consumer that acked some and one that never read."""
    await make.create()
    await make.fill(250)
    await make.consumer("reader")
    await make.settle_acks(await make.pull("reader", 40))
    await make.consumer("untouched")


@sample(standard=True)
async def consumers(make: Maker) -> None:
    """Consumers of every kind: push, pull, ephemeral, in memory, several filters, every deliver policy and option."""
    await make.create()
    await make.fill(120)
    await make.consumer("pull")
    # Acks above the floor, pending ones and a redelivery.
    taken = await make.pull("pull", 20)
    await make.settle_acks(taken[:8] + taken[12:15])
    await make.settle_acks(taken[8:9], b"-NAK")
    await make.pull("pull", 1)
    await make.consumer("push", deliver_subject=f"{make.root}-out.push", ack_policy="none")
    await make.consumer("queue", deliver_subject=f"{make.root}-out.queue", deliver_group="workers", ack_policy="all")
    await make.consumer(
        "flow", deliver_subject=f"{make.root}-out.flow", flow_control=True, idle_heartbeat=5 * SECOND, ack_policy="none"
    )
    await make.consumer("ephemeral", durable=False)
    await make.consumer("memory", mem_storage=True)
    await make.consumer("memory-ephemeral", durable=False, mem_storage=True)
    await make.consumer("one-filter", filter_subject=f"{make.root}.a")
    await make.consumer("filters", filter_subjects=[f"{make.root}.a", f"{make.root}.c.>"])
    await make.consumer("by-seq", deliver_policy="by_start_sequence", opt_start_seq=50)
    await make.consumer("by-time", deliver_policy="by_start_time", opt_start_time="2020-01-01T00:00:00Z")
    await make.consumer("last", deliver_policy="last")
    await make.consumer("last-per", deliver_policy="last_per_subject", filter_subject=f"{make.root}.>")
    await make.consumer("new", deliver_policy="new")
    await make.consumer("headers", headers_only=True, ack_policy="none")
    await make.consumer(
        "options",
        description="déjà vu … 説明",
        ack_wait=17 * SECOND,
        max_deliver=7,
        backoff=[SECOND, 2 * SECOND, 5 * SECOND],
        max_ack_pending=77,
        max_waiting=33,
        max_batch=10,
        max_expires=60 * SECOND,
        max_bytes=100_000,
        sample_freq="10%",
        metadata={"owner": "team ü", "empty": ""},
    )
    await make.consumer(
        "slow",
        deliver_subject=f"{make.root}-out.slow",
        rate_limit_bps=1024,
        replay_policy="original",
        ack_policy="none",
    )
    await make.consumer("floor")
    await make.settle_acks(await make.pull("floor", 120))


@sample(standard=True)
async def empty(make: Maker) -> None:
    """No message was ever stored; one consumer."""
    await make.create()
    await make.consumer("waiting")


@sample(standard=True)
async def advanced(make: Maker) -> None:
    """Purged to nothing: first_seq is last_seq + 1; a consumer that read all."""
    await make.create()
    await make.fill(30)
    await make.consumer("reader")
    await make.settle_acks(await make.pull("reader", 30))
    await make.ask(f"STREAM.PURGE.{make.stream}")


@sample(standard=True)
async def first_seq(make: Maker) -> None:
    """Starts at sequence 1000 by its configuration."""
    await make.create(first_seq=1000)
    await make.fill(12)


@sample()
async def first_seq_empty(make: Maker) -> None:
    """Starts at sequence 5000 by its configuration and holds nothing yet."""
    await make.create(first_seq=5000)


@sample(standard=True)
async def gaps(make: Maker) -> None:
    """Messages deleted, erased and purged by subject in the middle."""
    await make.create()
    await make.fill(100)
    for seq in (3, 4, 5, 50, 77):
        await make.ask(f"STREAM.MSG.DELETE.{make.stream}", {"seq": seq, "no_erase": True})
    for seq in (20, 21, 60):
        await make.ask(f"STREAM.MSG.DELETE.{make.stream}", {"seq": seq, "no_erase": False})
    await make.ask(f"STREAM.PURGE.{make.stream}", {"filter": f"{make.root}.b"})
    await make.consumer("reader")
    await make.settle_acks(await make.pull("reader", 10))


@sample(standard=True)
async def head_deleted(make: Maker) -> None:
    """Its first messages are purged away; a consumer stands before the first that is left."""
    await make.create()
    await make.consumer("early")
    await make.fill(40)
    await make.ask(f"STREAM.PURGE.{make.stream}", {"seq": 15})
    await make.ask(f"STREAM.MSG.DELETE.{make.stream}", {"seq": 15, "no_erase": True})


@sample(standard=True)
async def tail_deleted(make: Maker) -> None:
    """Its last messages are deleted one by one: last_seq is above the last message."""
    await make.create()
    await make.fill(40)
    for seq in (38, 39, 40):
        await make.ask(f"STREAM.MSG.DELETE.{make.stream}", {"seq": seq, "no_erase": True})


@sample()
async def jumped(make: Maker) -> None:
    """A jump of two thousand million sequences, by a purge ahead of the end."""
    await make.create()
    await make.fill(5)
    await make.ask(f"STREAM.PURGE.{make.stream}", {"seq": 2_000_000_000})
    await make.fill(5)


@sample(standard=True, stream="KV_{}settings")
async def kv(make: Maker) -> None:
    """A key-value bucket with history, deleted and purged keys."""
    bucket = f"$KV.{make.prefix}settings"
    await make.create(
        subjects=[f"{bucket}.>"],
        max_msgs_per_subject=5,
        allow_rollup_hdrs=True,
        deny_delete=True,
        allow_direct=True,
        discard="new",
        duplicate_window=120 * SECOND,
        description="settings",
    )
    await make.publish((f"{bucket}.key{number % 10}", f"value {number}".encode()) for number in range(90))
    await make.publish((f"{bucket}.key{number}", b"", [("KV-Operation", "DEL")]) for number in (2, 4))
    await make.publish([(f"{bucket}.key6", b"", [("KV-Operation", "PURGE"), ("Nats-Rollup", "sub")])])
    await make.publish([(f"{bucket}.Ключ.=_/-", "значение".encode())])


@sample(standard=True, stream="OBJ_{}files")
async def objects(make: Maker) -> None:
    """An object store bucket: three objects in chunks, one deleted."""
    bucket = f"{make.prefix}files"
    await make.create(
        subjects=[f"$O.{bucket}.C.>", f"$O.{bucket}.M.>"], discard="new", allow_rollup_hdrs=True, allow_direct=True
    )
    for number, size in enumerate((300_000, 0, 5_000)):
        data, nuid, name = make.random(str(number)).randbytes(size), f"CHUNKS{number:016d}", f"object {number}.bin"
        chunks = [data[at : at + 128 * 1024] for at in range(0, size, 128 * 1024)]
        await make.publish((f"$O.{bucket}.C.{nuid}", chunk) for chunk in chunks)
        info = {
            "name": name,
            "options": {"max_chunk_size": 128 * 1024},
            "bucket": bucket,
            "nuid": nuid,
            "size": size,
            "mtime": "0001-01-01T00:00:00Z",
            "chunks": len(chunks),
            "digest": "SHA-256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode(),
        }
        subject = f"$O.{bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"
        await make.publish([(subject, json.dumps(info).encode(), [("Nats-Rollup", "sub")])])
        if number == 2:
            await make.ask(f"STREAM.PURGE.{make.stream}", {"filter": f"$O.{bucket}.C.{nuid}"})
            gone = {**info, "size": 0, "chunks": 0, "digest": "", "deleted": True}
            await make.publish([(subject, json.dumps(gone).encode(), [("Nats-Rollup", "sub")])])


@sample(standard=True)
async def headers(make: Maker) -> None:
    """Headers without payload, empty messages, a key twice, empty and long values."""
    await make.create()
    root = make.root
    await make.publish(
        [
            (f"{root}.empty", b""),
            (f"{root}.only", b"", [("A", "1")]),
            (f"{root}.twice", b"x", [("A", "1"), ("A", "2"), ("a", "3")]),
            (f"{root}.blank", b"x", [("Empty", ""), ("B", "after")]),
            (f"{root}.long", b"", [("Long", "v" * 60_000)]),
            (f"{root}.many", b"y", [(f"K{number}", str(number)) for number in range(200)]),
            (f"{root}.unicode", "ÿ\x00\r\n".encode(), [("Grüße", "wörld … 世界")]),
            (f"{root}.crlf", b"\r\n\r\nPUB x 1\r\n"),
        ]
    )


@sample(standard=True)
async def large(make: Maker) -> None:
    """Messages of the largest size a server takes by default, that do not compress."""
    await make.create()
    chance = make.random()
    sizes = (1_048_576, 1, 1_000_000, 700_000)
    await make.publish((f"{make.root}.{number}", chance.randbytes(size)) for number, size in enumerate(sizes))


@sample()
async def bulk(make: Maker) -> None:
    """Some 24 MB over several blocks, half of it compressible, with deletions in the first block."""
    await make.create()
    chance = make.random()

    def items() -> Any:
        for number in range(1200):
            data = (
                chance.randbytes(20_000) if number % 2 else json.dumps({"n": number, "pad": "lorem " * 3300}).encode()
            )
            yield f"{make.root}.{number % 7}", data

    await make.publish(items())
    for seq in range(2, 60, 3):
        await make.ask(f"STREAM.MSG.DELETE.{make.stream}", {"seq": seq, "no_erase": True})


@sample(standard=True)
async def subjects(make: Maker) -> None:
    """Several hundred subjects, odd ones among them."""
    await make.create()
    odd = [
        "ünï.cödé",
        "名前",
        "a-b_c",
        "x" * 200,
        "$dollar",
        "per%20cent",
        "quote'\"",
        "back\\slash",
        "1.2.3.4.5.6.7.8.9",
    ]
    names = [f"t{number}.leaf{number % 13}" for number in range(400)] + odd
    await make.publish((f"{make.root}.{name}", name.encode()) for name in names)


@sample(standard=True, stream="{}STRÖM-名前_x=y")
async def names(make: Maker) -> None:
    """Odd names that servers allow, of the stream and of its consumers."""
    await make.create()
    await make.fill(20)
    for name in ("cönsumer", "名前", "a:b", "-x", "_", "x=y", "'quoted'", "per%20cent", "$dollar", "CON", "n" * 200):
        await make.consumer(name)
    await make.settle_acks(await make.pull("名前", 5))


@sample(standard=True)
async def work_queue(make: Maker) -> None:
    """A work queue: some acked and gone, some pending, two consumers with filters of their own."""
    await make.create(retention="workqueue")
    await make.consumer("a", filter_subject=f"{make.root}.a")
    await make.consumer("b", filter_subject=f"{make.root}.b")
    await make.fill(90, subjects=("a", "b"))
    taken = await make.pull("a", 20)
    await make.settle_acks(taken[:7] + taken[10:12])
    await make.settle_acks((await make.pull("b", 3))[:3])


@sample(standard=True)
async def interest(make: Maker) -> None:
    """Interest retention with two consumers that have come to different places."""
    await make.create(retention="interest")
    await make.consumer("fast")
    await make.consumer("slow")
    await make.fill(60)
    await make.settle_acks(await make.pull("fast", 50))
    taken = await make.pull("slow", 20)
    await make.settle_acks(taken[:10] + taken[15:18])


@sample(standard=True, needs=("PLAIN",))
async def mirror(make: Maker) -> None:
    """A mirror of PLAIN with a consumer."""
    await make.create(subjects=None, mirror={"name": f"{make.prefix}PLAIN"})
    await make.wait_messages(250)
    await make.consumer("reader")
    await make.settle_acks(await make.pull("reader", 10))


@sample(needs=("PLAIN",))
async def mirror_filtered(make: Maker) -> None:
    """A mirror of PLAIN from sequence 100 on, one subject, renamed on the way."""
    transforms = [{"src": f"{make.root_of('PLAIN')}.a", "dest": f"{make.root}.moved"}]
    origin = {"name": f"{make.prefix}PLAIN", "opt_start_seq": 100, "subject_transforms": transforms}
    await make.create(subjects=None, mirror=origin, mirror_direct=True)
    await make.wait_messages(51)


@sample(standard=True)
async def origin_a(make: Maker) -> None:
    """One of the origins of SOURCED."""
    await make.create()
    await make.fill(60)


@sample(standard=True)
async def origin_b(make: Maker) -> None:
    """The other origin of SOURCED."""
    await make.create()
    await make.fill(60)


@sample(standard=True, needs=("ORIGIN_A", "ORIGIN_B"))
async def sourced(make: Maker) -> None:
    """Two sources, one filtered, one renamed, and subjects of its own."""
    a, b = make.root_of("ORIGIN_A"), make.root_of("ORIGIN_B")
    await make.create(
        sources=[
            {"name": f"{make.prefix}ORIGIN_A", "filter_subject": f"{a}.a"},
            {
                "name": f"{make.prefix}ORIGIN_B",
                "subject_transforms": [{"src": f"{b}.>", "dest": f"{make.root}.from_b.>"}],
            },
        ]
    )
    await make.wait_messages(80)
    await make.fill(10)
    await make.consumer("reader")
    await make.settle_acks(await make.pull("reader", 5))


@sample(needs=("SOURCED",))
async def sourced_again(make: Maker) -> None:
    """Sources a stream that is itself sourced."""
    await make.create(subjects=None, sources=[{"name": f"{make.prefix}SOURCED"}])
    await make.wait_messages(90)


@sample(standard=True)
async def transformed(make: Maker) -> None:
    """Renames subjects on the way in and republishes what it stored."""
    await make.create(
        subject_transform={"src": f"{make.root}.>", "dest": f"{make.root}-stored.>"},
        republish={"src": ">", "dest": f"{make.root}-again.>", "headers_only": True},
    )
    await make.fill(25)


@sample(standard=True)
async def subjects_changed(make: Maker) -> None:
    """Holds messages of subjects that its configuration no longer lists."""
    await make.create()
    await make.fill(30)
    await make.update(subjects=[f"{make.root}-other.>"])
    await make.publish([(f"{make.root}-other.x", b"later")])


@sample(standard=True)
async def tight_size(make: Maker) -> None:
    """max_msg_size was lowered below stored messages."""
    await make.create()
    await make.publish([(f"{make.root}.small", b"s"), (f"{make.root}.big", b"b" * 5000), (f"{make.root}.small", b"t")])
    await make.update(max_msg_size=1000)


@sample()
async def tight_consumers(make: Maker) -> None:
    """As many consumers as max_consumers allows."""
    await make.create(max_consumers=3)
    await make.fill(10)
    for number in range(3):
        await make.consumer(f"c{number}")


@sample(standard=True)
async def dedup(make: Maker) -> None:
    """Messages with ids inside a long de-duplication window."""
    await make.create(duplicate_window=24 * HOUR)
    await make.publish((f"{make.root}.x", b"data", [("Nats-Msg-Id", f"id-{number}")]) for number in range(30))
    await make.publish((f"{make.root}.x", b"data", [("Nats-Msg-Id", f"id-{number}")]) for number in range(5))


@sample(standard=True)
async def per_subject(make: Maker) -> None:
    """At most three messages a subject, an age limit and a size limit."""
    await make.create(max_msgs_per_subject=3, max_age=48 * HOUR, max_bytes=50_000_000, allow_direct=True)
    await make.fill(60)


@sample(standard=True)
async def limited(make: Maker) -> None:
    """Older messages were pushed out by max_msgs."""
    await make.create(max_msgs=25)
    await make.fill(60)


@sample(standard=True)
async def discard_new(make: Maker) -> None:
    """Full, and refuses new messages, per subject too."""
    await make.create(
        discard="new", discard_new_per_subject=True, max_msgs_per_subject=2, max_msgs=100, max_msg_size=10_000
    )
    await make.fill(6)


@sample(standard=True)
async def compressed(make: Maker) -> None:
    """Its store is compressed."""
    await make.create(compression="s2")
    await make.fill(200, size=500)
    await make.consumer("reader")


@sample(standard=True, memory=True)
async def memory(make: Maker) -> None:
    """In memory."""
    await make.create(storage="memory")
    await make.fill(50)
    await make.consumer("reader")
    await make.settle_acks(await make.pull("reader", 5))


@sample(standard=True)
async def sealed(make: Maker) -> None:
    """Sealed: nothing goes in or out."""
    await make.create()
    await make.fill(20)
    await make.consumer("reader")
    await make.update(sealed=True)


@sample(standard=True)
async def denied(make: Maker) -> None:
    """Deletion and purge are denied."""
    await make.create(deny_delete=True, deny_purge=True)
    await make.fill(20)


@sample(standard=True)
async def described(make: Maker) -> None:
    """Description and metadata with Unicode, limits for consumers."""
    await make.create(
        description='Ünïcode … 説明 "quoted" \\ \u2028 🙂',
        metadata={"owner": "Müller & Söhne", "empty": "", "größe": "3"},
        consumer_limits={"inactive_threshold": 24 * HOUR, "max_ack_pending": 500},
        placement=None,
    )
    await make.fill(5)


@sample()
async def unacked(make: Maker) -> None:
    """Does not acknowledge what is published."""
    await make.create()
    await make.fill(1)
    await make.update(no_ack=True)
    for number in range(9):
        await make.client.publish(f"{make.root}.x", str(number).encode())
    await make.wait_messages(10)


@sample(standard=True, since=(2, 11))
async def paused(make: Maker) -> None:
    """A consumer that is paused until far away."""
    await make.create()
    await make.fill(10)
    await make.consumer("paused", pause_until=FAR_AWAY)


@sample(standard=True, since=(2, 11))
async def priority(make: Maker) -> None:
    """Consumers with priority groups."""
    await make.create()
    await make.fill(10)
    await make.consumer("overflow", priority_groups=["jobs"], priority_policy="overflow")
    await make.consumer(
        "pinned", priority_groups=["jobs"], priority_policy="pinned_client", priority_timeout=60 * SECOND
    )


@sample(standard=True, since=(2, 11))
async def ttl(make: Maker) -> None:
    """Messages that expire on their own, late or never, and markers for deleted subjects."""
    await make.create(
        allow_msg_ttl=True, subject_delete_marker_ttl=HOUR, allow_rollup_hdrs=True, max_age=24 * HOUR, allow_direct=True
    )
    times = ("1h", "never", "7200", "48h")
    await make.publish((f"{make.root}.x{number}", b"data", [("Nats-TTL", each)]) for number, each in enumerate(times))
    await make.fill(10)


@sample(standard=True, since=(2, 12))
async def counter(make: Maker) -> None:
    """Counters."""
    await make.create(allow_msg_counter=True, allow_direct=True)
    await make.publish(
        (f"{make.root}.c{number % 3}", b"", [("Nats-Incr", f"{number - 4:+d}")]) for number in range(12) if number != 4
    )


@sample(standard=True, since=(2, 12))
async def scheduled(make: Maker) -> None:
    """Messages to be published far in the future."""
    await make.create(allow_msg_schedules=True, allow_msg_ttl=True, allow_rollup_hdrs=True)
    schedule = [("Nats-Schedule", f"@at {FAR_AWAY}"), ("Nats-Schedule-Target", f"{make.root}.target")]
    await make.publish([(f"{make.root}.plan.one", b"later", schedule), (f"{make.root}.other", b"now")])


@sample(standard=True, since=(2, 12))
async def atomic(make: Maker) -> None:
    """A batch that was published as one."""
    await make.create(allow_atomic=True)
    await make.fill(2)
    for number in range(1, 6):
        pairs = [("Nats-Batch-Id", "batch-1"), ("Nats-Batch-Sequence", str(number))]
        if number < 5:
            await make.client.publish(f"{make.root}.x", str(number).encode(), headers=dict(pairs))
        else:
            await make.publish([(f"{make.root}.x", b"5", [*pairs, ("Nats-Batch-Commit", "1")])])
    await make.wait_messages(7)


@sample(since=(2, 12))
async def persist_async(make: Maker) -> None:
    """Written to disk asynchronously."""
    await make.create(persist_mode="async", num_replicas=1)
    await make.fill(20)


@sample(since=(2, 14))
async def batched(make: Maker) -> None:
    """Allows fast batches."""
    await make.create(allow_batched=True)
    await make.fill(20)


@sample(standard=True, clustered=True)
async def replicated(make: Maker) -> None:
    """Three replicas, with consumers of three, of one and in memory."""
    await make.create(num_replicas=3)
    await make.fill(100)
    await make.consumer("three")
    taken = await make.pull("three", 20)
    await make.settle_acks(taken[:8] + taken[12:14])
    await make.consumer("one", num_replicas=1)
    await make.consumer("memory", num_replicas=1, mem_storage=True)
    await make.consumer("ephemeral", durable=False)


@sample(standard=True, clustered=True)
async def replicated_queue(make: Maker) -> None:
    """A work queue of three replicas with pending acks."""
    await make.create(num_replicas=3, retention="workqueue")
    await make.consumer("workers")
    await make.fill(50)
    taken = await make.pull("workers", 20)
    await make.settle_acks(taken[:8] + taken[12:14])


@sample(clustered=True, memory=True)
async def replicated_memory(make: Maker) -> None:
    """Three replicas in memory."""
    await make.create(num_replicas=3, storage="memory")
    await make.fill(40)
    await make.consumer("reader")
