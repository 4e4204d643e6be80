# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An account with limits by replicas: a server counts all replicas as used, and its limit is for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.harm import MIB, api, fill
from servers import oracle
from servers.ansible import run_module
from servers.fixtures import MakeCluster

BACKUP, RESTORE = "jetstream_stream_backup", "jetstream_stream_restore"
NO_LIMITS = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"))


@pytest.mark.slow
def test_tier_of_three_replicas(make_cluster: MakeCluster, tmp_path: Path) -> None:
    tier = {"mem_storage": 0, "disk_storage": 3 * MIB, "streams": 10, "consumer": 10}
    claims = {"limits": {**NO_LIMITS, "tiered_limits": {"R3": tier}}}
    cluster = make_cluster(auth="jwt", accounts={"APP": claims})
    fill(cluster, "OLD", MIB, num_replicas=3)
    fill(cluster, "S", MIB, num_replicas=3)
    saved = run_module(BACKUP, {**cluster.connection(), "stream": "S", "path": str(tmp_path / "S")})
    assert saved["status"] == "transferred", saved["msg"]
    api(cluster, "STREAM.DELETE.S")
    wanted = {**cluster.connection(), "path": str(tmp_path / "S")}
    for check in (True, False):
        result = run_module(RESTORE, wanted, check=check)
        assert result.get("changed") is True, result["msg"]
    assert oracle.stream_info(cluster, "S")["state"]["messages"] == 16
    # One without limits, and one that is full.
    for options, code in (({"replicas": 1}, 10120), ({"config": {"max_bytes": 4 * MIB}}, 10047)):
        for check in (True, False):
            refused = run_module(RESTORE, {**wanted, "on_conflict": "replace", **options}, check=check)
            assert refused.get("err_code") == code, refused
            assert oracle.stream_info(cluster, "S")["state"]["messages"] == 16
