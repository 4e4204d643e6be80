# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists that servers give in pages, read to their end, which comes whatever the server says."""

from __future__ import annotations

import typing as t

from .errors import ProtocolError
from .model import Json

#: Pages of a list, of which servers fill each with 256 streams or consumers or 1,024 names.
MOST_PAGES = 1000
# A list may grow while it is read.
_GROWTH = 2
_MARGIN = 1000


async def read_pages(
    ask: t.Callable[[Json], t.Awaitable[Json]], key: str, subject: str, what: str, name_of: t.Callable[[t.Any], str]
) -> tuple[list[t.Any], list[str], dict[str, str]]:
    """Every item once, the names in C(missing), and those in C(offline) with their reason. Raises ProtocolError."""
    items: dict[str, t.Any] = {}
    missing: dict[str, None] = {}
    offline: dict[str, str] = {}
    offset, most = 0, 0
    for number in range(MOST_PAGES):
        page = await ask({"offset": offset})
        found = page.get(key) or []
        known = len(items) + len(missing) + len(offline)
        for item in found:
            items.setdefault(name_of(item), item)
        missing.update(dict.fromkeys(page.get("missing") or ()))
        offline.update(page.get("offline") or {})
        total = int(page.get("total") or 0)
        most = most if number else _GROWTH * total + _MARGIN
        # What is missing counts in the total and takes places in the page: step by the page's own limit.
        offset += max(int(page.get("limit") or 0), len(found), 1)
        if offset >= total:
            return list(items.values()), list(missing), offline
        if len(items) + len(missing) + len(offline) == known:
            raise ProtocolError(what, subject, f"the page before {offset} has nothing new, and {total} are promised")
        if len(items) > most:
            raise ProtocolError(what, subject, f"the list had {(most - _MARGIN) // _GROWTH} entries, and never ends")
    raise ProtocolError(what, subject, f"the list has more than {MOST_PAGES} pages")
