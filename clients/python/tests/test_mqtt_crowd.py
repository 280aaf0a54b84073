"""A thousand clients of MQTT at once, of bytes that are written here: no client is in between."""

from __future__ import annotations

import resource
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from real_broker import BINARY, RealBroker

pytestmark = pytest.mark.skipif(not BINARY, reason="it needs a broker: BABELMQ_BIN")

CLIENTS = 1_000


@pytest.fixture(scope="module")
def broker() -> Iterator[RealBroker]:
    with_mqtt = RealBroker("--listen", "mqtt://127.0.0.1:0")
    yield with_mqtt
    with_mqtt.close()


@pytest.fixture
def many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def text(value: str) -> bytes:
    return struct.pack("!H", len(value)) + value.encode()


def packet(first: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes([first, len(body)]) + body


def take(connection: socket.socket, expected: bytes) -> None:
    found = b""
    while len(found) < len(expected):
        more = connection.recv(len(expected) - len(found))
        assert more, f"the connection ended behind {found!r}"
        found += more
    assert found == expected


@pytest.mark.usefixtures("many_files")
def test_a_thousand_clients_hear_each_other(broker: RealBroker) -> None:
    host, _, port = broker.listening[1].partition("://")[2].rpartition(":")
    with ExitStack() as stack:
        connections = []
        for number in range(CLIENTS):
            connection = socket.create_connection((host, int(port)), 60)
            connections.append(stack.enter_context(connection))
            connect = text("MQTT") + b"\x04\x02\x00\x00" + text(f"crowd-{number}")
            mine, all_of_them = text(f"crowd/{number}") + b"\x01", text("crowd/all") + b"\x01"
            subscribe = packet(0x82, b"\x00\x01" + mine + all_of_them)
            connection.sendall(packet(0x10, connect) + subscribe)
        for connection in connections:
            take(connection, b"\x20\x02\x00\x00" + b"\x90\x04\x00\x01\x01\x01")
        # Each writes to its neighbour, and one to all.
        for number, connection in enumerate(connections):
            to = text(f"crowd/{(number + 1) % CLIENTS}")
            connection.sendall(packet(0x32, to + b"\x00\x07" + str(number).encode()))
        for number, connection in enumerate(connections):
            message = str((number - 1) % CLIENTS).encode()
            publish = packet(0x32, text(f"crowd/{number}") + b"\x00\x01" + message)
            puback = b"\x40\x02\x00\x07"
            # The two come in the order in which they happened.
            found = connection.recv(1, socket.MSG_PEEK)
            take(connection, publish + puback if found == b"\x32" else puback + publish)
            connection.sendall(b"\x40\x02\x00\x01")
        connections[0].sendall(packet(0x32, text("crowd/all") + b"\x00\x08" + b"hello"))
        for number, connection in enumerate(connections):
            if number > 0:
                take(connection, packet(0x32, text("crowd/all") + b"\x00\x02" + b"hello"))
