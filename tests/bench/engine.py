# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine without Ansible, as a process to be measured: what the modules do between their start and their result.

usage: engine.py {backup,restore} URL PATH [STREAM]      (without a stream: the account)
       engine.py drill BINARY PATH
"""

from __future__ import annotations

import asyncio
import os
import sys

from ansible_collections.natsops.jetstream.plugins.module_utils._nats.options import make_options
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.session import Session


async def backup(session: Session, path: str, stream: str) -> None:
    """What the backup modules do; they load no more than this either."""
    from ansible_collections.natsops.jetstream.plugins.module_utils._backup.account import (
        AccountBackup,
        AccountOptions,
        backup_stream,
    )
    from ansible_collections.natsops.jetstream.plugins.module_utils._backup.stream import BackupOptions

    if stream:
        print((await backup_stream(session, stream, path, BackupOptions(), check=False)).status)
        return
    results, _warnings = await AccountBackup(session, path, AccountOptions(), check=False).run()
    assert all(result.failure is None for result in results), [r.reason for r in results if r.failure]
    print(len(results), {result.status for result in results})


async def restore(session: Session, path: str, stream: str) -> None:
    """What the restore modules do."""
    from ansible_collections.natsops.jetstream.plugins.module_utils._repository.inspect import inspect
    from ansible_collections.natsops.jetstream.plugins.module_utils._restore.account import (
        AccountRestore,
        AccountRestoreOptions,
    )
    from ansible_collections.natsops.jetstream.plugins.module_utils._restore.plan import RestoreOptions, look_at_target
    from ansible_collections.natsops.jetstream.plugins.module_utils._restore.stream import restore_stream

    if stream:
        target = await look_at_target(session.js)
        done = await restore_stream(session.js, inspect(path), RestoreOptions(), target, asyncio.Lock(), check=False)
        print(done.status)
        return
    results = await AccountRestore(session, path, AccountRestoreOptions(), check=False).run()
    assert all(result.failure is None for result in results), [r.reason for r in results if r.failure]
    print(len(results), {result.status for result in results})


async def drill(binary: str, path: str) -> None:
    """Restore a backup into a private server and read it back."""
    from ansible_collections.natsops.jetstream.plugins.module_utils._drill.drill import DrillRun
    from ansible_collections.natsops.jetstream.plugins.module_utils._drill.result import DrillOptions

    (done,) = await DrillRun(DrillOptions(binary)).run([path])
    assert done.status == "identical", (done.reason, done.differences)
    print(done.status)


async def run(verb: str, url: str, path: str, stream: str) -> None:
    """Do it; any failure ends the process with a traceback."""
    options = make_options({"servers": [url], "user": "app", "password": os.environ["BENCH_PASSWORD"]})
    async with Session(options) as session:
        await {"backup": backup, "restore": restore}[verb](session, path, stream)


if __name__ == "__main__":
    if sys.argv[1] == "drill":
        asyncio.run(drill(sys.argv[2], sys.argv[3]))
        sys.exit()
    asyncio.run(run(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else ""))
