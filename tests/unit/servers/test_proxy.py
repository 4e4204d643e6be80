# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The link proxy delays, stalls, cuts and goes on."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from servers.proxy import Proxy


@pytest.fixture
def echo_port() -> Iterator[int]:
    """A TCP server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(connection: socket.socket) -> None:
            with connection:
                try:
                    while data := connection.recv(65536):
                        connection.sendall(data)
                except ConnectionError:
                    return

        def accept() -> None:
            while True:
                try:
                    connection, _address = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def exchange(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    got = b""
    while len(got) < len(data):
        part = client.recv(65536)
        if not part:
            raise ConnectionResetError
        got += part
    return got


def read_to_the_end(client: socket.socket) -> None:
    """Read until the connection ends; however it ends, ConnectionError says so."""
    while client.recv(65536):
        pass
    raise ConnectionResetError


def test_forwards_both_ways_and_counts(echo_port: int) -> None:
    data = bytes(range(256)) * 4000
    with Proxy(echo_port) as proxy, connect(proxy) as client:
        threading.Thread(target=client.sendall, args=(data,), daemon=True).start()
        got = b""
        while len(got) < len(data):
            got += client.recv(65536)
        assert got == data
        assert proxy.forwarded("up") == proxy.forwarded("down") == len(data)
        assert proxy.connections == 1


def test_delays_by_at_least_what_was_asked(echo_port: int) -> None:
    with Proxy(echo_port, delay_up=0.05, delay_down=0.03) as proxy, connect(proxy) as client:
        started = time.monotonic()
        exchange(client, b"x")
        assert time.monotonic() - started >= 0.08


def test_stall_keeps_the_connection_and_resume_loses_nothing(echo_port: int) -> None:
    with Proxy(echo_port) as proxy, connect(proxy) as client:
        exchange(client, b"before")
        proxy.stall()
        client.sendall(b"held")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(10)
        client.settimeout(5)
        proxy.resume()
        assert client.recv(10) == b"held"


def test_stalls_by_itself_after_a_count(echo_port: int) -> None:
    with Proxy(echo_port) as proxy, connect(proxy) as client:
        proxy.stall_after(10, "down")
        exchange(client, b"0123456789")
        assert proxy.stalled
        client.sendall(b"more")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(10)


def test_cut_drops_and_refuses_until_resumed(echo_port: int) -> None:
    with Proxy(echo_port) as proxy, connect(proxy) as client:
        exchange(client, b"x")
        proxy.cut()
        with pytest.raises(ConnectionError):
            exchange(client, b"x")
        with connect(proxy) as second, pytest.raises(ConnectionError):
            exchange(second, b"x")
        proxy.resume()
        with connect(proxy) as third:
            assert exchange(third, b"again") == b"again"


def test_cuts_by_itself_after_a_count(echo_port: int) -> None:
    with Proxy(echo_port) as proxy, connect(proxy) as client:
        proxy.cut_after(1)
        client.sendall(b"x")
        with pytest.raises(ConnectionError):
            read_to_the_end(client)


def test_closing_frees_the_port(echo_port: int) -> None:
    proxy = Proxy(echo_port).start()
    with connect(proxy) as client:
        exchange(client, b"x")
        proxy.close()
        with pytest.raises(ConnectionError):
            exchange(client, b"x")
    with pytest.raises(ConnectionError):
        connect(proxy)
