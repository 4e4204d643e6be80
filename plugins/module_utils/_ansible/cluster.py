# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules about clusters share: connections to the system account and to others, and their options."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from .._cluster.errors import LastPictureError, NotClusteredError
from .._cluster.held import AccountNames, LastPicture
from .._cluster.inventory import Inventory, list_names, take_inventory, tells_itself
from .._cluster.model import Picture
from .._cluster.refusals import connected_to
from .._cluster.wait import until
from .._cluster.watch import Watch
from .._files.errors import why
from .._files.reading import PICTURE, read_text
from .._nats import connect as nats_connect
from .._nats.api import JetStream
from .._nats.connection import Connection
from .._nats.errors import NatsError, OptionsError
from .._nats.options import Options, make_options
from .._nats.system import System
from .._report.inputs import INHERITED
from .argspec import CONNECTION, ArgumentSpec
from .cluster_backups import BACKUPS, Known, read_backups
from .module import Context


def _account_options() -> dict[str, t.Any]:
    """The connection options of one account: nothing comes from the environment, which is about the system account."""
    options: dict[str, t.Any] = {"name": {"type": "str", "required": True}}
    for name, option in CONNECTION.argument_spec.items():
        options[name] = {key: value for key, value in option.items() if key not in ("fallback", "default")}
    return options


ACCOUNTS = ArgumentSpec({"accounts": {"type": "list", "elements": "dict", "options": _account_options()}})
LAST_PICTURE = ArgumentSpec({"last_picture": {"type": "path"}})
HOLDINGS = ACCOUNTS.merge(LAST_PICTURE).merge(BACKUPS)


# A server that is silent while others have open connections to it: frozen, cut off, or just without power.
SILENT = ArgumentSpec(
    {"fenced": {"type": "bool", "default": False}, "frozen_timeout": {"type": "float", "default": 0.0}}
)


def wait_options(timeout: float) -> ArgumentSpec:
    """C(wait), C(wait_timeout), C(wait_interval)."""
    return ArgumentSpec(
        {
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "float", "default": timeout},
            "wait_interval": {"type": "float", "default": 1.0},
        }
    )


@contextlib.asynccontextmanager
async def watching(context: Context) -> t.AsyncIterator[Watch]:
    """A watch over a connection of the system account; where its server dies, over one to another server."""
    opened: list[Connection] = []

    async def open_one() -> System:
        opened.append(await nats_connect.connect(context.connection))
        return System(opened[-1])

    try:
        yield Watch(await open_one(), reopen=open_one)
    finally:
        for connection in opened:
            await connection.close()


@contextlib.asynccontextmanager
async def changing(context: Context) -> t.AsyncIterator[Watch]:
    """A watch for what will change the cluster. Raises WrongDomainError where that would be another domain's."""
    async with watching(context) as watch:
        watch.system.check_reach()
        yield watch


async def until_cut_off(context: Context, watch: Watch, picture: Picture, silent: t.AbstractSet[str]) -> bool:
    """Wait until no live server has an open connection to C(silent), O(frozen_timeout) seconds at most.

    Returns whether it was waited, so that the cluster is to be looked at anew.
    """
    timeout = 0.0 if context.params["fenced"] else context.params["frozen_timeout"]
    if timeout <= 0 or not connected_to(picture, silent):
        return False
    await until(watch, lambda now: not connected_to(now, silent), timeout=timeout, interval=5.0, light=True)
    return True


def account_options(context: Context) -> dict[str, Options]:
    """Connection options by account name; how to reach the servers is inherited where an entry does not say it."""
    found: dict[str, Options] = {}
    for entry in context.params.get("accounts") or ():
        given = {key: value for key, value in entry.items() if value is not None}
        name = str(given.pop("name"))
        if name in found:
            raise OptionsError(f"accounts: {name!r} is listed twice.")
        if "context" not in given:
            for key in INHERITED:
                # What the module's own CLI context says counts as well.
                given.setdefault(key, getattr(context.connection, key))
        found[name] = make_options(given)
    return found


@contextlib.asynccontextmanager
async def account_api(name: str, options: Options, accounts: t.Mapping[str, str]) -> t.AsyncIterator[JetStream]:
    """The JetStream API of one account, after checking that the credentials are of the account they are said to be.

    C(accounts) maps the ids of the accounts in the cluster to their names.
    """
    try:
        connection = await nats_connect.connect(options)
    except NatsError as exc:
        raise type(exc)(f"accounts, {name}: {exc.message}") from exc
    try:
        api = JetStream(connection)
        actual = str((await api.user_info()).get("account") or "")
        if actual and name not in (actual, accounts.get(actual, actual)):
            raise OptionsError(
                f"accounts: the credentials given for {name!r} are of the account"
                f" {_both(actual, accounts)}. Correct the name or the credentials."
            )
        yield api
    finally:
        await connection.close()


def _both(account: str, accounts: t.Mapping[str, str]) -> str:
    """An account for a sentence: its name, and its id where it has another one."""
    name = accounts.get(account, account)
    return repr(name) if name == account else f"{name!r} (id {account})"


def read_last_picture(context: Context) -> LastPicture | None:
    """The file given by C(last_picture), if any."""
    path = context.params.get("last_picture")
    if not path:
        return None
    try:
        text = read_text(path, PICTURE)
    except (OSError, UnicodeDecodeError) as exc:
        raise LastPictureError(f"last_picture {path} cannot be read: {why(exc)}.") from None
    return LastPicture.parse(text, path)


async def _names_of_accounts(
    context: Context, picture: Picture, peer: str
) -> tuple[list[AccountNames], dict[str, str]]:
    """What the accounts list, and why some could not: what is known without them is told all the same."""
    names: list[AccountNames] = []
    silent: dict[str, str] = {}
    meta = picture.meta
    lost = meta is not None and not (meta.has_quorum and meta.leader)
    for given, options in account_options(context).items():
        name = picture.accounts.get(given, given)
        if lost:
            # The meta leader answers such a request; without one it takes 10 s to fail.
            silent[name] = "The meta group has no leader that could answer."
            continue
        try:
            async with account_api(given, options, picture.accounts) as api:
                names.append(await list_names(api, picture, name, peer))
        except OptionsError:
            raise
        except NatsError as exc:
            silent[name] = exc.message
    return names, silent


async def inventory_of(context: Context, picture: Picture, peer: str, known: Known | None = None) -> Inventory:
    """What would be gone with the server C(peer), from all sources that the options give.

    C(known): what L(read_backups) has read already.
    """
    last = read_last_picture(context)
    backups, warnings = known or read_backups(context)
    names: list[AccountNames] = []
    silent: dict[str, str] = {}
    if not tells_itself(picture, peer):
        names, silent = await _names_of_accounts(context, picture, peer)
    notes = tuple(f"accounts, {name}: its streams could not be listed. {why}" for name, why in silent.items())
    inventory = take_inventory(picture, peer, names, last, backups, unlisted=silent)
    return dataclasses.replace(inventory, notes=(*inventory.notes, *notes, *warnings))


def need_cluster(picture: Picture) -> None:
    """Raise NotClusteredError for a standalone server."""
    if picture.meta is None:
        names = picture.names(server.peer for server in picture.servers if server.alive)
        raise NotClusteredError(
            f"{names}: a standalone server, or a cluster without JetStream. There is no membership to change; use"
            " jetstream_stream_backup and jetstream_stream_restore to move its streams."
        )
