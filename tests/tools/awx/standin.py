# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for a controller's API: it keeps what the modules of awx.awx send, and answers as they expect."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Item = dict[str, Any]
ROOT = "/api/v2/"
_KINDS = ("job_templates", "workflow_job_templates", "projects", "inventories", "workflow_approval_templates")
_ROLES = ("execute_role", "approval_role", "admin_role")


class StandIn:
    """Listens on loopback while it is entered. C(items): what there is, by endpoint; C(writes): how many changed it."""

    def __init__(self) -> None:
        self.items: dict[str, dict[int, Item]] = {}
        self.links: dict[str, list[int]] = {}
        self.surveys: dict[str, Item] = {}
        self.writes = 0
        self._next = 0
        self._lock = threading.Lock()
        self.add("organizations", {"name": "Default"})
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> StandIn:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @property
    def url(self) -> str:
        """The address that the modules are given."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(self, endpoint: str, body: Item) -> Item:
        """Keep something new."""
        self._next += 1
        url = f"{ROOT}{endpoint}/{self._next}/"
        item = {"id": self._next, "url": url, "type": re.sub(r"ies$", "y", endpoint).removesuffix("s"), **body}
        item["related"] = {"survey_spec": f"{url}survey_spec/"}
        if endpoint == "projects":
            item["scm_revision"] = "0" * 40  # as after its first update
        self._next += len(_ROLES)
        roles = {role: {"id": self._next - index} for index, role in enumerate(_ROLES)}
        item["summary_fields"] = {"object_roles": roles}
        self.items.setdefault(endpoint, {})[item["id"]] = item
        return item

    def listed(self, endpoint: str) -> list[Item]:
        """Everything at an endpoint; templates of all kinds are under one name as well."""
        if endpoint == "unified_job_templates":
            return [item for kind in _KINDS for item in self.items.get(kind, {}).values()]
        return list(self.items.get(endpoint, {}).values())

    def by_name(self, endpoint: str) -> dict[str, Item]:
        """The same by their names."""
        return {item["name"]: item for item in self.listed(endpoint)}

    def answer(self, method: str, path: str, query: list[tuple[str, str]], body: Item) -> tuple[int, Any]:
        """What the API says."""
        parts = path.removeprefix(ROOT).strip("/").split("/")
        with self._lock:
            if method != "GET":
                self.writes += 1
            if len(parts) == 1:
                return self._list(method, parts[0], query, body)
            endpoint, number = parts[0], int(parts[1])
            if len(parts) == 2:
                item = self.items[endpoint][number]
                if method == "PATCH":
                    item.update(body)
                if method == "DELETE":
                    del self.items[endpoint][number]
                    return 204, None
                return 200, item
            return self._below(method, endpoint, number, parts[2], body)

    def _list(self, method: str, endpoint: str, query: list[tuple[str, str]], body: Item) -> tuple[int, Any]:
        if method == "POST":
            return 201, self.add(endpoint, body)
        found = [item for item in self.listed(endpoint) if all(_fits(item, key, value) for key, value in query)]
        return 200, {"count": len(found), "results": found, "next": None}

    def _below(self, method: str, endpoint: str, number: int, name: str, body: Item) -> tuple[int, Any]:
        place = f"{endpoint}/{number}/{name}"
        if name == "survey_spec":
            if method == "POST":
                self.surveys[place] = body
                return 200, {}
            return 200, self.surveys.get(place, {})
        if name == "create_approval_template":
            made = self.add("workflow_approval_templates", body)
            self.items[endpoint][number]["unified_job_template"] = made["id"]
            self.items[endpoint][number]["related"]["unified_job_template"] = made["url"]
            return 201, made
        linked = self.links.setdefault(place, [])
        if method == "POST":
            if body.get("disassociate"):
                linked.remove(body["id"])
            else:
                linked.append(body["id"])
            return 204, None
        return 200, {"count": len(linked), "results": [{"id": one} for one in linked], "next": None}


def _fits(item: Item, key: str, value: str) -> bool:
    return key in ("page_size", "order_by") or str(item.get(key)) == value


class _Handler(BaseHTTPRequestHandler):
    api: StandIn

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        text = self.rfile.read(length)
        address = urlsplit(self.path)
        body = json.loads(text) if text.strip() else {}
        code, content = self.api.answer(self.command, address.path, parse_qsl(address.query), body or {})
        payload = b"" if content is None else json.dumps(content).encode()
        self.send_response(code)
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", "24.6.1")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""
