# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shape of what servers say of themselves: of the fields that are used, the types."""

from __future__ import annotations

import typing as t

from .._shape import schema as s
from .shapes import CLUSTER


def _opt(shape: s.Shape, names: str) -> dict[str, s.Shape]:
    return dict.fromkeys(names.split(), shape)


_HEAD = s.record(
    {"name": s.name, "id": s.name},
    {**_opt(s.text, "cluster domain ver"), "tags": s.listed(s.text), "jetstream": s.flag},
)
ANSWER = s.record({"server": _HEAD}, {"data": s.mapping})
_LEVEL = s.record({}, {"level": s.count})
_STORE = s.record(
    {}, {**_opt(s.whole, "max_memory max_storage sync_interval"), "unique_tag": s.text, "sync_always": s.flag}
)
_LIMITS = s.record({}, {"max_ha_assets": s.whole})
_META = s.record(
    {},
    {
        **_opt(s.text, "name leader peer"),
        **_opt(s.whole, "cluster_size quorum_needed pending"),
        "replicas": s.listed(s.record({"peer": s.text}, {"name": s.text})),
    },
)
_GROUP = s.record(
    {"id": s.text},
    {
        **_opt(s.whole, "size quorum_needed"),
        **_opt(s.count, "pindex term applied"),
        "leader": s.text,
        "observer": s.flag,
        "wal": s.record({}, _opt(s.count, "messages first_seq last_seq")),
        "peers": s.mapped(s.record({}, {"known": s.flag, "name": s.text})),
    },
)


def _raftz(value: t.Any, at: str) -> None:
    """Groups by account; only the meta group is looked at."""
    s.mapping(value, at)
    for account, groups in value.items():
        if isinstance(groups, dict) and "_meta_" in groups:
            _GROUP(groups["_meta_"], f"{at}.{account}._meta_")


_PAIR = s.record({}, {"stream_seq": s.count})
_CONSUMER = s.record(
    {"name": s.name},
    {
        "config": s.record({}, {"durable_name": s.text, "num_replicas": s.whole}),
        "cluster": CLUSTER,
        "delivered": _PAIR,
        "ack_floor": _PAIR,
    },
)
_CONFIG = s.record(
    {},
    {
        **_opt(s.text, "name storage retention"),
        **_opt(s.whole, "num_replicas max_bytes max_msgs max_consumers"),
        "placement": s.mapping,
    },
)
_STREAM = s.record(
    {"name": s.name},
    {
        "config": _CONFIG,
        "state": s.record({}, _opt(s.count, "messages bytes first_seq last_seq")),
        "created": s.text,
        "cluster": CLUSTER,
        "consumer_detail": s.listed(_CONSUMER),
    },
)
_ACCOUNT = s.record({"name": s.text}, {"id": s.text, "stream_detail": s.listed(_STREAM)})

#: By the last word of the subject.
SHAPES: dict[str, s.Shape] = {
    "VARZ": s.record(
        {},
        {
            **_opt(s.text, "now uptime"),
            "tags": s.listed(s.text),
            "jetstream": s.record(
                {}, {"config": _STORE, "limits": _LIMITS, "meta": _META, "stats": s.record({}, {"api": _LEVEL})}
            ),
        },
    ),
    "HEALTHZ": s.record({}, _opt(s.text, "status error")),
    "RAFTZ": _raftz,
    "ROUTEZ": s.record({}, {"routes": s.listed(s.record({}, _opt(s.text, "remote_id remote_name idle")))}),
    "JSZ": s.record(
        {},
        {
            **_opt(s.count, "memory storage streams consumers total"),
            **_opt(s.whole, "reserved_memory reserved_storage ha_assets"),
            "disabled": s.flag,
            "api": _LEVEL,
            "config": _STORE,
            "limits": _LIMITS,
            "meta_cluster": _META,
            "account_details": s.listed(_ACCOUNT),
        },
    ),
}
