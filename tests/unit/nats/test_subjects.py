# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a name from a backup or a server could make of a subject."""

from __future__ import annotations

import pytest
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.errors import NatsError
from ansible_collections.natsops.jetstream.plugins.module_utils._nats.subjects import require_sendable


@pytest.mark.parametrize("name", ["a\r\nPUB x 1\r\ny", "a b", "a\tb", "a\x00b", "a\n", "a\x7f"])
def test_a_name_cannot_be_a_command(name: str) -> None:
    with pytest.raises(NatsError) as caught:
        require_sendable("fine", f"$JS.API.CONSUMER.DELETE.ORDERS.{name}")
    assert caught.value.error == "name_refused"
    assert "\n" not in caught.value.message


def test_subjects_that_are_fine() -> None:
    require_sendable("", "$JS.API.STREAM.INFO.ORDERS", "_INBOX.é.>", "a.*.b")
