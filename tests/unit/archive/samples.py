# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archives in fixtures/."""

from __future__ import annotations

import json
from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"
BACKUPS = sorted(path.parent for path in FIXTURES.glob("*/*/backup.json"))
V2 = [path for path in BACKUPS if path.parent.name == "2.15.2"]
V1 = [path for path in BACKUPS if path not in V2]


def name(path):
    """A short test id."""
    return f"{path.parent.name}-{path.name}"


def data_file(path):
    (found,) = path.glob("stream.*.s2")
    return found


def load(path, file="backup.json"):
    return json.loads((path / file).read_text())
