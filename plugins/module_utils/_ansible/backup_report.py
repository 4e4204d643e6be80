# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module that writes the page about a repository: from parameters to what lies there, and to three files."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import time
import typing as t

from .._files.errors import FileError
from .._files.reading import REPORT, read_text
from .._files.writing import replace_file
from .._nats.errors import OptionsError
from .._nats.model import Json
from .._report.page import page, verdict
from .._report.repository import make_overview
from .._report.repository_markdown import markdown
from .._repository.directory import normal_path, os_errors, path_error
from .._repository.disk import make_directories
from .._repository.errors import PathError
from .._repository.inspect import looks_like_backup
from .._repository.nearby import REPOSITORY, SETS, STREAMS, wrong_place
from .._repository.overview import Overview
from .._repository.sets import holds_sets
from .argspec import ArgumentSpec
from .backup import positive
from .module import Context, Outcome

BACKUP_REPORT = ArgumentSpec(
    {
        "path": {"type": "path", "required": True},
        "dest": {"type": "path", "required": True},
        "title": {"type": "str", "default": "JetStream backups"},
        "max_age": {"type": "float"},
    }
)
_SUFFIX = ".html"


async def backup_report(context: Context) -> Outcome:
    """The work of jetstream_backup_report."""
    params = context.params
    if params["max_age"] is not None:
        positive(params, "max_age")
    dest = normal_path(params["dest"])
    if not dest.endswith(_SUFFIX) or dest == _SUFFIX:
        raise OptionsError(f"dest must be the name of a page, which ends in {_SUFFIX}, not {params['dest']}.")
    return await asyncio.get_running_loop().run_in_executor(None, _report, params, dest, context.check_mode)


def _report(params: t.Mapping[str, t.Any], dest: str, check: bool) -> Outcome:
    overview = look(params["path"], title=params["title"], max_age=params["max_age"])
    stem = dest[: -len(_SUFFIX)]
    files = {
        f"{stem}.json": json.dumps(overview, indent=1, sort_keys=True) + "\n",
        f"{stem}.md": markdown(overview),
        dest: page(overview),
    }
    before = {name: _read(name) for name in files}
    changed = [name for name in files if before[name] != files[name]]
    if not check:
        with os_errors(dest):
            make_directories(os.path.dirname(dest))
            for name in changed:
                replace_file(name, files[name].encode(errors="backslashreplace"))
    diff = [
        {"before_header": name, "after_header": name, "before": before[name], "after": files[name]}
        for name in changed
        if name.endswith(".md")
    ]
    values: Json = {
        "path": overview["path"],
        "files": sorted(files),
        "sentence": verdict(overview)[0],
        "summary": overview["summary"],
        "problems": overview["problems"],
    }
    return Outcome(bool(changed), values, diff=diff)


def look(given: str, *, title: str, max_age: float | None) -> Json:
    """The content of a report about a directory. Raises PathError."""
    path = os.path.realpath(normal_path(given))
    if not os.path.isdir(path):
        raise wrong_place(path, (REPOSITORY, SETS, STREAMS), "a repository of backups")
    if looks_like_backup(path):
        raise PathError(
            f"path {path} is the backup of one stream. Give the directory of an account, or of accounts.",
            error="path_not_backup",
        )
    overview = Overview()
    accounts = [overview.with_sets(one) if holds_sets(one) else overview.plain(one) for one in _accounts(path)]
    if not accounts:
        raise wrong_place(path, (REPOSITORY, SETS, STREAMS), "a repository of backups")
    return make_overview(path, accounts, overview.disk, title=title, max_age=max_age, now=time.time())


def _accounts(path: str) -> list[str]:
    """The directories of accounts: the given one, or those below it that hold backups."""
    if holds_sets(path) or _holds_streams(path):
        return [path]
    below = sorted(
        entry.path
        for entry in os.scandir(path)
        if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
    )
    return [place for place in below if holds_sets(place) or _holds_streams(place)]


def _holds_streams(path: str) -> bool:
    return any(entry.is_dir(follow_symlinks=False) and looks_like_backup(entry.path) for entry in os.scandir(path))


def _read(name: str) -> str:
    """What a file of an earlier report holds. Raises PathError for a link and for what is no file."""
    try:
        return read_text(name, REPORT, errors="replace")
    except FileNotFoundError:
        return ""
    except FileError as exc:
        if exc.errno in (errno.EFBIG, errno.EACCES, errno.EPERM):
            return ""  # it is replaced, or that fails
        raise path_error(name, exc) from exc
