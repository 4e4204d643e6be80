# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was lost with a server and what came back: from the removal's and the recovery's results."""

from __future__ import annotations

import base64
import json
import typing as t

from .._files.names import directory_of
from . import cluster as look
from .report import Json

# What is not there, so that all that its backup holds is missing.
_MISSING = ("failed", "unreachable")


def recoveries(facts: t.Mapping[str, t.Any], name: str) -> list[Json]:
    """The results of a loop over accounts, each with its C(account), by the name that the picture has for it.

    C(item) of each is how the loop names it: by its name or by its id.
    """
    ids = look.given(facts, "cluster").get("account_ids") or {}
    found = []
    for item in look.given(facts, name).get("results") or ():
        if not item.get("skipped"):
            given = item.get("item") or item.get("account") or ""
            found.append({**item, "account": ids.get(item.get("account")) or ids.get(given) or given})
    return found


def by_stream(items: t.Iterable[t.Mapping[str, t.Any]]) -> dict[tuple[str, str], Json]:
    """Their C(streams), by account and stream."""
    return {
        (item["account"], stream["stream"]): {**stream, "account": item["account"]}
        for item in items
        for stream in item.get("streams") or ()
    }


def unrestored(facts: t.Mapping[str, t.Any]) -> list[tuple[str, str]]:
    """Account and name of streams that a recovery has to do with yet, by the check mode results C(previews)."""
    streams = by_stream(recoveries(facts, "previews"))
    return [key for key, one in sorted(streams.items()) if one["status"] in ("would_restore", "released", *_MISSING)]


def name_of(entry: t.Mapping[str, t.Any]) -> str:
    """An entry of a report's C(lost), as people name it."""
    return " > ".join(part for part in (entry["account"], entry["stream"], entry["consumer"]) if part)


def changed(entries: t.Iterable[t.Mapping[str, t.Any]]) -> bool:
    """Whether anything was done, by a report's results."""
    acts = ("done", "held", "restored", "released", "moved", "transferred")
    return any(one["status"] in acts for one in entries)


def fencing(facts: t.Mapping[str, t.Any], server: str) -> list[Json]:
    """The entry of a report's results for C(fenced)."""
    fenced = look.given(facts, "fenced")
    return [look.step("fence", server, str(fenced["status"]), str(fenced.get("detail") or ""))] if fenced else []


def removal(facts: t.Mapping[str, t.Any], server: str) -> list[Json]:
    """The entry of a report's results for C(removed), of one server."""
    removed = look.given(facts, "removed")
    if not removed:
        return []
    whole = f"{removed.get('whole', 0)} streams and consumers whole on {', '.join(removed.get('members') or ())}"
    detail = str(removed.get("msg")) if look.failed(removed) else whole
    return [look.step("remove", server, look.status(removed), detail, removed)]


def losses(held: t.Iterable[t.Mapping[str, t.Any]], recovered: t.Sequence[Json]) -> list[Json]:
    """Entries of a report's C(lost).

    C(held): what only the removed server had (jetstream_peer_remove's C(lost)); empty where an earlier run removed it.
    C(recovered): results of jetstream_account_recover, by account.
    """
    streams = by_stream(recovered)
    restored = {key: one for key, one in streams.items() if one["status"] == "restored"}
    missing = {key: one for key, one in streams.items() if one["status"] in _MISSING}
    known = {(one["account"], one["stream"]): one for one in held if not one.get("consumer")}
    found = [_stream(key, known.get(key, {}), one) for key, one in sorted(restored.items())]
    for key in sorted({*known, *missing} - {*restored}):
        found.append(_unrestored(key, known.get(key, {}), streams.get(key)))
    moved = {
        (item["account"], one["stream"], one["consumer"]): one
        for item in recovered
        for one in item.get("consumers") or ()
    }
    for one in held:
        name = (one["account"], one["stream"], one.get("consumer"))
        if one.get("consumer") and name[:2] not in restored and name[:2] not in known:
            found.append(_consumer(name, moved.get(name)))
    return found


def _entry(account: str, stream: str, consumer: str | None = None, **more: t.Any) -> Json:
    return {"account": account, "stream": stream, "consumer": consumer, **more}


def _stream(key: tuple[str, str], known: t.Mapping[str, t.Any], restored: t.Mapping[str, t.Any]) -> Json:
    last = known.get("last_seq")
    count = max(int(last) - int(restored["last_seq"]), 0) if last else None
    reason = f"restored from the backup, up to sequence {restored['last_seq']}"
    if count is None:
        reason += "; nobody knows how many messages came after it"
    else:
        reason += f"; by the last picture it was at {last}, what came after that picture is not counted"
    return _entry(*key, since=restored["since"], messages=count, reason=reason)


def _unrestored(key: tuple[str, str], known: t.Mapping[str, t.Any], seen: t.Mapping[str, t.Any] | None) -> Json:
    if seen is None:
        return _entry(*key, since=None, messages=known.get("last_seq"), reason="no backup: it is empty now")
    count = max(int(known["last_seq"]) - int(seen["last_seq"]), 0) if known.get("last_seq") else None
    if str(seen["status"]) in (*_MISSING, "absent", "would_restore"):
        count = int(seen["messages"]) + (count or 0)
    why = {
        "behind": "it took messages before it could be restored, so that the backup was not put in its place",
        "failed": f"it is not restored: {seen['reason']}",
        "would_restore": "its backup is there, and not restored yet",
    }.get(str(seen["status"]), str(seen["reason"]))
    return _entry(*key, since=seen["since"], messages=count, reason=why)


def _consumer(key: tuple[t.Any, t.Any, t.Any], moved: t.Mapping[str, t.Any] | None) -> Json:
    if moved and moved["status"] in ("moved", "would_move"):
        reason = f"position of the backup: it goes on with sequence {moved['seq']}, what it had after that comes again"
    else:
        reason = f"its position is lost: {(moved or {}).get('reason') or 'it begins anew'}"
    return _entry(*key, since=None, messages=None, reason=reason)


def results(facts: t.Mapping[str, t.Any], recovered: t.Sequence[Json]) -> list[Json]:
    """Entries of a report's results for the holding of publishers and the recovery."""
    found = []
    for (account, name), one in sorted(by_stream(recoveries(facts, "held")).items()):
        found.append(look.step("hold", f"{account} > {name}", one["status"], one["reason"]))
    for (account, name), one in sorted(by_stream(recovered).items()):
        detail = one["reason"] or f"{one['messages']} messages, up to sequence {one['last_seq']}, of {one['since']}"
        found.append(look.step("restore", f"{account} > {name}", one["status"], detail))
    for item in recovered:
        for one in item.get("consumers") or ():
            target = f"{item['account']} > {one['stream']} > {one['consumer']}"
            found.append(look.step("consumer", target, one["status"], one["reason"] or f"goes on with {one['seq']}"))
    return found


def restored(recovered: t.Iterable[t.Mapping[str, t.Any]]) -> list[str]:
    """The streams that came back from a backup, and how far, as O(given_up) of jetstream_cluster_info takes them."""
    streams = by_stream(recovered)
    return [
        up_to(account, name, one["last_seq"])
        for (account, name), one in sorted(streams.items())
        if one["status"] == "restored"
    ]


def restored_by(files: t.Iterable[t.Mapping[str, t.Any]], recovered: t.Iterable[Json] = ()) -> list[str]:
    """What the reports in C(files) (results of ansible.builtin.slurp) say was restored; what is none is passed over.

    Each with the time of its report: later it may be lost again. And what this run itself restored, by the results of
    jetstream_account_recover.
    """
    found = restored(recoveries({"recovered": {"results": list(recovered)}}, "recovered"))
    for one in files:
        try:
            report = json.loads(base64.b64decode(one["content"]))
            found += [f"{label} @ {report['finished_at']}" for label in report["details"]["restored"]]
        except (KeyError, TypeError, ValueError):
            continue
    return found


def up_to(account: str, stream: str, last_seq: t.Any) -> str:
    """A stream whose messages after a sequence are lost for good, which a person has confirmed."""
    return f"{account} > {stream} @ {int(last_seq or 0)}"


def remedies(lost: t.Iterable[t.Mapping[str, t.Any]], recovered: t.Sequence[Json], repository: str) -> list[str]:
    """Commands for what was not brought back."""
    streams = by_stream(recovered)
    found = []
    for one in lost:
        seen = streams.get((one["account"], one["stream"]))
        if seen and seen["status"] == "behind":
            found.append(
                f"nats stream restore {repository}/{directory_of(one['account'])}/latest/{one['stream']} --config"
                f" <its configuration with another name and other subjects>   # {one['account']}"
            )
    return found
