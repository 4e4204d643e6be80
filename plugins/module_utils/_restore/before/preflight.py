# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can make a restore impossible, found before anything is touched. Each check names the thing and the remedy."""

from __future__ import annotations

import asyncio
import dataclasses
import typing as t

from ..._archive.reader import files_size
from ..._archive.subjects import overlaps
from ..._archive.v2.walk import walk
from ..._nats import lines
from ..._nats.account_limits import Allowance, Need
from ..._nats.api import JetStream
from ..._nats.hops import far
from ..._nats.model import Json, Listing, StreamInfo
from ..._repository.errors import RestoreError
from ..._repository.inspect import Backup
from ..._repository.manifest import ConsumerRecord
from ..._shape.jetstream import wrong_in_config

# What a file's name can have.
_LONGEST_NAME = 255


def check_shape(config: Json) -> None:
    """Refuse a configuration that no server could read. Raises RestoreError naming the field."""
    wrong = wrong_in_config(config)
    if wrong:
        raise RestoreError(
            f"stream {config['name']}: the configuration cannot be: {wrong}. Correct the config option.",
            error="invalid_config",
        )


def supported_config(
    config: Json, consumers: t.Iterable[ConsumerRecord], js: JetStream, drop: bool
) -> tuple[Json, list[str]]:
    """The configuration that the server's line knows, and what was dropped from it.

    Raises RestoreError naming every field the line does not know, unless C(drop) allows to leave them out.
    """
    config = lines.without_unused(config, js.line)
    unknown = lines.unsupported_stream_fields(config, js.line)
    of_consumers = [
        field for record in consumers for field in lines.unsupported_consumer_fields(record.config, js.line)
    ]
    if not unknown and not of_consumers:
        return config, []
    names = ", ".join(str(field) for field in (*unknown, *of_consumers))
    if not drop:
        raise RestoreError(
            f"stream {config['name']}: nats-server {js.line} does not know: {names}. Restore it on a newer server,"
            " set these fields to null in config, or set drop_unsupported to leave them out.",
            error="unsupported_by_server",
        )
    whole = {field.path for field in unknown}
    kept = {key: value for key, value in config.items() if key not in whole}
    for field in unknown:
        place, _dot, name = field.path.partition(".")
        if name:
            kept[place.partition("[")[0]] = _without(kept[place.partition("[")[0]], name)
    return kept, [f"stream {config['name']}: left out, since nats-server {js.line} does not know them: {names}."]


def _without(entries: t.Any, name: str) -> t.Any:
    if isinstance(entries, list):
        return [_without(entry, name) for entry in entries]
    return {key: value for key, value in entries.items() if key != name}


def check_format(backup: Backup, config: Json, js: JetStream) -> None:
    """Refuse what the format cannot do on this line. Raises RestoreError."""
    if backup.format == "V2":
        if not js.line.writes_v2:
            raise RestoreError(
                f"The backup {backup.path} is a V2 archive, which nats-server {js.line} cannot read (2.15 and newer"
                " can). Restore it on 2.15 or newer.",
                error="format_unsupported",
            )
        return
    if config["name"] != backup.stream:
        raise RestoreError(
            f"The backup {backup.path} is a V1 archive of the stream {backup.stream}: servers restore such an"
            f" archive only under that name, not as {config['name']} (2.15 and newer can). Restore it as"
            f" {backup.stream}.",
            error="rename_unsupported",
        )
    if config.get("storage") == "memory":
        raise RestoreError(
            f"The backup {backup.path} is a V1 archive, which servers restore to file storage only; into memory they"
            " report success with no messages. Restore it to file storage.",
            error="storage_unsupported",
        )


def check_replicas(config: Json, js: JetStream) -> None:
    """Refuse more replicas than there can be. Raises RestoreError."""
    name, replicas = config["name"], int(config.get("num_replicas") or 1)
    info, options = js.connection.info, js.connection.options
    if not 1 <= replicas <= 5:
        raise RestoreError(f"stream {name}: {replicas} replicas; there can be 1 to 5.", error="replicas_unsupported")
    if options.domain or options.api_prefix:
        return  # the servers that hold the stream are not those we are connected to
    if replicas > 1 and not js.clustered:
        raise RestoreError(
            f"stream {name} wants {replicas} replicas, and this is a single server. Set replicas to 1.",
            error="replicas_unsupported",
        )
    placement = (config.get("placement") or {}).get("cluster")
    servers = len(info.get("connect_urls") or ())
    if placement in (None, "", info.get("cluster")) and 0 < servers < replicas:
        raise RestoreError(
            f"stream {name} wants {replicas} replicas, and the cluster {info.get('cluster')} has {servers} servers. Set"
            f" replicas to {servers} or less.",
            error="replicas_unsupported",
        )


def check_subjects(config: Json, others: t.Iterable[StreamInfo]) -> None:
    """Refuse subjects that another stream takes in. Raises RestoreError naming both."""
    for info in others:
        if info.name == config["name"]:
            continue
        for one in config.get("subjects") or []:
            for other in info.config.get("subjects") or []:
                if overlaps(one, other):
                    raise RestoreError(
                        f"stream {config['name']}: its subject {one} overlaps with {other} of the stream"
                        f" {info.name}. Change subjects in config, or remove that stream.",
                        error="subject_overlap",
                    )


async def need_of(backup: Backup, allow: Allowance) -> Need:
    """What the archive asks for. The files of a V1 archive are measured only where there is a limit for them."""
    need = Need(backup.format, int(backup.state.get("bytes") or 0))
    if backup.format != "V1" or allow.left() is None:
        return need
    size = await asyncio.get_running_loop().run_in_executor(None, files_size, backup.data)
    return dataclasses.replace(need, tar=size)


def check_limits(config: Json, allow: Allowance, need: Need, streams: Listing[StreamInfo]) -> list[str]:
    """Refuse what the account's limits do not allow; returns warnings. Raises RestoreError."""
    unknown = {*streams.missing, *streams.offline} - {config["name"]}
    refusal = allow.refusal(need, offline=len(unknown))
    if refusal is not None:
        raise RestoreError(
            f"stream {config['name']}: {refusal.reason}. {refusal.remedy}.",
            error=refusal.error,
            err_code=refusal.err_code,
        )
    left, wanted = allow.left(), need.bytes * allow.replicas
    if left is None or wanted <= left:
        return []
    return [_over(config["name"], allow.kind, wanted, max(left, 0))]


def _over(name: str, kind: str, wanted: int, left: int) -> str:
    return (
        f"stream {name}: it needs {wanted} bytes of {kind}, and {left} are left of the account's limit. Servers"
        " restore it all the same, and then refuse new messages. Raise the limit."
    )


async def check_message_size(backup: Backup, js: JetStream) -> None:
    """Refuse a message that the target would refuse half way. Raises RestoreError.

    Only where neither the stream's configuration, nor its whole size, nor the limit it was stored under rules it out is
    every block decoded to find the largest message.
    """
    if far(js):
        return  # the server that stores the stream is not the one we are connected to
    limit = js.connection.server_max_payload
    stored = backup.manifest.max_payload if backup.manifest else 0
    bounds = [int(backup.state.get("bytes") or 0), stored or limit + 1]
    if backup.format != "V2" or min(bounds) <= limit:
        return

    content = (backup.report.content if backup.report else None) or {}

    def largest() -> tuple[int, int]:
        if content:
            return content["largest"], content["largest_seq"]
        return max(
            ((m.payload_size + len(m.header), m.sequence) for m in walk(backup.data, payloads=False)), default=(0, 0)
        )

    size, sequence = await asyncio.get_running_loop().run_in_executor(None, largest)
    if size > limit:
        raise RestoreError(
            f"stream {backup.stream}: message {sequence} has {size} bytes, more than the server's max_payload of"
            f" {limit}. Raise max_payload there.",
            error="message_too_large",
        )


def check_name(config: Json, backup: Backup, existing: StreamInfo | None) -> None:
    """Refuse to replace a stream whose files a server cannot remove: it moves them to a name that is longer by one."""
    name = config["name"]
    if existing is None or backup.format != "V2" or existing.config.get("storage") == "memory":
        return
    if len(name.encode()) >= _LONGEST_NAME:
        raise RestoreError(
            f"stream {name}: a name of {_LONGEST_NAME} bytes is too long for a server to remove the stream's files, so"
            " that nothing can be restored in its place. Restore under another name (stream).",
            error="invalid_stream_name",
        )


def check_interest(config: Json, backup: Backup) -> None:
    """Refuse an interest stream without a single consumer: a server drops its messages. Raises RestoreError."""
    messages = int(backup.state.get("messages") or 0)
    if config.get("retention") == "interest" and messages and not backup.consumers:
        raise RestoreError(
            f"stream {config['name']} has interest retention, and the backup {backup.path} has no consumers: a"
            f" server would drop all {messages} messages. Set retention to limits in config to keep them.",
            error="consumers_missing",
        )
