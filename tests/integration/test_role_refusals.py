# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runbooks about servers on a healthy cluster: what is wrong is refused, with the valid choices, and reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from integration.runbook import Runbooks
from servers import Cluster


@pytest.mark.parametrize(
    ("verb", "variables", "sentence"),
    [
        ("node_loss", {"node_loss_server": "n9"}, "node_loss_server is 'n9'; it must be one of: n1, n2, n3."),
        ("node_loss", {"node_loss_server": "n2", "node_loss_disk": "gone"}, "intact, lost, unknown"),
        pytest.param(
            "salvage",
            {"salvage_server": "n2", "salvage_store": "/nowhere"},
            "n2 answers: it is alive.",
            marks=pytest.mark.slow,
        ),
        (
            "quorum_loss",
            {"quorum_loss_dead": ["n2"], "quorum_loss_confirm_dead": ["n3"]},
            "quorum_loss_confirm_dead is n3; to confirm it must be n2.",
        ),
    ],
    ids=["unknown", "choice", "alive", "confirmation"],
)
def test_what_is_wrong_is_refused_and_reported(
    cluster: Cluster, tmp_path: Path, verb: str, variables: dict[str, Any], sentence: str
) -> None:
    ran = Runbooks(cluster, tmp_path).run(verb, "-vvvv", **variables)
    assert (ran.code, ran.report["outcome"]) == (2, "refused"), ran.output
    assert sentence in ran.report["sentence"]
    assert ran.report["changed"] is False
    assert sentence in ran.output.rsplit("fatal: ", 1)[1]
